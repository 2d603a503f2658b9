"""One case of a simulated cohort: the values drawn for it, and its voxels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from pipeline.case import LIVER
from pipeline.cohort.images import read_labelled
from pipeline.simulation.ascites import add_ascites
from pipeline.simulation.deformation import deform_anatomy
from pipeline.simulation.fibrosis_signs import FibrosisSigns
from pipeline.simulation.fields import Array
from pipeline.simulation.mask_faults import degrade
from pipeline.simulation.parameters import Parameters
from pipeline.simulation.plan import CasePlan
from pipeline.simulation.scanner import Background, Scan, acquire, apply_background
from pipeline.simulation.texture_signs import add_texture
from pipeline.simulation.truth import SIGN_MAPS, TRUE_MASKS, CaseTruth
from pipeline.simulation.vessels import add_vessels
from pipeline.statistics.overlap import compare


def draw_signs(stage: int, rng: np.random.Generator, p: Parameters) -> tuple[float, FibrosisSigns]:
    """Severity (0-1) of a case of this stage (0-4), and its signs."""
    severity = float(np.clip(rng.normal(p.severity_mean[stage], p.severity_sd[stage]), 0, 1))
    late = float(np.clip((severity - p.shape_from) / (1 - p.shape_from), 0, 1))
    own = rng.lognormal(0, p.sign_spread, 4)

    def sometimes(probability: float, low: float, high: float) -> float:
        strength = float(rng.uniform(low, high))
        return strength if rng.uniform() < probability else 0.0

    lobes = min(p.lobar_most, late * own[3]) * (rng.uniform() < p.lobar_probability)
    return severity, FibrosisSigns(
        septa=float(p.septa * severity * own[0]),
        septa_complete=float(np.clip(0.25 + 0.75 * severity, 0, 1)),
        nodules=float(p.nodules * severity * own[1]),
        nodule_mm=float(rng.uniform(*p.nodule_mm)),
        macronodular=float(rng.uniform(*p.macronodular)),
        siderotic=late * sometimes(p.siderotic_probability, 0.05, 0.3),
        surface_mm=float(min(p.surface_most_mm, p.surface_mm * late * own[2])),
        lobar=float(lobes),
        caudate=float(lobes),
        notch_mm=late * sometimes(p.notch_probability, *p.notch_mm),
        spleen=float(p.spleen_median[stage] * rng.lognormal(0, p.spleen_spread)),
        ascites_mm=sometimes(p.ascites_probability[stage], *p.ascites_mm),
        varices_mm=sometimes(p.varices_probability[stage], *p.varices_mm),
        umbilical_mm=sometimes(p.umbilical_probability[stage], *p.umbilical_mm),
        slow_flow=sometimes(p.slow_flow_probability, 1, 1),
        confluent=sometimes(p.confluent_probability[stage], 0.15, 0.4),
    )


def draw_background(rng: np.random.Generator, p: Parameters) -> Background:
    """Fat, iron and oedema of one liver, independent of its stage."""
    iron = rng.uniform(*p.iron) if rng.uniform() < p.iron_probability else 1.0
    return Background(
        steatosis=float(np.exp(rng.normal(0, p.steatosis_sd))),
        iron=float(iron),
        oedema=float(np.exp(abs(rng.normal(0, p.oedema_sd)))),
    )


def make_case(plan: CasePlan, out: Path, p: Parameters, *, sign_map: bool = False) -> CaseTruth:
    """Write image and mask of one case into ``out``; the true mask as well if that one is degraded.

    Args:
        sign_map: whether to write ``sign_map_voxels`` too.
    """
    severity, signs = draw_signs(plan.stage, plan.stream("signs"), p)
    scan_rng = plan.stream("scan")
    scan, background = Scan.draw(p.sites[plan.site], scan_rng), draw_background(scan_rng, p)
    volume, source_labels = read_labelled(plan.source_anatomy, plan.image, plan.labels)
    voxels, labels, spacing_mm_zyx = deform_anatomy(volume.image, source_labels, signs, scan, plan.stream("shape"), p)
    apply_background(voxels, labels, background)
    change = add_texture(voxels, labels, signs, spacing_mm_zyx, plan.stream("texture"))
    add_vessels(voxels, labels, signs, spacing_mm_zyx, plan.stream("vessels"))
    add_ascites(voxels, labels, signs, spacing_mm_zyx, plan.stream("ascites"))
    measured = acquire(voxels, scan, spacing_mm_zyx, scan_rng)
    mask, fault = degrade(labels, voxels, spacing_mm_zyx, plan.stream("mask")) if plan.poor_mask else (labels, "")
    files = {"images": measured, "masks": mask} | ({TRUE_MASKS: labels} if plan.poor_mask else {})
    files |= {SIGN_MAPS: sign_map_voxels(change, labels)} if sign_map else {}
    for folder, array in files.items():
        image = image_on_grid(array, spacing_mm_zyx, volume.image.GetOrigin())
        sitk.WriteImage(image, str(out / folder / f"{plan.patient_id}.nii.gz"), useCompression=True, compressionLevel=2)
    overlap = compare(mask == LIVER, labels == LIVER, tuple(spacing_mm_zyx)) if fault else {"dice": 1.0, "hd95_mm": 0.0}
    return CaseTruth(
        patient_id=plan.patient_id,
        stage=plan.stage,
        severity=severity,
        signs=signs,
        background=background,
        scan=scan,
        shape_donor=plan.donor,
        mask_fault=fault,
        liver_dice=overlap["dice"],
        liver_hd95_mm=overlap["hd95_mm"],
        poor_mask=plan.poor_mask,
    )


def sign_map_voxels(change: Array, labels: Array) -> Array:
    """Where texture signs were drawn: 200 times the relative change's magnitude, (z, y, x) uint8; 0 outside the liver.

    Args:
        change: change of signal (z, y, x), as a share of the parenchyma's signal.
        labels: (z, y, x) organ labels, after every sign was drawn.
    """
    return np.clip(np.rint(200 * np.abs(change) * (labels == LIVER)), 0, 255).astype(np.uint8)


def image_on_grid(array: Array, spacing_mm_zyx: Array, origin_xyz: tuple[float, ...]) -> sitk.Image:
    """An array (z, y, x) as an LPS image with this spacing and origin."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing([float(s) for s in spacing_mm_zyx[::-1]])
    image.SetOrigin(origin_xyz)
    return image
