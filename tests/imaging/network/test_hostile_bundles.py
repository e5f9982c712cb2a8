"""A bundle from anywhere: nothing of it runs, and what does not fit is refused with the file and the reason."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from muscle_bayes.errors import BundleError, MissingWeightsError
from muscle_bayes.imaging.network.architecture import build_network, dynamic_unet
from muscle_bayes.imaging.network.bundle import read_bundle, verify_metadata
from muscle_bayes.imaging.network.bundle_writing import write_bundle

CPU = torch.device("cpu")
SMALL = {**dynamic_unet((4, 4, 8))}
Edit = Callable[[str, dict[str, Any]], Path]


@pytest.fixture
def edit(tmp_path: Path) -> Edit:
    """Write a good bundle, then change one of its files."""

    def change(name: str, what: dict[str, Any]) -> Path:
        root = write_bundle(tmp_path / "b", build_network(SMALL), SMALL, name="b", data_source="nothing", history={})
        path = root / "configs" / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **what}))
        return root

    return change


@pytest.mark.parametrize(
    "change",
    [
        {"filters": [10**7] * 3},  # 10^16 parameters
        {"filters": [-1, 2, 3]},
        {"filters": []},
        {"filters": "abc"},
        {"norm_name": "builtins.eval"},
        {"act_name": ["__import__", {}]},
        {"act_name": "$__import__('os').system('touch here')"},
        {"act_name": {"_target_": "os.system", "command": "touch here"}},
        {"norm_name": ["INSTANCE", {"affine": "@device"}]},
        {"_mode_": "callable"},
        {"_target_": "monai.networks.nets.netadapter.NetAdapter"},
        {"_target_": "os.system"},
    ],
)
def test_definitions_that_are_no_plain_small_network_are_refused(
    change: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError):
        build_network({**SMALL, **change})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("metadata.json", {"weights": "models/model.safetensors"}, "no file of weights"),
        ("metadata.json", {"weights": [{"sha256": "0"}]}, "no file of weights"),
        ("metadata.json", {"weights": [{"file": ["a"]}]}, "no file of weights"),
        ("metadata.json", {"weights": [{"file": "/etc/passwd"}]}, "outside the bundle"),
        ("metadata.json", {"weights": [{"file": "models/model.safetensors", "sha256": 0}]}, "SHA-256"),
        ("metadata.json", {"weights": [{"file": "models/model.pt"}]}, "pickled"),
        ("inference.json", {"network_def": "@elsewhere"}, "plain data"),
        ("inference.json", {"network_def": {**SMALL, "filters": [4, 4, 16]}}, "do not fit"),
        ("inference.json", {"network_def": {**SMALL, "in_channels": 3}}, "input channels"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(edit: Edit, name: str, change: dict[str, Any], words: str) -> None:
    root = edit(name, change)
    with pytest.raises(BundleError, match=words):
        read_bundle(root).networks(CPU)


def test_missing_weights_are_an_error_of_their_own(edit: Edit) -> None:
    root = edit("metadata.json", {})
    (root / "models" / "model.safetensors").unlink()
    with pytest.raises(MissingWeightsError, match="none are ever downloaded"):
        read_bundle(root).networks(CPU)


def test_deeply_nested_files_are_refused(edit: Edit) -> None:
    root = edit("metadata.json", {})
    (root / "configs" / "metadata.json").write_text("[" * 200_000)
    with pytest.raises(BundleError, match="is not JSON"):
        read_bundle(root)


def test_only_trust_lets_a_configuration_choose_a_class(edit: Edit) -> None:
    odd = {"network_def": {**SMALL, "_target_": "monai.networks.nets.dynunet.DynUNet"}}
    root = edit("inference.json", odd)
    with pytest.raises(BundleError, match="not one of"):
        read_bundle(root).networks(CPU)
    assert len(read_bundle(root, trust=True).networks(CPU)[0]) == 1


def test_a_network_that_answers_something_else_is_refused_even_if_trusted(edit: Edit) -> None:
    root = edit("inference.json", {"network_def": "$torch.nn.Identity()"})
    save_file({}, str(root / "models" / "model.safetensors"))
    root = _changed(root, {"weights": [{"file": "models/model.safetensors"}]})
    with pytest.raises(BundleError, match=r"answers \(1, 9, 128, 128\)"):
        read_bundle(root, trust=True).networks(CPU)


def _changed(root: Path, what: dict[str, Any]) -> Path:
    path = root / "configs" / "metadata.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **what}))
    return root


def test_metadata_are_held_against_a_schema_at_hand(edit: Edit, tmp_path: Path) -> None:
    """By jsonschema here and by MONAI's own command, which downloads nothing where the file is there."""
    from monai.bundle import verify_metadata as monais

    schema = {
        "$schema": "https://json-schema.org/draft/2019-09/schema",
        "type": "object",
        "properties": {"version": {"type": "string"}, "authors": {"type": "string"}},
        "required": ["version", "authors"],
    }
    rules = tmp_path / "schema.json"
    rules.write_text(json.dumps(schema))
    root = edit("metadata.json", {})
    verify_metadata(root, rules)
    at_hand = {"filepath": str(rules), "hash_val": sha256(rules.read_bytes()).hexdigest(), "hash_type": "sha256"}
    monais(meta_file=str(root / "configs" / "metadata.json"), **at_hand)
    (root / "configs" / "schema.json").write_text(json.dumps(schema))
    read_bundle(root)
    root = edit("metadata.json", {"authors": 7})
    with pytest.raises(BundleError, match="authors breaks the schema"):
        read_bundle(root)
    with pytest.raises(ValueError, match="Failed validating"):
        monais(meta_file=str(root / "configs" / "metadata.json"), **at_hand)
    for broken in ({"type": 7}, {"$ref": "http://127.0.0.1:9/elsewhere.json"}):
        rules.write_text(json.dumps(broken))
        with pytest.raises(BundleError, match="no usable JSON schema"):
            verify_metadata(root, rules)
