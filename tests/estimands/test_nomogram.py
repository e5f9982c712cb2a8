"""Nomogram: scale and predictions against closed forms and hand-made averages."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm

from muscle_bayes.errors import EstimandError, InvalidValueError, MissingColumnError, UnconvergedFitError
from muscle_bayes.estimands import nomogram

PERSON = {
    "intermat_percent": 9.6,
    "lmm_cm3_per_kg_m2": 19.0,
    "age_years": 59.0,
    "sex": "male",
    "activity": "low",
    "diabetes": 1,
}
# By hand, from the slopes of the conftest: InterMAT +1 Z, LMM -1 Z, age +1 Z, male, low activity, diabetes.
LOG_ODDS = -1.4 + 0.10 + 0.07 + 0.25 - 0.15 + 0.25 + 0.09 + 0.04


@pytest.fixture(scope="module")
def certain(make_fit):
    """All draws alike, so that every probability has one value."""
    return make_fit(sd=0.0)


def test_a_persons_probability_is_that_of_their_linear_predictor(certain) -> None:
    got = nomogram(certain).predict(PERSON)
    assert len(got) == 1
    assert got["estimate"].item() == pytest.approx(expit(LOG_ODDS), abs=1e-12)
    assert got["lower"].item() == pytest.approx(got["upper"].item(), abs=1e-12)
    assert got["site"].item() == "typical"
    assert got["scale"].item() == "probability"


def test_points_read_off_the_scale_give_the_same_probability(certain) -> None:
    made = nomogram(certain)
    persons = certain.cohort.head(50)
    got = made.predict(persons)
    direct = expit(certain.mean[0] + certain.recipe.matrix(persons) @ certain.mean[1:])
    np.testing.assert_allclose(got["estimate"], direct, atol=1e-12)
    inside = got["total_points"].between(*made.scale.loc[~made.scale["extrapolated"], "total_points"].iloc[[0, -1]])
    assert inside.sum() > 45
    # Linear interpolation between totals a step apart: its error is step² / 8 times the curvature, below 2e-4 here.
    np.testing.assert_allclose(got["from_points"][inside], direct[inside], atol=2e-4)
    parts = got.filter(like="points_from_").sum(axis=1)
    np.testing.assert_allclose(parts, got["total_points"])


def test_intervals_are_quantiles_of_the_draws_averaged_by_hand(make_fit) -> None:
    fit = make_fit(interaction=False)
    got = nomogram(fit).predict(PERSON).iloc[0]
    z = np.array([1, 1.0, -1.0, 1.0, 1, 1, 0, 1])  # intercept, InterMAT, LMM, age, male, low, high, diabetes
    probability = expit(fit.coefficients() @ z)
    assert got["estimate"] == pytest.approx(np.median(probability), abs=1e-12)
    assert got["lower"] == pytest.approx(np.quantile(probability, 0.025), abs=1e-12)
    assert got["upper"] == pytest.approx(np.quantile(probability, 0.975), abs=1e-12)
    # Seven independent normals of SD 0.03: closed form, within Monte Carlo error of a quantile (sd of 4 x 2.7 / sqrt(S)).
    assert np.log(got["upper"] / (1 - got["upper"])) == pytest.approx(
        LOG_ODDS - 0.04 + 1.96 * 0.03 * np.sqrt(7), abs=4 * 0.03 * np.sqrt(7) * 2.67 / np.sqrt(4000)
    )


def test_known_site_adds_the_sites_effect(certain) -> None:
    made = nomogram(certain, site="known", site_name="Essen")
    assert made.predict(PERSON)["estimate"].item() == pytest.approx(expit(LOG_ODDS + 0.3), abs=1e-12)
    at_augsburg = made.predict({**PERSON, "site": "Augsburg"})
    assert at_augsburg["estimate"].item() == pytest.approx(expit(LOG_ODDS - 0.2), abs=1e-12)
    assert at_augsburg["site"].item() == "known: Augsburg"
    inside = made.scale[~made.scale["extrapolated"]]
    np.testing.assert_allclose(inside["estimate"], expit(inside["linear_predictor"] + 0.3), atol=1e-12)
    beyond = made.scale[made.scale["extrapolated"]]
    np.testing.assert_allclose(beyond["estimate"], expit(beyond["linear_predictor"] + 0.3), atol=1e-12)


def test_new_site_spreads_by_the_site_sd(certain) -> None:
    got = nomogram(certain).predict(PERSON, site="new").iloc[0]
    # Quantiles of 4,000 draws of N(0, 0.25) on the logit; four Monte Carlo standard errors.
    for name, p in (("lower", 0.025), ("estimate", 0.5), ("upper", 0.975)):
        error = 0.25 * np.sqrt(p * (1 - p) / 4000) / norm.pdf(norm.ppf(p))
        logit = np.log(got[name] / (1 - got[name]))
        assert logit == pytest.approx(LOG_ODDS + 0.25 * norm.ppf(p), abs=4 * error)
    assert np.isnan(got["from_points"])


def test_marginal_site_is_the_average_over_sites(certain) -> None:
    got = nomogram(certain).predict(PERSON, site="marginal").iloc[0]
    expected = quad(lambda u: expit(LOG_ODDS + u) * norm.pdf(u, scale=0.25), -3, 3)[0]
    assert got["estimate"] == pytest.approx(expected, abs=1e-6)
    assert got["lower"] == pytest.approx(expected, abs=1e-6)


def with_profile(fit, rows, sizes):
    """Return the same fit with other blocks of persons."""
    support = SimpleNamespace(**{**vars(fit.support), "profile": np.asarray(rows), "profile_n": np.asarray(sizes)})
    copy = SimpleNamespace(**{**vars(fit), "support": support})
    draws = ("coefficients", "site_effects", "site_sd", "group_effects", "group_sds")
    for name in (*draws, "mcse", "require_converged", "provenance"):
        setattr(copy, name, getattr(fit, name))
    return copy


def test_the_band_averages_risks_over_persons_within_each_draw(make_fit) -> None:
    fit = make_fit(sd=0.1)
    mean = fit.coefficients().mean(axis=0)
    rows = fit.recipe.matrix(fit.cohort.iloc[[0, 1]])
    # Move the second person along age so that both have one total; then the scale at it must be their weighted average.
    rows[1, 2] += (mean[1:] @ (rows[0] - rows[1])) / mean[3]
    total = nomogram(fit).system.total(rows)
    assert total[0] == pytest.approx(total[1])
    scale = nomogram(with_profile(fit, rows, [20, 60]), step=float(total[0]) / 7).scale
    at = scale.iloc[(scale["total_points"] - total[0]).abs().argmin()]
    draws = fit.coefficients()
    risk = expit(draws[:, :1] + draws[:, 1:] @ rows.T) @ [0.25, 0.75]
    assert at["estimate"] == pytest.approx(np.median(risk), rel=1e-9)
    assert at["lower"] == pytest.approx(np.quantile(risk, 0.025), rel=1e-9)
    assert at["upper"] == pytest.approx(np.quantile(risk, 0.975), rel=1e-9)
    assert at["n"] == 80


def test_beyond_all_persons_the_scale_is_marked_and_has_no_interval(fit) -> None:
    scale = nomogram(fit).scale
    at_block = nomogram(fit).system.total(fit.support.profile)
    outside = (scale["total_points"] < at_block.min()) | (scale["total_points"] > at_block.max())
    assert outside.any()
    assert not outside.all()
    np.testing.assert_array_equal(scale["extrapolated"], outside)
    assert scale.loc[outside, ["lower", "upper", "mcse"]].isna().all(axis=None)
    assert scale.loc[~outside, ["lower", "upper", "mcse"]].notna().all(axis=None)
    assert scale["estimate"].is_monotonic_increasing
    assert scale["n"].sum() == len(fit.cohort)


def test_contributions_add_up_to_the_difference_from_the_average_person(fit) -> None:
    got = nomogram(fit).contributions(PERSON)
    assert list(got["term"]) == ["intermat_z × lmm_z", "age_z", "sex", "activity", "diabetes"]
    # The conftest's column means are 0: the null is the row of zeros.
    np.testing.assert_allclose(got["estimate"], [0.21, 0.25, -0.15, 0.25, 0.09], atol=4e-3)
    assert got["value"].tolist() == ["9.6 %, 19 cm³/(kg/m²)", "59 years", "male", "low", "yes"]
    assert got["points"].sum() == pytest.approx(nomogram(fit).predict(PERSON)["total_points"].item())


def test_extrapolation_beyond_own_sex_and_age_is_named(fit) -> None:
    made = nomogram(fit)
    assert made.predict(PERSON)["outside"].item() == ""
    assert made.predict({**PERSON, "lmm_cm3_per_kg_m2": 45.0})["outside"].item() == "lmm_z"


def test_impossible_persons_and_sites_are_refused(fit, make_fit) -> None:
    made = nomogram(fit)
    with pytest.raises(MissingColumnError, match="age_years"):
        made.predict({k: v for k, v in PERSON.items() if k != "age_years"})
    with pytest.raises(InvalidValueError, match="activity"):
        made.predict({**PERSON, "activity": "extreme"})
    with pytest.raises(EstimandError, match="needs its name"):
        nomogram(fit, site="known")
    with pytest.raises(MissingColumnError):
        made.predict(PERSON, site="known")
    with pytest.raises(EstimandError, match="no such choice"):
        made.predict(PERSON, site="average")
    with pytest.raises(UnconvergedFitError):
        nomogram(make_fit(converged=False))


def test_maximum_likelihood_takes_points_from_the_maximum_and_states_no_error(make_fit) -> None:
    fit = make_fit(method="ml")
    made = nomogram(fit)
    np.testing.assert_array_equal(made.system.beta, fit.mean[1:])
    assert made.scale["mcse"].isna().all()
    assert made.predict(PERSON)["mcse"].isna().all()


def test_what_it_says_about_itself(fit) -> None:
    made = nomogram(fit)
    assert "not for clinical" in made.points.attrs["note"]
    assert made.points.attrs["site_meaning"].startswith("a site of effect 0")
    assert made.scale.attrs["simulated"] is True
    assert repr(made).startswith("<Nomogram of Chronic back pain: intermat_z × lmm_z")
    assert made._repr_html_().count("<table") == 1
    one = made.predict(pd.Series(PERSON))
    pd.testing.assert_frame_equal(one, made.predict(PERSON))
