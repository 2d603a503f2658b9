from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline.case import Analysis, CaseWarning, HeatMap, MaskDoubt, view
from pipeline.exports import pictures
from pipeline.exports.report import draw_report
from pipeline.exports.report_pictures import shown_slices
from pipeline.exports.wording import range_words
from tests.abdomen import as_image
from tests.builders import NOTE, make_analysis

WHEN = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)


DOUBT = MaskDoubt("extra", first_slice=4, last_slice=4, side="both", volume_ml=30.0, at_xyz=(9, 9, 4))


def words(figure: Figure) -> str:
    """All text on the page."""
    texts = list(figure.texts) + [text for axes in figure.axes for text in axes.texts]
    return " ".join(text.get_text() for text in texts)


def pixels(figure: Figure) -> np.ndarray:
    """(rows, columns, 4) uint8 of the drawn figure."""
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def test_patients_right_is_on_the_left_and_anterior_on_top():
    """A bright marker at the patient's right, anterior corner, drawn and looked for on the screen."""
    picture = np.zeros((20, 30), np.float32)
    picture[2:5, 3:6] = 1.0  # low y: anterior; low x: the patient's right
    figure = Figure(figsize=(2, 2), dpi=100)
    FigureCanvasAgg(figure)
    pictures.show_slice(figure.add_axes((0, 0, 1, 1)), picture, spacing_mm=(2.0, 2.0), limits=(0.0, 1.0))
    rows, columns = np.nonzero(pixels(figure)[..., 0] > 200)
    assert columns.max() < 70
    assert rows.max() < 90


def test_right_is_marked_on_the_left():
    figure = Figure()
    axes = figure.add_axes((0, 0, 1, 1))
    pictures.mark_sides(axes)
    where = {text.get_text(): text.get_position()[0] for text in axes.texts}
    assert where["R"] < 0.1
    assert where["L"] > 0.9


@pytest.mark.parametrize("spacing_mm", [(6.0, 1.5), (1.0, 4.0)])
def test_proportions_are_those_of_the_patient(spacing_mm):
    """A block of 24 x 24 mm is square on the screen whatever the voxels are."""
    rows, columns = round(120 / spacing_mm[0]), round(120 / spacing_mm[1])
    picture = np.zeros((rows, columns), np.float32)
    height, width = round(24 / spacing_mm[0]), round(24 / spacing_mm[1])
    picture[rows // 2 - height // 2 :, :][:height, columns // 2 - width // 2 :][:, :width] = 1.0
    figure = Figure(figsize=(4, 2), dpi=100)
    FigureCanvasAgg(figure)
    pictures.show_slice(figure.add_axes((0, 0, 1, 1)), picture, spacing_mm=spacing_mm, limits=(0.0, 1.0))
    seen = np.nonzero(pixels(figure)[..., 0] > 127)
    tall, wide = (int(np.ptp(axis)) + 1 for axis in seen)
    assert tall == pytest.approx(wide, abs=4)
    assert tall == pytest.approx(200 * 24 / 120, abs=4)


def test_the_shown_slices_hold_the_largest_liver_and_its_neighbours_20_mm_away():
    liver = np.zeros((30, 8, 8), bool)
    liver[5:20, 2:4, 2:4] = True
    liver[11, 2:6, 2:6] = True
    assert shown_slices(liver, spacing_z_mm=5.0) == (7, 11, 15)
    assert shown_slices(liver, spacing_z_mm=60.0) == (10, 11, 12)
    assert shown_slices(liver, spacing_z_mm=1.0) == (5, 11, 19)


def test_the_page_says_what_must_be_said():
    said = words(draw_report(make_analysis(), made_at=WHEN))
    for part in (
        "Research use only. Not a medical device.",
        NOTE,
        "LSM > 12 kPa",
        "0.62",
        "Positive",
        "operating point 0.48",
        "0f3a9c27b1d44e68",
        "04 March 2026",
        "liver_t2",
        "fibrosis_t2",
        "5b1e5b1e5b1e",
        "1,129 mL",
        "0.958",
        "The slices are 20 mm apart",
    ):
        assert part in said


def test_members_on_both_sides_of_the_operating_point_are_pointed_out():
    fibrosis = make_analysis().fibrosis
    assert "both sides" in range_words(replace(fibrosis, ensemble_range=(0.3, 0.6)))
    assert "both sides" not in range_words(replace(fibrosis, ensemble_range=(0.5, 0.6)))


def test_a_range_whose_ends_read_alike_is_one_figure():
    narrow = replace(make_analysis().fibrosis, ensemble_range=(0.138, 0.142), mask_sensitivity=(0.138, 0.162))
    assert "highest: 0.14 (" in range_words(narrow)
    assert "0.14 to 0.16" in range_words(narrow)


def test_indeterminate_and_the_outline_s_weight_are_said():
    analysis = make_analysis()
    doubtful = replace(analysis.fibrosis, indeterminate=(0.3, 0.7), mask_sensitivity=(0.44, 0.66))
    said = words(draw_report(replace(analysis, fibrosis=doubtful)))
    assert "indeterminate" in said.lower()
    assert "rule-out point 0.30" in said
    assert "0.44 to 0.66" in said
    assert "ndeterminate" not in words(draw_report(analysis))
    assert "tighter" not in words(draw_report(analysis))


def test_an_empty_heat_map_is_said_in_words():
    analysis = make_analysis()
    empty = replace(analysis, heatmap=HeatMap(analysis.heatmap.image * 0, None))
    assert "no positive evidence" in words(draw_report(empty))
    assert "no positive evidence" not in words(draw_report(analysis))


def test_where_the_outline_is_in_doubt_is_said():
    assert "Check slice 5, both sides: may not be liver." in words(draw_report(crowded()))
    assert "Check slice" not in words(draw_report(make_analysis()))


def crowded() -> Analysis:
    """Everything as long as it gets."""
    analysis = make_analysis()
    long = "a rather long text that somebody wrote into a model.json without a thought for the width of a page "
    return replace(
        analysis,
        fibrosis=replace(
            analysis.fibrosis,
            probability=0.999,
            threshold=0.99,
            ensemble_range=(0.9, 1.0),
            indeterminate=(0.2, 1.0),
            mask_sensitivity=(0.1, 1.0),
            positive_class="advanced fibrosis, METAVIR F3 or F4, or a liver stiffness above 12 kPa by elastography",
        ),
        organs=replace(analysis.organs, predicted_dice=0.61, score=3, doubts=3 * (DOUBT,)),
        warnings=tuple(CaseWarning("poor_segmentation", f"Warning {n}: " + long) for n in range(12)),
        segmenter=replace(analysis.segmenter, name="m" * 60, trained_on=long * 4, note=long * 4),
        classifier=replace(analysis.classifier, name="W" * 60, trained_on=long * 4, note=long * 4),
    )


@pytest.mark.parametrize("analysis", [make_analysis(), crowded()], ids=["ordinary", "crowded"])
def test_no_text_leaves_the_page_or_covers_another(analysis):
    figure = draw_report(analysis, made_at=WHEN)
    pixels(figure)
    page = figure.bbox
    texts = [text for text in figure.texts if text.get_text()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    for text, box in boxes:
        assert box.x0 >= 0, text
        assert box.x1 <= page.x1 - 40, text
        assert box.y0 >= 0, text
    for number, (text, box) in enumerate(boxes):
        for other, other_box in boxes[number + 1 :]:
            overlap_x = min(box.x1, other_box.x1) - max(box.x0, other_box.x0)
            overlap_y = min(box.y1, other_box.y1) - max(box.y0, other_box.y0)
            assert overlap_x <= 1 or overlap_y <= 4, f"{text!r} covers {other!r}"


def test_a_poor_mask_is_said_beside_the_probability_only_where_it_is_poor():
    assert "Unreliable: check the segmentation" in words(draw_report(crowded()))
    assert "Unreliable" not in words(draw_report(make_analysis()))
    assert "score 3, Dice 0.61" in words(draw_report(crowded()))


def test_warnings_that_do_not_fit_are_counted():
    assert "more in analysis.json" in words(draw_report(crowded()))


def test_flat_volume_can_be_drawn():
    analysis = make_analysis()
    flat = as_image(np.zeros(view(analysis.volume.image).shape, np.float32))
    assert draw_report(replace(analysis, volume=replace(analysis.volume, image=flat))) is not None


def test_a_classifier_without_a_heat_map_is_said_to_have_none():
    said = words(draw_report(replace(make_analysis(), heatmap=None)))
    assert "No heat map: this classifier uses hand-crafted features" in said
    assert "Grad-CAM" not in said
    assert "no positive evidence" not in said


def unsuitable() -> Analysis:
    reason = CaseWarning("not_suitable_plane", "Not classified: the slices are coronal, not axial.")
    return make_analysis(fibrosis=None, heatmap=None, warnings=(reason, CaseWarning("few_slices", "Few slices.")))


def test_without_a_probability_the_report_gives_the_reason_and_no_verdict():
    said = words(draw_report(unsuitable(), made_at=WHEN))
    assert "No probability" in said
    assert said.replace("\n", " ").count("the slices are coronal, not axial.") == 1
    assert "Few slices." in said
    for absent in ("Positive", "Negative", "operating point", "Probability of", NOTE[:20], "Slices classified"):
        assert absent not in said
    assert unsuitable().not_classified
    assert make_analysis().not_classified == ()


def test_the_report_says_that_the_mask_was_edited():
    analysis = make_analysis()
    assert "corrected by a reader" not in words(draw_report(analysis, made_at=WHEN))
    said = words(draw_report(replace(analysis, mask_edited=True), made_at=WHEN))
    assert "Liver outline, corrected by a reader" in said
    assert "Ensemble agreement" not in said
