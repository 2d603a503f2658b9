"""Plane and weighting of a header in allow-listed words, so that its own text is never shown."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

_PATTERNS: tuple[tuple[str, str], ...] = (
    # The first match counts: a diffusion series or an MR cholangiogram is often called T2 as well.
    ("localizer", r"LOC|LOCALI[SZ]ER|SCOUT|SURVEY|3.?PL(ANE)?|PLAN.?SCAN"),
    ("ADC", r"ADC|D?ADC.?MAP|APPARENT.?DIFFUSION.*"),
    ("DWI", r"DWI|DIFF|DIFFUSION|TRACEW?|EP2D.?DIFF|B\d{2,4}"),
    ("MRCP", r"MRCP|CHOLANGIO.*"),
    ("T2*", r"T2.?(\*|STAR)|R2.?(\*|STAR)|SWI|MERGE"),
    ("map", r"MAP|PARAM.?MAP|FATFRAC.*|FF|PDFF|T[12].?MAP"),
    ("T2", r"T2W?I?|T2.?(FS|SPIR|SPAIR|TSE|FSE|HASTE)|HASTE|SSFSE|SSTSE|SSH|FRFSE|STIR|SPIR.?T2"),
    ("T1", r"T1W?I?|VIBE|LAVA|THRIVE|MPRAGE|MP.?RAGE|FSPGR|DIXON|TFE|FLASH|IN.?PHASE|OPP.?PHASE|ARTERIAL|PORTAL"),
    ("PD", r"PDW?|PROTON.?DENSITY"),
    ("bSSFP", r"TRUFI|TRUE.?FISP|FIESTA|BTFE|BSSFP"),
)
_WEIGHTINGS = tuple((word, re.compile(rf"(?<![A-Z0-9])(?:{pattern})(?![A-Z0-9*])")) for word, pattern in _PATTERNS)

MODALITIES = frozenset(
    ["CT", "PT", "NM", "US", "CR", "DX", "MG", "XA", "RF", "OT", "SC", "SR", "PR", "KO", "SEG", "RTSTRUCT"]
)
"""Modality codes that may be repeated to the user; any other is called another kind of image."""

OTHER_BODY_PARTS = frozenset(
    [
        "HEAD",
        "BRAIN",
        "SKULL",
        "NECK",
        "CSPINE",
        "TSPINE",
        "LSPINE",
        "SPINE",
        "KNEE",
        "HIP",
        "SHOULDER",
        "ELBOW",
        "WRIST",
        "HAND",
        "FOOT",
        "ANKLE",
        "BREAST",
        "PROSTATE",
        "HEART",
        "LEG",
        "ARM",
        "THIGH",
    ]
)

T2_ECHO_MS = (45.0, 200.0)
"""Range of echo times, ms, at which a spin echo of the liver is T2-weighted; longer ones show little but fluid."""


def weighting_from_text(texts: Sequence[str]) -> str | None:
    """The weighting named by the first text that names one (descriptions, protocol, sequence), or None."""
    for text in texts:
        plain = re.sub(r"[\s_/\\.,;:()\[\]+-]+", " ", text.upper()).strip()
        for word, pattern in _WEIGHTINGS:
            if pattern.search(plain):
                return word
    return None


def weighting_from_times(echo_ms: float | None, repetition_ms: float | None, sequence: str) -> str | None:
    """The weighting that the times of a spin echo imply, or None; those of gradient and planar echoes imply none."""
    if echo_ms is None or repetition_ms is None or {"GR", "EP"} & set(sequence.upper().split()):
        return None
    if echo_ms >= T2_ECHO_MS[0] and repetition_ms >= 800:
        return "T2"
    if echo_ms < 30 and repetition_ms < 900:
        return "T1"
    if echo_ms < 40 and repetition_ms >= 1500:
        return "PD"
    return None


def plane_of(normal_lps: Sequence[float] | np.ndarray) -> str:
    """The plane of slices with this normal, (3,), LPS.

    ``axial``, ``coronal`` or ``sagittal`` where the normal is within 26 degrees of an axis, else ``oblique``.
    """
    size = np.abs(np.asarray(normal_lps, float))
    axis = int(size.argmax())
    return ("sagittal", "coronal", "axial")[axis] if size[axis] >= 0.9 else "oblique"
