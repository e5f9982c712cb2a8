"""How unlike a scan is to scans that are known to be good: a robust Mahalanobis distance of a few features.

The reference that comes with the package is made of simulated scans (`python benchmarks/quality.py --reference`) and says so:
for real scans its score is a note. `fit_reference` makes one of a cohort's own scans, whose score counts.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage, stats

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.imaging.quality.findings import Finding
from muscle_bayes.imaging.quality.view import View
from muscle_bayes.imaging.quality.volumes import area_percent, side_volumes
from muscle_bayes.imaging.water_fat_swap import outer_ring

#: A good scan's distance lies beyond the limit with this probability; small, as voxels of another size shift features a little.
FALSE_ALARM_RATE = 0.0001
#: What features that hardly differ between good scans are taken to differ by, as a standard deviation.
_LEAST_SD = 0.02
#: Fewer scans give no covariance.
LEAST_SCANS = 30


@dataclass(frozen=True)
class Reference:
    """Distribution of features of good scans, for each region of the body.

    Attributes
    ----------
    groups : dict
        "trunk", "thigh" or "other" -> names, centre, precision (inverse covariance), limit and number of scans.
    simulated : bool
        Whether the scans are simulated; its score is then a note for real scans.
    made_by : str
        The command or table that it comes from.
    """

    groups: dict[str, dict[str, Any]]
    simulated: bool
    made_by: str

    def distance(self, group: str, features: Mapping[str, float]) -> tuple[float, float, list[str]] | None:
        """Return a scan's distance, the limit, and the features that make most of it.

        Parameters
        ----------
        group : str
            Region of the body.
        features : mapping
            From `scan_features`.

        Returns
        -------
        tuple or None
            None where the reference has no such group or the scan lacks a feature.
        """
        known = self.groups.get(group)
        if known is None:
            return None
        x = np.array([features.get(name, np.nan) for name in known["names"]], dtype=float)
        if not np.isfinite(x).all():
            return None
        away = x - np.asarray(known["centre"])
        parts = away * (np.asarray(known["precision"]) @ away)
        order = np.argsort(-parts)[:2]
        return float(np.sqrt(max(parts.sum(), 0.0))), float(known["limit"]), [known["names"][i] for i in order]

    def save(self, path: str | Path) -> None:
        """Write the reference as JSON."""
        Path(path).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def read_reference(path: str | Path | None = None) -> Reference:
    """Read a reference.

    Parameters
    ----------
    path : path, optional
        JSON as `Reference.save` writes it; by default the simulated one of the package.

    Returns
    -------
    Reference

    Raises
    ------
    InvalidValueError
        Where the file is no reference.
    """
    source = files("muscle_bayes.imaging.quality").joinpath("reference.json") if path is None else Path(path)
    try:
        content = json.loads(source.read_text(encoding="utf-8"))
        return Reference(content["groups"], bool(content["simulated"]), str(content["made_by"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidValueError(
            str(source), f"cannot be read as a reference of scans ({error})", "Make one with fit_reference"
        ) from error


def fit_reference(features: pd.DataFrame, *, simulated: bool = False, made_by: str = "fit_reference") -> Reference:
    """Make a reference of the features of a cohort's scans.

    Centre and covariance are robust (two reweighting steps that leave out what lies beyond the 99.9 % point of the chi
    squared distribution), so that a few bad scans in the cohort do not hide themselves. The limit is the distance that a good
    scan exceeds once in ten thousand: each scan's distance is taken to the others, so that a small reference does not promise too
    much, and its tail is carried on from its third quartile, see `tail_limit`.

    Parameters
    ----------
    features : DataFrame
        One row a scan: columns of `Quality.features`, and `group`.
    simulated : bool
        Whether the scans are simulated.
    made_by : str
        Where the table comes from.

    Returns
    -------
    Reference

    Raises
    ------
    InvalidValueError
        Where no group has at least 30 complete scans.
    """
    groups: dict[str, dict[str, Any]] = {}
    for group, part in features.groupby("group"):
        table = part.drop(columns="group").astype(float)
        table = table.loc[:, table.notna().mean() >= 0.9].dropna()
        if len(table) < max(LEAST_SCANS, 3 * table.shape[1]):
            continue
        x = table.to_numpy()
        spread = 1.4826 * np.median(np.abs(x - np.median(x, axis=0)), axis=0) + _LEAST_SD
        kept = (np.abs(x - np.median(x, axis=0)) / spread).max(axis=1) < 5
        for _ in range(2):
            centre = x[kept].mean(axis=0)
            covariance = np.cov(x[kept], rowvar=False) + _LEAST_SD**2 * np.eye(x.shape[1])
            precision = np.linalg.inv(covariance)
            squared = np.einsum("ij,jk,ik->i", x - centre, precision, x - centre)
            fitted = kept
            # Reweighting once leaves out the far tail only; a tighter cut would shrink the covariance.
            kept = squared <= np.median(squared) * stats.chi2.ppf(0.999, x.shape[1]) / stats.chi2.median(x.shape[1])
        apart = np.where(fitted, without_itself(squared, int(fitted.sum())), squared)
        limit = tail_limit(np.sqrt(apart[kept]), FALSE_ALARM_RATE)
        groups[str(group)] = {
            "names": list(table.columns),
            "centre": centre.tolist(),
            "precision": precision.tolist(),
            "limit": limit,
            "scans": len(x),
        }
    if not groups:
        raise InvalidValueError(
            "features",
            f"no region of the body has {LEAST_SCANS} scans with all features",
            "Give more scans, one row each, with a column `group`",
        )
    return Reference(groups, simulated, made_by)


def without_itself(squared: np.ndarray, n: int) -> np.ndarray:
    """Return squared Mahalanobis distances to mean and covariance of the n - 1 other rows, from those to all n.

    Parameters
    ----------
    squared : ndarray (n,)
        With the mean and the covariance (ddof 1) of all n rows.
    n : int
        Rows, more than two beyond the number of features.

    Returns
    -------
    ndarray (n,)
        By the Sherman-Morrison formula.
    """
    rest = np.maximum(1 - n * squared / (n - 1) ** 2, 1e-9)
    return np.asarray((n - 2) * n**2 / (n - 1) ** 3 * squared / rest)


def tail_limit(distances: np.ndarray, rate: float) -> float:
    """Return what a distance exceeds with a small probability.

    Excesses over the third quartile are taken as exponential (the middle case of the generalised Pareto tail, Pickands 1975;
    Gaussian features have lighter tails). Their scale is their median over log 2, which some bad scans do not move.

    Parameters
    ----------
    distances : ndarray (n,)
        Of good scans, a few bad ones among them.
    rate : float
        Probability, below 0.25.

    Returns
    -------
    float
    """
    start, half = np.quantile(distances, [0.75, 0.875])
    return float(start + (half - start) / np.log(2) * np.log(0.25 / rate))


def body_group(view: View) -> str:
    """Return "trunk" where back muscles are labelled, "thigh" where thigh muscles are, else "other"."""
    present = set() if view.labels is None else set(np.unique(view.labels).tolist())
    names = {view.scheme[key].name for key in view.muscle_ids() if key in present}
    if "autochthonous" in names:
        return "trunk"
    return "thigh" if names & {"quadriceps", "hamstrings", "adductors"} else "other"


def scan_features(view: View) -> dict[str, float]:
    """Return what describes a scan and its labels, in scales on which good scans are about Gaussian.

    Parameters
    ----------
    view : View
        Of a pair or a single contrast, with labels or without.

    Returns
    -------
    dict of str to float
        Body cross-section (log cm2), contrast and its evenness, fat below the ring under the skin, muscles' share of the body,
        sides, fat of labelled muscle and what of it has no signal, and how ragged the labels are. Not-a-number where it cannot
        be had.
    """
    out: dict[str, float] = {}
    area = view.body.sum(axis=(0, 1)) * view.spacing[0] * view.spacing[1] / 100
    shown = area > 0
    out["body_log_cm2"] = float(np.log(np.median(area[shown]))) if shown.any() else np.nan
    inside = view.total[view.body]
    out["total_log_spread"] = (
        _log(np.subtract(*np.percentile(inside, [84, 16])) / view.median) if inside.size else np.nan
    )
    out["void_logit"] = _logit(float((inside < view.floor).mean())) if inside.size else np.nan
    if view.fraction is not None:
        ring = outer_ring(view.fraction, view.spacing)
        # Of the ring itself nothing: thin people have little fat there, and an exchange is looked for by its own check.
        out["interior_fraction"] = np.nan if ring is None else ring.interior
    muscle = view.muscle()
    if muscle is None or not muscle.any() or view.labels is None:
        return out
    for name, percent in area_percent(view).items():
        out[f"{name}_area_log"] = _log(percent)
    for name, (left, right, _) in side_volumes(view).items():
        if left + right >= 20:
            out[f"{name}_side_log"] = float(np.clip(np.log((left + 1) / (right + 1)), -5, 5))
    if view.fraction is not None:
        values = view.fraction[muscle]
        values = values[np.isfinite(values)]
        out["muscle_fraction_median"] = float(np.median(values)) if values.size else np.nan
        out["muscle_fraction_logit_high"] = _logit(float((values > 0.5).mean())) if values.size else np.nan
    # Good scans have hardly any; a tenth is added so that whether it is one in 1,000 or none makes no difference.
    out["muscle_void_log"] = _log(0.1 + float((view.total[muscle] < view.floor).mean()))
    edge = muscle & ~ndimage.binary_erosion(muscle, np.ones((3, 3, 1)))
    # Per mm: a share of voxels would rise with their size.
    out["muscle_edge_log"] = _log(float(edge.sum() / muscle.sum() / np.sqrt(view.spacing[0] * view.spacing[1])))
    return out


def find_unlike(
    features: Mapping[str, float], group: str, reference: Reference, *, counts: bool = True
) -> list[Finding]:
    """Find whether a scan is unlike the reference scans.

    Parameters
    ----------
    features : mapping
        From `scan_features`.
    group : str
        From `body_group`.
    reference : Reference
        Good scans.
    counts : bool
        Whether the score asks for review; otherwise it is a note.

    Returns
    -------
    list of Finding
        Kind `out_of_distribution`.
    """
    found = reference.distance(group, features)
    if found is None or found[0] <= found[1]:
        return []
    distance, limit, names = found
    what = "simulated scans" if reference.simulated else "the reference scans"
    return [
        Finding(
            "out_of_distribution",
            "review" if counts else "note",
            f"the scan is unlike {what} (distance {distance:.1f}, limit {limit:.1f}), most of all in "
            f"{' and '.join(name.replace('_', ' ') for name in names)}",
            distance,
            limit,
        )
    ]


def _log(value: float) -> float:
    return float(np.log(max(float(value), 1e-6)))


def _logit(share: float) -> float:
    share = min(max(share, 1e-4), 1 - 1e-4)
    return float(np.log(share / (1 - share)))
