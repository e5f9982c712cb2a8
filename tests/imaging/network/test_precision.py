"""Half the bits are used where they give the same labels, and only there."""

import numpy as np
import pytest
import torch

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.imaging.network import precision
from muscle_bayes.imaging.network.precision import PrecisionCheck, checked_precision
from muscle_bayes.imaging.network.segmentation import Segmenter

CPU = torch.device("cpu")


class Rings(torch.nn.Module):
    """Labels from the place in the body and the fat fraction; `grain` is noise in the logits of half the bits only."""

    def __init__(self, grain: float) -> None:
        super().__init__()
        self.weight = torch.nn.Conv2d(1, 1, 1)
        self.grain, self.calls = grain, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        half = self.weight(x[:, :1]).dtype == torch.bfloat16
        logits = torch.full((x.shape[0], 18, *x.shape[2:]), -20.0)
        logits[:, 0] = 0.0
        radius = torch.hypot(x[:, 7], x[:, 8])
        if half:
            generator = torch.Generator().manual_seed(1)
            radius = radius + self.grain * torch.randn(radius.shape, generator=generator)
        inside = radius < 0.5
        logits[:, 3] = torch.where(inside & (x[:, 7] < 0), 20.0, -20.0)
        logits[:, 4] = torch.where(inside & (x[:, 7] >= 0), 20.0, -20.0)
        return logits


def test_agreement_is_measured_once_and_half_the_bits_are_used() -> None:
    network = Rings(grain=0.0).eval()
    found = checked_precision([network], ["a" * 64], CPU, "bf16", mirror=False)
    assert found.used == "bf16"
    assert found.dice == {"autochthonous left": 1.0, "autochthonous right": 1.0}
    assert found.intermat_points == 0
    calls = network.calls
    assert checked_precision([network], ["a" * 64], CPU, "bf16", mirror=False) is found
    assert network.calls == calls
    assert "bf16" in found.words


def test_labels_that_differ_leave_single_precision_and_say_so() -> None:
    with pytest.warns(RuntimeWarning, match="bfloat16 is not used on cpu: on a phantom the lowest Dice"):
        found = checked_precision([Rings(grain=0.05).eval()], ["b" * 64], CPU, "bf16", mirror=False)
    assert found.used == "fp32"
    assert found.wanted == "bf16"
    assert min(found.dice.values()) < precision.LEAST_DICE


def test_a_network_that_finds_nothing_cannot_vouch_for_half_the_bits() -> None:
    class Nothing(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits = torch.zeros((x.shape[0], 18, *x.shape[2:]))
            logits[:, 0] = 1.0
            return logits

    with pytest.warns(RuntimeWarning, match="finds nothing"):
        assert checked_precision([Nothing().eval()], [], CPU, "bf16").used == "fp32"


def test_a_processor_keeps_single_precision_unless_asked() -> None:
    assert checked_precision([], [], CPU) == PrecisionCheck("fp32", "fp32", device="cpu")
    with pytest.raises(InvalidValueError, match="bf16"):
        checked_precision([], [], CPU, "fp16")


def test_the_shipped_weights_agree_in_half_the_bits_where_they_are_used() -> None:
    """The processor's own bfloat16; where it does not agree, the Segmenter says so and stays in single precision."""
    import warnings

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = Segmenter.load(device="cpu", precision="bf16").precision
    agrees = min(found.dice.values()) >= 0.995 and (found.intermat_points or 0) <= 0.05
    assert found.used == ("bf16" if agrees else "fp32")
    assert bool([w for w in said if "bfloat16 is not used" in str(w.message)]) is not agrees
    assert np.isfinite(list(found.dice.values())).all()
