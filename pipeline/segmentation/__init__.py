"""The liver and, where the model knows them, spleen and kidneys."""

from pipeline.segmentation.nnunet import Segmenter, segment, segment_observed, segment_steps

__all__ = ["Segmenter", "segment", "segment_observed", "segment_steps"]
