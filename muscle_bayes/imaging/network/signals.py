"""A scan as tensors on the device that computes: the network's pixels, normalised signals, and a window for each slice.

The same as `preprocessing` does for one sample, for whole scans and without leaving the device. Only the modules that
compute with torch import this one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from muscle_bayes.imaging.fat_fraction import in_body_median, sampling_step
from muscle_bayes.imaging.network.augmentation import SIDE_MULTIPLE
from muscle_bayes.imaging.network.preprocessing import (
    CHANNELS,
    CONTEXT_MM,
    INSIDE,
    PIXEL_MM,
    BodyFrame,
    frame_from_profiles,
)

#: Pixels closer to the network's than this are taken as they are: resampling would blur more than it mends.
_SAME_PIXEL = 0.06
#: Margin around the body that is predicted, as a share of its half extent.
_MARGIN = 1.12
#: Slices that show less of the body than this (mm2) hold no muscle worth a prediction.
LEAST_BODY_MM2 = 400.0
#: Slices looked at together while the body is sought: few enough for a processor's cache.
_SLAB = 4

type Box = tuple[slice, slice]


@dataclass(frozen=True)
class Signals:
    """Normalised signals of a scan, cut to the body.

    Attributes
    ----------
    first, second, fraction : (nz, bx, by) float32 tensors
        Signals s / (s + median) and the fat fraction; the last two are None for a single contrast.
    place : (2, bx, by) float32 tensor
        Place in the body, in x and in y.
    box : tuple of slice
        Pixels of the body in the whole slice.
    inner : (int, int)
        Shape of the whole slice, in the network's pixels.
    shown : (nz,) bool
        Slices that show the body.
    step : int
        Slices to the neighbours that a window holds.
    """

    first: torch.Tensor
    second: torch.Tensor | None
    fraction: torch.Tensor | None
    place: torch.Tensor
    box: Box
    inner: tuple[int, int]
    shown: NDArray[np.bool_]
    step: int

    def windows(self, slices: Sequence[int], device: torch.device) -> torch.Tensor:
        """Return what the network sees of some slices.

        Parameters
        ----------
        slices : sequence of int
            Which.
        device : torch.device
            Where the windows are needed.

        Returns
        -------
        (batch, CHANNELS, mx, my) float32 tensor
            As `network_input`, padded to sides that the network can halve.
        """
        count, (nx, ny), last = len(slices), self.place.shape[1:], self.first.shape[0] - 1
        sides = [n + -n % SIDE_MULTIPLE for n in (nx, ny)]
        out = self.first.new_zeros((count, CHANNELS, *sides))
        middle = torch.as_tensor(slices, device=out.device)
        for channel, move in enumerate((-self.step, 0, self.step)):
            plane = (middle + move).clamp(0, last)
            out[:, channel, :nx, :ny] = self.first[plane]
            if self.second is not None:
                out[:, 3 + channel, :nx, :ny] = self.second[plane]
        if self.fraction is not None:
            out[:, 6, :nx, :ny] = self.fraction[middle]
        out[:, 7:] = _edge_padded(self.place, sides)
        return out.to(device, non_blocking=True)


def padded(windows: torch.Tensor) -> torch.Tensor:
    """Pad windows to sides that the network can halve: signals by zeros, the place in the body by its edge."""
    sides = [n + -n % SIDE_MULTIPLE for n in windows.shape[2:]]
    out = windows.new_zeros((*windows.shape[:2], *sides))
    out[:, :7, : windows.shape[2], : windows.shape[3]] = windows[:, :7]
    out[:, 7:] = _edge_padded(windows[:, 7:], sides)
    return out


def _edge_padded(place: torch.Tensor, sides: list[int]) -> torch.Tensor:
    nx, ny = place.shape[-2:]
    return functional.pad(place, (0, sides[1] - ny, 0, sides[0] - nx), mode="replicate")


def prepared(first: torch.Tensor, second: torch.Tensor | None, spacing: tuple[float, float, float]) -> Signals:
    """Bring a scan to the network's pixels, find the body, and normalise what lies around it.

    Parameters
    ----------
    first, second : (nz, nx, ny) float32 tensors
        Slices on the device that computes; `second` is None for a single contrast.
    spacing : (3,) tuple of float
        Voxel size, mm.

    Returns
    -------
    Signals
    """
    a = to_pixels(first, spacing[:2])
    b = None if second is None else to_pixels(second, spacing[:2])
    inner = (a.shape[1], a.shape[2])
    frame, pixels = body_of(a, b)
    box = _box(frame, inner)
    cut = (slice(None), *box)
    a = a[cut].clamp_min(0).contiguous()
    signal, faint = float(np.float32(frame.signal)), float(np.float32(0.1 * frame.signal))
    fraction = None
    if b is not None:
        b = b[cut].clamp_min(0).contiguous()
        # Towards 0 where there is no signal: noise there has no fat fraction.
        fraction = b / (a + b).add_(faint)
        b = b.div_(b + signal)
    axes = [
        np.clip((np.arange(side.start, side.stop) - middle) / half, -1.5, 1.5)
        for side, middle, half in zip(box, frame.centre, frame.half, strict=True)
    ]
    place = np.stack(np.broadcast_arrays(axes[0][:, None], axes[1][None, :])).astype(np.float32)
    size = [spacing[axis] * first.shape[1 + axis] / inner[axis] for axis in range(2)]
    return Signals(
        first=a.div_(a + signal),
        second=b,
        fraction=fraction,
        place=torch.as_tensor(place).to(a.device),
        box=box,
        inner=inner,
        shown=pixels * size[0] * size[1] >= LEAST_BODY_MM2,
        step=max(1, round(CONTEXT_MM / spacing[2])),
    )


def body_of(first: torch.Tensor, second: torch.Tensor | None) -> tuple[BodyFrame, NDArray[np.int64]]:
    """Find the body in a scan, as `body_frame` does, a few slices at a time.

    Parameters
    ----------
    first, second : (nz, nx, ny) float32 tensors
        Signals; `second` is None for a single contrast.

    Returns
    -------
    frame : BodyFrame
        Size of the signal and place of the body.
    pixels : (nz,) int64
        Pixels of the body in each slice.
    """
    nz, nx, ny = first.shape
    step = sampling_step((nz, nx, ny))
    sample = []
    for k in range(nz):
        # Every step-th voxel of the volume in Fortran order; in slice k the first of them is where k + nz r = 0 (mod step).
        start = 0 if step == 1 else (-k * pow(nz, -1, step)) % step
        sample.append(_total(first, second, slice(k, k + 1))[0].T.reshape(-1)[start::step])
    signal = in_body_median(torch.cat(sample).cpu().numpy()) or 1.0
    shade = torch.zeros((nx, ny), dtype=torch.int32, device=first.device)
    pixels = []
    for low in range(0, nz, _SLAB):
        inside = _total(first, second, slice(low, low + _SLAB)) > INSIDE * signal
        shade += inside.sum(dim=0, dtype=torch.int32)
        pixels.append(inside.sum(dim=(1, 2)))
    profiles = [shade.sum(dim=1 - axis).cpu().numpy().astype(np.int64) for axis in range(2)]
    return frame_from_profiles(signal, *profiles), torch.cat(pixels).cpu().numpy().astype(np.int64)


def _total(first: torch.Tensor, second: torch.Tensor | None, slices: slice) -> torch.Tensor:
    total = first[slices].clamp_min(0)
    return total if second is None else total + second[slices].clamp_min(0)


def to_pixels(stack: torch.Tensor, spacing: tuple[float, ...]) -> torch.Tensor:
    """Resample slices to the network's pixels.

    Parameters
    ----------
    stack : (nz, nx, ny) float32 tensor
        Slices.
    spacing : (2,) tuple of float
        Their pixels, mm.

    Returns
    -------
    (nz, mx, my) float32 tensor
        Pixels within 6 % of the network's are kept as they are; finer ones are smoothed first.
    """
    for axis, size in ((1, spacing[0]), (2, spacing[1])):
        if abs(size / PIXEL_MM - 1) > _SAME_PIXEL:
            stack = resampled(stack, axis, round(stack.shape[axis] * size / PIXEL_MM), smooth=True)
    return stack


def resampled(values: torch.Tensor, axis: int, n: int, *, smooth: bool = False) -> torch.Tensor:
    """Interpolate linearly along one axis to `n` samples over the same length.

    Parameters
    ----------
    values : float32 tensor
        Any shape.
    axis : int
        Which axis.
    n : int
        Samples wanted.
    smooth : bool
        Whether to smooth first where samples become fewer, by a Gaussian of 0.4 of the new distance.

    Returns
    -------
    float32 tensor
    """
    old = values.shape[axis]
    if n == old:
        return values
    if smooth and n < old:
        values = _smoothed(values, axis, 0.4 * old / n)
    position = np.clip((np.arange(n) + 0.5) * old / n - 0.5, 0, old - 1)
    low = np.minimum(position.astype(int), max(old - 2, 0))
    weight = torch.as_tensor((position - low).astype(np.float32)).to(values.device)
    weight = weight.reshape([-1 if a == axis else 1 for a in range(values.ndim)])
    ends = [torch.as_tensor(index).to(values.device) for index in (low, np.minimum(low + 1, old - 1))]
    return values.index_select(axis, ends[0]) * (1 - weight) + values.index_select(axis, ends[1]) * weight


def _smoothed(values: torch.Tensor, axis: int, sigma: float) -> torch.Tensor:
    """Convolve with a Gaussian cut at 4 SD; edges are mirrored, as `scipy.ndimage.gaussian_filter1d` does."""
    radius, old = int(4 * sigma + 0.5), values.shape[axis]
    reach = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (reach / sigma) ** 2)
    total = torch.zeros_like(values)
    for move, weight in zip(reach, kernel / kernel.sum(), strict=True):
        index = np.mod(np.arange(old) + move, 2 * old)
        index = torch.as_tensor(np.where(index < old, index, 2 * old - 1 - index)).to(values.device)
        total += float(weight) * values.index_select(axis, index)
    return total


def _box(frame: BodyFrame, shape: tuple[int, int]) -> Box:
    """Return the pixels around the body."""
    low = np.maximum(np.floor(frame.centre - _MARGIN * frame.half - 6), 0).astype(int)
    high = np.minimum(np.ceil(frame.centre + _MARGIN * frame.half + 6), shape).astype(int)
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))
