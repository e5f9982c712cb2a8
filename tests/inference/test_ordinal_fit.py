"""Fits of ordered outcomes: known truth, what a fit holds and saves, its events, and what is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import muscle_bayes as mb
from muscle_bayes.errors import EstimandError, InvalidValueError, ModelFileError
from muscle_bayes.inference import ordinal_engines
from muscle_bayes.inference.ordinal_findings import threshold_prior_findings
from muscle_bayes.inference.ordinal_sampling import OrdinalDraws, ordinal_nuts

WORDS = ["none", "mild", "moderate", "severe"]


def in_words(table: pd.DataFrame) -> pd.DataFrame:
    """The same people with their pain in words."""
    pain = pd.cut(table["pain_nrs"], [-1, 0, 3, 6, 10], labels=WORDS).astype("str")
    return table.assign(pain=pain.where(table["pain_nrs"].notna()))


@pytest.fixture(scope="module")
def word_model() -> mb.Model:
    return mb.Model(
        formula="pain ~ intermat_z + sex + (1|site)",
        family="cumulative",
        outcome="Pain",
        categories=WORDS,
        levels={"sex": ["female", "male"]},
        standardise={"intermat_z": {"from": "intermat_percent"}},
        exposures={"intermat_z": {}},
    )


@pytest.fixture(scope="module")
def word_fit(word_model: mb.Model, small_table: pd.DataFrame) -> mb.Fit:
    return mb.fit(word_model, in_words(small_table), method="ml")


def test_maximum_likelihood_finds_the_simulated_truth(simulated_table: pd.DataFrame) -> None:
    """Twelve coefficients and nine threshold distances within 4 standard errors: passes in 99.8 % of simulated cohorts.

    The simulated intensity is a proportional-odds scale on the log odds of NRS >= 4, with thresholds that are known.
    """
    fit = mb.fit("pain_ordinal", simulated_table, method="ml")
    truth = simulated_table.attrs["truth"]
    estimate, covariance = fit.maximum.thresholds, fit.maximum.joint_covariance
    cuts = np.array(truth["pain_cuts"])
    for k in range(10):
        if k != 3:
            error = np.sqrt(covariance[k, k] + covariance[3, 3] - 2 * covariance[k, 3])
            assert abs(estimate[k] - estimate[3] - cuts[k] + cuts[3]) < 4 * error
    terms = truth["pain_nrs >= 4"]
    summary = fit.summary()
    for column in fit.recipe.columns:
        row = summary.loc[column.label]
        assert abs(row["estimate"] - terms[column.label]) < 4 * row["se"], column.label


def test_a_fit_says_what_it_is_of(pain_fit: mb.Fit, small_table: pd.DataFrame) -> None:
    assert pain_fit.method == "nuts"
    assert pain_fit.diagnostics.passed, pain_fit.diagnostics
    assert list(pain_fit.categories.values()) == np.bincount(small_table["pain_nrs"].astype(int)).tolist()
    assert "2,000 participants, 11 ordered categories" in repr(pain_fit)
    assert pain_fit.summary().index[3] == "threshold[3|4]"
    assert pain_fit.provenance()["events"] is None
    assert (np.diff(pain_fit.thresholds(), axis=1) > 0).all()
    # With diffuse priors and 2,000 people posterior means lie at the maximum, within a fifth of a posterior SD.
    ml = mb.fit("pain_ordinal", small_table, method="ml")
    sd = pain_fit.coefficients()[:, 1:].std(axis=0)
    assert (np.abs(pain_fit.coefficients()[:, 1:].mean(axis=0) - ml.maximum.coefficients[1:]) < 0.3 * sd).all()


def test_round_trip(pain_fit: mb.Fit, word_fit: mb.Fit, small_table: pd.DataFrame, tmp_path: Path) -> None:
    for fit, table in ((pain_fit, small_table), (word_fit, in_words(small_table))):
        loaded = mb.load_fit(fit.save(tmp_path / f"{fit.method}.nc"), cohort=table)
        for draws in ("coefficients", "thresholds", "site_effects", "site_sd"):
            np.testing.assert_array_equal(getattr(loaded, draws)(), getattr(fit, draws)())
        assert loaded.categories == fit.categories
        assert loaded.provenance() == fit.provenance()
        assert loaded.model == fit.model
        pd.testing.assert_frame_equal(loaded.summary(), fit.summary())


def test_cut_at_a_category_it_is_a_logistic_fit(pain_fit: mb.Fit, small_table: pd.DataFrame, tmp_path: Path) -> None:
    """Risks of "4 or more" are averages of F(eta - c_4), with the site's effect, draw by draw."""
    cut = pain_fit.at_least(4)
    assert cut.events == (small_table["pain_nrs"] >= 4).sum()
    np.testing.assert_array_equal(cut.coefficients()[:, 1:], pain_fit.coefficients()[:, 1:])
    np.testing.assert_array_equal(cut.coefficients()[:, 0], -pain_fit.thresholds()[:, 3])
    ours = mb.risks(cut, terms=["diabetes"]).set_index("estimand")
    persons = pain_fit.cohort
    eta = pain_fit.recipe.matrix(persons.assign(diabetes=1.0)) @ pain_fit.coefficients()[:, 1:].T
    eta += pain_fit.site_effects()[:, pain_fit.recipe.site_index(persons)].T - pain_fit.thresholds()[:, 3]
    expected = np.median(expit(eta).mean(axis=0))
    assert ours.loc["risk", "estimate"].iloc[1] == pytest.approx(expected, abs=1e-6)
    loaded = mb.load_fit(cut.save(tmp_path / "cut.nc"), cohort=small_table)
    np.testing.assert_array_equal(loaded.coefficients(), cut.coefficients())
    with pytest.raises(EstimandError, match="everyone is at least there"):
        pain_fit.at_least(0)
    with pytest.raises(EstimandError, match="no such category"):
        pain_fit.at_least(11)
    with pytest.raises(EstimandError, match="cannot be cut"):
        cut.at_least(4)
    with pytest.raises(EstimandError, match="no thresholds"):
        cut.thresholds()


def test_words_are_cut_in_the_order_of_the_model_file(word_fit: mb.Fit, small_table: pd.DataFrame) -> None:
    cut = word_fit.at_least("moderate")
    assert cut.events == (small_table["pain_nrs"] >= 4).sum()
    assert cut.maximum.coefficients[0] == pytest.approx(-word_fit.maximum.thresholds[1])
    # Variance of the intercept is that of the threshold; the covariance with a coefficient changes its sign.
    assert cut.maximum.covariance[0, 0] == pytest.approx(word_fit.maximum.joint_covariance[1, 1])
    assert cut.maximum.covariance[0, 1] == pytest.approx(-word_fit.maximum.joint_covariance[1, 3])
    prevalence = mb.posterior_predictive(cut, by=[]).iloc[0]
    assert prevalence["observed"] == cut.events / 2000
    assert not prevalence["outside"]


def test_what_an_engine_cannot_fit_is_refused_in_words(word_model: mb.Model, small_table: pd.DataFrame) -> None:
    table = in_words(small_table)
    with pytest.raises(InvalidValueError, match="certificate"):
        mb.fit(word_model, table, method="laplace")
    slopes = word_model.model_copy(update={"formula": "pain ~ intermat_z + sex + (1 + intermat_z|site)"})
    for method in ("nuts", "ml"):
        with pytest.raises(ModelFileError, match="method='pymc'"):
            mb.fit(slopes, table, method=method)
    empty = word_model.model_copy(update={"categories": [*WORDS, "unbearable"]})
    with pytest.raises(InvalidValueError, match="unbearable"):
        mb.fit(empty, table, method="ml")
    for method in ("auto", "ml"):
        with pytest.raises(InvalidValueError, match="all 2000 participants"):
            mb.fit(word_model, table.assign(pain="none"), method=method)
        with pytest.raises(InvalidValueError, match="text has no order"):
            mb.fit(word_model.model_copy(update={"categories": []}), table, method=method)


def test_findings_speak_of_categories(word_model: mb.Model, small_table: pd.DataFrame) -> None:
    """An empty category and a group at one end of the scale are warnings under priors; the engine takes both."""
    table = in_words(small_table.head(120)).assign(site="one")
    table["worst"] = (table["pain"] == "severe").astype(int)
    model = word_model.model_copy(
        update={"formula": "pain ~ intermat_z + worst", "levels": {}, "categories": [*WORDS, "unbearable"]}
    )
    fit = mb.fit(model, table, draws=200, seed=1)
    texts = " ".join(finding.text for finding in fit.diagnostics.findings)
    assert "nobody is in the category unbearable" in texts
    assert "with worst = 1 are in the highest category" in texts
    assert np.isfinite(fit.thresholds()).all()


def test_a_heavy_prior_of_the_thresholds_is_said(small_table: pd.DataFrame) -> None:
    """One person in all is the default, however many categories; 5 in each of 11 are 55, more than one in a hundred of 2,000."""
    model = mb.load_model("pain_ordinal")
    design = model.design(small_table)
    assert threshold_prior_findings(model.priors.thresholds.concentration(11), design) == []
    assert "as much as 55 people" in threshold_prior_findings(5.0, design)[0].text


def test_chains_that_diverged_are_sampled_again_in_smaller_steps(
    word_model: mb.Model, small_table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def diverging_at_first(*arguments: object, **settings: object) -> OrdinalDraws:
        found = ordinal_nuts(arguments[0], 100, 50, seed=1)  # type: ignore[arg-type]
        calls.append(settings.get("target_accept"))
        found.statistics["diverging"][0, 0] = len(calls) == 1
        return found

    monkeypatch.setattr(ordinal_engines, "ordinal_nuts", diverging_at_first)
    fit = mb.fit(word_model, in_words(small_table.head(200)), draws=400, seed=1)
    assert calls == [None, 0.99]
    assert fit.diagnostics.measures["divergences"] == 0
    assert any("sampled again" in finding.text for finding in fit.diagnostics.findings)
