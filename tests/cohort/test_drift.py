"""Drift: limits and shifts against SciPy and closed forms, and how often they cry wolf."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from muscle_bayes.cohort.drift import monthly_means, shifts


def scans(rng: np.random.Generator, n: int = 600, shift: float = 0.0) -> pd.DataFrame:
    """Two sites, a year; the software changes in July at site B and moves the measure by `shift`."""
    months = rng.integers(1, 13, n)
    site = rng.choice(["A", "B"], n)
    new = (site == "B") & (months >= 7)
    return pd.DataFrame(
        {
            "site": site,
            "acquisition_month": [f"2016-{month:02d}" for month in months],
            "software": np.where(new, "E11", "D13"),
            "intermat_percent": rng.normal(5.0, 2.0, n) + shift * new,
        }
    )


def test_limits_are_those_of_a_control_chart() -> None:
    frame = scans(np.random.default_rng(1))
    table = monthly_means(frame, ["intermat_percent"])
    own = frame[frame["site"] == "A"]
    months = [values["intermat_percent"].to_numpy() for _, values in own.groupby("acquisition_month")]
    # The pooled variance within groups is the residual mean square of a one-way analysis of variance.
    f = stats.f_oneway(*months)
    between = sum(len(m) * (m.mean() - own["intermat_percent"].mean()) ** 2 for m in months) / (len(months) - 1)
    within = np.sqrt(between / f.statistic)
    a = table[table["site"] == "A"]
    assert a["n"].tolist() == [len(m) for m in months]
    np.testing.assert_allclose(a["mean"], [m.mean() for m in months])
    half = 3 * within / np.sqrt(a["n"])
    np.testing.assert_allclose(a["limit_upper"], own["intermat_percent"].mean() + half)
    np.testing.assert_allclose(a["limit_lower"], own["intermat_percent"].mean() - half)


def test_shifts_are_welchs_and_stay_within_sites() -> None:
    frame = scans(np.random.default_rng(2), shift=1.5)
    table = shifts(frame, ["intermat_percent"])
    row = table[(table["grouping"] == "software") & (table["level"] == "E11")].iloc[0]
    assert row["site"] == "B"
    b = frame[frame["site"] == "B"]
    new = b["software"] == "E11"
    expected = stats.ttest_ind(b.loc[new, "intermat_percent"], b.loc[~new, "intermat_percent"], equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert (row["lower"], row["upper"]) == pytest.approx((interval.low, interval.high))
    assert row["marked"] == 1
    # Site A has one software, so nothing to compare.
    assert not ((table["grouping"] == "software") & (table["site"] == "A")).any()


def test_without_drift_the_table_is_rarely_marked() -> None:
    marked = 0
    for seed in range(1, 61):
        table = shifts(scans(np.random.default_rng(seed), 300), ["intermat_percent"])
        marked += bool(table["marked"].any())
    # At most 5 % of tables by Bonferroni: of 60, more than 9 has a probability below 0.002.
    assert marked <= 9


def test_few_scans_and_missing_facts_say_nothing() -> None:
    frame = scans(np.random.default_rng(3), 6)
    assert len(monthly_means(frame, ["intermat_percent"])) == 0
    assert len(shifts(frame.drop(columns=["site", "software"]), ["intermat_percent"])) == 0
    assert list(shifts(pd.DataFrame({"intermat_percent": [1.0]}), ["intermat_percent"])) == list(
        shifts(frame, ["intermat_percent"])
    )
