"""The liver and, where the model knows them, spleen and kidneys."""

from pipeline.segmentation.nnunet import segment, segment_observed, segment_steps
from pipeline.segmentation.segmenter import Segmenter

__all__ = ["Segmenter", "segment", "segment_observed", "segment_steps"]
