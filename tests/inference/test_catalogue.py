"""The models of the catalogue that must certify do so on the simulated cohort, and are the regressions they say they are."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

import muscle_bayes as mb

COVARIATES = "diabetes + dyslipidemia + osteoporosis + osteoarthritis + C(site)"
SEX, ACTIVITY = "C(sex, Treatment('female'))", "C(activity, Treatment('moderate'))"

#: The same regressions in patsy's words, with sites as fixed effects.
BY_HAND = {
    "cbp_unadjusted": "cbp ~ intermat_z + lmm_z + C(site)",
    "cbp_sex": f"cbp ~ intermat_z + lmm_z + {SEX} + age_z + {ACTIVITY} + {COVARIATES} + (intermat_z + lmm_z):{SEX}",
    "cbp_activity": f"cbp ~ {ACTIVITY} + age_z + {SEX} + {COVARIATES}",
    "cbp_main": f"cbp ~ intermat_z + lmm_z + age_z + {SEX} + {ACTIVITY} + {COVARIATES}",
    "pain_nrs4": f"pain_nrs4 ~ intermat_z + lmm_z + age_z + {SEX} + {ACTIVITY} + {COVARIATES}",
}


def _patsy_name(label: str) -> str:
    return ":".join(
        f"{SEX if name == 'sex' else ACTIVITY}[T.{level}"
        if (name := part.split("[")[0]) in ("sex", "activity") and (level := part.partition("[")[2])
        else part
        for part in label.split(":")
    )


@pytest.mark.parametrize("name", BY_HAND)
def test_certifies_and_is_the_regression_that_it_says(name: str, simulated_table: pd.DataFrame) -> None:
    """Posterior means against statsmodels' maximum with fixed site effects.

    At 27,518 persons the priors (SD 0.18 on the interactions with sex, 0.41 and more elsewhere, against standard errors below
    0.09) move a coefficient by less than 0.2 standard errors, fixed instead of random effects of five large sites by less than
    0.01, and the Monte Carlo error is 0.02. A wrong level, sign or column would be off by several.
    """
    fit = mb.fit(name, simulated_table, method="laplace", seed=1)
    assert fit.diagnostics.passed, fit.diagnostics
    z = {
        z_name: (simulated_table[source] - simulated_table[source].mean()) / simulated_table[source].std(ddof=1)
        for z_name, source in (
            ("intermat_z", "intermat_percent"),
            ("lmm_z", "lmm_cm3_per_kg_m2"),
            ("age_z", "age_years"),
        )
    }
    frame = simulated_table.assign(**z, pain_nrs4=(simulated_table["pain_nrs"] >= 4).astype(int))
    theirs = smf.logit(BY_HAND[name], frame).fit(disp=0)
    for i, column in enumerate(fit.recipe.columns, 1):
        label = _patsy_name(column.label)
        assert abs(fit.coefficients()[:, i].mean() - theirs.params[label]) < 0.3 * theirs.bse[label], label
        assert fit.coefficients()[:, i].std() == pytest.approx(theirs.bse[label], rel=0.08), label


@pytest.mark.parametrize("name", ["cbp_sex", "cbp_activity", "cbp_unadjusted"])
def test_bambi_and_pymc_name_its_variables_alike(name: str, small_table: pd.DataFrame) -> None:
    model = mb.load_model(name)
    fit = mb.fit(model, small_table, method="laplace", seed=1)
    bambi = model.to_bambi(small_table)
    bambi.build()
    posterior = fit.posterior["posterior"]
    for graph, extra in (
        (bambi.backend.model, {"p", "1|site_offset"}),
        (model.to_pymc(small_table), {"Intercept_centered", "1|site_offset"}),
    ):
        assert {variable.name for variable in graph.unobserved_RVs} - extra == set(posterior.data_vars)
        for variable in posterior.data_vars:
            dims = graph.named_vars_to_dims.get(variable) or ()
            assert posterior[variable].dims == ("chain", "draw", *dims)
            for dim in dims:
                assert list(map(str, posterior[variable].coords[dim].values)) == list(map(str, graph.coords[dim]))


def test_odds_ratios_of_a_categorical_exposure_are_per_level(simulated_table: pd.DataFrame) -> None:
    """A 2 x 2 table of low against moderate activity alone: its cross-product ratio is the maximum."""
    model = mb.Model(
        formula="cbp ~ activity", levels={"activity": ["moderate", "low", "high"]}, exposures={"activity": {}}
    )
    frame = mb.odds_ratios(mb.fit(model, simulated_table, method="ml"))
    counts = pd.crosstab(simulated_table["activity"].astype(str), simulated_table["cbp"])
    assert list(frame["term"]) == ["activity[low]", "activity[high]"]
    assert set(frame["role"]) == {"exposure"}
    for row, level in zip(frame.to_dict("records"), ("low", "high"), strict=True):
        expected = (counts.loc[level, 1] / counts.loc[level, 0]) / (
            counts.loc["moderate", 1] / counts.loc["moderate", 0]
        )
        error = np.sqrt((1 / counts.loc[[level, "moderate"]]).to_numpy().sum())
        assert row["estimate"] == pytest.approx(expected, rel=1e-6)
        assert row["upper"] == pytest.approx(expected * np.exp(1.959963984540054 * error), rel=1e-5)


@pytest.mark.parametrize("method", ["laplace", "nuts"])
def test_a_model_without_sites(method: str, small_table: pd.DataFrame) -> None:
    """Only an intercept: under a prior of SD 1.5 its posterior is the logit of the share of events within 0.1 SD."""
    fit = mb.fit(mb.Model(formula="cbp ~ 1"), small_table, method=method)
    share, n = small_table["cbp"].mean(), len(small_table)
    error = 1 / np.sqrt(n * share * (1 - share))
    assert fit.diagnostics.passed
    assert abs(fit.coefficients()[:, 0].mean() - np.log(share / (1 - share))) < 0.15 * error
    assert fit.coefficients()[:, 0].std() == pytest.approx(error, rel=0.08)
    assert (fit.site_sd() == 0).all()
    assert fit.site_effects().shape == (4000, 0)
