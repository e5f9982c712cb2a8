"""What the network sees of a slice: normalised signals of three slices, the fat fraction, and the place in the body."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muscle_bayes.imaging.fat_fraction import in_body_median
from muscle_bayes.imaging.network.samples import Array

#: Pixels (mm) and distance to the neighbouring slices (mm) that the network works with.
PIXEL_MM, CONTEXT_MM = 1.4, 9.0
#: Channels: first signal of 3 slices, second signal of 3 slices, fat fraction of the middle slice, place in x and in y.
CHANNELS = 9
#: Pixels with more than this share of the median signal count as body when its place is looked for.
INSIDE = 0.3


@dataclass(frozen=True)
class BodyFrame:
    """Size of the signal and place of the body, for a whole scan or one sample.

    Attributes
    ----------
    signal : float
        Median of the summed signals inside the body.
    centre, half : (2,) float64
        Middle and half the extent of the body in the plane, pixels.
    """

    signal: float
    centre: NDArray[np.float64]
    half: NDArray[np.float64]


def body_frame(first: Array, second: Array | None) -> BodyFrame:
    """Find the body in some slices.

    Parameters
    ----------
    first, second : (nz, nx, ny) float32
        Signals; `second` is None for a single contrast.

    Returns
    -------
    BodyFrame
    """
    total = np.maximum(first, 0) if second is None else np.maximum(first, 0) + np.maximum(second, 0)
    signal = in_body_median(total) or 1.0
    inside = total > INSIDE * signal
    return frame_from_profiles(signal, inside.sum(axis=(0, 2)), inside.sum(axis=(0, 1)))


def frame_from_profiles(signal: float, along_x: NDArray[np.int64], along_y: NDArray[np.int64]) -> BodyFrame:
    """Place the body by its profiles.

    Parameters
    ----------
    signal : float
        Median of the summed signals inside the body.
    along_x, along_y : (nx,), (ny,) int64
        Pixels of the body in each column and in each row of the plane.

    Returns
    -------
    BodyFrame
    """
    centre, half = np.empty(2), np.empty(2)
    for axis, pixels in enumerate((along_x, along_y)):
        profile = pixels.astype(np.float64)
        share = np.cumsum(profile) / max(profile.sum(), 1.0)
        # Noise beside the body must not widen it, so the outermost hundredth is left out on either side.
        low, high = np.searchsorted(share, 0.01), np.searchsorted(share, 0.99)
        centre[axis], half[axis] = (low + high) / 2, max((high - low) / 2, 1.0)
    return BodyFrame(signal, centre, half)


def network_input(first: Array, second: Array | None, frame: BodyFrame) -> Array:
    """Build the channels of one slice.

    Parameters
    ----------
    first, second : (3, nx, ny) float32
        The slice between its neighbours; `second` is None for a single contrast.
    frame : BodyFrame
        From the scan that the slice belongs to.

    Returns
    -------
    (CHANNELS, nx, ny) float32
        Signals s become s / (s + median), which keeps bright coils within bounds.
    """
    nx, ny = first.shape[1:]
    channels = np.zeros((CHANNELS, nx, ny), dtype=np.float32)
    a = np.maximum(first, 0)
    channels[0:3] = a / (a + np.float32(frame.signal))
    if second is not None:
        b = np.maximum(second, 0)
        channels[3:6] = b / (b + np.float32(frame.signal))
        # Towards 0 where there is no signal: noise there has no fat fraction.
        channels[6] = b[1] / (a[1] + b[1] + np.float32(0.1 * frame.signal))
    channels[7] = np.clip((np.arange(nx)[:, None] - frame.centre[0]) / frame.half[0], -1.5, 1.5)
    channels[8] = np.clip((np.arange(ny)[None, :] - frame.centre[1]) / frame.half[1], -1.5, 1.5)
    return channels
