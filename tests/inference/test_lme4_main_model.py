"""The main models on the simulated cohort against lme4's glmer on the same table (fixtures/lme4_simulated_cohort).

With five sites the posterior and the maximum must differ in two places, and only there: the site SD (a maximum takes the most
likely value, the posterior averages over all that five sites allow), and with it the uncertainty of the intercept.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import muscle_bayes as mb
from muscle_bayes.inference.provenance import hash_rows

FIXTURE = Path(__file__).resolve().parents[1] / "fixtures" / "lme4_simulated_cohort" / "glmer.json"
GLMER = json.loads(FIXTURE.read_text())


@pytest.fixture(scope="module", params=["cbp_main", "cbp_interaction"])
def lme4(request: pytest.FixtureRequest, simulated_table: pd.DataFrame) -> tuple[str, dict]:
    columns = ["intermat_percent", "lmm_cm3_per_kg_m2", "age_years", "sex", "activity", "cbp", "site"]
    assert hash_rows(simulated_table[columns]) == GLMER["data_hash"], (
        "the simulated cohort changed: run the fixture's make.py again"
    )
    return request.param, GLMER[request.param]


def test_posterior_agrees_with_glmer_on_slopes(lme4: tuple[str, dict], simulated_table: pd.DataFrame) -> None:
    """Slopes within 0.1 SE and SEs within 5 %.

    16,000 draws put the Monte Carlo error of a mean near 0.009 SE and of an SD near 0.6 %, so the limits are 5 and more of these
    from zero difference after the 0.05 SE that the posterior mean differs from the maximum for reasons of skewness and prior.
    """
    name, glmer = lme4
    fit = mb.fit(name, simulated_table, method="laplace", seed=1, draws=16_000)
    assert fit.diagnostics.passed
    ours = fit.summary()
    for label, estimate in glmer["estimate"].items():
        if label == "Intercept":
            continue
        se = glmer["se"][label]
        assert abs(ours.loc[label, "mean"] - estimate) < 0.1 * se, label
        assert ours.loc[label, "sd"] == pytest.approx(se, rel=0.05), label
    # Five sites: the posterior of the site SD lies above the maximum, and the intercept is less certain than Wald says.
    assert ours.loc["1|site_sigma", "2.5 %"] < glmer["site_sd"] < ours.loc["1|site_sigma", "mean"]
    assert ours.loc["Intercept", "sd"] > 1.2 * glmer["se"]["Intercept"]
    assert abs(ours.loc["Intercept", "mean"] - glmer["estimate"]["Intercept"]) < 0.5 * glmer["se"]["Intercept"]


def test_maximum_likelihood_is_glmers(lme4: tuple[str, dict], simulated_table: pd.DataFrame) -> None:
    name, glmer = lme4
    fit = mb.fit(name, simulated_table, method="ml")
    ours = fit.summary()
    for label, estimate in glmer["estimate"].items():
        assert abs(ours.loc[label, "estimate"] - estimate) < 0.005 * glmer["se"][label], label
        assert ours.loc[label, "se"] == pytest.approx(glmer["se"][label], rel=0.005), label
    assert fit.maximum.site_sd == pytest.approx(glmer["site_sd"], abs=1e-3)
    assert -2 * fit.maximum.log_likelihood <= -2 * glmer["log_likelihood"] + 1e-3
    assert np.isnan(ours.loc["1|site_sigma", "se"])
