"""Fibrosis inside the liver: preparation of slices, prediction, explanation."""

from pipeline.classification.explain import explain, explain_steps
from pipeline.classification.predict import Classifier, Encoded, classify, classify_steps

__all__ = ["Classifier", "Encoded", "classify", "classify_steps", "explain", "explain_steps"]
