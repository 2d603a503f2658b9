from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from models import registry
from models.device import autocast, choose_device
from models.files import file_sha256
from models.weights import load_into, rounded, save_member
from pipeline.errors import ModelError


class Shared(nn.Module):
    """One layer under two names, as nnU-Net's decoder holds its encoder."""

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.layer = nn.Linear(width, 2)
        self.again = self.layer


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    for member in ("fold0", "fold1"):
        save_member(tmp_path / "net", member, Shared().state_dict())
    registry.write_model_json(tmp_path / "net", {"kind": "classifier", "name": "net", "trained_on": "nothing"})
    return tmp_path / "net"


def test_weights_come_back_with_shared_layers(folder):
    network = Shared()
    load_into(network, registry.find(folder, "classifier").state("fold1"))
    torch.manual_seed(0)
    Shared()
    expected = Shared().layer.weight
    assert torch.allclose(network.again.weight, expected, atol=1e-3)


def test_large_weights_are_split_below_ten_megabytes(tmp_path):
    state = {f"part{i}": torch.randn(1000, 1000) for i in range(12)}
    save_member(tmp_path / "big", "fold0", state)
    registry.write_model_json(tmp_path / "big", {"kind": "segmenter", "name": "big", "trained_on": "x"})
    files = sorted((tmp_path / "big").glob("fold0/*.safetensors"))
    assert len(files) == 3
    assert all(file.stat().st_size < 10_000_000 for file in files)
    loaded = registry.find(tmp_path / "big", "segmenter").state("fold0")
    assert loaded.keys() == state.keys()
    assert torch.allclose(loaded["part7"], state["part7"], atol=1e-2)


def test_a_flipped_byte_is_refused_by_name(folder):
    file = folder / "fold1" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    model = registry.find(folder, "classifier")
    model.state("fold0")
    with pytest.raises(ModelError, match=r"fold1/model\.safetensors of net are missing or damaged"):
        model.state("fold1")


def test_a_pickle_is_never_opened(folder):
    file = folder / "fold0" / "model.safetensors"
    torch.save({"layer.weight": torch.zeros(2, 3)}, file)
    info = json.loads((folder / "model.json").read_text())
    info["sha256"]["fold0/model.safetensors"] = file_sha256(file)
    (folder / "model.json").write_text(json.dumps(info))
    with pytest.raises(ModelError, match="no safetensors"):
        registry.find(folder, "classifier").state("fold0")


def test_weights_of_another_network_are_refused(folder):
    state = registry.find(folder, "classifier").state("fold0")
    with pytest.raises(ModelError, match="shapes"):
        load_into(Shared(width=4), state)
    with pytest.raises(ModelError, match="missing or unknown"):
        load_into(nn.Linear(3, 2), state)
    with pytest.raises(ModelError, match="missing or unknown"):
        load_into(Shared(), {"layer.weight": state["layer.weight"]})


def test_a_member_has_its_own_name_and_hash(folder):
    whole, one = registry.find(folder, "classifier"), registry.find(f"{folder}/fold1", "classifier")
    assert one.members == ("fold1",)
    assert one.name == "net/fold1"
    assert one.sha256 != whole.sha256


@pytest.mark.parametrize(
    ("change", "message"),
    [({"kind": "segmenter"}, "is a segmenter"), ({"sha256": None, "members": None}, "damaged or incomplete")],
)
def test_a_wrong_description_is_refused(folder, change, message):
    info = json.loads((folder / "model.json").read_text()) | change
    (folder / "model.json").write_text(json.dumps(info))
    with pytest.raises(ModelError, match=message):
        registry.find(folder, "classifier")


def test_unknown_names_members_and_devices_are_refused(folder):
    with pytest.raises(ModelError, match="no classifier of this name"):
        registry.find("nothing_like_this", "classifier")
    with pytest.raises(ModelError, match="no member fold7"):
        registry.find(folder / "fold7", "classifier")
    with pytest.raises(ModelError, match="device"):
        choose_device("abacus")


def test_a_member_trained_on_all_cases_is_a_member_too(tmp_path):
    save_member(tmp_path / "net", "foldall", Shared().state_dict())
    registry.write_model_json(tmp_path / "net", {"kind": "classifier", "trained_on": "nothing"})
    assert registry.find(tmp_path / "net" / "foldall", "classifier").state("foldall")


def test_rounded_weights_lie_close_and_leave_norms_alone(tmp_path):
    weight = torch.randn(6, 4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    weight[2] = 0
    norm = weight[:, 0, 0, 0, 0].clone()
    save_member(tmp_path, "fold0", {"conv": weight, "same": weight, "norm": norm}, bits=8)
    registry.write_model_json(tmp_path, {"kind": "segmenter", "trained_on": "noise"})
    stored = registry.find(tmp_path, "segmenter").state("fold0")
    assert set(stored) == {"conv", "norm"}  # what has two names is written once
    peak = weight.abs().flatten(1).amax(1).view(-1, 1, 1, 1, 1)
    assert bool(((stored["conv"] - weight).abs() <= peak / 128 + 1e-12).all())
    assert all(len(channel.unique()) <= 257 for channel in stored["conv"])
    assert torch.equal(stored["norm"], norm.half().float())
    assert torch.equal(rounded(stored["conv"], 8), stored["conv"])


@pytest.mark.parametrize(("instructions", "enabled"), [({"amx_bf16": True}, True), ({"avx2": True}, False)])
def test_bfloat16_is_used_only_where_the_processor_has_it(instructions, enabled, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions)
    with autocast(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == (torch.bfloat16 if enabled else torch.float32)


def test_a_description_holds_the_common_fields_and_leaves_the_others_as_they_are(folder):
    file = folder / "model.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"licence": "CC0", "simulated": True, "threshold": 0.4}))
    description = registry.find(folder, "classifier").description
    assert (description.kind, description.trained_on, description.licence) == ("classifier", "nothing", "CC0")
    assert (description.simulated, description.note, description.members) == (True, "", ("fold0", "fold1"))
    assert description.weights.keys() == {"fold0/model.safetensors", "fold1/model.safetensors"}
    assert description.extra == {"schema": 1, "name": "net", "threshold": 0.4}
