"""Ordered outcomes in the estimands: odds ratios, what is refused, and the replicated shares of the categories."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import muscle_bayes as mb
from muscle_bayes.errors import EstimandError, ModelFileError


def test_odds_ratios_are_of_a_higher_category(pain_fit: mb.Fit) -> None:
    frame = mb.odds_ratios(pain_fit, terms=["lmm_z"])
    at = [column.label for column in pain_fit.recipe.columns].index("lmm_z")
    assert frame["estimate"].iloc[0] == pytest.approx(np.median(np.exp(2 * pain_fit.coefficients()[:, 1 + at])))
    assert "a higher category of Pain intensity" in frame.attrs["odds_ratio_of"]
    assert frame["e_value_sqrt_or"].isna().all()
    surface = mb.odds_ratio_surface(pain_fit, grid=1.0)
    one = surface[(surface["intermat_z"] == 0) & (surface["lmm_z"] == 1)].iloc[0]
    assert one["estimate"] == pytest.approx(np.median(np.exp(pain_fit.coefficients()[:, 1 + at])))


@pytest.mark.parametrize("name", ["risks", "nomogram", "interaction", "calibration", "loo", "discrimination"])
def test_probabilities_of_no_event_are_refused(pain_fit: mb.Fit, name: str) -> None:
    with pytest.raises(EstimandError, match=r"fit\.at_least\('5'\)"):
        getattr(mb, name)(pain_fit)


@pytest.mark.parametrize(("name", "arguments"), [("subgroups", (["sex"],)), ("exposure_distributions", ())])
def test_refits_and_events_are_refused(pain_fit: mb.Fit, name: str, arguments: tuple) -> None:
    with pytest.raises(ModelFileError, match=r"is ordered"):
        getattr(mb, name)(pain_fit, *arguments)


def test_what_is_made_for_events_only_says_so(small_table: pd.DataFrame) -> None:
    fit = mb.fit("pain_ordinal", small_table, method="ml")
    with pytest.raises(EstimandError, match="Wald intervals only"):
        fit.profile_intervals()


def test_replicated_shares_are_those_of_the_model(pain_fit: mb.Fit, small_table: pd.DataFrame) -> None:
    """Their means are the averages of F(c_k - eta) - F(c_{k-1} - eta) over persons and draws; 4.5 Monte Carlo errors."""
    frame = mb.posterior_predictive(pain_fit, by=["sex"], draws=1_000)
    assert len(frame) == 33
    everyone, men = (frame[frame["within"] == who] for who in ("Everyone", "Sex: male"))
    pain = small_table["pain_nrs"].astype(int)
    assert everyone["events"].tolist() == np.bincount(pain).tolist()
    assert men["events"].tolist() == np.bincount(pain[small_table["sex"] == "male"]).tolist()
    persons = pain_fit.cohort
    eta = pain_fit.recipe.matrix(persons) @ pain_fit.coefficients()[:, 1:].T
    eta += pain_fit.site_effects()[:, pain_fit.recipe.site_index(persons)].T
    for who, inside in ((everyone, slice(None)), (men, (persons["sex"] == "male").to_numpy())):
        below = np.array([expit(c - eta[inside]).mean() for c in pain_fit.thresholds().T])
        expected = np.diff(np.concatenate([[0], below, [1]]))
        # Quantiles and median of counts of hundreds lie beside the mean by less than the spread of the replicates.
        spread = (who["upper"] - who["lower"]) / 4
        assert (np.abs(who["estimate"] - expected) < 4.5 * spread / np.sqrt(1_000) + 0.5 / who["n"]).all()
    # Everyone's shares are met almost by construction: there is a threshold for each.
    assert (everyone["p_value"] - 0.5).abs().max() < 0.2
    assert not everyone["outside"].any()


def test_replicates_of_a_maximum_take_thresholds_and_coefficients_together(small_table: pd.DataFrame) -> None:
    """Drawn apart they would spread several times as wide: here twice the binomial SD of a share at most."""
    fit = mb.fit("pain_ordinal", small_table, method="ml")
    frame = mb.posterior_predictive(fit, draws=400)
    binomial = np.sqrt(frame["observed"] * (1 - frame["observed"]) / frame["n"])
    assert ((frame["upper"] - frame["lower"]) / 3.92 < 2 * binomial).all()
    assert (np.abs(frame["estimate"] - frame["observed"]) < 3 * binomial).all()


def test_symptom_burden_takes_events_and_scales_together(small_fit: mb.Fit, pain_fit: mb.Fit) -> None:
    frame = mb.symptom_burden([small_fit, pain_fit.at_least(4), pain_fit])
    ordered = frame[frame["categories"].notna()]
    assert ordered["outcome"].unique().tolist() == ["Pain intensity (NRS 0-10)"]
    assert (ordered["categories"] == 11).all()
    assert ordered["events"].isna().all()
    assert frame["odds_ratio_of"].nunique() == 3
    assert frame.attrs["comparable"]
    figure = mb.plots.symptom_burden(frame)
    text = " ".join(t.get_text() for t in figure.findobj(lambda artist: hasattr(artist, "get_text")))
    assert "Pain intensity (NRS 0-10): a higher answer" in text
    assert "2,000 participants in 11 categories" in " ".join(text.split())
