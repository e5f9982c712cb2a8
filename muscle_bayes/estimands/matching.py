"""Participants who differ in one exposure and agree in another, for a figure of images."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.labels import label_of, unit_of

#: Tolerances where none is stated, in SDs of the cohort.
_OWN_TOLERANCE = 0.1


def select_matched(
    cohort: Any,
    across: str = "intermat_percent",
    matched: str = "lmm_cm3_per_kg_m2",
    *,
    percentiles: Sequence[float] = (25, 50, 75),
    tolerance: float | None = None,
    across_tolerance: float | None = None,
    same: Sequence[str] = ("sex",),
    among: Collection[Any] | None = None,
) -> pd.DataFrame:
    """Choose participants at percentiles of one measure who agree in another.

    Of all sets of participants who are near enough to the percentiles and to each other, the one is taken that comes
    nearest to the percentiles, to agreement and to the median of the matched measure, each distance in SDs; so the choice
    depends on the table only, not on how a picture looks.

    Parameters
    ----------
    cohort : Cohort, Fit or pandas.DataFrame
        One row a participant, raw units.
    across : str
        Column whose percentiles are shown.
    matched : str
        Column in which the participants agree.
    percentiles : sequence of float
        Of `across` over the whole cohort, 0 to 100.
    tolerance : float, optional
        The most by which two of the participants may differ in `matched`, in its unit; a tenth of its SD by default.
    across_tolerance : float, optional
        The most by which a participant may lie off their percentile; a tenth of the SD by default.
    same : sequence of str
        Columns in which all are equal, where the cohort has them.
    among : collection of participant_id, optional
        Who has images; percentiles stay those of the whole cohort.

    Returns
    -------
    pandas.DataFrame
        One row a percentile, ascending: the columns of the cohort, and `percentile`, `target`, `across_difference` (from
        the percentile's value) and `matched_difference` (from the first participant). ``.attrs`` has the tolerances, n and
        whether the cohort is simulated.

    Raises
    ------
    EstimandError
        Where columns are not there or no participants agree within the tolerances; it says how near one comes.
    """
    whole = isinstance(cohort, pd.DataFrame)
    table = cohort if whole else getattr(cohort, "table", getattr(cohort, "cohort", None))
    if table is None:
        raise EstimandError("select_matched", "the fit was loaded without its persons", "Give the cohort")
    missing = [name for name in (across, matched) if name not in table]
    if missing:
        raise EstimandError(
            f"column {missing[0]!r}",
            "the cohort has no such column",
            f"Take one of {', '.join(map(str, table.columns))}",
        )
    shares = sorted(float(p) for p in percentiles)
    if len(shares) < 2 or not all(0 <= p <= 100 for p in shares) or len(set(shares)) < len(shares):
        raise EstimandError("percentiles", f"{list(percentiles)} cannot be shown", "Take two or more between 0 and 100")
    complete = table.dropna(subset=[across, matched])
    targets = np.percentile(complete[across].to_numpy(dtype=float), shares)
    spread = {name: float(complete[name].std(ddof=1)) for name in (across, matched)}
    near = _OWN_TOLERANCE * spread[across] if across_tolerance is None else float(across_tolerance)
    close = _OWN_TOLERANCE * spread[matched] if tolerance is None else float(tolerance)
    equal = [name for name in same if name in complete]
    pool = complete if among is None else complete[complete["participant_id"].isin(list(among))]
    best: tuple[float, float, list[Any]] | None = None
    strata = [pool] if not equal else [rows for _, rows in pool.groupby(equal, sort=True, observed=True)]
    for rows in strata:
        centre = float(rows[matched].median())
        found = _nearest_set(rows, across, matched, targets, near, close, centre, spread)
        if found is not None and (best is None or found[:2] < best[:2]):
            best = found
    if best is None or best[0] > 0:
        how = (
            "none lies near enough to each percentile"
            if best is None
            else f"the nearest differ by {best[0] + close:.3g}"
        )
        raise EstimandError(
            f"participants matched on {matched!r}",
            f"{how} (tolerances {close:.3g} {unit_of(matched)} and {near:.3g} {unit_of(across)})",
            "Allow a larger tolerance=, across_tolerance=, or fewer columns in same=",
        )
    chosen = pool.loc[best[2]].copy()
    chosen["percentile"], chosen["target"] = shares, targets
    chosen["across_difference"] = chosen[across] - chosen["target"]
    chosen["matched_difference"] = chosen[matched] - chosen[matched].iloc[0]
    simulated = bool(table.attrs.get("simulated", False)) or (not whole and bool(cohort.simulated))
    if "simulated" in chosen:
        simulated = simulated or bool((chosen["simulated"].astype(float) == 1).any())
    chosen.attrs = {
        "across": across, "matched": matched, "percentiles": shares, "tolerance": close, "across_tolerance": near,
        "same": equal, "n": len(complete), "simulated": simulated,
    }  # fmt: skip
    return chosen.reset_index(drop=True)


def matching_words(selection: pd.DataFrame) -> str:
    """Return in a sentence how participants were chosen, for a caption.

    Parameters
    ----------
    selection : pandas.DataFrame
        Of `select_matched`.

    Returns
    -------
    str
        With percentiles, tolerances and n.
    """
    attrs = selection.attrs
    shares = [f"{p:g}th" for p in attrs["percentiles"]]
    named = f"{', '.join(shares[:-1])} and {shares[-1]}"
    across, matched = attrs["across"], attrs["matched"]
    equal = f" of the same {' and '.join(map(label_of, attrs['same'])).lower()}" if attrs["same"] else ""
    return (
        f"Participants{equal} at the {named} percentile of {label_of(across)} in {attrs['n']:,} (to "
        f"{attrs['across_tolerance']:.2g} {unit_of(across)}), matched on {label_of(matched)} (to {attrs['tolerance']:.2g} "
        f"{unit_of(matched)})"
    )


def _nearest_set(
    rows: pd.DataFrame,
    across: str,
    matched: str,
    targets: np.ndarray,
    near: float,
    close: float,
    centre: float,
    spread: dict[str, float],
) -> tuple[float, float, list[Any]] | None:
    """Return by how much the best set exceeds the tolerance (0 where it does not), its distance in SDs, its rows."""
    x, m = rows[across].to_numpy(dtype=float), rows[matched].to_numpy(dtype=float)
    at = [np.flatnonzero(np.abs(x - target) <= near) for target in targets]
    if any(len(candidates) == 0 for candidates in at):
        return None
    ordered = [candidates[np.argsort(m[candidates], kind="stable")] for candidates in at]
    # Each first participant with the nearest of every other percentile: a set for each, one of which is the best.
    sets = [ordered[0]]
    for others in ordered[1:]:
        after = np.clip(np.searchsorted(m[others], m[ordered[0]]), 1, max(len(others) - 1, 1))
        left, right = others[after - 1], others[np.minimum(after, len(others) - 1)]
        nearer_left = np.abs(m[left] - m[ordered[0]]) <= np.abs(m[right] - m[ordered[0]])
        sets.append(np.where(nearer_left, left, right))
    members = np.column_stack(sets)
    excess = np.maximum(np.ptp(m[members], axis=1) - close, 0)
    off = np.abs(x[members] - targets).mean(axis=1) / spread[across]
    distance = off + (np.ptp(m[members], axis=1) + np.abs(m[members].mean(axis=1) - centre)) / spread[matched]
    first = np.lexsort((distance, excess))[0]
    return float(excess[first]), float(distance[first]), list(rows.index[members[first]])
