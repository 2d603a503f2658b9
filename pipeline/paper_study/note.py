"""``study.json``: which study a folder holds. Its keys are compared when a study resumes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from models import registry
from models.files import file_sha256, write_json
from pipeline.errors import ManifestError
from pipeline.paper_study.plan import StudyOptions
from pipeline.simulation.anatomies import find_anatomies
from pipeline.simulation.label_maps import find_label_maps
from pipeline.simulation.parameters import LIKE_THE_PAPER

NOTE = "study.json"


def study_note(options: StudyOptions) -> dict[str, Any]:
    """Content of ``study.json``."""
    model = registry.find(options.segmenter, "segmenter")
    manifest, anatomies, shapes = options.manifest, options.anatomies, options.shapes
    content = {
        "size": asdict(options.size),
        "segmenter": [model.name, model.sha256],
        "manifest": manifest and file_sha256(manifest),
        "anatomies": sorted(anatomy.name for anatomy in find_anatomies(anatomies)) if anatomies else [],
        "shapes": [label_map.case for label_map in find_label_maps(shapes)] if shapes else [],
        "cut_offs": asdict(options.cut_offs),
        "parameters": None if manifest else LIKE_THE_PAPER.sha256,
        "pretrained": options.pretrained,
    }
    return json.loads(json.dumps(content, default=str))


def check_same_study(out: Path, options: StudyOptions) -> dict[str, Any]:
    """Write ``study.json`` into an empty folder, or compare it with the one of an earlier run.

    Returns:
        Its content.

    Raises:
        ManifestError: ``out`` holds another study, whose parts would be taken for this one's, or other files.
    """
    note, file = study_note(options), out / NOTE
    if file.is_file():
        if json.loads(file.read_text(encoding="utf-8")) != note:
            raise ManifestError(
                "The output folder holds a study of another size, cohort or segmenter; choose another folder."
            )
        return note
    if out.is_dir() and any(out.iterdir()):
        raise ManifestError("The output folder holds other files; choose an empty one, or that of an earlier run.")
    write_json(file, note)
    return note
