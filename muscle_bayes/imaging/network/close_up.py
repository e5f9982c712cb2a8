"""The paraspinal muscles looked at twice: in the whole slice, and in a window close around them.

InterMAT rests on where the border of the paraspinal muscles is drawn. A network that sees whole slices spends most of its
training on everything else; the same network also learns windows around these muscles, which take a quarter of the time, and
labels them a second time there. The first look says where they are, the second where they end.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from muscle_bayes.imaging.labels import label_id
from muscle_bayes.imaging.network.augmentation import SIDE_MULTIPLE
from muscle_bayes.imaging.network.preprocessing import CONTEXT_MM, PIXEL_MM, body_frame, network_input
from muscle_bayes.imaging.network.samples import Array, Sample

if TYPE_CHECKING:
    import torch

type Box = tuple[slice, slice, slice]

#: Labels that are looked at again.
PARASPINAL = (label_id("autochthonous", "left"), label_id("autochthonous", "right"))
#: A slice that shows these shows no back.
THIGH = tuple(
    label_id(name, side)
    for name in ("quadriceps", "adductors", "hamstrings", "sartorius")
    for side in ("left", "right")
)
#: Around the muscles, pixels of the network: at least this much is shown in a scan, and between these in training.
_MARGIN, _MARGINS = 12, (8, 24)
#: A slice with fewer pixels of the muscles is not worth a window.
_LEAST_PIXELS = 200
#: Larger windows than this (pixels) are cut in training.
_LARGEST = (192, 128)
_BATCH = 8


def close_up_shape(samples: list[Sample], rng: np.random.Generator) -> tuple[int, int]:
    """Return the pixels of a batch of windows, with random margins, in multiples of `SIDE_MULTIPLE`.

    Parameters
    ----------
    samples : list of Sample
        Each with paraspinal muscles.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    (int, int)
    """
    extents = np.array([np.subtract(*_limits(sample.labels)[::-1]) for sample in samples])
    need = extents.mean(axis=0) + 2 * rng.uniform(*_MARGINS, 2)
    sides = [
        int(np.clip(np.ceil(n / SIDE_MULTIPLE) * SIDE_MULTIPLE, 64, most))
        for n, most in zip(need, _LARGEST, strict=True)
    ]
    return sides[0], sides[1]


def close_up(sample: Sample, shape: tuple[int, int], rng: np.random.Generator) -> Sample:
    """Cut a sample to the surroundings of the paraspinal muscles, with room for what augmentation turns and shifts.

    Parameters
    ----------
    sample : Sample
        A whole slice.
    shape : (int, int)
        Pixels of the window that augmentation will make of it.
    rng : numpy.random.Generator
        Moves the window by up to a tenth of its size.

    Returns
    -------
    Sample
        What lies outside the slice is 0.
    """
    low, high = _limits(sample.labels)
    middle = (low + high) / 2 + rng.uniform(-0.1, 0.1, 2) * np.array(shape)
    half = np.array(shape) * 0.7 + 8
    start, stop = np.floor(middle - half).astype(int), np.ceil(middle + half).astype(int)
    limits = [(max(a, 0), min(b, n)) for a, b, n in zip(start, stop, sample.labels.shape, strict=True)]
    pad = [(int(c - a), int(b - d)) for a, b, (c, d) in zip(start, stop, limits, strict=True)]
    box = tuple(slice(c, d) for c, d in limits)

    def cut(values: Array) -> Array:
        return np.pad(values[:, *box], [(0, 0), *pad])

    return Sample(
        cut(sample.first), None if sample.second is None else cut(sample.second), np.pad(sample.labels[box], pad)
    )


def shows_paraspinal(labels: NDArray[np.uint8]) -> bool:
    """Return whether a slice (nx, ny) holds enough of the paraspinal muscles for a window."""
    return int(np.isin(labels, PARASPINAL).sum()) >= _LEAST_PIXELS


def look_closer(
    networks: "list[torch.nn.Module]",
    first: Array,
    second: Array | None,
    labels: NDArray[np.uint8],
    spacing: tuple[float, float, float],
    device: "torch.device",
    *,
    mirror: bool = True,
    precision: str = "fp32",
) -> NDArray[np.uint8]:
    """Label the paraspinal muscles again in a window around them.

    Parameters
    ----------
    networks, first, second, spacing, device, mirror, precision
        As in `prediction.predict_labels`.
    labels : (nx, ny, nz) uint8
        From the whole slices.

    Returns
    -------
    (nx, ny, nz) uint8
        Where either look says paraspinal muscle, the second decides; all else is as it was.
    """
    import torch

    from muscle_bayes.imaging.network.probabilities import most_probable

    own = np.isin(labels, PARASPINAL)
    if own.sum() < _LEAST_PIXELS or not _shows_back(own, labels):
        return labels
    box = window(own, spacing)
    shown = own[box].any(axis=(0, 1))
    found = np.zeros(own[box].shape, dtype=np.uint8)
    looks = window_probabilities(
        networks, first, second, box, np.flatnonzero(shown), spacing, device, mirror=mirror, precision=precision
    )
    for chosen, probabilities in looks:
        found[:, :, chosen] = np.moveaxis(most_probable(torch.from_numpy(probabilities)).numpy(), 0, 2)
    either = (own[box] | np.isin(found, PARASPINAL)) & shown
    out = labels.copy(order="K")
    out[box][either] = found[either]
    return out


def window_probabilities(
    networks: "list[torch.nn.Module]",
    first: Array,
    second: Array | None,
    box: Box,
    slices: NDArray[np.int64],
    spacing: tuple[float, float, float],
    device: "torch.device",
    *,
    mirror: bool = True,
    precision: str = "fp32",
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Yield the probabilities of all classes in a window, some slices at a time.

    Parameters
    ----------
    networks, first, second, spacing, device, mirror, precision
        As in `prediction.predict_labels`.
    box : tuple of slice
        The window, from `window`.
    slices : (n,) int64
        Which slices of the window.

    Yields
    ------
    chosen : (m,) int64
        Some of `slices`.
    probabilities : (m, n_classes, nx, ny) float32
        On the window's own grid.
    """
    import torch

    from muscle_bayes.imaging.network.probabilities import class_probabilities
    from muscle_bayes.imaging.network.signals import resampled, to_pixels

    stacks = [
        None if image is None else torch.from_numpy(np.moveaxis(np.array(image[box], dtype=np.float32), 2, 0))
        for image in (first, second)
    ]
    a, b = (None if stack is None else to_pixels(stack, spacing[:2]).numpy() for stack in stacks)
    assert a is not None
    # The window is a small image of its own: its median and its middle are those of what it shows.
    frame, step, last = body_frame(a, b), max(1, round(CONTEXT_MM / spacing[2])), a.shape[0] - 1
    for start in range(0, slices.size, _BATCH):
        chosen = slices[start : start + _BATCH]
        planes = [[max(k - step, 0), k, min(k + step, last)] for k in chosen]
        inputs = np.stack([network_input(a[p], None if b is None else b[p], frame) for p in planes])
        found = torch.from_numpy(class_probabilities(networks, inputs, device, mirror=mirror, precision=precision))
        for axis in range(2):
            found = resampled(found, 2 + axis, box[axis].stop - box[axis].start)
        yield chosen, found.numpy()


def _shows_back(own: NDArray[np.bool_], labels: NDArray[np.uint8]) -> bool:
    """Whether paraspinal labels outnumber the thigh's in most slices that have any; in a thigh a few are a mistake."""
    back, thigh = own.sum(axis=(0, 1)), np.isin(labels, THIGH).sum(axis=(0, 1))
    return bool((back > thigh)[back > 0].mean() > 0.5)


def _limits(labels: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lower and upper corner (2,) of the paraspinal muscles in a slice (nx, ny)."""
    places = np.nonzero(np.isin(labels, PARASPINAL))
    return np.array([p.min() for p in places]), np.array([p.max() + 1 for p in places])


def window(own: NDArray[np.bool_], spacing: tuple[float, float, float]) -> Box:
    """Return the box around the muscles with a margin; in the plane its sides suit the network, where the image allows.

    Parameters
    ----------
    own : (nx, ny, nz) bool
        The muscles; some voxels at least.
    spacing : (3,) tuple of float
        Voxel size, mm.

    Returns
    -------
    tuple of slice
    """
    sides = []
    for axis in range(3):
        used = np.flatnonzero(own.any(axis=tuple(other for other in range(3) if other != axis)))
        low, high, n = int(used[0]), int(used[-1]) + 1, own.shape[axis]
        if axis == 2:
            room = max(1, round(CONTEXT_MM / spacing[2]))
            sides.append(slice(max(low - room, 0), min(high + room, n)))
            continue
        scale = PIXEL_MM / spacing[axis]
        wanted = (high - low) / scale + 2 * _MARGIN
        wanted = np.ceil(wanted / SIDE_MULTIPLE) * SIDE_MULTIPLE * scale
        start = round((low + high - wanted) / 2)
        sides.append(slice(max(start, 0), min(start + round(wanted), n)))
    return sides[0], sides[1], sides[2]
