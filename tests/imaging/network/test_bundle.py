"""The project's bundle is one that MONAI accepts, offline, and its weights are the ones its metadata name."""

import json
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from muscle_bayes.errors import BundleError
from muscle_bayes.imaging.labels import SCHEME
from muscle_bayes.imaging.network.bundle import read_bundle
from muscle_bayes.imaging.network.bundle_writing import write_bundle
from muscle_bayes.resources import data_folder
from muscle_bayes.simulation import simulate_phantom

ROOT = data_folder("segmentation")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever reaches for the network fails."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("a bundle must not use the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def scan_folder(tmp_path: Path) -> Path:
    simulate_phantom("trunk", seed=1, voxel_mm=(5.0, 5.0, 10.0), supersample=(1, 1, 1)).save(tmp_path / "scans" / "P1")
    return tmp_path / "scans"


def test_weights_are_those_of_the_metadata_and_small() -> None:
    bundle = read_bundle()
    _, hashes = bundle.networks(torch.device("cpu"))
    assert hashes == [sha256 for _, sha256 in bundle.weights]
    assert sum(path.stat().st_size for path, _ in bundle.weights) <= 5e6
    assert "simulated" in bundle.metadata["data_source"]


def test_metadata_hold_what_monais_schema_requires() -> None:
    """The required keys of meta_schema_20240725.json, and the classes of the label scheme."""
    metadata = json.loads((ROOT / "configs" / "metadata.json").read_text())
    required = ("schema", "version", "monai_version", "pytorch_version", "numpy_version", "required_packages_version")
    assert {*required, "task", "description", "authors", "copyright", "network_data_format"} <= set(metadata)
    tensor = {"type", "format", "num_channels", "spatial_shape", "dtype", "value_range"}
    formats = metadata["network_data_format"]
    assert tensor <= set(formats["inputs"]["image"])
    assert tensor <= set(formats["outputs"]["pred"])
    for number, structure in SCHEME.items():
        words = formats["outputs"]["pred"]["channel_def"][str(number)]
        assert structure.name.split("_")[0] in words
        assert structure.side in words or structure.side == "both"


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_monai_runs_the_bundle(scan_folder: Path, tmp_path: Path) -> None:
    from monai.bundle import ConfigWorkflow, verify_net_in_out

    configs = {name: str(ROOT / "configs" / f"{name}.json") for name in ("inference", "evaluate", "train", "metadata")}
    verify_net_in_out(
        net_id="network_def", meta_file=configs["metadata"], config_file=configs["inference"], device="cpu", n=2
    )
    common = {"meta_file": configs["metadata"], "logging_file": False, "bundle_root": str(ROOT), "device": "cpu"}
    workflow = ConfigWorkflow(
        [configs["inference"]],
        workflow_type="infer",
        dataset_dir=str(scan_folder),
        output_dir=str(tmp_path / "out"),
        **common,
    )
    workflow.initialize()
    assert workflow.check_properties() == []
    workflow.run()
    assert (tmp_path / "out" / "P1_dseg.nii.gz").is_file()
    evaluation = ConfigWorkflow(
        [configs["inference"], configs["evaluate"]],
        workflow_type="infer",
        dataset_dir=str(scan_folder),
        output_dir=str(tmp_path / "out"),
        **common,
    )
    evaluation.initialize()
    assert evaluation.check_properties() == []
    training = ConfigWorkflow(
        [configs["train"]],
        workflow_type="train",
        bodies=1,
        epochs=1,
        batches_per_epoch=1,
        output_file=str(tmp_path / "trained.safetensors"),
        **common,
        **{"network_def#filters": [4, 4, 4, 4, 4, 4]},
    )
    training.initialize()
    assert training.check_properties() == []
    training.run()
    assert (tmp_path / "trained.safetensors").is_file()


def test_a_written_bundle_reads_back_and_changed_ones_are_refused(tmp_path: Path) -> None:
    from muscle_bayes.imaging.network.architecture import build_network, dynamic_unet

    definition = dynamic_unet((4, 4, 8))
    network = build_network(definition)
    root = write_bundle(tmp_path / "b", network, definition, name="mine", data_source="nothing", history={"seed": 1})
    back, _ = read_bundle(root).networks(torch.device("cpu"))
    for mine, theirs in zip(network.parameters(), back[0].parameters(), strict=True):
        np.testing.assert_allclose(theirs.detach(), mine.detach().half().float())

    inference = root / "configs" / "inference.json"
    content = json.loads(inference.read_text())
    for change, words in (
        ({"network_def": "$__import__('os').getcwd()"}, "plain data"),
        ({"network_def": {**content["network_def"], "out_channels": 3}}, "need 18"),
        ({"network_def": {**content["network_def"], "_target_": "subprocess.Popen"}}, "not one of"),
    ):
        inference.write_text(json.dumps({**content, **change}))
        with pytest.raises(BundleError, match=words):
            read_bundle(root).networks(torch.device("cpu"))
    inference.write_text(json.dumps(content))
    metadata = json.loads((root / "configs" / "metadata.json").read_text())
    metadata["weights"] = [{"file": "../../elsewhere.safetensors"}]
    (root / "configs" / "metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(BundleError, match="outside the bundle"):
        read_bundle(root)
    with pytest.raises(BundleError, match="not a bundle"):
        read_bundle(tmp_path)


def test_only_a_trusted_bundle_may_compute_its_arguments(tmp_path: Path) -> None:
    from muscle_bayes.imaging.network.architecture import build_network, dynamic_unet

    definition = dynamic_unet((4, 4, 8))
    root = write_bundle(
        tmp_path / "b", build_network(definition), definition, name="mine", data_source="nothing", history={}
    )
    inference = root / "configs" / "inference.json"
    content = json.loads(inference.read_text())
    content["network_def"]["in_channels"] = 9
    content["network_def"]["filters"] = "$[4, 4, 2 * 4]"
    inference.write_text(json.dumps(content))
    with pytest.raises(BundleError, match="plain data"):
        read_bundle(root).networks(torch.device("cpu"))
    networks, _ = read_bundle(root, trust=True).networks(torch.device("cpu"))
    assert sum(p.numel() for p in networks[0].parameters()) == sum(
        p.numel() for p in build_network(definition).parameters()
    )


def test_a_refusal_names_a_folder_that_can_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError, match="this is not a bundle") as refused:
        read_bundle("nowhere")
    assert Path(refused.value.where).is_relative_to(tmp_path)
