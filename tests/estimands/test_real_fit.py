"""The estimands on a real Fit, against ArviZ and statsmodels, and on one that was loaded without its persons."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

import muscle_bayes as mb
from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands import interaction, nomogram, odds_ratio_surface, odds_ratios, risks
from muscle_bayes.inference import fit as fit_model
from muscle_bayes.inference import load_fit
from muscle_bayes.simulation import simulate_cohort
from muscle_bayes.specification import load_model


@pytest.fixture(scope="module")
def cohort():
    return simulate_cohort(n=4_000, seed=1)


@pytest.fixture(scope="module")
def bayes(cohort):
    return fit_model(load_model("cbp_main"), cohort, method="laplace", seed=1)


def test_odds_ratios_are_those_of_the_posterior_that_arviz_sees(bayes) -> None:
    frame = odds_ratios(bayes).set_index("term")
    posterior = bayes.posterior["posterior"].to_dataset()
    for name in ("intermat_z", "lmm_z", "age_z"):
        draws = np.exp(2 * posterior[name].to_numpy().ravel())
        assert frame.loc[name, "estimate"] == pytest.approx(np.median(draws), rel=1e-12)
        assert frame.loc[name, "lower"] == pytest.approx(np.quantile(draws, 0.025), rel=1e-9)
    low = np.exp(posterior["activity"].sel(activity_dim="low").to_numpy().ravel())
    assert frame.loc["activity[low]", "upper"] == pytest.approx(np.quantile(low, 0.975), rel=1e-9)
    assert (frame["mcse"] > 0).all()
    assert (frame["mcse"] < 0.05 * (frame["upper"] - frame["lower"])).all()


def test_odds_ratios_lie_near_maximum_likelihood_with_fixed_sites(bayes, cohort) -> None:
    table = cohort.copy()
    for name, z in bayes.recipe.constants.items():
        table[name] = (table[z.source] - z.mean) / z.sd
    terms = "intermat_z + lmm_z + age_z + C(sex, Treatment('female')) + C(activity, Treatment('moderate'))"
    other = smf.logit(f"cbp ~ {terms} + diabetes + dyslipidemia + osteoporosis + osteoarthritis + C(site)", table).fit(
        disp=0
    )
    frame = odds_ratios(bayes).set_index("term")
    for name in ("intermat_z", "lmm_z", "age_z"):
        # Priors (OR 0.2 to 5) and shrunken sites move a slope by a small part of its standard error.
        assert np.log(frame.loc[name, "estimate"]) == pytest.approx(
            2 * other.params[name], abs=2 * 0.15 * other.bse[name]
        )
        width = np.log(frame.loc[name, "upper"] / frame.loc[name, "lower"])
        assert width == pytest.approx(2 * 1.96 * 2 * other.bse[name], rel=0.1)


def test_standardised_risk_at_own_values_is_near_the_observed_share(bayes, cohort) -> None:
    frame = risks(bayes, terms=["intermat_z"], per=1e-6)
    risk = frame.loc[frame["estimand"] == "risk", "estimate"].iloc[0]
    share = cohort["cbp"].mean()
    # A logistic model with an intercept reproduces the share; the prior moves it by far less than its standard error.
    assert risk == pytest.approx(share, abs=0.5 * np.sqrt(share * (1 - share) / len(cohort)))


def test_a_fit_loaded_without_persons_still_gives_odds_ratios_surface_and_nomogram(bayes, cohort, tmp_path) -> None:
    path = bayes.save(tmp_path / "posterior.nc")
    bare = load_fit(path)
    assert bare.cohort is None
    np.testing.assert_allclose(odds_ratios(bare)["estimate"], odds_ratios(bayes)["estimate"])
    surface = odds_ratio_surface(bare, grid=0.5)
    assert surface["supported"].any()
    person = cohort.iloc[0].to_dict()
    np.testing.assert_allclose(nomogram(bare).predict(person)["estimate"], nomogram(bayes).predict(person)["estimate"])
    with pytest.raises(EstimandError, match="without its persons"):
        risks(bare)
    with pytest.raises(EstimandError, match="without its persons"):
        interaction(bare)
    assert len(risks(load_fit(path, cohort=cohort))) == 10


def test_a_pilot_of_twelve_gets_odds_ratios_and_typed_refusals_of_the_rest(small_table) -> None:
    fit = fit_model("cbp_interaction", small_table.groupby("activity").head(4), method="laplace")
    assert any("few data" in finding.text for finding in fit.diagnostics.findings)
    assert len(odds_ratios(fit, allow_unconverged=True)) == 10
    with pytest.raises(EstimandError, match="needs 100"):
        nomogram(fit, allow_unconverged=True)
    with pytest.raises(EstimandError, match="support no cell"):
        odds_ratio_surface(fit, allow_unconverged=True)


def test_an_exposure_in_its_own_unit_has_its_models_contrast(small_table: pd.DataFrame) -> None:
    """Odds ratio and risks state the same contrast, 5 kg/m2, and the odds ratio is that of five units."""
    exposure = {"bmi_kg_m2": {"contrast": 5, "adverse": "high"}}
    model = mb.Model(formula="cbp ~ bmi_kg_m2 + (1|site)", exposures=exposure)
    fit = mb.fit(model, small_table, method="ml")
    row = mb.odds_ratios(fit).iloc[0]
    assert row["contrast"] == "per 5 kg/m²"
    assert row["estimate"] == pytest.approx(np.exp(5 * fit.maximum.coefficients[1]))
    assert mb.risks(fit)["contrast"].iloc[-1] == "BMI: own value + 2.5 against − 2.5"
