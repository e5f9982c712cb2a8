"""From the images of a scan to a label map, slice by slice, on the images' own grid."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, label

from muscle_bayes.imaging.labels import SCHEME
from muscle_bayes.imaging.network.augmentation import MIRRORED, SIDE_MULTIPLE
from muscle_bayes.imaging.network.devices import require_torch
from muscle_bayes.imaging.network.preprocessing import CONTEXT_MM, PIXEL_MM, BodyFrame, body_frame, network_input
from muscle_bayes.imaging.network.samples import Array

if TYPE_CHECKING:
    import torch

#: Pixels closer to the network's than this are taken as they are: resampling would blur more than it mends.
_SAME_PIXEL = 0.06
#: Margin around the body that is predicted, as a share of its half extent.
_MARGIN = 1.12
#: Islands of a structure below this share of it are dropped.
_ISLAND_SHARE = 0.05


def predict_labels(
    networks: "list[torch.nn.Module]",
    first: Array,
    second: Array | None,
    spacing: tuple[float, float, float],
    device: "torch.device",
    *,
    mirror: bool = True,
    batch: int = 4,
) -> NDArray[np.uint8]:
    """Label a scan.

    Parameters
    ----------
    networks : list of torch.nn.Module
        One network, or an ensemble whose probabilities are averaged; on `device`, in evaluation mode.
    first, second : (nx, ny, nz) float32
        Water and fat, or a single contrast and None; axes run to the right, front and head.
    spacing : (3,) tuple of float
        Voxel size, mm.
    device : torch.device
        Where to compute.
    mirror : bool
        Whether the mirrored image is predicted as well, and both are averaged.
    batch : int
        Slices at a time.

    Returns
    -------
    (nx, ny, nz) uint8
        Ids of `muscle_bayes.imaging.labels.SCHEME`.
    """
    stacks = [np.moveaxis(image, 2, 0) for image in (first, second) if image is not None]
    resized = [to_pixels(stack, spacing[:2]) for stack in stacks]
    a, b = resized[0], resized[1] if second is not None else None
    frame = body_frame(a, b)
    box, inner = _box(frame, a.shape[1:])
    a, b = a[:, *box], None if b is None else b[:, *box]
    offset = np.array([s.start for s in box], dtype=float)
    frame = BodyFrame(frame.signal, frame.centre - offset, frame.half)
    step = max(1, round(CONTEXT_MM / spacing[2]))
    last = a.shape[0] - 1
    labels = np.zeros(stacks[0].shape, dtype=np.uint8)
    for start in range(0, last + 1, batch):
        chosen = range(start, min(start + batch, last + 1))
        planes = [[max(k - step, 0), k, min(k + step, last)] for k in chosen]
        inputs = np.stack([network_input(a[p], None if b is None else b[p], frame) for p in planes])
        probabilities = class_probabilities(networks, inputs, device, mirror=mirror)
        for k, plane in zip(chosen, probabilities, strict=True):
            labels[k] = _to_grid(plane, box, inner, labels.shape[1:])
    return np.ascontiguousarray(np.moveaxis(without_islands(labels), 0, 2))


def class_probabilities(
    networks: "list[torch.nn.Module]", inputs: Array, device: "torch.device", *, mirror: bool
) -> NDArray[np.float32]:
    """Return the mean probability of every class.

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

    Returns
    -------
    (batch, N_CLASSES, nx, ny) float32
    """
    torch = require_torch()
    nx, ny = inputs.shape[2:]
    pad = [(0, 0), (0, 0), *((0, -n % SIDE_MULTIPLE) for n in (nx, ny))]
    padded = np.pad(inputs, pad)
    padded[:, 7:] = np.pad(inputs[:, 7:], pad, mode="edge")
    x = torch.as_tensor(padded).to(device, memory_format=torch.channels_last)
    views = [x]
    if mirror:
        flipped = x.flip(2)
        flipped[:, 7] = -flipped[:, 7]
        views.append(flipped)
    classes = torch.as_tensor(MIRRORED[:18].astype(np.int64), device=device)
    total: Any = 0
    with torch.inference_mode():
        for network in networks:
            for number, view in enumerate(views):
                # On cards half the bits are enough for the network; its output is summed in single precision.
                with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
                    logits = network(view)
                found = torch.softmax(logits.float(), dim=1)
                total = total + (found if number == 0 else found.flip(2)[:, classes])
    mean: NDArray[np.float32] = (total / (len(networks) * len(views))).cpu().numpy()
    return mean[:, :, :nx, :ny]


def without_islands(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Drop islands of the muscles on the trunk's back and of bone: parts below 5 % of their structure, in 3-D.

    Parameters
    ----------
    labels : (nz, nx, ny) uint8
        Ids of the scheme.

    Returns
    -------
    (nz, nx, ny) uint8
        Voxels of dropped islands are background.
    """
    out = labels.copy()
    for number, structure in SCHEME.items():
        if not structure.is_muscle or structure.name == "other":
            continue
        mask = labels == number
        if not mask.any():
            continue
        parts, count = label(mask)
        if count == 1:
            continue
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        small = sizes < _ISLAND_SHARE * mask.sum()
        small[0] = False
        out[small[parts]] = 0
    return out


def to_pixels(stack: Array, spacing: tuple[float, ...]) -> Array:
    """Resample slices to the network's pixels.

    Parameters
    ----------
    stack : (nz, nx, ny) float32
        Slices.
    spacing : (2,) tuple of float
        Their pixels, mm.

    Returns
    -------
    (nz, mx, my) float32
        Pixels within 6 % of the network's are kept as they are; finer ones are smoothed first.
    """
    for axis, size in ((1, spacing[0]), (2, spacing[1])):
        if abs(size / PIXEL_MM - 1) > _SAME_PIXEL:
            stack = _resampled(stack, axis, round(stack.shape[axis] * size / PIXEL_MM), smooth=True)
    return stack


def _resampled(values: Array, axis: int, n: int, *, smooth: bool = False) -> Array:
    """Linear interpolation along one axis to `n` samples over the same length."""
    old = values.shape[axis]
    if n == old:
        return values
    if smooth and n < old:
        values = gaussian_filter1d(values, 0.4 * old / n, axis=axis)
    position = np.clip((np.arange(n) + 0.5) * old / n - 0.5, 0, old - 1)
    low = np.minimum(position.astype(int), max(old - 2, 0))
    weight = (position - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(values.ndim)])
    high = np.minimum(low + 1, old - 1)
    return (np.take(values, low, axis) * (1 - weight) + np.take(values, high, axis) * weight).astype(np.float32)


def _box(frame: BodyFrame, shape: tuple[int, ...]) -> tuple[tuple[slice, slice], tuple[int, int]]:
    """Return the pixels around the body, and the shape they are cut from."""
    low = np.maximum(np.floor(frame.centre - _MARGIN * frame.half - 6), 0).astype(int)
    high = np.minimum(np.ceil(frame.centre + _MARGIN * frame.half + 6), shape).astype(int)
    return (slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))), (shape[0], shape[1])


def _to_grid(
    probabilities: Array, box: tuple[slice, slice], inner: tuple[int, int], shape: tuple[int, ...]
) -> NDArray[np.uint8]:
    """Bring one slice back to the grid of the image: interpolated probabilities, then the most probable class."""
    if inner == tuple(shape):
        out = np.zeros(shape, dtype=np.uint8)
        out[box] = probabilities.argmax(axis=0)
        return out
    whole = np.zeros((probabilities.shape[0], *inner), dtype=np.float32)
    whole[0] = 1
    whole[:, *box] = probabilities
    for axis in (1, 2):
        whole = _resampled(whole, axis, shape[axis - 1])
    return whole.argmax(axis=0).astype(np.uint8)
