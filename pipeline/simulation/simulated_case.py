"""One case of a simulated cohort: what is drawn for it, and its voxels."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from pipeline.case import LIVER
from pipeline.cohort.images import read_labelled
from pipeline.simulation.fibrosis_signs import Signs, add_ascites, add_texture, displacement
from pipeline.simulation.fields import Array, smooth_field
from pipeline.simulation.mask_faults import degrade
from pipeline.simulation.parameters import Parameters
from pipeline.simulation.scanner import Background, Scan, acquire, apply_background
from pipeline.statistics.overlap import compare
from pipeline.thresholds import segmentation_score

TRUE_MASKS = "true_masks"
"""Folder of the true masks of the cases whose mask is a poor one."""


@dataclass(frozen=True)
class CasePlan:
    """What is decided about a case before any voxel is made."""

    patient_id: str
    stage: int
    site: int
    source_anatomy: str
    image: Path
    labels: Path
    seed: np.random.SeedSequence
    split: str = "train"
    poor_mask: bool = False

    def stream(self, use: str) -> np.random.Generator:
        """A random stream of its own for each use, so that one use's draws never move another's."""
        uses = ("person", "signs", "scan", "shape", "texture", "mask")
        return np.random.default_rng(
            np.random.SeedSequence(self.seed.entropy, spawn_key=(*self.seed.spawn_key, uses.index(use)))
        )


def draw_signs(stage: int, rng: np.random.Generator, p: Parameters) -> tuple[float, Signs]:
    """Severity of the case and the signs it shows."""
    severity = float(np.clip(rng.normal(p.severity_mean[stage], p.severity_sd[stage]), 0, 1))
    late = float(np.clip((severity - p.shape_from) / (1 - p.shape_from), 0, 1))
    own = rng.lognormal(0, p.sign_spread, 4)
    lobar = rng.uniform() < p.lobar_probability
    siderotic = rng.uniform(0.05, 0.3) if rng.uniform() < p.siderotic_probability else 0.0
    ascites = rng.uniform(*p.ascites_mm) if rng.uniform() < p.ascites_probability[stage] else 0.0
    confluent = rng.uniform(0.15, 0.4) if rng.uniform() < p.confluent_probability[stage] else 0.0
    notch = rng.uniform(*p.notch_mm) if rng.uniform() < p.notch_probability else 0.0
    lobes = min(1.3, late * own[3]) * lobar
    return severity, Signs(
        septa=float(p.septa * severity * own[0]),
        septa_complete=float(np.clip(0.25 + 0.75 * severity, 0, 1)),
        nodules=float(p.nodules * severity * own[1]),
        nodule_mm=float(rng.uniform(*p.nodule_mm)),
        siderotic=float(siderotic * late),
        surface_mm=float(min(p.surface_most_mm, p.surface_mm * late * own[2])),
        lobar=float(lobes),
        caudate=float(lobes),
        notch_mm=float(late * notch),
        spleen=float(p.spleen_median[stage] * rng.lognormal(0, p.spleen_spread)),
        ascites_mm=float(ascites),
        confluent=float(confluent),
    )


def draw_background(rng: np.random.Generator, p: Parameters) -> Background:
    iron = rng.uniform(*p.iron) if rng.uniform() < p.iron_probability else 1.0
    return Background(
        steatosis=float(np.exp(rng.normal(0, p.steatosis_sd))),
        iron=float(iron),
        oedema=float(np.exp(abs(rng.normal(0, p.oedema_sd)))),
    )


def make_case(plan: CasePlan, out: Path, p: Parameters) -> dict[str, object]:
    """Write image and mask (and the true mask beside a poor one) into ``out``; return the row of truth.csv."""
    severity, signs = draw_signs(plan.stage, plan.stream("signs"), p)
    scan_rng = plan.stream("scan")
    scan, background = Scan.draw(p.sites[plan.site], scan_rng), draw_background(scan_rng, p)
    volume, source_labels = read_labelled(plan.source_anatomy, plan.image, plan.labels)
    source = volume.image
    voxels, labels, spacing_mm_zyx = reshape(source, source_labels, signs, scan, plan.stream("shape"), p)
    texture_rng = plan.stream("texture")
    apply_background(voxels, labels, background)
    add_texture(voxels, labels, signs, spacing_mm_zyx, texture_rng)
    add_ascites(voxels, labels, signs, spacing_mm_zyx, texture_rng)
    measured = acquire(voxels, scan, spacing_mm_zyx, scan_rng)
    given, fault = degrade(labels, voxels, spacing_mm_zyx, plan.stream("mask")) if plan.poor_mask else (labels, "")
    files = {"images": measured, "masks": given} | ({TRUE_MASKS: labels} if plan.poor_mask else {})
    for folder, array in files.items():
        image = sitk.GetImageFromArray(array)
        image.SetSpacing([float(s) for s in spacing_mm_zyx[::-1]])
        image.SetOrigin(source.GetOrigin())
        path = out / folder / f"{plan.patient_id}.nii.gz"
        sitk.WriteImage(image, str(path), useCompression=True, compressionLevel=2)
    overlap = (
        compare(given == LIVER, labels == LIVER, tuple(spacing_mm_zyx)) if fault else {"dice": 1.0, "hd95_mm": 0.0}
    )
    drawn = {**dataclasses.asdict(signs), **dataclasses.asdict(background), **dataclasses.asdict(scan)}
    return {
        "patient_id": plan.patient_id,
        "stage": f"F{plan.stage}",
        "severity": round(severity, 4),
        **{name: round(value, 4) for name, value in drawn.items()},
        "mask_fault": fault,
        "liver_dice": round(overlap["dice"], 4),
        "liver_hd95_mm": round(overlap["hd95_mm"], 1),
        "segmentation_score": segmentation_score(overlap["dice"], overlap["hd95_mm"]),
        "true_mask": f"{TRUE_MASKS if plan.poor_mask else 'masks'}/{plan.patient_id}.nii.gz",
    }


def reshape(
    image: sitk.Image, labels: sitk.Image, signs: Signs, scan: Scan, rng: np.random.Generator, p: Parameters
) -> tuple[Array, Array, Array]:
    """Image and labels on the scan's own grid, bent by a random smooth warp and by the signs that change shape.

    Everything is done by one interpolation, since each one blurs. Returns float32 voxels, uint8 labels, spacing (z, y,
    x) in mm.
    """
    old = np.array(image.GetSpacing()[::-1])
    new = np.array([scan.slice_mm, scan.in_plane_mm, scan.in_plane_mm])
    size_zyx = np.array(image.GetSize()[::-1])
    # A coarse source gains nothing from a finer grid, and a smaller one than it came from would only cost time.
    new = np.maximum(new, 0.85 * old)
    shape = tuple(int(n) for n in np.maximum(np.floor(size_zyx * old / new), 4))
    label_array = sitk.GetArrayFromImage(labels)
    places = [np.arange(n, dtype=np.float32) * np.float32(s) for n, s in zip(shape, new, strict=True)]
    grid = list(np.meshgrid(*places, indexing="ij"))
    _tilt(grid, size_zyx * old / 2, rng, p)
    for axis in range(3):
        grid[axis] += np.float32(p.warp_mm) * smooth_field(rng, shape, new, p.warp_length_mm)
    at = np.stack([g.ravel() / np.float32(s) for g, s in zip(grid, old, strict=True)])
    voxel_array = sitk.GetArrayFromImage(image)
    # Outside the body the nearest voxel will do; interpolation is for the half of the grid that shows something.
    voxels = _nearest(voxel_array, at)
    body = np.flatnonzero(_nearest(_around_body(voxel_array), at))
    at = at[:, body]
    shift = displacement(signs, label_array, old, rng)
    moves = [ndimage.map_coordinates(s, at, order=1, mode="nearest") if s.any() else 0 for s in shift]
    for axis in range(3):
        at[axis] += moves[axis] / np.float32(old[axis])
    # Beyond the ends of the volume its last slice goes on, as a body does.
    voxels[body] = ndimage.map_coordinates(voxel_array, at, order=3, mode="nearest")
    new_labels = np.zeros(voxels.shape, np.uint8)
    new_labels[body] = _labels_at(label_array, at)
    return np.maximum(voxels, 0).reshape(shape), new_labels.reshape(shape), new


def _around_body(voxels: Array) -> Array:
    """Where there is signal, with a margin of about ten voxels in plane; (z, y, x) bool."""
    signal = ndimage.uniform_filter(voxels, (0, 5, 5)) > 0.04 * np.percentile(voxels, 99)
    return (
        ndimage.maximum_filter(ndimage.binary_opening(signal, np.ones((1, 3, 3), bool)).astype(np.uint8), (3, 21, 21))
        > 0
    )


def _nearest(array: Array, at: Array) -> Array:
    """Values (n,) at fractional voxel positions (3, n), the edge repeated."""
    z, y, x = (np.clip(np.rint(a), 0, n - 1).astype(np.intp) for a, n in zip(at, array.shape, strict=True))
    return array[z, y, x]


def _tilt(grid: list[Array], centre: Array, rng: np.random.Generator, p: Parameters) -> None:
    """Scale each axis and turn the patient a little about the body's axis, in place."""
    scale = np.exp(rng.normal(0, p.size_sd, 3))
    turn = np.deg2rad(rng.normal(0, p.tilt_deg))
    z, y, x = (np.float32(s) * (g - np.float32(c)) for g, c, s in zip(grid, centre, scale, strict=True))
    grid[0] = z + np.float32(centre[0])
    grid[1] = (np.cos(turn) * y - np.sin(turn) * x + centre[1]).astype(np.float32)
    grid[2] = (np.sin(turn) * y + np.cos(turn) * x + centre[2]).astype(np.float32)


def _labels_at(labels: Array, at: Array) -> Array:
    """Labels (n,) at fractional voxel positions (3, n): the organ that fills half of the voxel or more, linearly."""
    found = np.zeros(at.shape[1], np.uint8)
    for value in np.unique(labels[labels > 0]):
        mask = labels == value
        near = np.flatnonzero(_nearest(ndimage.maximum_filter(mask.astype(np.uint8), 3), at))
        part = ndimage.map_coordinates(mask.astype(np.float32), at[:, near], order=1, mode="nearest")
        found[near[part >= 0.5]] = value
    return found
