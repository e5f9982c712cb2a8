"""PSIS-LOO against ArviZ, and against refits that really leave a person out."""

import arviz_stats
import numpy as np
import pytest
import xarray as xr
from arviz_stats.base import array_stats
from scipy.stats import genpareto

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands import loo
from muscle_bayes.estimands.leave_one_out import generalised_pareto, leave_one_out
from muscle_bayes.estimands.loo import pointwise
from muscle_bayes.inference import fit as fit_model
from muscle_bayes.simulation import simulate_cohort


@pytest.fixture(scope="module")
def cohort():
    return simulate_cohort(n=400, seed=1)


@pytest.fixture(scope="module")
def bayes(cohort):
    return fit_model("cbp_main", cohort, method="laplace", seed=1)


def log_likelihood(fit, persons, y):
    eta = fit.coefficients() @ np.column_stack([np.ones(len(persons)), fit.recipe.matrix(persons)]).T
    eta = eta + fit.site_effects()[:, fit.recipe.site_index(persons)]
    return -np.logaddexp(0, np.where(y == 1, -eta, eta))


def test_arviz_gives_the_same(bayes) -> None:
    y = bayes.cohort["cbp"].to_numpy()
    tree = bayes.posterior.copy()
    likelihood = log_likelihood(bayes, bayes.cohort, y).reshape(4, -1, len(y))
    tree["log_likelihood"] = xr.DataTree(xr.Dataset({"y": (("chain", "draw", "person"), likelihood)}))
    r_eff = min(1.0, bayes.weights_ess / 4000)
    theirs = arviz_stats.loo(tree, pointwise=True, reff=r_eff)
    mine, point = loo(bayes).set_index("estimand"), pointwise(bayes)
    np.testing.assert_allclose(point["elpd"], theirs.elpd_i, atol=1e-8)
    np.testing.assert_allclose(point["khat"], theirs.pareto_k, atol=1e-7)
    assert mine.loc["elpd_loo", "estimate"] == pytest.approx(theirs.elpd, rel=1e-9)
    assert mine.loc["elpd_loo", "se"] == pytest.approx(theirs.se, rel=1e-6)
    assert mine.loc["p_loo", "estimate"] == pytest.approx(theirs.p, rel=1e-6)
    assert mine.attrs["reliable"]


def test_heavy_tails_agree_with_arviz_too() -> None:
    rng = np.random.default_rng(1)
    likelihood = -(rng.standard_t(3, (8, 2000)) ** 2) / np.arange(1, 9)[:, None]
    elpd, khat, _ = array_stats.loo(likelihood.reshape(8, 4, 500), chain_axis=1, draw_axis=2)
    mine = leave_one_out(likelihood.copy())
    np.testing.assert_allclose(mine["khat"], khat, atol=1e-7)
    np.testing.assert_allclose(mine["elpd"], elpd, atol=1e-7)
    assert mine["khat"].max() > 0.7
    flat = leave_one_out(np.full((2, 1000), -0.5))
    np.testing.assert_allclose(flat["elpd"], -0.5)
    assert np.isneginf(flat["khat"]).all()


def test_pareto_shape_is_recovered() -> None:
    excess = np.sort(genpareto.rvs(0.4, scale=2.0, size=(20, 4000), random_state=1), axis=1)
    shape, scale = generalised_pareto(excess)
    # Standard error of the shape: (1 + k) / sqrt(n) = 0.022 each, 0.005 for the mean of 20.
    assert shape.mean() == pytest.approx(0.4, abs=0.02)
    assert scale.mean() == pytest.approx(2.0, abs=0.05)


def test_leaving_a_person_out_for_real(bayes, cohort) -> None:
    point = pointwise(bayes)
    surprising = int(point["elpd"].argmin())
    rest = cohort.drop(index=cohort.index[surprising])
    again = fit_model("cbp_main", rest, method="laplace", seed=1)
    # The Z-scores' constants hardly move with one of 400; the person's own values are put in by the refit's constants.
    y = cohort["cbp"].to_numpy()[[surprising]]
    real = np.log(np.exp(log_likelihood(again, cohort.iloc[[surprising]], y)).mean())
    assert point["elpd"][surprising] == pytest.approx(real, abs=0.06)


def test_models_are_compared_on_the_same_persons_only(bayes, cohort) -> None:
    other = fit_model("cbp_unadjusted", cohort, method="laplace", seed=1, draws=1000)
    frame = loo({"main": bayes, "unadjusted": other})
    difference = frame[frame["estimand"] == "elpd_loo difference"].iloc[0]
    elpd = frame[frame["estimand"] == "elpd_loo"].set_index("model_name")["estimate"]
    worse, better = elpd.idxmin(), elpd.idxmax()
    assert difference["contrast"] == f"{worse} against {better}"
    assert difference["estimate"] == pytest.approx(elpd[worse] - elpd[better])
    i = (pointwise(bayes)["elpd"] - pointwise(other)["elpd"]).to_numpy()
    assert difference["se"] == pytest.approx(np.sqrt(len(i)) * i.std(ddof=1), rel=1e-9)
    fewer = fit_model("cbp_main", cohort.iloc[:300], method="laplace", seed=1, draws=1000)
    with pytest.raises(EstimandError, match="different persons"):
        loo({"a": bayes, "b": fewer})
    with pytest.raises(EstimandError, match="no posterior"):
        loo(fit_model("cbp_main", cohort, method="ml"))
