"""Faults that are planted into clean phantoms, each with its stated severity.

A fault takes a clean scan (water, fat, labels) and a random generator and returns the scan as it would have been delivered.
None of them knows how the checks work. Labels stay those of the clean scan (cut, dropped or erased where the image is), as if
another tool had drawn them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from muscle_bayes.imaging import SCHEME, label_id


@dataclass(frozen=True)
class Scan:
    """One clean or spoiled scan: float32 images and labels (nx, ny, nz), voxel size in mm."""

    water: np.ndarray
    fat: np.ndarray
    labels: np.ndarray
    spacing: tuple[float, float, float]
    region: str

    @property
    def body(self) -> np.ndarray:
        """Body, holes filled, from the known signal."""
        total = ndimage.gaussian_filter(self.water + self.fat, (1, 1, 0))
        solid = total > 0.25 * np.median(total[self.labels > 0])
        return np.stack([ndimage.binary_fill_holes(solid[:, :, k]) for k in range(solid.shape[2])], axis=-1)


def _exchanged(scan: Scan, where: np.ndarray) -> Scan:
    return replace(scan, water=np.where(where, scan.fat, scan.water), fat=np.where(where, scan.water, scan.fat))


def swap_whole(scan: Scan, rng: np.random.Generator) -> Scan:
    """Exchange water and fat everywhere."""
    return _exchanged(scan, np.ones((1, 1, 1), dtype=bool))


def swap_station(scan: Scan, rng: np.random.Generator) -> Scan:
    """Exchange a block of 15 to 50 % of the slices, at an end or between two seams."""
    nz = scan.water.shape[2]
    length = round(nz * rng.uniform(0.15, 0.5))
    first = int(rng.choice([0, nz - length, int(rng.integers(2, max(nz - length - 2, 3)))]))
    where = np.zeros((1, 1, nz), dtype=bool)
    where[..., first : first + length] = True
    return _exchanged(scan, where)


def swapped_region(scan: Scan, rng: np.random.Generator) -> np.ndarray:
    """Return one side of the body, or a smoothly bounded connected part of 15 to 50 % of it that reaches the surface."""
    nx, ny, nz = scan.water.shape
    if rng.random() < 0.5:
        where = np.zeros(scan.water.shape, dtype=bool)
        cut = round(nx * rng.uniform(0.4, 0.6))
        where[: cut if rng.random() < 0.5 else 0] = True
        if not where.any():
            where[cut:] = True
        return where
    body = scan.body
    noise = ndimage.gaussian_filter(rng.standard_normal(body.shape), [34 / step for step in scan.spacing])
    x, y, z = np.meshgrid(np.linspace(-1, 1, nx), np.linspace(-1, 1, ny), np.linspace(-1, 1, nz), indexing="ij")
    angle = rng.uniform(0, 2 * np.pi)
    field = 0.25 * noise / noise.std() + x * np.cos(angle) + y * np.sin(angle) + rng.uniform(-0.5, 0.5) * z
    where = field > np.quantile(field[body], 1 - rng.uniform(0.15, 0.5))
    parts, _ = ndimage.label(where & body)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return where & (ndimage.grey_dilation(parts, (3, 3, 1)) == sizes.argmax())


def swap_partial(scan: Scan, rng: np.random.Generator) -> Scan:
    """Exchange one side of the body, or a smoothly bounded part of 15 to 50 % of it that reaches the surface."""
    return _exchanged(scan, swapped_region(scan, rng))


def zero_slices(scan: Scan, rng: np.random.Generator) -> Scan:
    """Set 1 to 4 slices inside the stack to 0 in both contrasts."""
    n, nz = int(rng.integers(1, 5)), scan.water.shape[2]
    k = int(rng.integers(2, nz - 2 - n))
    water, fat = scan.water.copy(), scan.fat.copy()
    water[:, :, k : k + n] = fat[:, :, k : k + n] = 0
    return replace(scan, water=water, fat=fat)


def zero_block(scan: Scan, rng: np.random.Generator) -> Scan:
    """Set a box to 0 in both contrasts: 25 to 50 % of the body's width and depth, 3 to 7 slices, centred in the body."""
    box = _box(scan, rng)
    water, fat = scan.water.copy(), scan.fat.copy()
    water[box] = fat[box] = 0
    return replace(scan, water=water, fat=fat)


def one_contrast_empty(scan: Scan, rng: np.random.Generator) -> Scan:
    """Set one contrast to 0: in 1 to 4 slices, or in a box like that of `zero_block`."""
    water, fat = scan.water.copy(), scan.fat.copy()
    one = water if rng.random() < 0.5 else fat
    if rng.random() < 0.5:
        n, nz = int(rng.integers(1, 5)), scan.water.shape[2]
        k = int(rng.integers(2, nz - 2 - n))
        one[:, :, k : k + n] = 0
    else:
        one[_box(scan, rng)] = 0
    return replace(scan, water=water, fat=fat)


def _box(scan: Scan, rng: np.random.Generator) -> tuple[slice, slice, slice]:
    body, nz = scan.body, scan.water.shape[2]
    n = int(rng.integers(3, 8))
    k = int(rng.integers(2, nz - n - 2))
    here = body[:, :, k]
    share = rng.uniform(0.25, 0.5)
    width, depth = (int(share * np.ptp(np.flatnonzero(here.any(axis=axis)))) for axis in (1, 0))
    places = np.argwhere(here)
    i, j = places[rng.integers(len(places))] - (width // 2, depth // 2)
    return slice(max(i, 0), i + width), slice(max(j, 0), j + depth), slice(k, k + n)


def cut_in_plane(scan: Scan, rng: np.random.Generator) -> Scan:
    """Crop one side of the image so that 4 to 15 % of the body's width or depth is outside."""
    body = scan.body
    axis, upper = int(rng.integers(2)), bool(rng.random() < 0.5)
    used = np.flatnonzero(body.any(axis=(1 - axis, 2)))
    away = max(round(rng.uniform(0.04, 0.15) * used.size), 3)
    kept = slice(0, used[-1] + 1 - away) if upper else slice(used[0] + away, None)
    box = (kept, slice(None)) if axis == 0 else (slice(None), kept)
    return replace(scan, **{name: getattr(scan, name)[box] for name in ("water", "fat", "labels")})


def cut_extent(scan: Scan, rng: np.random.Generator) -> Scan:
    """Leave 60 to 140 of the 150 mm above the gluteals (trunks only)."""
    gluteals = np.isin(scan.labels, [label_id("gluteals", "left"), label_id("gluteals", "right")])
    top = int(np.flatnonzero(gluteals.sum(axis=(0, 1)) * scan.spacing[0] * scan.spacing[1] >= 100)[-1]) + 1
    nz = top + int(rng.uniform(60, 140) / scan.spacing[2])
    return replace(scan, **{name: getattr(scan, name)[:, :, :nz] for name in ("water", "fat", "labels")})


def missing_slices(scan: Scan, rng: np.random.Generator) -> Scan:
    """Leave out 18 to 36 mm of slices in one place inside the stack."""
    n, nz = round(rng.uniform(18, 36) / scan.spacing[2]), scan.water.shape[2]
    k = int(rng.integers(4, nz - 4 - n))
    kept = np.r_[0:k, k + n : nz]
    return replace(scan, **{name: getattr(scan, name)[:, :, kept] for name in ("water", "fat", "labels")})


def repeated_slices(scan: Scan, rng: np.random.Generator) -> Scan:
    """Replace 1 to 3 slices, one after the other, by the slice below them."""
    n, nz = int(rng.integers(1, 4)), scan.water.shape[2]
    k = int(rng.integers(2, nz - 1 - n))
    order = np.arange(nz)
    order[k : k + n] = k - 1
    return replace(scan, **{name: getattr(scan, name)[:, :, order] for name in ("water", "fat", "labels")})


def metal(scan: Scan, rng: np.random.Generator) -> Scan:
    """Put metal of 14 to 30 mm void radius into bone (ribs too) or muscle of back, hip or thigh, at least 35 mm under the skin.

    Off-resonance falls off as a dipole's; along y the image is displaced by up to 12 to 24 mm with the pile-up that follows,
    water and fat change places where it is strong, and labels are erased up to 1.2 times the radius.
    """
    here = {"bone", "autochthonous", "gluteals", "quadriceps", "adductors", "hamstrings"}
    ids = [key for key, item in SCHEME.items() if item.name in here]
    deep = ndimage.distance_transform_edt(scan.body, (*scan.spacing[:2], 1e6)) >= 35
    places = np.argwhere(np.isin(scan.labels, ids) & deep)
    places = places[(places[:, 2] > 3) & (places[:, 2] < scan.water.shape[2] - 4)]
    centre, radius = places[rng.integers(len(places))], rng.uniform(14, 30)
    indices = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in scan.water.shape), indexing="ij")
    dx, dy, dz = ((i - c) * step for i, c, step in zip(indices, centre, scan.spacing, strict=True))
    distance = np.sqrt(dx**2 + dy**2 + dz**2) + 1e-3
    field = (radius / distance) ** 3 * (3 * (dz / distance) ** 2 - 1) / 2
    field = np.where(distance < 0.6 * radius, 0, field)
    shift = field * rng.uniform(12, 24) / scan.spacing[1]
    pile_up = np.clip(1 + np.gradient(shift, axis=1), 0, 4)
    signal = 1 / (1 + np.exp((radius - distance) / 1.5))
    where = [indices[0], indices[1] + shift, indices[2]]
    moved = [
        ndimage.map_coordinates(data, where, order=1, mode="nearest") * pile_up * signal
        for data in (scan.water, scan.fat)
    ]
    noise = [np.abs(data + rng.normal(0, 12, data.shape) * (distance < 1.3 * radius)) for data in moved]
    spoiled = replace(
        scan,
        water=np.clip(noise[0], 0, 4095).astype(np.float32),
        fat=np.clip(noise[1], 0, 4095).astype(np.float32),
        labels=np.where(distance < 1.2 * radius, 0, scan.labels),
    )
    return _exchanged(spoiled, np.abs(field) > 0.25)


def _pairs(scan: Scan) -> list[str]:
    """Muscles that are labelled on both sides, at least 40 cm3 together and over 50 mm of slices."""
    cm3 = float(np.prod(scan.spacing)) / 1000
    names = []
    for name in dict.fromkeys(item.name for item in SCHEME.values() if item.side != "both"):
        ids = [label_id(name, side) for side in ("left", "right")]
        both = np.isin(scan.labels, ids)
        if both.sum() * cm3 >= 40 and both.any(axis=(0, 1)).sum() * scan.spacing[2] >= 50:
            names.append(name)
    return [name for name in names if name != "sartorius"]


def volume_small(scan: Scan, rng: np.random.Generator) -> Scan:
    """Leave 2 to 8 % of a muscle's labelled cross-section on both sides, as where a network has lost it."""
    name = str(rng.choice(_pairs(scan)))
    labels, share = scan.labels.copy(), rng.uniform(0.02, 0.08)
    for side in ("left", "right"):
        number = label_id(name, side)
        for k in range(labels.shape[2]):
            places = np.argwhere(scan.labels[:, :, k] == number)
            if len(places):
                away = np.square(places - places.mean(axis=0)).sum(axis=1)
                lost = places[np.argsort(away)[max(round(share * len(places)), 1) :]]
                labels[lost[:, 0], lost[:, 1], k] = 0
    return replace(scan, labels=labels)


def volume_large(scan: Scan, rng: np.random.Generator) -> Scan:
    """Let a back, hip or thigh muscle's labels leak into all of the body within 70 to 100 mm."""
    names = [name for name in _pairs(scan) if name in ("autochthonous", "iliopsoas", "hamstrings", "adductors")]
    name = str(rng.choice(names))
    labels, reach, body = scan.labels.copy(), rng.uniform(70, 100), scan.body
    ids = [label_id(name, side) for side in ("left", "right")]
    near = [ndimage.distance_transform_edt(scan.labels != number, (*scan.spacing[:2], 1e6)) for number in ids]
    for number, mine, other in zip(ids, near, near[::-1], strict=True):
        labels[body & (mine <= reach) & (mine <= other)] = number
    return replace(scan, labels=labels)


def asymmetry(scan: Scan, rng: np.random.Generator) -> Scan:
    """Take 45 to 100 % of a muscle's labels away on one side, from one end of the stack on."""
    name, side = str(rng.choice(_pairs(scan))), str(rng.choice(["left", "right"]))
    number, labels = label_id(name, side), scan.labels.copy()
    counts = np.cumsum((labels == number).sum(axis=(0, 1)))
    last = int(np.searchsorted(counts, rng.uniform(0.45, 1.0) * counts[-1]))
    part = labels[:, :, : last + 1]
    part[part == number] = 0
    return replace(scan, labels=labels)


def sides_exchanged(scan: Scan, rng: np.random.Generator) -> Scan:
    """Give every muscle the id of the other side."""
    table = np.arange(int(scan.labels.max()) + 2)
    for key, item in SCHEME.items():
        if item.side != "both" and key < table.size:
            table[key] = label_id(item.name, "left" if item.side == "right" else "right")
    return replace(scan, labels=table[scan.labels])


def out_of_distribution(scan: Scan, rng: np.random.Generator) -> Scan:
    """Give labels of another place: the label map shifted in plane by 40 to 80 mm, or images with noise as strong as muscle."""
    if rng.random() < 0.5:
        angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(40, 80)
        shift = (round(reach * np.cos(angle) / scan.spacing[0]), round(reach * np.sin(angle) / scan.spacing[1]), 0)
        return replace(scan, labels=ndimage.shift(scan.labels, shift, order=0, mode="constant", cval=0))
    sigma = rng.uniform(0.5, 1.0) * float(np.median((scan.water + scan.fat)[scan.labels >= 3]))
    water, fat = (np.abs(data + rng.normal(0, sigma, data.shape)).astype(np.float32) for data in (scan.water, scan.fat))
    return replace(scan, water=water, fat=fat)


#: Fault -> what plants it, the kinds of finding that name it, and the regions that it exists in.
FAULTS: dict[str, tuple[Callable[[Scan, np.random.Generator], Scan], tuple[str, ...], tuple[str, ...]]] = {
    "swap_whole": (swap_whole, ("swap_whole",), ("trunk", "thigh")),
    "swap_station": (swap_station, ("swap_station",), ("trunk", "thigh")),
    "swap_partial": (swap_partial, ("swap_partial",), ("trunk", "thigh")),
    "zero_slices": (zero_slices, ("zero_slices",), ("trunk", "thigh")),
    "zero_block": (zero_block, ("zero_block",), ("trunk", "thigh")),
    "one_contrast_empty": (one_contrast_empty, ("one_contrast_empty",), ("trunk", "thigh")),
    "cut_in_plane": (cut_in_plane, ("cut_in_plane",), ("trunk", "thigh")),
    "cut_extent": (cut_extent, ("cut_extent",), ("trunk",)),
    "missing_slices": (missing_slices, ("missing_slices",), ("trunk", "thigh")),
    "repeated_slices": (repeated_slices, ("repeated_slices",), ("trunk", "thigh")),
    "metal": (metal, ("metal",), ("trunk", "thigh")),
    "volume_small": (volume_small, ("volume",), ("trunk", "thigh")),
    "volume_large": (volume_large, ("volume",), ("trunk", "thigh")),
    "asymmetry": (asymmetry, ("asymmetry",), ("trunk", "thigh")),
    "sides_exchanged": (sides_exchanged, ("sides_exchanged",), ("trunk", "thigh")),
    "out_of_distribution": (out_of_distribution, ("out_of_distribution",), ("trunk", "thigh")),
}
