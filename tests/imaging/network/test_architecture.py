"""Network definitions are data: classes on the list, literal arguments, weights that are what they say."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from muscle_bayes.errors import BundleError
from muscle_bayes.imaging.network.architecture import build_network, dynamic_unet
from muscle_bayes.imaging.network.weights import load_weights, save_weights

SMALL = (4, 4, 4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"_target_": "torch.load"}, "not one of"),
        ({"_target_": "os.system"}, "not one of"),
        ({"_target_": "monai.networks.nets.TorchVisionFCModel"}, "not one of"),
        ({"in_channels": "$__import__('os').system('true')"}, "plain data"),
        ({"filters": ["@other#filters"]}, "plain data"),
        ({"norm_name": {"_target_": "torch.load", "f": "x"}}, "plain data"),
        ({"act_name": ["relu", {"inplace": "%/etc/passwd"}]}, "plain data"),
        ({"strides": object()}, "plain data"),
        ({"nonsense": 3}, "refuses its arguments"),
    ],
)
def test_definitions_that_would_run_code_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(BundleError, match=words):
        build_network({**dynamic_unet(SMALL), **change})


def test_a_prefix_changes_nothing() -> None:
    plain = build_network(dynamic_unet(SMALL))
    prefixed = build_network({**dynamic_unet(SMALL), "_target_": "monai.networks.nets.DynUNet"})
    assert [p.shape for p in plain.parameters()] == [p.shape for p in prefixed.parameters()]


def test_weights_come_back_in_half_precision(tmp_path: Path) -> None:
    network, other = (build_network(dynamic_unet(SMALL)) for _ in range(2))
    sha256 = save_weights(network, tmp_path / "w.safetensors")
    assert load_weights(other, tmp_path / "w.safetensors", sha256) == sha256
    for mine, theirs in zip(network.state_dict().values(), other.state_dict().values(), strict=True):
        np.testing.assert_allclose(theirs, mine.half().float())


def test_missing_changed_and_pickled_weights_are_refused(tmp_path: Path) -> None:
    network = build_network(dynamic_unet(SMALL))
    with pytest.raises(BundleError, match="none are ever downloaded"):
        load_weights(network, tmp_path / "model.safetensors")
    torch.save(network.state_dict(), tmp_path / "model.pt")
    with pytest.raises(BundleError, match="pickled weights can run code"):
        load_weights(network, tmp_path / "model.pt")
    save_weights(network, tmp_path / "model.safetensors")
    with pytest.raises(BundleError, match="SHA-256"):
        load_weights(network, tmp_path / "model.safetensors", "0" * 64)
    with pytest.raises(BundleError, match="do not fit"):
        load_weights(build_network(dynamic_unet((8, 8, 8))), tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(BundleError, match="do not fit"):
        load_weights(network, tmp_path / "model.safetensors")
