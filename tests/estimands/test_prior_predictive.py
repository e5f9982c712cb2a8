"""Prior predictive quantities against closed forms and numeric integration."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import expit

import muscle_bayes as mb
from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands import odds_ratios, prior_predictive
from muscle_bayes.estimands.frame import COLUMNS
from muscle_bayes.estimands.ordered_prior import draw_thresholds, prior_shares
from muscle_bayes.estimands.prior_predictive import draw_priors

NORMAL = stats.norm.ppf(np.linspace(0, 1, 1001)[:-1] + 0.0005)


def _row(frame: pd.DataFrame, estimand: str, term: str = "", population: str = "") -> pd.Series:
    here = frame[(frame["estimand"] == estimand) & (frame["term"] == term)]
    here = here[here["population"].str.startswith(population)]
    assert len(here) == 1
    return here.iloc[0]


def test_odds_ratios_are_those_that_are_stated(small_table: pd.DataFrame) -> None:
    """Stratified draws: a quantile lies between neighbouring strata, within 1 % of the stated one at 2,000 draws."""
    frame = prior_predictive("cbp_interaction", small_table)
    for term, low, high in (
        ("intermat_z", 0.2, 5),
        ("lmm_z", 0.2, 5),
        ("age_z", 0.01, 100),
        ("diabetes", 0.1, 10),
        ("activity[low]", 0.1, 10),
    ):
        row = _row(frame, "prior odds ratio", term)
        np.testing.assert_allclose(np.log([row["lower"], row["upper"]]), np.log([low, high]), atol=0.03)
        assert row["estimate"] == pytest.approx(1, abs=0.005)
        assert row["prob_gt_null"] == pytest.approx(0.5, abs=0.001)
    by_level = prior_predictive("cbp_activity", small_table)
    row = _row(by_level, "prior odds ratio", "activity[high]")
    np.testing.assert_allclose(np.log([row["lower"], row["upper"]]), np.log([0.2, 5]), atol=0.03)
    sceptical = _row(prior_predictive("cbp_main", small_table, priors="sceptical"), "prior odds ratio", "lmm_z")
    np.testing.assert_allclose([sceptical["lower"], sceptical["upper"]], [1 / 1.5, 1.5], rtol=0.01)
    published = _row(prior_predictive("cbp_main", small_table, priors="published"), "prior odds ratio", "lmm_z")
    half = stats.norm.ppf(0.975) * 2 * np.log(0.95 / 0.79) / (2 * stats.norm.ppf(0.975))
    np.testing.assert_allclose(
        [published["lower"], published["estimate"], published["upper"]], 0.87 * np.exp([-half, 0, half]), rtol=0.005
    )


def test_odds_ratio_at_a_level_adds_the_interactions_prior(small_table: pd.DataFrame) -> None:
    """Variances of independent normals add: log OR per 2 Z for men has variance 4 (s1^2 + s2^2); MC error of the SD 1.6 %."""
    model = mb.load_model("cbp_sex")
    prior = draw_priors(model, model.design(small_table), draws=2000, seed=1)
    men = odds_ratios(prior, per=None, at={"sex": "male"}, terms=["intermat_z"]).iloc[0]
    spread = 2 * np.hypot(model.normal_priors()["intermat_z"].sd, model.normal_priors()["intermat_z:sex"].sd)
    expected = np.exp(stats.norm.ppf([0.025, 0.975]) * spread)
    np.testing.assert_allclose(np.log([men["lower"], men["upper"]]), np.log(expected), rtol=0.1)


def test_prevalence_at_the_means_and_spread_of_sites(small_table: pd.DataFrame) -> None:
    frame = prior_predictive("cbp_main", small_table)
    row = _row(frame, "prior prevalence", population="every predictor")
    np.testing.assert_allclose([row["lower"], row["estimate"], row["upper"]], [0.05, 0.5, 0.95], atol=0.003)
    row = _row(frame, "prior site odds ratio")
    half = stats.halfnorm(scale=0.5).ppf([0.025, 0.5, 0.975])
    np.testing.assert_allclose([row["lower"], row["estimate"], row["upper"]], np.exp(2 * half), rtol=0.02)


def _shifted(**tables: object) -> dict:
    return {"priors": {"intercept": {"prevalence_95": (0.1, 0.4), "reason": "test"}, **tables}}


def test_prevalence_with_one_predictor_by_integration() -> None:
    """Two kinds of person, x = -1 and 1: the mean of two logistic normals, integrated over a 1,000 x 1,000 grid.

    Errors of the quantiles at 2,000 draws: below 0.008 in the middle and 0.01 in the tails; 4.5 of these are allowed less
    than half because draws are stratified.
    """
    model = mb.Model.model_validate(
        {"formula": "y ~ x", **_shifted(adjustment={"or_95": (0.05, 20.0), "reason": "test"})}
    )
    table = pd.DataFrame({"x": [-1.0, 1.0] * 10, "y": [0, 1] * 10})
    frame = prior_predictive(model, table, draws=4000)
    priors = model.normal_priors()
    a = priors["intercept"].mean + priors["intercept"].sd * NORMAL[:, None]
    b = priors["x"].sd * NORMAL[None, :]
    expected = np.quantile((expit(a + b) + expit(a - b)) / 2, [0.025, 0.5, 0.975])
    row = _row(frame, "prior prevalence", population="analysis")
    np.testing.assert_allclose([row["lower"], row["estimate"], row["upper"]], expected, atol=0.015)
    assert row["site"] == "no site in the model"
    assert abs(row["estimate"] - expit(priors["intercept"].mean)) > 0.03, "averaging must have moved it"
    edges, counts = (np.array(frame.attrs["prevalence"][name]) for name in ("edges", "counts"))
    assert counts.sum() == 4000
    assert edges[np.searchsorted(np.cumsum(counts), 2000)] == pytest.approx(row["estimate"], abs=0.026)


def test_prevalence_with_sites_by_integration() -> None:
    """One site: the log odds are a normal plus a normal whose SD is half-normal; its distribution function by a grid."""
    model = mb.Model.model_validate(
        {"formula": "y ~ 1 + (1|site)", **_shifted(site_sd={"half_normal": 2.0, "reason": "test"})}
    )
    table = pd.DataFrame({"site": ["A"] * 20, "y": [0, 1] * 10})
    row = _row(prior_predictive(model, table, draws=4000), "prior prevalence", population="analysis")
    prior = model.normal_priors()["intercept"]
    sd = stats.halfnorm(scale=2.0).ppf(np.linspace(0, 1, 2001)[:-1] + 0.00025)
    at = np.linspace(-25, 25, 20_001)
    cdf = np.mean([stats.norm.cdf(at, prior.mean, np.hypot(prior.sd, s)) for s in sd[::10]], axis=0)
    expected = expit(np.interp([0.025, 0.5, 0.975], cdf, at))
    np.testing.assert_allclose([row["lower"], row["estimate"], row["upper"]], expected, atol=0.02)
    assert row["site"] == "known"


def test_sites_of_one_draw_share_their_sd_and_differ(small_table: pd.DataFrame) -> None:
    model = mb.load_model("cbp_main")
    prior = draw_priors(model, model.design(small_table), draws=2000, seed=1)
    ratio = prior.group_effects()[0] / prior.group_sds()
    # Latin hypercube margins: SD within 1 %; correlations of 2,000 draws below 4.5 / sqrt(2000) = 0.1.
    np.testing.assert_allclose(ratio.std(axis=0), 1, atol=0.01)
    assert (abs(np.corrcoef(ratio.T) - np.eye(5)) < 0.1).all()


def test_shape_and_provenance(small_table: pd.DataFrame) -> None:
    frame = prior_predictive("cbp_main", small_table, draws=200, seed=3)
    assert tuple(frame.columns[: len(COLUMNS)]) == COLUMNS
    assert frame.attrs["method"] == "prior"
    assert frame.attrs["simulated"] is True
    assert frame.attrs["observed_prevalence"] == pytest.approx(small_table["cbp"].mean())
    pd.testing.assert_frame_equal(frame, prior_predictive("cbp_main", small_table, draws=200, seed=3))
    flipped = prior_predictive("cbp_main", small_table.assign(cbp=1 - small_table["cbp"]), draws=200, seed=3)
    pd.testing.assert_frame_equal(frame, flipped)
    with pytest.raises(EstimandError, match="draws"):
        prior_predictive("cbp_main", small_table, draws=20)


def test_thresholds_come_from_their_prior() -> None:
    """Around the middle one of three categories, 2 F(d) - 1 is Beta(a, a); Kolmogorov-Smirnov at 4,000 draws, level 0.001."""
    model = mb.load_model("pain_ordinal")
    middle = np.random.default_rng(1).normal(size=4000)
    cuts = draw_thresholds(model, 3, middle, seed=1)
    np.testing.assert_array_equal(cuts[:, 0], middle)
    a = model.priors.thresholds.concentration(3)
    share = 2 * expit(cuts[:, 1] - cuts[:, 0]) - 1
    assert stats.kstest(share, stats.beta(a, a).cdf).pvalue > 0.001  # at 1/3, no share underflows
    eleven = draw_thresholds(model, 11, middle, seed=1)
    assert (np.diff(eleven) >= -1e-12).all()
    np.testing.assert_array_equal(eleven[:, 4], middle)
    # The first of six shares above the middle is Beta(a, 5a), the last of five below it Beta(a, 4a). A few per cent of such
    # sparse shares are below the last digit, so distribution functions are compared from 1e-6 up, within 4 binomial SEs.
    a = model.priors.thresholds.concentration(11)
    above, below = 2 * expit(eleven[:, 5] - middle) - 1, 1 - 2 * expit(eleven[:, 3] - middle)
    for share, rest in ((above, 5 * a), (below, 4 * a)):
        for point in (1e-6, 1e-3, 0.1, 0.5, 0.9):
            expected = stats.beta(a, rest).cdf(point)
            assert (share <= point).mean() == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 4000))


def test_shares_of_an_ordered_outcome_in_place_of_its_prevalence(small_table: pd.DataFrame) -> None:
    """With two categories the prior is that of the event; MC error of a quantile of stratified draws below 0.01."""
    pain = mb.Model(
        formula="pain ~ intermat_z + (1 | site)",
        family="cumulative",
        name="two",
        standardise={"intermat_z": {"from": "intermat_percent"}},
    )
    event = mb.Model(
        formula="pain ~ intermat_z + (1 | site)",
        event="pain == 1",
        name="event",
        standardise={"intermat_z": {"from": "intermat_percent"}},
    )
    table = small_table.assign(pain=(small_table["pain_nrs"] >= 4).astype(int))
    ordered, binary = prior_predictive(pain, table), prior_predictive(event, table)
    higher = _row(ordered, "prior share of a category or higher")
    prevalence = _row(binary, "prior prevalence", population="analysis set")
    np.testing.assert_allclose(
        higher[["lower", "estimate", "upper"]].astype(float),
        prevalence[["lower", "estimate", "upper"]].astype(float),
        atol=0.03,
    )
    assert ordered.attrs["observed_shares"][1] == pytest.approx(table["pain"].mean())
    assert ordered.attrs["events"] is None


def test_shares_add_up(small_table: pd.DataFrame) -> None:
    """The mean over draws of the categories' shares is 1, and 'or higher' of the last category is its share."""
    frame = prior_predictive("pain_ordinal", small_table)
    last = frame[(frame["estimand"] == "prior share of a category") & (frame["contrast"] == "10")].iloc[0]
    same = frame[frame["contrast"] == "10 or higher"].iloc[0]
    assert (last["estimate"], last["upper"]) == (same["estimate"], same["upper"])
    assert len(frame[frame["estimand"] == "prior share of a category"]) == 11
    model = mb.load_model("pain_ordinal")
    prior = draw_priors(model, model.design(small_table), draws=200, seed=1)
    shares = prior_shares(prior)
    assert (np.diff(shares) <= 1e-12).all()
    assert ((shares >= 0) & (shares <= 1)).all()
