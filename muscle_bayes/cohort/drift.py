"""Drift of measurements: control limits by site and month, and how far levels of site, scanner, software and month lie apart.

Figures of muscle should not depend on the month of the scan or the scanner's software. Means of months are held against
Shewhart's limits (mean of the site, plus and minus three standard errors from the spread within months; Montgomery,
Introduction to Statistical Quality Control). Levels are held against the other scans of the same site by Welch's interval.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from scipy import stats

#: What a measure may not depend on, in the order in which it is told.
GROUPINGS = ("site", "scanner", "scanner_id", "software", "acquisition_month")
#: A month, or a level, of fewer scans than this says nothing.
FEWEST = 5
INTERVAL = 0.95
SIGMAS = 3.0


def monthly_means(frame: pd.DataFrame, measures: Iterable[str]) -> pd.DataFrame:
    """Return the mean of each measure in each month at each site, with the site's control limits.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row a scan: `acquisition_month` (2016-05), perhaps `site`, and the measures.
    measures : iterable of str
        Columns.

    Returns
    -------
    pandas.DataFrame
        Columns measure, site, month, n, mean, centre, limit_lower, limit_upper, outside. Limits are centre +- 3 s / sqrt(n),
        s the standard deviation within months of the site; months of fewer than five scans are left out.
    """
    rows = []
    sites = _column(frame, "site")
    for measure in measures:
        known = frame.assign(site=sites)[[measure, "site", "acquisition_month"]].dropna()
        for site, scans in known.groupby("site", sort=True):
            months = scans.groupby("acquisition_month")[measure]
            n, mean = months.size(), months.mean()
            freedom = int((n - 1).sum())
            within = np.sqrt(((scans[measure] - months.transform("mean")) ** 2).sum() / freedom) if freedom else np.nan
            centre = float(scans[measure].mean())
            # A month of few scans says little of a machine, and too much of a person.
            n, mean = n[n >= FEWEST], mean[n >= FEWEST]
            half = pd.Series(SIGMAS * within / np.sqrt(n), index=n.index)
            rows.append(
                pd.DataFrame(
                    {
                        "measure": measure,
                        "site": site,
                        "month": n.index,
                        "n": n.to_numpy(),
                        "mean": mean.to_numpy(),
                        "centre": centre,
                        "limit_lower": (centre - half).to_numpy(),
                        "limit_upper": (centre + half).to_numpy(),
                        "outside": ((mean - centre).abs() > half).astype(int).to_numpy(),
                    }
                )
            )
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=_MONTHLY)


_MONTHLY = ["measure", "site", "month", "n", "mean", "centre", "limit_lower", "limit_upper", "outside"]
_SHIFTS = ["measure", "grouping", "level", "site", "n", "n_others", "mean", "mean_others"]
_SHIFTS += ["difference", "lower", "upper", "interval", "difference_sd", "marked"]


def shifts(frame: pd.DataFrame, measures: Sequence[str], groupings: Sequence[str] = GROUPINGS) -> pd.DataFrame:
    """Return how far the scans of each level lie from the others: of a site from other sites, of the rest within their site.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row a scan: measures, and whichever groupings are known.
    measures : sequence of str
        Columns.
    groupings : sequence of str
        Columns whose levels are compared, where they are there.

    Returns
    -------
    pandas.DataFrame
        Columns measure, grouping, level, site, n, n_others, mean, mean_others, difference, lower, upper, interval,
        difference_sd (in standard deviations of the two groups), marked. Intervals are Welch's, 95 % each; `marked` is 1 where
        the interval at 95 % over the whole table (Bonferroni) leaves out 0, so a table without drift is marked in one of twenty.
    """
    sites = _column(frame, "site")
    frame = frame.assign(site=sites)
    found = []
    for measure in measures:
        for grouping in groupings:
            if grouping not in frame:
                continue
            within = ["all"] if grouping == "site" else sorted(sites.unique())
            for site in within:
                scans = frame if site == "all" else frame[sites == site]
                scans = scans[[measure, grouping]].dropna()
                for level, own in scans.groupby(grouping, sort=True)[measure]:
                    others = scans.loc[scans[grouping] != level, measure]
                    if min(len(own), len(others)) < FEWEST:
                        continue
                    found.append((measure, grouping, str(level), site, own.to_numpy(), others.to_numpy()))
    rows = [_shift(*each, comparisons=len(found)) for each in found]
    return pd.DataFrame(rows, columns=_SHIFTS)


def _shift(
    measure: str, grouping: str, level: str, site: str, own: np.ndarray, others: np.ndarray, *, comparisons: int
) -> dict[str, object]:
    """Compare a level with the others by Welch's interval (Welch 1947)."""
    parts = [own.var(ddof=1) / len(own), others.var(ddof=1) / len(others)]
    variance = sum(parts)
    freedom = variance**2 / (parts[0] ** 2 / (len(own) - 1) + parts[1] ** 2 / (len(others) - 1)) if variance else 1.0
    difference, error = float(own.mean() - others.mean()), float(np.sqrt(variance))
    half = error * stats.t.ppf(1 - (1 - INTERVAL) / 2, freedom)
    wide = error * stats.t.ppf(1 - (1 - INTERVAL) / 2 / comparisons, freedom)
    spread = np.sqrt((own.var(ddof=1) + others.var(ddof=1)) / 2)
    return {
        "measure": measure,
        "grouping": grouping,
        "level": level,
        "site": site,
        "n": len(own),
        "n_others": len(others),
        "mean": float(own.mean()),
        "mean_others": float(others.mean()),
        "difference": difference,
        "lower": difference - half,
        "upper": difference + half,
        "interval": INTERVAL,
        "difference_sd": difference / spread if spread else np.nan,
        "marked": int(abs(difference) > wide),
    }


def _column(frame: pd.DataFrame, name: str) -> "pd.Series[str]":
    """Return a column as text; one level for everybody where it is not there."""
    if name not in frame:
        return pd.Series("all", index=frame.index, dtype="str")
    return frame[name].fillna("not stated").astype("str")
