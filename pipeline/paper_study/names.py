"""Names of the study's networks in folders and tables, and the paper's own figures."""

from __future__ import annotations

from models.network_names import FeatureGroup

MAIN, POOLING, TEXTURE, SEVERITY, SITE, SHUFFLED = "resnet", "pooling", "texture", "severity", "site", "shuffled"
FIGURES = ("auc", "sensitivity", "specificity", "accuracy")
PAPER: dict[str, dict[str, float]] = {
    MAIN: {"auc": 0.811, "sensitivity": 0.778, "specificity": 0.800, "accuracy": 0.783},
    "densenet121": {"auc": 0.795},
    "swin_tiny": {"auc": 0.782},
    "unmasked": {"auc": 0.743},
}
"""Figures of Aggarwal et al. 2025 on its 23 patients with histology; it gives no interval."""
PAPER_ACCURACY_BY_SCORE = {"1": 0.818, "3": 0.625}
PAPER_OVERLAP = {"dice": 0.960, "iou": 0.923}
"""On the paper's internal test, of another cohort than its 23 patients."""
TITLES = {
    MAIN: "Masked-attention ResNet",
    POOLING: "ResNet with masked pooling only",
    "densenet121": "Masked-attention DenseNet121",
    "swin_tiny": "Masked-attention Swin Transformer",
    "unmasked": "ResNet without segmentation",
    TEXTURE: "Texture baseline (logistic regression)",
    SEVERITY: "The severity that the simulation drew (upper bound)",
    "mask_only": "The outline of the liver alone",
    "background_only": "Everything but the liver",
    "background_only_without_spleen": "Everything but the liver, without the half where the spleen lies",
    SHUFFLED: "Shuffled labels",
    SITE: "Which site is it? (against the site, not fibrosis)",
    "texture_outline": "Logistic regression on the outline",
    "texture_volumes": "Logistic regression on volumes",
    "texture_background": "Logistic regression on background texture",
}
CONTROL_FEATURES: dict[str, FeatureGroup] = {
    "texture_outline": "outline",
    "texture_volumes": "volumes",
    "texture_background": "background",
}
"""Group of features of each positive control: a logistic regression that is given what a leak test's network sees."""
CONTROLS = {
    "mask_only": ("texture_outline",),
    "background_only": ("texture_volumes", "texture_background"),
}
"""Positive controls of each leak test; none for the half without the spleen, which no group of features is cut to."""


def title(network: str) -> str:
    """Name of a network as people read it."""
    return TITLES[network]
