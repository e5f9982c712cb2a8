"""What networks say of some windows: mean probabilities of their views, and the most probable class."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from muscle_bayes.imaging.network.augmentation import MIRRORED
from muscle_bayes.imaging.network.devices import require_torch
from muscle_bayes.imaging.network.samples import Array

if TYPE_CHECKING:
    import torch


def mean_probabilities(
    networks: "list[torch.nn.Module]", windows: "torch.Tensor", *, mirror: bool, precision: str = "fp32"
) -> "torch.Tensor":
    """Return the mean probability of every class over an ensemble and both views, on the windows' device.

    Parameters
    ----------
    networks : list of torch.nn.Module
        One or more.
    windows : (batch, CHANNELS, mx, my) float32 tensor
        From `Signals.windows`, padded.
    mirror : bool
        Whether to average with the prediction of the mirrored slice.
    precision : {"fp32", "bf16"}
        Number type of the network; its output is summed in single precision.

    Returns
    -------
    (batch, N_CLASSES, mx, my) float32 tensor
    """
    torch = require_torch()
    if windows.device.type == "cuda":
        # The order in which a card's matrix units want channels; on a processor what follows would be slower.
        windows = windows.contiguous(memory_format=torch.channels_last)
    views = [windows]
    if mirror:
        flipped = windows.flip(2)
        flipped[:, 7].neg_()
        views.append(flipped)
    classes = torch.as_tensor(MIRRORED[:18].astype(np.int64), device=windows.device)
    total: Any = None
    for network in networks:
        for number, view in enumerate(views):
            with torch.autocast(windows.device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
                logits = network(view)
            found = torch.softmax(logits.float(), dim=1)
            found = found if number == 0 else found.flip(2).index_select(1, classes)
            total = found if total is None else total.add_(found)
    return total.div_(len(networks) * len(views)) if len(networks) * len(views) > 1 else total


def class_probabilities(
    networks: "list[torch.nn.Module]",
    inputs: Array,
    device: "torch.device",
    *,
    mirror: bool,
    precision: str = "fp32",
) -> NDArray[np.float32]:
    """Return the mean probability of every class for windows in main memory.

    Parameters
    ----------
    networks : list of torch.nn.Module
        One or more.
    inputs : (batch, CHANNELS, nx, ny) float32
        From `network_input`; any nx and ny.
    device : torch.device
        Where to compute.
    mirror : bool
        Whether to average with the prediction of the mirrored slice.
    precision : {"fp32", "bf16"}
        Number type of the network.

    Returns
    -------
    (batch, N_CLASSES, nx, ny) float32
    """
    torch = require_torch()
    from muscle_bayes.imaging.network.signals import padded

    nx, ny = inputs.shape[2:]
    with torch.inference_mode():
        windows = padded(torch.as_tensor(inputs).to(device))
        mean = mean_probabilities(networks, windows, mirror=mirror, precision=precision)[:, :, :nx, :ny]
        found: NDArray[np.float32] = mean.cpu().numpy()
    return found


def most_probable(probabilities: "torch.Tensor") -> "torch.Tensor":
    """Return the most probable class of every pixel, the first of equal ones.

    Parameters
    ----------
    probabilities : (batch, N_CLASSES, nx, ny) float32 tensor
        On any device.

    Returns
    -------
    (batch, nx, ny) uint8 tensor
        There.
    """
    torch = require_torch()
    if probabilities.device.type != "cpu":
        return probabilities.argmax(dim=1).to(torch.uint8)
    # Class by class, each pass over memory in order: many times faster on a processor than argmax across classes.
    best = probabilities[:, 0].clone()
    found = torch.zeros(best.shape, dtype=torch.uint8)
    for number in range(1, probabilities.shape[1]):
        here = probabilities[:, number]
        found.masked_fill_(here > best, number)
        torch.maximum(best, here, out=best)
    return found
