"""PageSettings, the line, the result card, the viewer library, and what the page serves."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.analysis import mask_warnings, probability_warnings
from pipeline.case import CaseWarning, MaskDoubt
from pipeline.errors import ConfigError
from pipeline.exports.colours import DOUBT_COLOUR, LIVER_COLOUR, rgb
from pipeline.exports.pictures import HEAT_COLOURS
from pipeline.page.server import niivue
from pipeline.page.server.engine import WaitingLine
from pipeline.page.server.niivue import ASSETS
from pipeline.page.server.settings import settings_from
from pipeline.page.view import slice_viewer
from pipeline.page.view.result_card import result_html
from pipeline.page.view.server_slices import SliceView, draw_slice
from pipeline.page.view.status import progress_html
from tests.builders import NOTE, make_analysis

CHECK_MASK = "Unreliable: check the segmentation"


def test_a_space_listens_to_all_and_asks_for_the_tick() -> None:
    space = settings_from({"SPACE_ID": "someone/fibroreview"})
    assert (space.public, space.server_name, space.server_port) == (True, "0.0.0.0", 7860)


def test_a_workstation_listens_to_itself_only() -> None:
    own = settings_from({"GRADIO_SERVER_PORT": "7999", "FIBROREVIEW_REVIEWS": "/somewhere"})
    assert (own.public, own.server_name, own.server_port) == (False, "127.0.0.1", 7999)
    assert own.reviews == Path("/somewhere")


def test_the_line_is_first_come_first_served() -> None:
    line = WaitingLine()
    with line.join() as first:
        with line.join() as second:
            assert (first(), second()) == (0, 1)
        with line.join() as third:
            assert third() == 1
    with line.join() as fourth:
        assert fourth() == 0


def test_the_probability_is_never_shown_without_its_note_and_research_use() -> None:
    html = result_html(make_analysis(probability=0.31), {"Report (PDF)": "a/b.pdf"})
    assert NOTE in html
    assert "Research use only" in html
    assert "31 %" in html
    assert "negative" in html
    assert "confidence interval" not in html
    assert "abnormal" not in html


def test_text_from_outside_is_escaped() -> None:
    assert "<script>" not in progress_html("<script>", 0.5)


@pytest.mark.parametrize(("share", "shown"), [(-1, 0), (0.256, 26), (7, 100)])
def test_the_bar_stays_within_its_ends(share: float, shown: int) -> None:
    assert f'aria-valuenow="{shown}"' in progress_html("x", share)


def test_the_lock_pins_hashes_and_names_no_address() -> None:
    text = (ASSETS / "package-lock.json").read_text()
    lock = json.loads(text)["packages"]
    assert "resolved" not in text
    assert "http" not in text
    assert lock["node_modules/@niivue/niivue"]["version"] == "0.69.0"
    assert all("integrity" in package for name, package in lock.items() if name)


def test_without_npm_there_is_no_library_and_no_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(niivue, "LIBRARY", tmp_path / "index.js")
    monkeypatch.setattr(niivue, "_npm", lambda: None)
    assert niivue.ensure_viewer() is None
    monkeypatch.setattr(niivue, "_npm", lambda: [str(tmp_path / "no-such-npm")])
    assert niivue.ensure_viewer() is None


def test_the_verdict_is_indeterminate_only_in_the_zone_and_the_outlines_range_is_shown() -> None:
    analysis = make_analysis(probability=0.62)
    plain = result_html(analysis, {})
    assert "ndeterminate" not in plain
    assert "tighter" not in plain
    for zone, shown in (((0.3, 0.7), True), ((0.3, 0.6), False)):
        fibrosis = replace(analysis.fibrosis, indeterminate=zone, mask_sensitivity=(0.44, 0.66))
        html = result_html(replace(analysis, fibrosis=fibrosis), {})
        verdict = html[html.index("fr-verdict") : html.index("fr-number")]
        assert ("indeterminate" in verdict) is shown
        assert ("positive" in verdict) is not shown  # such a probability says neither
        assert f"indeterminate 30–{100 * zone[1]:.0f} %" in html
        assert "44–66 %" in html


def test_a_range_whose_ends_read_alike_is_one_figure() -> None:
    analysis = make_analysis(probability=0.14)
    narrow = replace(
        analysis.fibrosis, ensemble_range=(0.138, 0.142), mask_sensitivity=(0.1351, 0.144), indeterminate=(0.3, 0.4)
    )
    html = result_html(replace(analysis, fibrosis=narrow), {})
    assert "14–14" not in html
    assert "<dt>Ensemble range</dt><dd>14 %</dd>" in html
    assert "wider</dt><dd>14 %</dd>" in html
    assert "indeterminate 30–40 %" in html


def test_a_verdict_that_depends_on_the_outline_is_marked_beside_the_probability() -> None:
    analysis = make_analysis(probability=0.62)  # operating point 0.48
    for low, high, warned in ((0.45, 0.62, True), (0.475, 0.62, False), (0.5, 0.75, False), (0.5, 0.9, True)):
        fibrosis = replace(analysis.fibrosis, mask_sensitivity=(low, high))
        html = result_html(replace(analysis, fibrosis=fibrosis, warnings=probability_warnings(fibrosis)), {})
        assert (CHECK_MASK in html[html.index("fr-number") : html.index("fr-scale")]) is warned


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        (["not_t2"], "not a T2 image"),
        (["contrast"], "not a T2 image"),
        (["not_t2_contrast", "mask_sensitive"], "not a T2 image"),
        (["looks_like_ct", "contrast", "poor_segmentation"], "not an MR image"),
        (["mask_sensitive"], "check the segmentation"),
        (["thick_slices", "echo_time"], None),
    ],
)
def test_what_makes_the_probability_unreliable_is_beside_it(codes: list[str], words: str | None) -> None:
    analysis = make_analysis(warnings=tuple(CaseWarning(code, "Words.") for code in codes))
    html = result_html(analysis, {})
    number = html[html.index("fr-number") : html.index("fr-scale")]
    assert analysis.unreliable is (words is not None)
    assert (f"Unreliable: {words}" in number) if words else ("Unreliable" not in html)


def test_a_poor_mask_without_a_predicted_dice_is_called_poor() -> None:
    analysis = make_analysis()
    html = result_html(replace(analysis, organs=replace(analysis.organs, score=3)), {})
    assert "<dd>3 poor</dd>" in html


def test_a_poor_mask_is_marked_beside_the_probability_and_a_good_one_is_not() -> None:
    analysis = make_analysis()
    good = replace(analysis.organs, predicted_dice=0.94, score=1)
    poor = replace(analysis.organs, predicted_dice=0.61, score=3, reasons=("the outline is blurred",))
    assert CHECK_MASK not in result_html(replace(analysis, organs=good, warnings=mask_warnings(good)), {})
    html = result_html(replace(analysis, organs=poor, warnings=mask_warnings(poor)), {})
    number = html[html.index("fr-number") : html.index("fr-scale")]
    assert CHECK_MASK in number
    assert "3 poor, Dice about 0.61" in html
    assert "the outline is blurred" in html


def test_the_browser_draws_in_the_colours_of_the_report():
    element = slice_viewer.viewer_template(library=True)
    assert f'data-liver="{",".join(str(int(LIVER_COLOUR[i : i + 2], 16)) for i in (1, 3, 5))}"' in element
    red, green, blue, _ = HEAT_COLOURS(1.0, bytes=True)
    assert element.endswith(f';255,{red},{green},{blue}"></div>')


def test_where_to_check_is_said_beside_the_quality_of_the_mask():
    analysis = make_analysis()
    doubt = MaskDoubt("missing", first_slice=23, last_slice=28, side="left", volume_ml=131.0, at_xyz=(9, 9, 25))
    html = result_html(replace(analysis, organs=replace(analysis.organs, score=3, doubts=(doubt,))), {})
    button = '<button type="button" data-doubt="0">Check slices 24–29, left side: liver may be missing.</button>'
    assert button in html
    assert "data-doubt" not in result_html(analysis, {})


def test_the_server_draws_doubt_in_its_own_colour():
    voxels, doubt = np.zeros((1, 8, 8), np.float32), np.zeros((1, 8, 8), np.uint8)
    doubt[0, 2:6, 2:6] = 1 | 4
    view = SliceView(plane="axial", index=0, window=(0, 1), doubt=1)
    png = base64.b64decode(draw_slice(voxels, (1, 1, 5), {"doubt": doubt}, view).split(",")[1])
    picture = np.asarray(Image.open(io.BytesIO(png)))
    assert tuple(picture[3, 3]) == rgb(DOUBT_COLOUR)
    assert not picture[0, 0].any()


def test_a_result_without_a_heat_map_says_so():
    assert "No heat map: this classifier uses" in result_html(replace(make_analysis(), heatmap=None), {})
    assert "No heat map" not in result_html(make_analysis(), {})


def test_a_result_without_a_probability_gives_the_reason_and_nothing_else() -> None:
    reason = CaseWarning("not_suitable_anatomy", "Not classified: <no> liver.")
    card = result_html(make_analysis(fibrosis=None, heatmap=None, warnings=(reason,)), {})
    assert card.count("Not classified: &lt;no&gt; liver.") == 1
    for absent in ("Model:", "probability", "operating point", "fr-scale", "means nothing"):
        assert absent not in card
    assert "No heat map: not classified" in card
    assert "Liver volume" in card


@pytest.mark.parametrize(("text", "any_input"), [("", False), ("0", False), ("1", True), ("yes", True)])
def test_other_input_is_classified_only_where_a_variable_says_so(text: str, any_input: bool) -> None:
    assert settings_from({"FIBROREVIEW_ANY_INPUT": text}).any_input is any_input


@pytest.mark.parametrize("variable", ["FIBROREVIEW_ANY_INPUT", "FIBROREVIEW_MAX_VOXELS", "GRADIO_SERVER_PORT"])
def test_a_wrong_setting_is_named_at_start(variable: str) -> None:
    with pytest.raises(ConfigError, match=variable):
        settings_from({variable: "perhaps"})
