"""Random changes of a sample: where things lie, how finely they are seen, shading, noise, swaps and cut edges."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates, zoom

from muscle_bayes.imaging.labels import SCHEME
from muscle_bayes.imaging.network.samples import Array, Sample

#: Ids of left and right change places in a mirrored image.
MIRRORED = np.arange(256, dtype=np.uint8)
for _number, _structure in SCHEME.items():
    if _structure.side != "both":
        MIRRORED[_number] = _number + (1 if _structure.side == "left" else -1)

#: Sides of the images that a network is trained on are multiples of this.
SIDE_MULTIPLE = 32


def augment(
    sample: Sample, shape: tuple[int, int], rng: np.random.Generator, strength: float = 1.0, zoom_by: float = 1.0
) -> Sample:
    """Change a sample at random.

    Parameters
    ----------
    sample : Sample
        Slices on the pixels of the network.
    shape : (int, int)
        Pixels of the result; what lies outside is cut off, what is missing is 0.
    rng : numpy.random.Generator
        Source of everything random.
    strength : float
        1 for phantoms; less where images are real already.
    zoom_by : float
        Size of everything in the result: below 1 a whole body takes fewer pixels.

    Returns
    -------
    Sample
    """
    coordinates = _coordinates(sample.labels.shape, shape, rng, strength, zoom_by)
    flip = rng.random() < 0.5
    labels = map_coordinates(sample.labels, coordinates, order=0, mode="constant")
    channels = [sample.first] if sample.second is None else [sample.first, sample.second]
    moved = [np.stack([_moved(plane, coordinates) for plane in channel]) for channel in channels]
    if flip:
        labels, moved = MIRRORED[labels[::-1]], [channel[:, ::-1] for channel in moved]
    first, second = moved[0], moved[1] if len(moved) > 1 else None
    cut = _cut(shape, rng) if rng.random() < 0.15 * strength else None
    air = _is_air(first, second)
    scale = _median(first, second)
    if rng.random() < 0.3 * strength:
        _add_objects(first, second, air, scale, rng)
    first, second = _blurred(first, second, rng, strength)
    first, second = _shaded(first, second, rng, strength)
    first, second = _noisy(first, second, scale, rng, strength)
    if rng.random() < 0.3:  # some scanners deliver air as exactly 0
        first = np.where(air, np.float32(0), first)
        second = None if second is None else np.where(air, np.float32(0), second)
    if second is not None:
        first, second = _swapped(first, second, rng)
    elif rng.random() < 0.5:
        peak = max(float(first.max()), 1e-6)
        first = peak * np.power(np.clip(first / peak, 0, 1), np.float32(np.exp(rng.normal(0, 0.2))))
    if cut is not None:
        first[:, ~cut], labels = 0, np.where(cut, labels, np.uint8(0))
        if second is not None:
            second[:, ~cut] = 0
    return Sample(
        np.ascontiguousarray(first, dtype=np.float32),
        None if second is None else np.ascontiguousarray(second, dtype=np.float32),
        np.ascontiguousarray(labels),
    )


def shape_for(extents: NDArray[np.float64], rng: np.random.Generator, largest: tuple[int, int]) -> tuple[int, int]:
    """Return the pixels of a batch: what holds its bodies, sometimes less, in multiples of `SIDE_MULTIPLE`.

    Parameters
    ----------
    extents : (batch, 2) float64
        Pixels of each slice.
    rng : numpy.random.Generator
        Source of randomness.
    largest : (int, int)
        Upper limits, which bound memory.

    Returns
    -------
    (int, int)
    """
    share = float(rng.choice([1.0, 1.0, 0.85]))
    need = np.quantile(extents, 0.7, axis=0) * share
    sides = [
        int(np.clip(np.ceil(n / SIDE_MULTIPLE) * SIDE_MULTIPLE, 64, top)) for n, top in zip(need, largest, strict=True)
    ]
    return sides[0], sides[1]


def _moved(plane: Array, coordinates: NDArray[np.float32]) -> Array:
    return map_coordinates(plane, coordinates, order=1, mode="constant")


def _coordinates(
    source: tuple[int, ...], shape: tuple[int, int], rng: np.random.Generator, strength: float, zoom_by: float
) -> NDArray[np.float32]:
    """Where each pixel of the result comes from: rotation, zoom, shear, shift and an elastic field, (2, nx, ny)."""
    angle = np.deg2rad(rng.normal(0, 6.0 * strength))
    size = zoom_by * np.exp(rng.normal(0, 0.10 * strength)) * np.exp(rng.normal(0, 0.07 * strength, 2))
    shear = rng.normal(0, 0.05 * strength)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.array([[1.0, shear], [0.0, 1.0]]) @ np.diag(1.0 / size)
    grid = np.stack(np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij"))
    shift = rng.normal(0, 6.0 * strength, 2)
    centre = (np.array(source) - 1) / 2 + shift
    coordinates = np.tensordot(matrix, grid, axes=1) + centre[:, None, None]
    if rng.random() < 0.8:
        knots = int(rng.integers(4, 9))
        sd = float(rng.uniform(0.5, 22.0 / knots)) * strength
        coordinates += np.stack([_smooth_field(shape, knots, rng) * sd for _ in range(2)])
    return coordinates.astype(np.float32)


def _smooth_field(shape: tuple[int, int], knots: int, rng: np.random.Generator) -> Array:
    """Return a smooth field of unit scale from a grid of random knots, (nx, ny)."""
    coarse = rng.standard_normal((knots, max(3, round(knots * shape[1] / shape[0])))).astype(np.float32)
    field = zoom(
        coarse, (shape[0] / coarse.shape[0], shape[1] / coarse.shape[1]), order=3, mode="nearest", grid_mode=True
    )
    return field[: shape[0], : shape[1]]


def _is_air(first: Array, second: Array | None) -> NDArray[np.bool_]:
    total = first if second is None else first + second
    return gaussian_filter(total[1], 2.0) < 0.02 * max(float(total[1].max()), 1e-6)


def _median(first: Array, second: Array | None) -> float:
    total = first[1] if second is None else first[1] + second[1]
    inside = total[total > 0.05 * max(float(total.max()), 1e-6)]
    return float(np.median(inside)) if inside.size else 1.0


def _add_objects(
    first: Array, second: Array | None, air: NDArray[np.bool_], scale: float, rng: np.random.Generator
) -> None:
    """Put arms, pads or phantoms into the air beside the body; they are background."""
    nx, ny = air.shape
    x, y = np.arange(nx)[:, None], np.arange(ny)[None, :]
    for _ in range(int(rng.integers(1, 3))):
        cx, cy = rng.choice([rng.uniform(0, 0.12), rng.uniform(0.88, 1.0)]) * nx, rng.uniform(0.1, 0.9) * ny
        radius = np.hypot((x - cx) / rng.uniform(8, 30), (y - cy) / rng.uniform(8, 30))
        for limit in (1.0, rng.uniform(0.4, 0.9)):  # a rim and a core
            inside = air & (radius < limit)
            first[:, inside] = scale * rng.uniform(0.1, 1.2)
            if second is not None:
                second[:, inside] = scale * rng.uniform(0.0, 1.2)


def _blurred(
    first: Array, second: Array | None, rng: np.random.Generator, strength: float
) -> tuple[Array, Array | None]:
    """See the slice with coarser pixels, or through an interpolation."""
    draw = rng.random()
    if draw < 0.30 * strength:  # coarser pixels, brought back by interpolation, as a 3 mm image is
        factor = float(rng.uniform(1.3, 2.6))
        return _each(first, second, lambda plane: _coarsened(plane, factor))
    if draw < 0.5:
        width = float(rng.uniform(0.2, 0.9))
        return _each(first, second, lambda plane: gaussian_filter(plane, width))
    return first, second


def _coarsened(plane: Array, factor: float) -> Array:
    smooth = gaussian_filter(plane, 0.4 * factor)
    small = zoom(smooth, 1 / factor, order=1, grid_mode=True, mode="nearest")
    large = zoom(
        small,
        (plane.shape[0] / small.shape[0], plane.shape[1] / small.shape[1]),
        order=1,
        grid_mode=True,
        mode="nearest",
    )
    return large[: plane.shape[0], : plane.shape[1]]


def _each(first: Array, second: Array | None, change) -> tuple[Array, Array | None]:  # type: ignore[no-untyped-def]
    return np.stack([change(p) for p in first]), None if second is None else np.stack([change(p) for p in second])


def _shaded(
    first: Array, second: Array | None, rng: np.random.Generator, strength: float
) -> tuple[Array, Array | None]:
    """Multiply by a smooth field of the coils: the same for water and fat, stronger at the surface."""
    shape = (first.shape[1], first.shape[2])
    log_field = _smooth_field(shape, int(rng.integers(3, 6)), rng) * np.float32(rng.uniform(0.0, 0.35) * strength)
    if rng.random() < 0.6:
        x = np.linspace(-1, 1, shape[0])[:, None]
        y = np.linspace(-1, 1, shape[1])[None, :] - rng.choice([0.0, rng.uniform(-0.6, 0.6)])
        log_field = log_field + np.float32(rng.uniform(0, 0.9) * strength) * (np.minimum(np.hypot(x, y), 1.5) - 0.7)
    field = np.exp(log_field).astype(np.float32)
    return first * field, None if second is None else second * field


def _noisy(
    first: Array, second: Array | None, scale: float, rng: np.random.Generator, strength: float
) -> tuple[Array, Array | None]:
    """Add complex noise, so that magnitudes are Rician."""
    sd = scale * float(np.exp(rng.uniform(np.log(0.008), np.log(0.12)))) * strength

    def noisy(plane: Array) -> Array:
        real = plane + np.float32(sd) * rng.standard_normal(plane.shape, dtype=np.float32)
        return np.hypot(real, np.float32(sd) * rng.standard_normal(plane.shape, dtype=np.float32))

    return _each(first, second, noisy)


def _swapped(first: Array, second: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Exchange water and fat of the whole slice, or of a part with a straight border."""
    draw = rng.random()
    if draw < 0.05:
        return second, first
    if draw < 0.10:
        nx, ny = first.shape[1:]
        angle = rng.uniform(0, 2 * np.pi)
        across = np.cos(angle) * (np.arange(nx)[:, None] - nx / 2) + np.sin(angle) * (np.arange(ny)[None, :] - ny / 2)
        part = across > rng.uniform(-0.2, 0.2) * nx
        return np.where(part, second, first), np.where(part, first, second)
    return first, second


def _cut(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return what is left of the field of view where one edge is missing."""
    kept = np.ones(shape, dtype=bool)
    axis, share = int(rng.integers(2)), float(rng.uniform(0.03, 0.22))
    width = int(share * shape[axis])
    edge = slice(0, width) if rng.random() < 0.5 else slice(shape[axis] - width, None)
    kept[(edge, slice(None)) if axis == 0 else (slice(None), edge)] = False
    return kept
