"""Matching volumes undoes a bias of the output layer, for both sides alike."""

import numpy as np
import torch

from muscle_bayes.imaging.network.calibration import match_volumes


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
