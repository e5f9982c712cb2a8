"""A network whose answer is known without training: it thresholds its input."""

import numpy as np
import pytest
import torch


class KnownNetwork(torch.nn.Module):
    """Bright in the first signal: autochthonous, left or right by the place in x; the rest is background."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = torch.full((x.shape[0], 18, *x.shape[2:]), -20.0)
        bright = x[:, 1] > 0.714  # halfway between 100 and 400, where the median is 100
        logits[:, 0] = 0.0
        logits[:, 3] = torch.where(bright & (x[:, 7] < 0), 20.0, -20.0)
        logits[:, 4] = torch.where(bright & (x[:, 7] >= 0), 20.0, -20.0)
        return logits


@pytest.fixture
def known_network() -> torch.nn.Module:
    return KnownNetwork().eval()


@pytest.fixture
def two_blocks() -> tuple[np.ndarray, np.ndarray]:
    """An image of a body with two bright blocks, and the labels that the known network should give."""
    shape = (100, 70, 6)
    image, labels = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.uint8)
    image[10:90, 10:60] = 100.0
    image[20:40, 20:35, 1:5] = image[60:80, 20:35, 1:5] = 400.0
    labels[20:40, 20:35, 1:5], labels[60:80, 20:35, 1:5] = 3, 4
    return image, labels
