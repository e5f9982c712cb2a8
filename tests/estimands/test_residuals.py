"""Binned residuals of a fit whose probabilities are known."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import chi2

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands import residuals
from muscle_bayes.estimands.residuals import quantile_bins


def known_probabilities(fit) -> np.ndarray:
    effects = np.array([-0.2, 0.05, 0.3])[fit.recipe.site_index(fit.cohort)]
    return expit(fit.mean[0] + fit.recipe.matrix(fit.cohort) @ fit.mean[1:] + effects)


def test_residual_is_observed_less_expected_and_its_interval_binomial(make_fit) -> None:
    fit = make_fit(sd=0.0, n=2000)
    frame = residuals(fit, ["intermat_percent"], bins=10, draws=4000)
    p, y, x = known_probabilities(fit), fit.cohort["cbp"].to_numpy(), fit.cohort["intermat_percent"].to_numpy()
    rows = frame[frame["estimand"] == "residual"]
    assert len(rows) == 10
    assert rows["n"].between(198, 202).all()
    parts = np.split(np.argsort(x, kind="stable"), np.cumsum(rows["n"])[:-1])
    for row, part in zip(rows.to_dict("records"), parts, strict=True):
        assert row["value"] == pytest.approx(x[part].mean())
        assert row["observed"] == pytest.approx(y[part].mean())
        sd = np.sqrt((p[part] * (1 - p[part])).sum()) / len(part)
        # A count of about 200 persons: half a person is 0.0025; 4,000 replicates add 0.02 SD to a median, 0.04 to a limit.
        assert row["estimate"] == pytest.approx(y[part].mean() - p[part].mean(), abs=0.0026 + 0.1 * sd)
        assert (row["upper"] - row["lower"]) / (2 * 1.96 * sd) == pytest.approx(1, abs=0.15)
    fitness = frame[frame["estimand"] == "lack of fit"].iloc[0]
    expected = sum((y[part].sum() - p[part].sum()) ** 2 / (p[part] * (1 - p[part])).sum() for part in parts)
    assert fitness["estimate"] == pytest.approx(expected, rel=0.12)
    assert fitness["p_value"] == pytest.approx(chi2.sf(fitness["estimate"], 10), abs=0.05)


def test_a_bend_that_the_model_lacks_is_seen(make_fit) -> None:
    fit = make_fit(sd=0.01, n=2000)
    z = fit.recipe.standardise(fit.cohort)["intermat_z"].to_numpy()
    p = expit(np.log(known_probabilities(fit) / (1 - known_probabilities(fit))) + 0.5 * (z**2 - 1))
    bent = fit.cohort.assign(cbp=np.random.default_rng(1).binomial(1, p))
    frame = residuals(fit, cohort=bent)
    fitness = frame[frame["estimand"] == "lack of fit"].set_index("term")["p_value"]
    assert fitness["intermat_percent"] < 0.001
    assert fitness["age_years"] > fitness["intermat_percent"]


def test_groups_have_their_own_bins_and_small_ones_fewer(fit) -> None:
    frame = residuals(fit, ["lmm_cm3_per_kg_m2"], by="sex", bins=8)
    rows = frame[frame["estimand"] == "residual"]
    for sex in ("female", "male"):
        own = rows[rows["group"] == sex]
        assert own["n"].sum() == (fit.cohort["sex"] == sex).sum()
        assert own["value"].is_monotonic_increasing
    assert rows[rows["group"] == "all"]["n"].sum() == 2000
    # No single person's value is told.
    assert rows.groupby("group").head(1)["from"].isna().all()
    assert rows.groupby("group").tail(1)["to"].isna().all()


def test_bins_keep_ties_together_and_leave_out_the_missing() -> None:
    value = np.r_[np.zeros(50), np.arange(50), np.nan]
    parts = quantile_bins(value, np.ones(101, dtype=bool), 4)
    assert sum(map(len, parts)) == 100
    assert sum(0 in value[p] for p in parts) == 1
    assert quantile_bins(value, np.arange(101) < 10, 4) == []


def test_what_has_no_bins_is_refused(fit) -> None:
    with pytest.raises(EstimandError, match="too few values"):
        residuals(fit, ["diabetes"])
    with pytest.raises(EstimandError, match="no such column"):
        residuals(fit, ["shoe_size"])
