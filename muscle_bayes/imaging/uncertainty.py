"""Standard deviations and covariance of InterMAT and lean muscle that come from where the network drew the border.

Four things are known of a measurement without its truth: how much it changes when parts of the border move, each for itself; how
much when the network sees the scan mirrored, turned, scaled, shaded and noisier (views); how much fat was found; and how large the
muscle is. The logarithm of the SD is a sum of their logarithms, with weights that were fitted on simulated scans with known labels
(`uncertainty_calibration`); the weights belong to one network and travel in its bundle.

The SD is the root mean square error to expect of the figure as it is published: nothing is subtracted from anybody's figures, and
what a network of simulated scans draws too small or too large on average counts as error. What is shared by everybody and all
networks, such as the threshold that calls a voxel adipose, is no spread of a person: it belongs in a sensitivity analysis.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muscle_bayes.errors import InvalidValueError

Array = NDArray[np.float64]

#: Parts of the border that move for themselves: angles around the muscle, and a length along it.
SECTORS, BLOCK_MM = 8, 15.0
#: The muscle whose spread is calibrated.
MUSCLE = "autochthonous"
#: Of rows; "both" pools left and right.
SIDES = ("left", "right", "both")
#: What is known of a measurement, in the order of `Scale.powers`: change of the measure itself for a millimetre of the border's
#: parts and between the views, then InterMAT (points) and lean volume (cm3) for both measures.
SIGNS = ("border", "views", "intermat_percent", "lean_cm3")


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
class Scale:
    """How the SD of one measure follows from what is known of it: a power of each sign, multiplied.

    Attributes
    ----------
    level : float
        Logarithm of the SD where all signs are 1.
    powers : (4,) tuple of float
        Of `SIGNS`; those of border and views are not negative, so that more doubt never gives a smaller SD.
    least, most : (4,) tuple of float
        Signs beyond these count as these: the smallest of the fit, and for InterMAT the largest. A border or views that are less
        sure than any of the fit go on raising the SD, so does a larger muscle.
    factor : mapping
        Side ("left", "right", "both") -> by which the SD is multiplied in the end, so that 95 % intervals cover 95 % of scans that
        the powers were not fitted on; a network has its own habits on each side.
    """

    level: float
    powers: tuple[float, ...]
    least: tuple[float, ...] = (1e-6, 1e-6, 1e-6, 1e-6)
    most: tuple[float, ...] = (inf, inf, 100.0, inf)
    factor: Mapping[str, float] = field(default_factory=dict)

    def sd(self, signs: Array) -> Array:
        """Return SDs, (n,), of signs (n, 4), before they are multiplied by the factor of their side."""
        found: Array = np.exp(self.level + np.log(np.clip(signs, self.least, self.most)) @ np.array(self.powers))
        return found


@dataclass(frozen=True)
class Calibration:
    """How what is known of a measurement becomes a covariance; fitted for one set of weights.

    Attributes
    ----------
    intermat, lean : Scale
        Of the SD of InterMAT (points) and of lean volume (cm3).
    correlation : float
        Of their errors.
    mean_error : (2,) tuple of float
        Mean error of the fitted scans, InterMAT in points and lean volume as a share of itself: part of the SDs, and stated for
        those who want to know.
    weights_sha256 : tuple of str
        Weights that it belongs to.
    fitted_on : dict
        Number of scans, seeds, settings, what truth was, the command.
    lean_regions : tuple of str
        Regions of the measurement table for which the SD of lean volume is given, where it does not hold for all; empty for all.
    """

    intermat: Scale
    lean: Scale
    correlation: float = 0.0
    mean_error: tuple[float, ...] = (0.0, 0.0)
    weights_sha256: tuple[str, ...] = ()
    fitted_on: dict[str, Any] = field(default_factory=dict)
    lean_regions: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain data, for a bundle's metadata."""
        plain: dict[str, Any] = json.loads(json.dumps({"signs": SIGNS, **asdict(self)}))
        for name in ("intermat", "lean"):  # JSON knows no infinity
            plain[name]["most"] = [None if value == inf else value for value in plain[name]["most"]]
        return plain

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Calibration":
        """Read what `to_json` wrote.

        Raises
        ------
        InvalidValueError
            Where a number is missing, not finite or impossible, or it was fitted by an older version.
        """
        try:
            if list(content.get("signs", [])) != list(SIGNS):
                raise ValueError("another version of muscle_bayes made it")
            intermat, lean = (_scale(content[name]) for name in ("intermat", "lean"))
            correlation = float(content["correlation"])
            mean_error = tuple(float(value) for value in content["mean_error"])
            regions = tuple(str(value) for value in content.get("lean_regions", ()))
            hashes = tuple(str(value) for value in content["weights_sha256"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InvalidValueError(
                "uncertainty", f"is no calibration ({error})", "Fit it again; segment label maps that carry it again"
            ) from error
        if not abs(correlation) < 1 or len(mean_error) != 2 or not np.isfinite(mean_error).all():
            raise InvalidValueError("uncertainty", "its correlation or its mean error is impossible", "Fit it again")
        return cls(intermat, lean, correlation, mean_error, hashes, dict(content.get("fitted_on", {})), regions)


def _scale(content: Mapping[str, Any]) -> Scale:
    powers, least = (tuple(float(value) for value in content[name]) for name in ("powers", "least"))
    most = tuple(inf if value is None else float(value) for value in content["most"])
    factor = {str(side): float(value) for side, value in content["factor"].items()}
    scale = Scale(float(content["level"]), powers, least, most, factor)
    if not len(powers) == len(least) == len(most) == len(SIGNS):
        raise ValueError(f"it needs {len(SIGNS)} powers and limits")
    if not np.isfinite([scale.level, *factor.values(), *powers, *least]).all():
        raise ValueError("a number is not finite")
    ordered = all(0 < low <= high for low, high in zip(least, most, strict=True))
    if set(factor) != set(SIDES) or min(factor.values()) <= 0 or min(powers[:2]) < 0 or not ordered:
        raise ValueError("a factor, a power or a limit is missing or impossible")
    return scale


@dataclass(frozen=True, eq=False)
class RawSpread:
    """What is known of one row's spread before it is calibrated.

    Attributes
    ----------
    side : {"left", "right", "both"}
        Of the row.
    border, views : (2,) float64
        Root of the sum of squares of the changes for 1 mm of each part of the border, and root mean square of the views'
        differences: InterMAT (points) and lean volume (cm3).
    intermat_percent, lean_cm3 : float
        Of the row.
    """

    side: str
    border: Array
    views: Array
    intermat_percent: float
    lean_cm3: float

    @property
    def signs(self) -> Array:
        """Values of `SIGNS` for InterMAT and for lean volume, (2, 4)."""
        size = [self.intermat_percent, self.lean_cm3]
        return np.array([[self.border[k], self.views[k], *size] for k in range(2)])

    def covariance(self, by: Calibration) -> Array:
        """Return the covariance of InterMAT (points) and lean volume (cm3).

        Parameters
        ----------
        by : Calibration
            Of the network.

        Returns
        -------
        (2, 2) float64
        """
        parts = zip((by.intermat, by.lean), self.signs, strict=True)
        sd = np.array([scale.factor[self.side] * float(scale.sd(signs)) for scale, signs in parts])
        found: Array = np.outer(sd, sd) * np.array([[1, by.correlation], [by.correlation, 1]])
        return found


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
    side: str,
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
    side : {"left", "right", "both"}
        Of the row.
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
    for one in borders:
        defined, adipose = (
            np.stack([np.bincount(block, weight * part[:, s]) for s in range(SECTORS)], axis=1)
            for part in (one.defined, one.adipose)
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
        side=side,
        border=np.sqrt((moved**2).sum(axis=0)),
        views=np.sqrt((views**2).sum(axis=0) / max(len(views), 1)),
        intermat_percent=intermat_percent,
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
