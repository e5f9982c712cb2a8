"""The same scan seen a little otherwise: mirrored, turned, scaled, shifted, shaded and noisier, in some of its slices.

How far the measures of these views lie apart says how sure the network is of its borders. A view costs one pass of the network
over every slice at the network's own distance to the neighbours (9 mm), which is a third of the slices of a scan of 3 mm.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from muscle_bayes.imaging.adipose import FAT_THRESHOLD
from muscle_bayes.imaging.fat_fraction import FLOOR_SHARE, fat_signal_fraction, in_body_median
from muscle_bayes.imaging.labels import label_id
from muscle_bayes.imaging.network.augmentation import MIRRORED
from muscle_bayes.imaging.network.preprocessing import CONTEXT_MM
from muscle_bayes.imaging.network.samples import Array
from muscle_bayes.imaging.uncertainty import MUSCLE, ViewSums

type Labeller = Callable[[Array, Array, tuple[float, float, float], int], NDArray[np.uint8]]

SIDES = (label_id(MUSCLE, "left"), label_id(MUSCLE, "right"))
#: Slices around the muscle that the views see besides its own.
_MARGIN = 1
#: Waves over the field of view that shade an image, and their size in the logarithm of the signal.
_WAVES, _SHADING = 3, 0.06
_SEED = 20_263


@dataclass(frozen=True)
class View:
    """What is changed.

    Attributes
    ----------
    mirrored : bool
        Left and right change places.
    scale : float
        Size of the body in the plane.
    degrees : float
        Turn in the plane.
    shift : (2,) tuple of float
        In pixels.
    noise : float
        Noise that is added, as a multiple of the noise that is there.
    shading : float
        SD of a smooth field that brightens and darkens, in the logarithm of the signal.
    """

    mirrored: bool
    scale: float
    degrees: float
    shift: tuple[float, float]
    noise: float
    shading: float


#: Chosen once and for all: small enough that a reader would draw the same borders.
VIEWS = (
    View(mirrored=True, scale=1.03, degrees=1.5, shift=(0.4, -0.7), noise=0.0, shading=_SHADING),
    View(mirrored=False, scale=0.97, degrees=-1.5, shift=(-0.6, 0.3), noise=0.7, shading=_SHADING),
    View(mirrored=True, scale=1.0, degrees=-3.0, shift=(0.5, 0.5), noise=1.0, shading=2 * _SHADING),
)


def view_sums(
    label: Labeller, water: Array, fat: Array, labels: NDArray[np.uint8], spacing: tuple[float, float, float]
) -> ViewSums | None:
    """Measure the autochthonous muscles in the views of a scan.

    Parameters
    ----------
    label : callable
        (water, fat, spacing, number of the view) -> labels; one pass of the network, without mirroring. An ensemble's members
        take turns.
    water, fat : (nx, ny, nz) float32
        Dixon images in RAS order.
    labels : (nx, ny, nz) uint8
        The label map, which is view 0.
    spacing : (3,) tuple of float
        Voxel size, mm.

    Returns
    -------
    ViewSums or None
        None where there is no autochthonous muscle.

    Notes
    -----
    Adipose voxels are those of the original images in every view: only the borders differ.
    """
    used = np.flatnonzero(np.isin(labels.T, SIDES).any(axis=(1, 2)))
    if used.size == 0:
        return None
    step = max(1, round(CONTEXT_MM / spacing[2]))
    chosen = np.arange(int(used[0]), int(used[-1]) + 1, step)
    # Its neighbours are seen as well, so that the first and the last slice have theirs.
    seen = np.arange(chosen[0] - _MARGIN * step, chosen[-1] + _MARGIN * step + 1, step)
    seen = seen[(seen >= 0) & (seen < labels.shape[2])]
    kept = np.isin(seen, chosen)
    w, f = (np.ascontiguousarray(image[:, :, seen], dtype=np.float32) for image in (water, fat))
    floor = FLOOR_SHARE * in_body_median(np.maximum(water, 0) + np.maximum(fat, 0))
    fraction = fat_signal_fraction(w, f, floor)[:, :, kept]
    maps = [labels[:, :, chosen]]
    for number, view in enumerate(VIEWS):
        seen_water, seen_fat = (
            changed_image(image, view, np.random.default_rng([_SEED, number, k])) for k, image in enumerate((w, f))
        )
        found = label(seen_water, seen_fat, (spacing[0], spacing[1], step * spacing[2]), number)
        maps.append(changed_back(found, view)[:, :, kept])
    shape = (len(maps), len(SIDES), chosen.size)
    defined, adipose = np.zeros(shape), np.zeros(shape)
    for v, ids in enumerate(maps):
        for s, side in enumerate(SIDES):
            inside = (ids == side) & ~np.isnan(fraction)
            defined[v, s] = inside.sum(axis=(0, 1))
            adipose[v, s] = (inside & (fraction >= FAT_THRESHOLD)).sum(axis=(0, 1))
    return ViewSums(chosen, defined, adipose)


def changed_image(image: Array, view: View, rng: np.random.Generator) -> Array:
    """Make a view of an image.

    Parameters
    ----------
    image : (nx, ny, nz) float32
        Signals.
    view : View
        What is changed.
    rng : numpy.random.Generator
        Draws noise and shading.

    Returns
    -------
    (nx, ny, nz) float32
    """
    out = image[::-1] if view.mirrored else image
    matrix, offset = _transform(view, image.shape[:2])
    out = np.stack(
        [affine_transform(out[:, :, k], matrix, offset, order=1, mode="constant") for k in range(image.shape[2])],
        axis=2,
    )
    if view.shading:
        x, y = (np.linspace(-1, 1, n, dtype=np.float32) for n in image.shape[:2])
        field = np.zeros(image.shape[:2], dtype=np.float32)
        for _ in range(_WAVES):
            along, across = rng.normal(size=2)
            phase = rng.uniform(0, 2 * np.pi)
            field += np.sin(2.5 * (along * x[:, None] + across * y[None, :]) + phase).astype(np.float32)
        field *= np.float32(view.shading / np.sqrt(_WAVES / 2))
        out = out * np.exp(field)[:, :, None]
    if view.noise:
        out = out + np.float32(view.noise * noise_sd(image)) * rng.standard_normal(image.shape, dtype=np.float32)
    return np.maximum(out, 0).astype(np.float32)


def changed_back(labels: NDArray[np.uint8], view: View) -> NDArray[np.uint8]:
    """Bring the labels of a view back to the image.

    Parameters
    ----------
    labels : (nx, ny, nz) uint8
        Ids of the label scheme, of a view.
    view : View
        What had been changed.

    Returns
    -------
    (nx, ny, nz) uint8
        The nearest label.
    """
    matrix, offset = _transform(view, labels.shape[:2])
    back = np.linalg.inv(matrix)
    out = np.stack(
        [
            affine_transform(labels[:, :, k], back, -back @ offset, order=0, mode="constant")
            for k in range(labels.shape[2])
        ],
        axis=2,
    )
    if not view.mirrored:
        return out
    turned: NDArray[np.uint8] = MIRRORED[out[::-1]].astype(np.uint8)
    return turned


def noise_sd(image: Array) -> float:
    """Estimate the noise of an image from neighbours in x, where there is signal.

    Parameters
    ----------
    image : (nx, ny, nz) float32
        Signals.

    Returns
    -------
    float
        Median absolute difference over that of unit noise; borders and texture raise it a little.
    """
    bright = image[:-1] > 0.3 * in_body_median(image)
    steps = np.abs(np.diff(image, axis=0))[bright]
    return float(np.median(steps)) / (0.6745 * np.sqrt(2)) if steps.size else 0.0


def _transform(view: View, shape: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Place in the image for a place in the view: matrix and offset, about the middle of the plane."""
    angle = np.deg2rad(view.degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / view.scale
    middle = (np.array(shape[:2]) - 1) / 2
    return turn, middle - turn @ (middle + np.array(view.shift))
