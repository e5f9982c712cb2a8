"""Standard deviations and covariance of InterMAT and lean muscle that come from where the network drew the border.

Three things are known of a label map without its truth: how much InterMAT and lean volume change when the network sees the scan
mirrored, turned, scaled, shaded and noisier (views); how much they change when the whole border moves by a millimetre; and how
much when parts of it move, each for itself. Their squares are added with factors and floors that were fitted on simulated scans
with known labels (`uncertainty_calibration`); the factors belong to one set of weights and travel in its bundle.

What is shared by everybody, such as the threshold that calls a voxel adipose, is no spread of a person: it belongs in a sensitivity
analysis.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muscle_bayes.errors import InvalidValueError

Array = NDArray[np.float64]

#: Parts of the border that move for themselves: angles around the muscle, and a length along it.
SECTORS, BLOCK_MM = 8, 15.0
#: The muscle whose spread is calibrated.
MUSCLE = "autochthonous"


@dataclass(frozen=True, eq=False)
class ViewSums:
    """What the network's views of a scan measure in some of its slices; view 0 is the label map itself.

    Attributes
    ----------
    slices : (n,) int64
        Slices, counted upwards.
    defined, adipose : (1 + views, 2, n) float64
        Voxels with enough signal and adipose voxels (threshold) of the autochthonous muscle, left and right.
    """

    slices: NDArray[np.int64]
    defined: Array
    adipose: Array

    def differences(self, sides: Sequence[int], weight: Array) -> Array:
        """Return how far the views lie from the label map.

        Parameters
        ----------
        sides : sequence of int
            0 left, 1 right.
        weight : (nz,) float64
            Share of each slice in the region.

        Returns
        -------
        (views, 2) float64
            InterMAT in points, and lean volume as a share of the label map's. No rows where the slices show none of the muscle.
        """
        shares = weight[self.slices]
        defined, adipose = ((part[:, list(sides)] @ shares).sum(axis=1) for part in (self.defined, self.adipose))
        if not (defined > 0).all() or defined[0] <= adipose[0]:
            return np.empty((0, 2))
        intermat, lean = 100 * adipose / defined, defined - adipose
        return np.column_stack([intermat[1:] - intermat[0], lean[1:] / lean[0] - 1])

    def to_json(self) -> dict[str, Any]:
        """Return plain lists, for a sidecar."""
        return {
            "slices": self.slices.tolist(),
            "defined": self.defined.astype(int).tolist(),
            "adipose": self.adipose.astype(int).tolist(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "ViewSums":
        """Read what `to_json` wrote."""
        defined, adipose = (np.asarray(content[name], dtype=float) for name in ("defined", "adipose"))
        return cls(np.asarray(content["slices"], dtype=np.int64), defined, adipose)


@dataclass(frozen=True)
class Calibration:
    """How raw spreads become a covariance; fitted for one set of weights.

    Attributes
    ----------
    views : float
        Factor of the spread of the views.
    shared_mm, local_mm : float
        SD of the whole border's place, and of its parts', mm.
    intermat_floor_percent, lean_floor_share : float
        What is added to everybody: points of InterMAT, and a share of the lean volume.
    intermat_factor, lean_factor : float
        By which SDs are multiplied in the end, so that 95 % intervals cover 95 % of the scans that it was fitted on.
    weights_sha256 : tuple of str
        Weights that it belongs to.
    fitted_on : dict
        Number of scans, seeds, settings, what truth was, the command.
    """

    views: float
    shared_mm: float
    local_mm: float
    intermat_floor_percent: float
    lean_floor_share: float
    intermat_factor: float = 1.0
    lean_factor: float = 1.0
    weights_sha256: tuple[str, ...] = ()
    fitted_on: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain data, for a bundle's metadata."""
        return {**asdict(self), "weights_sha256": list(self.weights_sha256)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Calibration":
        """Read what `to_json` wrote.

        Raises
        ------
        InvalidValueError
            Where a number is missing, negative or none.
        """
        names = [name for name in cls.__dataclass_fields__ if name not in ("weights_sha256", "fitted_on")]
        try:
            numbers = {name: float(content[name]) for name in names}
            hashes = tuple(str(value) for value in content["weights_sha256"])
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidValueError("uncertainty", f"is no calibration ({error})", "Fit it again") from error
        if not all(np.isfinite(value) and value >= 0 for value in numbers.values()):
            raise InvalidValueError("uncertainty", "a factor is negative or not finite", "Fit it again")
        return cls(**numbers, weights_sha256=hashes, fitted_on=dict(content.get("fitted_on", {})))


@dataclass(frozen=True, eq=False)
class RawSpread:
    """What is known of one row's spread before it is scaled.

    Attributes
    ----------
    views : (2, 2) float64
        Mean square of the views' differences, InterMAT (points) and lean volume (cm3).
    shared : (2,) float64
        Change for a border that lies 1 mm further out.
    local : (2, 2) float64
        Sum of squares of the changes for 1 mm of each part of the border.
    lean_cm3 : float
        Lean volume of the row.
    """

    views: Array
    shared: Array
    local: Array
    lean_cm3: float

    def covariance(self, by: Calibration) -> Array:
        """Return the covariance of InterMAT (points) and lean volume (cm3).

        Parameters
        ----------
        by : Calibration
            Factors and floors.

        Returns
        -------
        (2, 2) float64
        """
        floor = np.diag([by.intermat_floor_percent**2, (by.lean_floor_share * self.lean_cm3) ** 2])
        raw = by.views**2 * self.views + by.shared_mm**2 * np.outer(self.shared, self.shared)
        raw = raw + by.local_mm**2 * self.local + floor
        scale = np.array([by.intermat_factor, by.lean_factor])
        scaled: Array = raw * np.outer(scale, scale)
        return scaled


@dataclass(frozen=True, eq=False)
class Border:
    """Volume at the border of one muscle on one side, in cm3 for a millimetre that the border moves.

    Attributes
    ----------
    defined, adipose : (nz, SECTORS) float64
        Voxels with enough signal, and adipose voxels among them.
    """

    defined: Array
    adipose: Array


def border(mask: NDArray[np.bool_], fraction: Array, spacing: tuple[float, float, float], threshold: float) -> Border:
    """Measure what lies within a voxel of a muscle's border, in the plane.

    Parameters
    ----------
    mask : (nx, ny, nz) bool
        The muscle.
    fraction : (nx, ny, nz) float
        Fat signal fraction, not-a-number where undefined.
    spacing : (3,) tuple of float
        Voxel size, mm.
    threshold : float
        Fat signal fraction from which a voxel is adipose.

    Returns
    -------
    Border
        The shell is two voxels thick; its volume is divided by that thickness.
    """
    nz = mask.shape[2]
    out = Border(np.zeros((nz, SECTORS)), np.zeros((nz, SECTORS)))
    used = [np.flatnonzero(mask.any(axis=axes)) for axes in ((1, 2), (0, 2))]
    if used[0].size == 0:
        return out
    box = tuple(slice(max(int(part[0]) - 2, 0), int(part[-1]) + 3) for part in used)
    m, f = mask[box], fraction[box]
    grown, shrunk = m.copy(), m.copy()
    for axis in (0, 1):
        low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        grown[low] |= m[high]
        grown[high] |= m[low]
        shrunk[low] &= m[high]
        shrunk[high] &= m[low]
    x, y, z = np.nonzero(grown & ~shrunk & ~np.isnan(f))
    area = m.sum(axis=(0, 1))
    middle = [
        np.einsum("ijk,i->k", m, np.arange(m.shape[0])) / np.maximum(area, 1),
        np.einsum("ijk,j->k", m, np.arange(m.shape[1])) / np.maximum(area, 1),
    ]
    angle = np.arctan2((y - middle[1][z]) * spacing[1], (x - middle[0][z]) * spacing[0])
    sector = np.minimum(((angle / np.pi + 1) / 2 * SECTORS).astype(int), SECTORS - 1)
    cell = z * SECTORS + sector
    per_mm = spacing[0] * spacing[1] * spacing[2] / (spacing[0] + spacing[1]) / 1000
    fat = f[x, y, z] >= threshold
    for sums, weight in ((out.defined, None), (out.adipose, fat.astype(float))):
        sums += per_mm * np.bincount(cell, weight, nz * SECTORS).reshape(nz, SECTORS)
    return out


def raw_spread(
    borders: Sequence[Border],
    weight: Array,
    slice_mm: float,
    defined_cm3: float,
    intermat_percent: float,
    differences: Array,
) -> RawSpread:
    """Put together what is known of one row.

    Parameters
    ----------
    borders : sequence of Border
        Of the sides that the row pools.
    weight : (nz,) float64
        Share of each slice in the region.
    slice_mm : float
        Distance between slices.
    defined_cm3, intermat_percent : float
        Of the row.
    differences : (views, 2) float64
        From `ViewSums.differences`.

    Returns
    -------
    RawSpread
    """
    lean = defined_cm3 * (1 - intermat_percent / 100)
    block = (np.arange(weight.size) * slice_mm // BLOCK_MM).astype(int)
    changes = []
    for side in borders:
        defined, adipose = (
            np.stack([np.bincount(block, weight * part[:, s]) for s in range(SECTORS)], axis=1)
            for part in (side.defined, side.adipose)
        )
        # d(100 A / D) = (100 dA - I dD) / D
        changes.append(
            np.column_stack(
                [((100 * adipose - intermat_percent * defined) / defined_cm3).ravel(), (defined - adipose).ravel()]
            )
        )
    moved = np.concatenate(changes)
    views = differences * np.array([1.0, lean])
    return RawSpread(
        views=views.T @ views / max(len(views), 1),
        shared=moved.sum(axis=0),
        local=moved.T @ moved,
        lean_cm3=lean,
    )


def label_fingerprint(labels: NDArray[Any]) -> str:
    """Return the SHA-256 of the ids of a label map in RAS order, whatever their number type.

    Parameters
    ----------
    labels : (nx, ny, nz) int
        Ids below 256.

    Returns
    -------
    str
    """
    return hashlib.sha256(np.ascontiguousarray(labels.T, dtype=np.uint8).tobytes()).hexdigest()
