"""A left-out site whose difference from the others is known."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.special import expit

import muscle_bayes as mb
from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.discrimination import c_statistic

SHIFT = {"Augsburg": -0.3, "Berlin": 0.0, "Essen": 0.0, "Mannheim": 0.3, "Neubrandenburg": 1.2}
SLOPE = dict.fromkeys(SHIFT, 0.8) | {"Neubrandenburg": 0.3}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"site": np.repeat(list(SHIFT), 800), "intermat_percent": rng.normal(7, 2, 4000)})
    z = (frame["intermat_percent"] - 7) / 2
    eta = -1 + frame["site"].map(SHIFT) + frame["site"].map(SLOPE) * z
    return frame.assign(cbp=rng.binomial(1, expit(eta)), simulated=1)


@pytest.fixture(scope="module")
def result(table: pd.DataFrame) -> pd.DataFrame:
    model = mb.Model(
        formula="cbp ~ intermat_z + (1|site)", event="cbp == 1", outcome="Back pain",
        standardise={"intermat_z": {"from": "intermat_percent"}}, exposures={"intermat_z": {"adverse": "high"}},
    )  # fmt: skip
    return mb.leave_one_site_out(mb.fit(model, table, method="laplace", seed=1), replicates=100)


def of(result: pd.DataFrame, group: str, estimand: str) -> pd.Series:
    return result[(result["group"] == group) & (result["estimand"] == estimand)].iloc[0]


def test_the_left_out_site_differs_by_its_own_effect_and_slope(table: pd.DataFrame, result: pd.DataFrame) -> None:
    for site in SHIFT:
        own, rest = table[table["site"] == site], table[table["site"] != site]
        # An independent fit to the others: sites as fixed effects; a new site is at their mean.
        z = ((rest["intermat_percent"] - 7) / 2).to_numpy()
        dummies = pd.get_dummies(rest["site"]).to_numpy(dtype=float)
        params = sm.Logit(rest["cbp"], np.column_stack([dummies, z])).fit(disp=0).params.to_numpy()
        given = params[:-1].mean() + params[-1] * ((own["intermat_percent"] - 7) / 2).to_numpy()
        y = own["cbp"].to_numpy(dtype=float)
        family = sm.families.Binomial()
        large = sm.GLM(y, np.ones(800), family=family, offset=given).fit()
        free = sm.GLM(y, sm.add_constant(given), family=family).fit()
        # Integrating over the new site's effect draws probabilities towards 1/2: by up to a tenth of the slope and some
        # hundredths of the intercept at the site SDs of 0.3 to 0.8 here; priors and the mean effect's prior do the rest.
        assert of(result, site, "calibration intercept")["estimate"] == pytest.approx(large.params[0], abs=0.12), site
        assert of(result, site, "calibration slope")["estimate"] == pytest.approx(free.params[1], rel=0.15), site
        # Order within a site depends on the slope's sign only.
        assert of(result, site, "c-statistic")["estimate"] == pytest.approx(c_statistic(given, y), abs=1e-9)
    assert of(result, "Neubrandenburg", "calibration intercept")["lower"] > 0.7
    assert of(result, "Neubrandenburg", "calibration slope")["upper"] < 0.8


def test_a_site_beyond_what_the_others_foretell_is_seen(result: pd.DataFrame) -> None:
    prevalence = result[result["estimand"] == "replicated prevalence"].set_index("group")
    outside = (prevalence["observed"] < prevalence["lower"]) | (prevalence["observed"] > prevalence["upper"])
    assert outside["Neubrandenburg"]
    assert not outside[["Berlin", "Essen"]].any()


def test_everyone_is_each_person_by_the_refit_that_did_not_see_their_site(
    table: pd.DataFrame, result: pd.DataFrame
) -> None:
    everyone = result[result["group"] == "all"].drop_duplicates("estimand").set_index("estimand")["estimate"]
    sites = result[(result["group"] != "all") & (result["estimand"] == "mean forecast")]
    assert everyone["mean forecast"] == pytest.approx(np.average(sites["estimate"], weights=sites["n"]), rel=1e-12)
    assert everyone["observed prevalence"] == pytest.approx(table["cbp"].mean())
    assert result.attrs["refits"] == 5
    assert set(result["site"]) == {"new"}


def test_monte_carlo_errors_are_small_and_stated(result: pd.DataFrame) -> None:
    own = result[result["estimand"].isin(["calibration intercept", "calibration slope", "c-statistic"])]
    assert (own.loc[own["estimand"] != "c-statistic", "mcse"] > 0).all()
    assert (own["mcse"] < (own["upper"] - own["lower"]) / 3).all()


def test_a_model_without_sites_is_refused(make_fit) -> None:
    with pytest.raises(EstimandError, match="site term"):
        mb.leave_one_site_out(make_fit(site=False))
