"""Planning from the results of a pilot."""

from __future__ import annotations

import itertools
import json

import pytest

from pipeline.errors import ReadingsError
from pipeline.exports.mrmc_json import mrmc_json
from pipeline.reader_study.planning import plan, read_pilot
from pipeline.statistics.mrmc import analyse_readings
from tests.statistics.studies import small_study, van_dyke


def written(tmp_path, content):
    file = tmp_path / "pilot.json"
    file.write_text(json.dumps(content))
    return file


def test_published_powers_come_from_the_written_results(tmp_path):
    content = mrmc_json(analyse_readings(van_dyke()))
    found = read_pilot(written(tmp_path, content))
    assert (found.readers, found.positives, found.negatives, found.fom) == (5, 45, 69, "auc")
    # RJafroc's example: the pilot's own difference, 10 readers and 163 cases for a power of 0.8.
    (row,) = plan(found.pilot, 0.0438003220, [10], [165], 0.8)
    assert row.powers[0] == pytest.approx(0.80541995, abs=5e-6)
    assert row.cases_needed == 163
    as_report = read_pilot(written(tmp_path, {"schema": 1, "primary": content}))
    assert as_report == found


def test_more_readers_and_cases_give_more_power(tmp_path):
    found = read_pilot(written(tmp_path, mrmc_json(analyse_readings(small_study(modalities=2)))))
    rows = plan(found.pilot, 0.1, [3, 6, 12], [40, 80, 160], 0.8)
    for row in rows:
        assert list(row.powers) == sorted(row.powers)
    for few, many in itertools.pairwise(rows):
        assert all(a < b for a, b in zip(few.powers, many.powers, strict=True))
        assert few.cases_needed is None or few.cases_needed > many.cases_needed


def test_no_number_of_cases_may_be_enough(tmp_path):
    content = mrmc_json(analyse_readings(small_study(modalities=2)))
    content["variance_components"]["reader_modality"] = 0.05
    (row,) = plan(read_pilot(written(tmp_path, content)).pilot, 0.05, [3], [60], 0.8)
    assert row.cases_needed is None


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"primary": {"why_not": "no reader has reads in both arms"}},
        mrmc_json(analyse_readings(small_study(readers=1))),
        mrmc_json(analyse_readings(small_study(modalities=1))),
    ],
    ids=["list", "empty", "no analysis", "one reader", "one modality"],
)
def test_what_has_no_variances_is_refused(tmp_path, content):
    with pytest.raises(ReadingsError, match="no variances to plan from"):
        read_pilot(written(tmp_path, content))


def test_what_is_no_json_is_refused(tmp_path):
    (tmp_path / "pilot.json").write_text("%PDF")
    for file in (tmp_path / "pilot.json", tmp_path / "absent.json"):
        with pytest.raises(ReadingsError, match="cannot be read"):
            read_pilot(file)


@pytest.mark.parametrize(("difference", "wanted"), [(0.0, 0.8), (1.2, 0.8), (0.05, 1.0), (0.05, 0.01)])
def test_impossible_plans_are_refused(tmp_path, difference, wanted):
    found = read_pilot(written(tmp_path, mrmc_json(analyse_readings(small_study(modalities=2)))))
    with pytest.raises(ReadingsError, match="must lie between"):
        plan(found.pilot, difference, [4], [60], wanted)
