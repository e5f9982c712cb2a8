"""Subgroups against logistic regressions of the subsets by statsmodels, and what a row says that has no estimate."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands import exposure_distributions, odds_ratios, subgroups, symptom_burden
from muscle_bayes.estimands.pooled_subgroups import pooled_subgroups
from muscle_bayes.estimands.predictive import groups_of
from muscle_bayes.estimands.refitting import refit, without
from muscle_bayes.inference import fit as fit_model
from muscle_bayes.simulation import simulate_cohort
from muscle_bayes.specification import load_model


@pytest.fixture(scope="module")
def cohort():
    return simulate_cohort(n=6_000, seed=1)


@pytest.fixture(scope="module")
def overall(cohort):
    return fit_model("cbp_main", cohort, method="laplace", seed=1)


@pytest.fixture(scope="module")
def frame(overall):
    return subgroups(overall, by=["sex", "age_band"], draws=4000)


@pytest.fixture(scope="module")
def separate(frame):
    return frame[frame["pooling"] != "partial"]


def test_each_subgroup_is_its_own_regression_on_the_z_scores_of_everyone(separate, overall, cohort) -> None:
    frame = separate
    z = {name: (cohort[c.source] - c.mean) / c.sd for name, c in overall.recipe.constants.items()}
    table = cohort.assign(**z)
    terms = "intermat_z + lmm_z + age_z + C(activity, Treatment('moderate')) + diabetes + dyslipidemia + osteoporosis"
    for sex in ("female", "male"):
        own = table[table["sex"] == sex]
        other = smf.logit(f"cbp ~ {terms} + osteoarthritis + C(site)", own).fit(disp=0)
        found = frame[(frame["group"] == sex) & (frame["estimand"] == "odds ratio")].set_index("term")
        for name in ("intermat_z", "lmm_z"):
            # Priors (OR 0.2 to 5) and shrunken sites move a slope by a small part of its standard error.
            assert np.log(found.loc[name, "estimate"]) == pytest.approx(
                2 * other.params[name], abs=0.4 * other.bse[name]
            )
            width = np.log(found.loc[name, "upper"] / found.loc[name, "lower"])
            assert width == pytest.approx(2 * 1.96 * 2 * other.bse[name], rel=0.12)
        assert found["n"].iloc[0] == len(own)
        assert found["events"].iloc[0] == own["cbp"].sum()


def test_the_ratio_of_odds_ratios_has_the_variance_of_a_difference(separate) -> None:
    frame = separate
    ratio = frame[(frame["estimand"] == "ratio of odds ratios") & (frame["term"] == "lmm_z")].iloc[0]
    two = frame[(frame["by"] == "sex") & (frame["term"] == "lmm_z") & (frame["estimand"] == "odds ratio")]
    log = np.log(two[["estimate", "lower", "upper"]].to_numpy())
    widths = log[:, 2] - log[:, 1]
    assert ratio["group"] == "male / female"
    assert np.log(ratio["estimate"]) == pytest.approx(log[1, 0] - log[0, 0], abs=0.05 * widths.max())
    assert np.log(ratio["upper"] / ratio["lower"]) == pytest.approx(np.hypot(*widths), rel=0.1)


def test_everyone_is_the_fit_that_was_given_and_age_bands_cover_all(separate, overall, cohort) -> None:
    frame = separate
    first = frame[frame["by"] == "all"].set_index("term")
    given = odds_ratios(overall).set_index("term")
    np.testing.assert_array_equal(first["estimate"], given.loc[first.index, "estimate"])
    bands = frame[(frame["by"] == "age_band") & (frame["term"] == "lmm_z")]
    assert list(bands["group"]) == ["<40", "40-49", "50-59", "60+"]
    assert bands["n"].sum() == len(cohort)
    assert frame["certified"].all()


def test_a_subgroup_that_fails_is_a_row_that_says_so(overall, monkeypatch) -> None:
    import importlib

    # The public name hides the module of the same name in its package.
    module = importlib.import_module("muscle_bayes.estimands.subgroups")
    monkeypatch.setattr(module, "certificate", lambda fit: "k-hat is 0.9" if fit.n < 4000 else "")
    frame = module.subgroups(overall, by=["sex"], pooled=False)
    failed = frame[frame["by"] == "sex"]
    assert len(failed) == 4
    assert (failed["note"] == "k-hat is 0.9").all()
    assert not failed["certified"].any()
    assert failed["estimate"].isna().all()
    few = overall.cohort.assign(rare=np.where(np.arange(overall.n) < 3, "rare", "usual"))
    alone = subgroups(load_model("cbp_main"), by=["rare"], cohort=few, pooled=False)
    row = alone[alone["group"] == "rare"].iloc[0]
    assert "not fitted" in row["note"]
    assert np.isnan(row["estimate"])


def test_terms_of_the_grouping_variable_leave_the_model() -> None:
    model = without(load_model("cbp_sex"), ["sex"])
    assert "sex" not in str(model.parsed)
    assert set(model.priors.terms) == set()
    assert "(1|site)" in str(model.parsed)
    assert "site" not in str(without(model, ["site"]).parsed)


def test_a_refit_to_everyone_is_the_fit(overall) -> None:
    again = refit(overall.model, overall.cohort, overall.recipe.constants, draws=4000, seed=1)
    np.testing.assert_allclose(odds_ratios(again)["estimate"], odds_ratios(overall)["estimate"], rtol=1e-6)


def test_refusals(overall) -> None:
    with pytest.raises(EstimandError, match="no persons"):
        subgroups(load_model("cbp_main"))
    with pytest.raises(EstimandError, match="no such column"):
        subgroups(overall, by=["shoe_size"])


def test_distributions_are_the_quantiles_of_the_table(overall, cohort) -> None:
    frame = exposure_distributions(overall)
    sick = cohort[(cohort["osteoarthritis"] == 1) & (cohort["cbp"] == 1)]
    row = frame[(frame["by"] == "osteoarthritis") & frame["outcome"] & (frame["term"] == "lmm_z")].iloc[0]
    assert row["n"] == len(sick)
    at = sick["lmm_cm3_per_kg_m2"].quantile([0.05, 0.25, 0.5, 0.75, 0.95])
    np.testing.assert_allclose(row[["q05", "lower", "estimate", "upper", "q95"]].to_numpy(float), at)
    few = exposure_distributions(overall, by=["sex"], cohort=cohort.head(30))
    assert few["estimate"].isna().any()


def test_symptom_burden_has_each_fits_own_odds_ratios(overall, cohort) -> None:
    pain = fit_model("pain_nrs4", cohort, method="laplace", seed=1, draws=1000)
    frame = symptom_burden([overall, pain])
    own = odds_ratios(pain, terms=["intermat_z", "lmm_z"])
    found = frame[frame["outcome"] == "Pain intensity ≥ 4 (NRS 0-10)"]
    np.testing.assert_array_equal(found["estimate"], own["estimate"])
    assert list(found["events"]) == [int((cohort["pain_nrs"] >= 4).sum())] * 2
    assert frame.attrs["comparable"]
    half = fit_model("pain_nrs4", cohort[cohort["sex"] == "male"].assign(sex="female").pipe(_both), method="ml")
    assert not symptom_burden([overall, half]).attrs["comparable"]
    with pytest.raises(EstimandError, match="two fits are called"):
        symptom_burden([overall, overall])


def _both(table):
    return table.assign(sex=np.where(np.arange(len(table)) % 2, "female", "male"))


@pytest.mark.parametrize("spread", [0.001, 3.0])
def test_pooled_subgroups_go_from_everyones_odds_ratio_to_the_interaction_model(overall, cohort, spread) -> None:
    """With a prior that slopes do not differ they are everyone's; with one that lets them, those of an interaction with sex."""
    slope_sd = overall.model.priors.slope_sd.model_copy(update={"half_normal": spread})
    model = overall.model.model_copy(update={"priors": overall.model.priors.model_copy(update={"slope_sd": slope_sd})})
    groups = groups_of(overall.cohort, "sex")
    frames, note = pooled_subgroups(
        replace(overall, model=model), overall.cohort, "sex", groups, per=2.0, draws=4000, seed=1
    )
    assert note == ""
    found = frames[0].set_index(["term", "group"])
    z = {name: (cohort[c.source] - c.mean) / c.sd for name, c in overall.recipe.constants.items()}
    shared = "age_z + C(activity, Treatment('moderate')) + diabetes + dyslipidemia + osteoporosis + osteoarthritis"
    crossed = "(intermat_z + lmm_z) * C(sex)" if spread > 1 else "intermat_z + lmm_z + C(sex)"
    theirs = smf.logit(f"cbp ~ {crossed} + {shared} + C(site)", cohort.assign(**z)).fit(disp=0)
    for name in ("intermat_z", "lmm_z"):
        for sex in ("female", "male"):
            expected = theirs.params[name]
            if spread > 1 and sex == "male":
                expected += theirs.params[f"{name}:C(sex)[T.male]"]
            # A half-normal of 3 still pools two groups that hardly differ: by less than half a standard error.
            error = theirs.bse[name]
            assert np.log(found.loc[(name, sex), "estimate"]) == pytest.approx(2 * expected, abs=2 * 0.5 * error)
            assert found.loc[(name, sex), "n"] == (cohort["sex"] == sex).sum()
    ratio = frames[1].set_index("term").loc["lmm_z"]
    both = np.log(found.loc["lmm_z", "estimate"])
    assert np.log(ratio["estimate"]) == pytest.approx(both["male"] - both["female"], abs=0.02 + 0.1 * abs(both["male"]))
    if spread < 1:
        assert ratio["upper"] / ratio["lower"] < 1.01


def test_a_group_without_persons_is_no_group_to_pool(overall, cohort) -> None:
    groups = pd.Series(pd.Categorical(["30 to 49"] * len(cohort), ["under 30", "30 to 49"]), index=cohort.index)
    frames, note = pooled_subgroups(overall, cohort, "age_band", groups, per=None, draws=500, seed=1)
    assert frames == []
    assert "everybody is in one group" in note
