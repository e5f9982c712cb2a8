"""Matching volumes undoes a bias of the output layer, for both sides alike."""

import numpy as np
import pytest
import torch

from muscle_bayes.imaging.network.calibration import match_fat, match_volumes
from muscle_bayes.imaging.network.close_up import window, window_probabilities


class Biased(torch.nn.Module):
    """Logits rise with the first signal; the output bias is its last parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = torch.nn.Parameter(torch.full((18,), -20.0))
        with torch.no_grad():
            self.bias[0] = 0.0
            self.bias[3:5] = 0.7

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(x.shape[0], 18, *x.shape[2:])
        signal = 8 * (x[:, 1] - 0.6)
        logits[:, 3] = torch.where(x[:, 7] < 0, signal, torch.tensor(-20.0))
        logits[:, 4] = torch.where(x[:, 7] >= 0, signal, torch.tensor(-20.0))
        return logits + self.bias[None, :, None, None]


def test_volumes_match_after_the_shift() -> None:
    rng = np.random.default_rng(1)
    signal = rng.uniform(50, 400, (4, 64, 48)).astype(np.float32)
    # Labels are where an unbiased network would put them: the shift to be found is -0.7 on both sides.
    median = float(np.median(signal))
    bright = signal / (signal + median) > 0.6
    labels = np.where(bright, np.where(np.arange(64)[None, :, None] < 31.5, 3, 4), 0).astype(np.uint8)
    network = Biased().eval()
    shift = match_volumes(network, [(signal, None, labels)], torch.device("cpu"))
    np.testing.assert_allclose(shift[3:5], -0.7, atol=0.08)
    assert shift[3] == shift[4]
    assert not shift[5:].any()
    np.testing.assert_allclose(network.bias.detach()[3:5], 0.7 + shift[3:5], atol=1e-6)


class Slope(torch.nn.Module):
    """Muscle in the middle, up to a border that the bias moves; its mirror image is itself."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(18))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = torch.full((x.shape[0], 18, *x.shape[2:]), -20.0)
        logits[:, 0] = 0.0
        logits[:, 3] = logits[:, 4] = 1.0 - 2.0 * x[:, 7].abs()
        return logits + self.bias[:, None, None]


@pytest.mark.parametrize("start", [-0.6, 0.8])
def test_fat_in_the_window_is_matched_by_moving_the_border(start: float) -> None:
    spacing, cpu = (1.4, 1.4, 9.0), torch.device("cpu")
    labels = np.zeros((120, 60, 3), dtype=np.uint8)
    labels[30:60, 15:45], labels[60:90, 15:45] = 3, 4
    water, fat = np.full(labels.shape, 100, dtype=np.float32), np.zeros(labels.shape, dtype=np.float32)
    # The outer three of thirty columns on either side are fat, and so is all beyond them: 10 % of the muscle.
    for side in (slice(0, 33), slice(87, None)):
        water[side], fat[side] = 0, 100
    network = Slope().eval()
    with torch.no_grad():
        network.bias[[3, 4]] += start
    box = window(labels > 0, spacing)
    is_fat = np.moveaxis((fat > water)[box], 2, 0)

    def intermat() -> float:
        looks = window_probabilities([network], water, fat, box, np.arange(3), spacing, cpu)
        muscle = np.concatenate([found[:, 3:5].max(axis=1) > found[:, 0] for _, found in looks])
        return float(100 * is_fat[muscle].mean())

    before = intermat()
    shift = match_fat(network, [(water, fat, labels)], spacing, cpu)
    assert shift * (before - 10) < 0
    # One column more or less on either side is 3 points.
    assert abs(before - 10) > 6
    assert intermat() == pytest.approx(10, abs=3)
    assert match_fat(network, [(water, fat, np.zeros_like(labels))], spacing, cpu) == 0.0
