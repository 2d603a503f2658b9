"""One case of a simulated cohort: its parameters, what is drawn for it, and its voxels."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from pipeline.training.phantom_shapes import Array, smooth_noise
from pipeline.training.scanner import Background, Scan, Site, acquire, apply_background
from pipeline.training.signs import Signs, add_ascites, add_texture, displacement


@dataclass(frozen=True)
class Parameters:
    """Everything the simulation is set by. From the literature on the signs, never from a classifier's results.

    Tuples of five are by stage, F0 to F4.
    """

    stage_shares: tuple[float, ...] = (0.25, 0.22, 0.18, 0.17, 0.18)
    lsm_median_kpa: tuple[float, ...] = (5.0, 6.0, 8.0, 11.0, 22.0)
    lsm_spread: float = 1.4
    """Geometric standard deviation."""
    severity_mean: tuple[float, ...] = (0.05, 0.11, 0.20, 0.36, 0.78)
    severity_sd: tuple[float, ...] = (0.05, 0.08, 0.11, 0.17, 0.17)
    """Severity, 0-1, is how far the disease shows in the parenchyma; neighbouring stages overlap widely."""
    septa: float = 0.27
    """Brightness of septa at severity 1, as a share of the parenchyma."""
    nodules: float = 0.15
    sign_spread: float = 0.35
    """Each sign's own spread (natural logarithm) at equal severity."""
    nodule_mm: tuple[float, float] = (4.5, 9.0)
    siderotic_probability: float = 0.2
    shape_from: float = 0.4
    """Severity at which surface and lobes begin to change: mainly F4."""
    surface_mm: float = 3.2
    lobar_probability: float = 0.7
    spleen_median: tuple[float, ...] = (1.0, 1.0, 1.0, 1.1, 1.6)
    spleen_spread: float = 0.2
    ascites_probability: tuple[float, ...] = (0.0, 0.0, 0.0, 0.02, 0.3)
    ascites_mm: tuple[float, float] = (4.0, 14.0)
    confluent_probability: tuple[float, ...] = (0.0, 0.0, 0.0, 0.05, 0.25)
    steatosis_sd: float = 0.1
    iron_probability: float = 0.15
    iron: tuple[float, float] = (0.4, 0.85)
    oedema_sd: float = 0.07
    warp_mm: float = 4.5
    warp_length_mm: float = 60.0
    size_sd: float = 0.035
    tilt_deg: float = 3.0
    sites: tuple[Site, ...] = (
        Site(
            "A",
            in_plane_mm=(1.2, 1.4),
            slice_mm=(6.8, 8.0),
            gamma=(0.8, 1.1),
            noise=(0.012, 0.035),
            shading=(0.05, 0.18),
            blur_mm=(0.3, 0.8),
            ghosts=(0.0, 0.05),
            bright=(600, 1000),
        ),
        Site(
            "B",
            in_plane_mm=(1.1, 1.3),
            slice_mm=(5.5, 7.0),
            gamma=(0.95, 1.3),
            noise=(0.01, 0.03),
            shading=(0.1, 0.3),
            blur_mm=(0.2, 0.7),
            ghosts=(0.0, 0.08),
            bright=(250, 700),
        ),
    )


DEFAULTS = Parameters()


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

    def stream(self, use: str) -> np.random.Generator:
        """A random stream of its own for each use, so that one use's draws never move another's."""
        uses = ("person", "signs", "scan", "shape", "texture")
        return np.random.default_rng(
            np.random.SeedSequence(self.seed.entropy, spawn_key=(*self.seed.spawn_key, uses.index(use)))
        )


def draw_lsm(stage: int, rng: np.random.Generator, p: Parameters) -> float:
    """Stiffness in kPa by transient elastography: log-normal about the stage's median, within the device's range."""
    return float(np.clip(p.lsm_median_kpa[stage] * rng.lognormal(0, np.log(p.lsm_spread)), 1.5, 75.0))


def draw_signs(stage: int, rng: np.random.Generator, p: Parameters) -> tuple[float, Signs]:
    """Severity of the case and the signs it shows."""
    severity = float(np.clip(rng.normal(p.severity_mean[stage], p.severity_sd[stage]), 0, 1))
    late = float(np.clip((severity - p.shape_from) / (1 - p.shape_from), 0, 1))
    own = rng.lognormal(0, p.sign_spread, 4)
    lobar = rng.uniform() < p.lobar_probability
    siderotic = rng.uniform(0.05, 0.3) if rng.uniform() < p.siderotic_probability else 0.0
    ascites = rng.uniform(*p.ascites_mm) if rng.uniform() < p.ascites_probability[stage] else 0.0
    confluent = rng.uniform(0.15, 0.4) if rng.uniform() < p.confluent_probability[stage] else 0.0
    return severity, Signs(
        septa=float(p.septa * severity * own[0]),
        septa_complete=float(np.clip(0.25 + 0.75 * severity, 0, 1)),
        nodules=float(p.nodules * severity * own[1]),
        nodule_mm=float(rng.uniform(*p.nodule_mm)),
        siderotic=float(siderotic * late),
        surface_mm=float(p.surface_mm * late * own[2]),
        lobar=float(min(1.3, late * own[3]) * lobar),
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
    """Write image and mask of one case into ``out``; return its row of truth.csv."""
    severity, signs = draw_signs(plan.stage, plan.stream("signs"), p)
    scan_rng = plan.stream("scan")
    scan, background = Scan.draw(p.sites[plan.site], scan_rng), draw_background(scan_rng, p)
    source = sitk.DICOMOrient(sitk.ReadImage(str(plan.image), sitk.sitkFloat32), "LPS")
    source_labels = sitk.DICOMOrient(sitk.ReadImage(str(plan.labels), sitk.sitkUInt8), "LPS")
    voxels, labels, spacing_zyx = reshape(source, source_labels, signs, scan, plan.stream("shape"), p)
    texture_rng = plan.stream("texture")
    apply_background(voxels, labels, background)
    add_texture(voxels, labels, signs, spacing_zyx, texture_rng)
    add_ascites(voxels, labels, signs, spacing_zyx, texture_rng)
    measured = acquire(voxels, scan, spacing_zyx, scan_rng)
    for folder, array in (("images", measured), ("masks", labels)):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing([float(s) for s in spacing_zyx[::-1]])
        image.SetOrigin(source.GetOrigin())
        path = out / folder / f"{plan.patient_id}.nii.gz"
        sitk.WriteImage(image, str(path), useCompression=True, compressionLevel=2)
    drawn = {**dataclasses.asdict(signs), **dataclasses.asdict(background), **dataclasses.asdict(scan)}
    return {
        "patient_id": plan.patient_id,
        "stage": f"F{plan.stage}",
        "severity": round(severity, 4),
        **{name: round(value, 4) for name, value in drawn.items()},
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
        grid[axis] += np.float32(p.warp_mm) * smooth_noise(rng, shape, new, p.warp_length_mm)
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
