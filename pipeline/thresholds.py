"""Every clinical cut-off, one name and one source each."""

from __future__ import annotations

POOR_DICE_BELOW = 0.80
"""Liver Dice below which a mask is poor (score 3). Chosen for this software; see ``segmentation_score``."""

EXCELLENT_DICE_FROM = 0.93
"""Liver Dice from which a mask is usable as it is (score 1). Chosen for this software; see ``segmentation_score``."""

POOR_HD95_ABOVE_MM = 20.0
"""95th percentile of the surface distance, mm, above which a mask is poor (score 3) whatever its Dice. Chosen
for this software."""

MASK_SENSITIVE_ACROSS = 0.15
"""Width of the range of probabilities under a moved outline above which a range that includes the operating point makes
the probability unreliable. Chosen for this software."""

MASK_SENSITIVE_ANYWHERE = 0.3
"""The same for a range on one side of the operating point. Chosen for this software."""

ADVANCED_LSM_ABOVE_KPA = 12.0
"""Liver stiffness by transient elastography, kPa, above which fibrosis counts as advanced. Aggarwal et al. 2025, doi
10.1007/s00261-025-05160-y."""

ADVANCED_METAVIR_FROM = "F3"
"""METAVIR stage from which fibrosis counts as advanced. Aggarwal et al. 2025."""

RULE_OUT_SENSITIVITY = 0.90
"""Sensitivity of the rule-out point: below it at most one positive in ten was missed. Chosen for this software."""

RULE_IN_SPECIFICITY = 0.90
"""Specificity of the rule-in point: from it on at most one negative in ten was called positive. Chosen for this
software."""


def segmentation_score(
    dice: float,
    hd95_mm: float,
    *,
    poor_below: float = POOR_DICE_BELOW,
    poor_above_mm: float = POOR_HD95_ABOVE_MM,
) -> int:
    """Quality of a liver mask: 1 excellent (usable as it is), 2 acceptable (minor edits needed), 3 poor.

    Args:
        dice: liver Dice against the true mask, or as predicted.
        hd95_mm: 95th percentile of the surface distance, mm, likewise.
        poor_below, poor_above_mm: cut-offs of score 3; a prediction's have a safety margin.
    """
    if dice < poor_below or hd95_mm > poor_above_mm:
        return 3
    return 1 if dice >= EXCELLENT_DICE_FROM else 2
