"""Results are computed once per key, and a key covers the members of a model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.registry import ModelFolder
from pipeline.cohort import result_cache
from pipeline.cohort.result_cache import ResultCache, digest, model_fingerprint


def test_a_result_is_computed_once_per_key(tmp_path):
    cache, computed = ResultCache(tmp_path), []

    def compute():
        computed.append(1)
        return {"dice": 0.5}

    assert cache.of(["overlap", "abc"], compute) == cache.of(["overlap", "abc"], compute) == {"dice": 0.5}
    assert len(computed) == 1
    cache.of(["overlap", "abd"], compute)
    assert len(computed) == 2


def test_a_failed_computation_leaves_no_result(tmp_path):
    def fail():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ResultCache(tmp_path).of(["overlap"], fail)
    assert list(tmp_path.iterdir()) == []


def test_another_format_or_version_gives_other_digests(monkeypatch):
    before = digest(["overlap"])
    monkeypatch.setattr(result_cache, "FORMAT", result_cache.FORMAT + 1)
    assert digest(["overlap"]) != before
    monkeypatch.undo()
    monkeypatch.setattr(result_cache, "__version__", "0.0.0")
    assert digest(["overlap"]) != before


def test_digests_of_earlier_runs_stay_valid(monkeypatch):
    monkeypatch.setattr(result_cache, "__version__", "0.1.0")
    assert digest(["overlap", "abc"]) == "eec0a09dedf3d664fb9c2eae"


def test_the_fingerprint_covers_members_weights_and_description(tmp_path):
    weights = {"fold0/model.safetensors": "a", "fold1/model.safetensors": "b"}
    info = {"kind": "segmenter", "trained_on": "nothing", "members": ["fold0", "fold1"], "sha256": weights}
    model = ModelFolder("m", tmp_path, info, ("fold0", "fold1"))
    others = [
        replace(model, members=("fold0",)),
        replace(model, info=info | {"threshold": 0.4}),
        replace(model, info=info | {"sha256": weights | {"fold0/model.safetensors": "c"}}),
    ]
    assert len({model_fingerprint(model), *map(model_fingerprint, others)}) == 4
    assert model_fingerprint(replace(model, name="renamed", folder=tmp_path / "moved")) == model_fingerprint(model)
