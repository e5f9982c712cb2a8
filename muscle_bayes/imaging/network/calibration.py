"""Shift the last layer of a trained network so that structures come out as large as they are.

A network trained with the Dice loss for a short time draws some structures too large and others too small, and fat outside a
muscle that is drawn too large counts as intermuscular fat. The biases of its output layer decide how readily each class is
chosen; here they are shifted, by sides alike, until the volumes over some scans match those of their labels. Where the network
looks at the paraspinal muscles twice, theirs are shifted last, until the InterMAT in the window is right on average.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from muscle_bayes.imaging.network.augmentation import MIRRORED
from muscle_bayes.imaging.network.close_up import PARASPINAL, window, window_probabilities
from muscle_bayes.imaging.network.devices import require_torch
from muscle_bayes.imaging.network.preprocessing import body_frame, network_input
from muscle_bayes.imaging.network.probabilities import class_probabilities
from muscle_bayes.imaging.network.samples import Array

if TYPE_CHECKING:
    import torch

#: Shifts beyond this would say that the network does not know the structure.
LIMIT = 1.5
_ROUNDS, _STEP = 15, 0.5
_HALVINGS = 14


def match_volumes(
    network: "torch.nn.Module",
    scans: Sequence[tuple[Array, Array | None, NDArray[np.uint8]]],
    device: "torch.device",
    step: int = 1,
) -> NDArray[np.float64]:
    """Shift the output biases of a network in place.

    Parameters
    ----------
    network : torch.nn.Module
        Trained; its last parameter is the bias of the output layer.
    scans : sequence of (first, second, labels)
        (nz, nx, ny) each, on the network's pixels; of nothing that the network is judged on.
    device : torch.device
        Where to compute.
    step : int
        Slices to the neighbours.

    Returns
    -------
    (n_classes,) float64
        What was added to each bias.
    """
    torch = require_torch()
    scores, truth = [], []
    for first, second, labels in scans:
        frame, last = body_frame(first, second), first.shape[0] - 1
        for k in range(last + 1):
            planes = [max(k - step, 0), k, min(k + step, last)]
            inputs = network_input(first[planes], None if second is None else second[planes], frame)
            found = class_probabilities([network], inputs[None], device, mirror=False)[0]
            scores.append(np.log(np.maximum(found, 1e-6)).astype(np.float16).reshape(found.shape[0], -1))
            truth.append(labels[k].ravel())
    wanted = _counts(truth, scores[0].shape[0])
    shift = np.zeros(wanted.size)
    for _ in range(_ROUNDS):
        chosen = [(score + shift.astype(np.float32)[:, None]).argmax(axis=0) for score in scores]
        found_counts = _counts(chosen, wanted.size)
        move = np.where(wanted > 0, np.log((wanted + 50.0) / (found_counts + 50.0)), 0.0)
        shift += _STEP * (move + move[MIRRORED[: wanted.size]]) / 2
        # Only differences count: background stays, and classes that no scan holds stay.
        shift = np.where(wanted > 0, np.clip(shift - shift[0], -LIMIT, LIMIT), 0.0)
    bias = list(network.parameters())[-1]
    with torch.no_grad():
        bias.add_(torch.as_tensor(shift, dtype=bias.dtype, device=bias.device))
    return shift


def match_fat(
    network: "torch.nn.Module",
    scans: Sequence[tuple[Array, Array, NDArray[np.uint8]]],
    spacing: tuple[float, float, float],
    device: "torch.device",
) -> float:
    """Shift the paraspinal muscles' output biases in place until the InterMAT in their windows is right on average.

    Parameters
    ----------
    network : torch.nn.Module
        Trained on windows as well; its last parameter is the bias of the output layer.
    scans : sequence of (water, fat, labels)
        (nx, ny, nz) each; of nothing that the network is judged on. Those without paraspinal muscles do not count.
    spacing : (3,) tuple of float
        Their voxel size, mm.
    device : torch.device
        Where to compute.

    Returns
    -------
    float
        What was added to the biases of both sides.
    """
    torch = require_torch()
    margins, adipose, wanted = [], [], []
    for water, fat, labels in scans:
        own = np.isin(labels, PARASPINAL)
        if not own.any():
            continue
        box = window(own, spacing)
        is_fat = 2.0 * fat[box] >= water[box] + fat[box]
        slices = np.flatnonzero(own[box].any(axis=(0, 1)))
        looks = window_probabilities([network], water, fat, box, slices, spacing, device)
        muscle = list(PARASPINAL)
        lead = np.concatenate(
            [
                np.log(np.maximum(found[:, muscle].max(axis=1), 1e-6))
                - np.log(np.maximum(np.delete(found, muscle, axis=1).max(axis=1), 1e-6))
                for _, found in looks
            ]
        )
        margins.append(lead)
        adipose.append(np.moveaxis(is_fat[:, :, slices], 2, 0))
        wanted.append(100 * is_fat[own[box]].mean())
    if not margins:
        return 0.0

    def error(shift: float) -> float:
        found = [100 * fat[lead + shift > 0].mean() for lead, fat in zip(margins, adipose, strict=True)]
        return float(np.mean(np.subtract(found, wanted)))

    low, high = -LIMIT, LIMIT
    # A larger shift draws the border further out, where there is more fat.
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if error(middle) > 0 else (middle, high)
    shift = (low + high) / 2
    bias = list(network.parameters())[-1]
    with torch.no_grad():
        bias[list(PARASPINAL)] += shift
    return shift


def _counts(arrays: list[NDArray[np.uint8]] | list[NDArray[np.int64]], classes: int) -> NDArray[np.float64]:
    return np.sum([np.bincount(array, minlength=classes) for array in arrays], axis=0).astype(float)
