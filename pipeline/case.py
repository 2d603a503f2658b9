"""The vocabulary: the types that flow from an upload to a review. Frozen, with shapes and units; no logic but views.

Physical axes are DICOM's: +x to the patient's left, +y posterior, +z superior (LPS). Every image in these types is
oriented to LPS, so arrays are indexed (z, y, x): z runs inferior to superior, y anterior to posterior, x from the
patient's right to the left. SimpleITK's own tuples (size, spacing) are (x, y, z): names end in ``_xyz`` or ``_zyx``.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import SimpleITK as sitk

from models.registry import ModelInfo
from pipeline.thresholds import MASK_SENSITIVE_ACROSS, MASK_SENSITIVE_ANYWHERE

Answer = TypeVar("Answer")

LIVER, RIGHT_KIDNEY, LEFT_KIDNEY, SPLEEN = 1, 2, 3, 4
"""Values of ``OrganMask.labels``; 0 is background."""

ORGANS = {"liver": LIVER, "right_kidney": RIGHT_KIDNEY, "left_kidney": LEFT_KIDNEY, "spleen": SPLEEN}
"""Value of each organ by its name in nnU-Net's ``dataset.json``."""

NOT_MR_CODES = frozenset({"looks_like_ct", "looks_like_labels", "noise", "constant"})
"""Codes of warnings that the images are no MR images."""

NOT_T2_CODES = frozenset({"not_t2", "not_t2_contrast", "contrast"})
"""Codes of warnings that header or contrast speak against a T2-weighted series."""

UNSUITABLE_CODES = frozenset({"not_suitable_image", "not_suitable_plane", "not_suitable_anatomy"})
"""Codes of warnings that this is no axial T2 of an abdomen with a liver in it, so that nothing was classified, or only
because other input was asked for."""

POOR_MASK_CODES = frozenset({"poor_segmentation", "mask_sensitive"})
"""Codes of warnings that the probability cannot be trusted because of the liver mask."""


@dataclass(frozen=True)
class CaseWarning:
    """A limitation of a case that was analysed, for the reader.

    ``code`` is stable and machine-readable (``not_t2``, ``few_slices``); ``message`` is one sentence for people.
    """

    code: str
    message: str


@dataclass(frozen=True)
class LeftOut:
    """A series (or group of files) of an upload that cannot be analysed, and why, in one sentence."""

    description: str
    reason: str


@dataclass(frozen=True)
class Series:
    """One row of the series picker. Holds allow-listed words and numbers only, never free text from a header."""

    key: str
    """Opaque; ``read_series`` takes it to choose this series."""
    kind: str
    """``nifti`` or ``dicom``."""
    plane: str
    """``axial``, ``coronal``, ``sagittal`` or ``oblique``."""
    slices: int
    pixel_mm: tuple[float, float]
    """Distance between columns, then between rows, mm, in the plane of acquisition: not (x, y) unless that is axial."""
    slice_step_mm: float
    """Distance between slices, mm, along the normal of the plane of acquisition."""
    echo_time_ms: float | None
    weighting: str
    """``T2``, ``T1``, ``DWI``, ... from allow-listed words and times; ``unknown`` where nothing says it."""
    doubts: tuple[str, ...] = ()
    """Clauses on why this may not be the axial T2 series of the liver that the models need, in order of weight."""

    @property
    def likely(self) -> bool:
        """Whether there is no doubt that this is an axial T2 series of the liver."""
        return not self.doubts

    @property
    def why(self) -> str:
        """One sentence: why this is or is not a likely axial T2."""
        if self.kind == "nifti":
            return f"The only image of the file: {self.plane} slices; NIfTI does not say how it is weighted."
        if self.doubts:
            return f"Less likely: {'; '.join(self.doubts)}."
        echo = "" if self.echo_time_ms is None else f", echo time {self.echo_time_ms:.0f} ms"
        return f"Likely the axial T2: axial slices, T2-weighted by its header{echo}, {self.slices} slices."


@dataclass(frozen=True)
class Study:
    """What one upload holds: the series that can be analysed, the best first, and what was left out."""

    kind: str
    """``nifti`` or ``dicom``."""
    folder: Path
    """Folder of the case; its file names are generated, none comes from the upload."""
    series: tuple[Series, ...]
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class Source:
    """Where a volume came from, without anything that identifies the patient."""

    kind: str
    """``nifti`` or ``dicom``."""
    case_id: str
    """Keyed hash (HMAC) of the DICOM UIDs, or of the voxels and geometry for NIfTI."""
    native_orientation: str = "LPS"
    """ITK axis code of the input's own grid; ``sitk.DICOMOrient(mask, native_orientation)`` goes back to it."""
    plane: str = "axial"
    """Acquisition plane: ``axial``, ``coronal``, ``sagittal`` or ``oblique``."""
    weighting: str = "unknown"
    echo_time_ms: float | None = None


class _Held:
    def __init__(self, image: sitk.Image) -> None:
        self.image = image
        self.__array_interface__ = sitk.GetArrayViewFromImage(image).__array_interface__


def view(image: sitk.Image) -> np.ndarray:
    """An image's voxels, (z, y, x), read-only and without a copy.

    Unlike SimpleITK's own view it keeps the image alive: that one reads freed memory once its image was collected.
    """
    return np.asarray(_Held(image))


@dataclass(frozen=True)
class Volume:
    """One MR series on a regular grid, oriented to LPS.

    ``image`` is 3-D float32. Its origin, spacing (x, y, z in mm) and direction are the input's; only axes were
    permuted or flipped, no voxel was resampled.
    """

    image: sitk.Image
    source: Source
    warnings: tuple[CaseWarning, ...] = ()

    @property
    def voxels(self) -> np.ndarray:
        """(z, y, x) float32, arbitrary MR units. A read-only view; copy before writing."""
        return view(self.image)

    @property
    def spacing_mm_xyz(self) -> tuple[float, float, float]:
        """Voxel size in mm, in SimpleITK's order."""
        x, y, z = self.image.GetSpacing()
        return (x, y, z)

    def __repr__(self) -> str:
        spacing = " x ".join(f"{s:.2f}" for s in self.spacing_mm_xyz)
        size = " x ".join(str(n) for n in self.image.GetSize())
        return f"Volume({self.source.kind}, {size} voxels of {spacing} mm, LPS)"


LIVER_MAY_BE_MISSING, MAY_BE_NO_LIVER = 1, 2
"""Values of ``OrganMask.doubt_map``; 0 is no doubt."""


@dataclass(frozen=True)
class MaskDoubt:
    """A connected region where the liver mask is probably wrong."""

    kind: Literal["missing", "extra"]
    """``missing``: probably liver, not in the mask; ``extra``: in the mask, probably no liver."""
    first_slice: int
    last_slice: int
    """Lowest and highest index z of the region; the last one is included."""
    side: Literal["right", "left", "both"]
    """Side of the patient on which four fifths of the region lie, seen from the middle of the liver mask (its mean x);
    ``both`` where neither side holds that much."""
    volume_ml: float
    """Volume of the region, mL."""
    at_xyz: tuple[int, int, int]
    """Voxel to look at: the sagittal, coronal and axial slice with most of the region."""


@dataclass(frozen=True)
class OrganMask:
    """Organs on the volume's grid, after the liver was reduced to its largest component and its holes were filled."""

    labels: sitk.Image
    """uint8: 0 background, 1 liver, 2 right kidney, 3 left kidney, 4 spleen, as far as the model segments them."""
    liver_ml: float
    """Volume of the liver, mL."""
    spleen_ml: float | None
    """Volume of the spleen, mL; None where the model does not segment it."""
    components: int
    """Number of liver components before cleaning."""
    largest_component_share: float
    """Share of the liver voxels kept, 0-1."""
    touches_edge: bool
    """Whether the liver meets the first or last slice or the side of the image."""
    ensemble_dice: float | None = None
    """Mean pairwise liver Dice of the ensemble's members; None with a single member."""
    predicted_dice: float | None = None
    """Liver Dice, 0-1, predicted by the segmenter's ``quality.json``; None where it has none."""
    predicted_hd95_mm: float | None = None
    """Predicted 95th percentile of surface distances, mm; None where it is not predicted."""
    score: int | None = None
    """1 usable as it is, 2 minor edits needed, 3 poor: as predicted, or 3 for images unlike the training data; None
    where it is not predicted."""
    reasons: tuple[str, ...] = ()
    """Clauses on what lowers the predicted quality, the heaviest first."""
    doubts: tuple[MaskDoubt, ...] = ()
    """Where the mask is probably wrong, the largest region first; empty at score 1."""
    doubt_map: sitk.Image | None = None
    """The regions of ``doubts`` on the volume's grid, uint8: 0, ``LIVER_MAY_BE_MISSING`` or ``MAY_BE_NO_LIVER``; None
    where they were not looked for."""

    @property
    def liver(self) -> np.ndarray:
        """(z, y, x) bool, a new array."""
        return view(self.labels) == LIVER


@dataclass(frozen=True)
class SliceWeight:
    """Weight of one axial slice in the classifier's pooling."""

    z: int
    """Index along the volume's first array axis."""
    weight: float
    """0-1; all slices of a case sum to 1."""


@dataclass(frozen=True)
class Fibrosis:
    """The classifier's prediction for one case."""

    positive_class: str
    """The condition whose probability is predicted, from ``model.json``."""
    probability: float
    """Mean of the ensemble, 0-1."""
    ensemble_range: tuple[float, float]
    """Lowest and highest member. A range, not a confidence interval."""
    threshold: float
    """Operating point of the ensemble, from ``model.json``."""
    slices: tuple[SliceWeight, ...]
    """The slices that were classified, from feet to head."""
    indeterminate: tuple[float, float] | None = None
    """Rule-out and rule-in point, from ``model.json``; None where the model has none. Between them (the upper one not
    included) the probability says neither, whatever ``advanced`` is."""
    mask_sensitivity: tuple[float, float] | None = None
    """Lowest and highest probability with the liver mask as it is, eroded and dilated; None where it was not tried."""

    @property
    def advanced(self) -> bool:
        """Whether the probability reaches the operating point."""
        return self.probability >= self.threshold

    @property
    def is_indeterminate(self) -> bool:
        """Whether the probability lies between the rule-out and the rule-in point."""
        return self.indeterminate is not None and self.indeterminate[0] <= self.probability < self.indeterminate[1]

    @property
    def verdict(self) -> str:
        """``positive``, ``negative`` or ``indeterminate``."""
        return "indeterminate" if self.is_indeterminate else "positive" if self.advanced else "negative"

    @property
    def side(self) -> str:
        """Side of the operating point in words: ``at or above`` or ``below``."""
        return "at or above" if self.advanced else "below"

    @property
    def mask_sensitive(self) -> bool:
        """Whether the probability depends on the liver's outline.

        That is so where a moved outline changes the verdict and the probability by more than
        ``MASK_SENSITIVE_ACROSS``, or the probability alone by more than ``MASK_SENSITIVE_ANYWHERE``.
        """
        if self.mask_sensitivity is None:
            return False
        low, high = self.mask_sensitivity
        turned = low < self.threshold <= high
        return high - low > (MASK_SENSITIVE_ACROSS if turned else MASK_SENSITIVE_ANYWHERE)


@dataclass(frozen=True)
class HeatMap:
    """Grad-CAM of the classifier on the volume's grid."""

    image: sitk.Image
    """float32, 0-1 on a scale that is the same for every case; 0 outside the dilated liver."""
    heat_outside_liver: float | None
    """Share of the heat outside the liver before the map was cut; None where there was no heat."""

    @property
    def empty(self) -> bool:
        """Whether there is no positive evidence anywhere."""
        return self.heat_outside_liver is None


@dataclass(frozen=True)
class Analysis:
    """The result of one run of ``analyze``."""

    volume: Volume
    organs: OrganMask
    fibrosis: Fibrosis | None
    """None where the series was not classified; ``warnings`` with one of ``UNSUITABLE_CODES`` say why."""
    heatmap: HeatMap | None
    """None where nothing was classified, or the classifier is no network."""
    segmenter: ModelInfo
    classifier: ModelInfo
    warnings: tuple[CaseWarning, ...] = ()
    timings_s: Mapping[str, float] = field(default_factory=dict)
    """Seconds by stage: read, segment, classify, explain, write, total."""
    mask_edited: bool = False
    """Whether the liver mask is a reader's correction of the segmenter's."""

    @property
    def unreliable(self) -> bool:
        """Whether a warning about series or mask makes a probability unreliable; ``exports.wording`` says why."""
        return not self.warning_codes.isdisjoint(
            NOT_MR_CODES | NOT_T2_CODES | POOR_MASK_CODES | UNSUITABLE_CODES,
        )

    @property
    def not_classified(self) -> tuple[CaseWarning, ...]:
        """Why there is no probability; empty where there is one."""
        if self.fibrosis is not None:
            return ()
        return tuple(warning for warning in self.warnings if warning.code in UNSUITABLE_CODES)

    @property
    def warning_codes(self) -> frozenset[str]:
        return frozenset(warning.code for warning in self.warnings)


@dataclass(frozen=True)
class Step:
    """Progress of a run."""

    name: str
    """The stage, in words for the user."""
    share: float
    """Share of the work done, 0-1."""
    analysis: Analysis | None = None
    """The result, in the last step of ``analyze_steps``."""


def run_to_end(steps: Generator[Step, None, Answer]) -> Answer:
    """The return value of a generator of steps, for callers that show no progress."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
