"""Odds ratios against closed forms of normal coefficients."""

import numpy as np
import pytest
from scipy.stats import norm

from muscle_bayes.errors import EstimandError, UnconvergedFitError
from muscle_bayes.estimands import odds_ratios, printed
from muscle_bayes.estimands.frame import COLUMNS

Z975 = norm.ppf(0.975)


def row(frame, term, **where):
    found = frame[frame["term"] == term]
    for name, value in where.items():
        found = found[found[name] == value]
    assert len(found) == 1
    return found.iloc[0]


def test_without_interaction_each_odds_ratio_is_log_normal(make_fit) -> None:
    fit = make_fit(interaction=False)
    frame = odds_ratios(fit)
    expected = {"intermat_z": 2 * 0.10, "lmm_z": -2 * 0.07, "age_z": 2 * 0.25, "sex[male]": -0.15, "activity[low]": 0.25,
                "activity[high]": 0.12, "diabetes": 0.09}  # fmt: skip
    assert list(frame["term"]) == list(expected)
    for term, log_or in expected.items():
        got, sd = row(frame, term), 0.03 * (2 if term.endswith("_z") else 1)
        # The draws are the normal's own quantiles: only the grid of 4,000 is left as error.
        assert np.log(got["estimate"]) == pytest.approx(log_or, abs=1e-4)
        assert np.log(got["lower"]) == pytest.approx(log_or - Z975 * sd, abs=3e-3 * sd)
        assert np.log(got["upper"]) == pytest.approx(log_or + Z975 * sd, abs=3e-3 * sd)
        assert got["prob_gt_null"] == pytest.approx(norm.cdf(log_or / sd), abs=1 / 4000 + 1e-9)
        inside = norm.cdf((np.log(1.05) - log_or) / sd) - norm.cdf((np.log(0.95) - log_or) / sd)
        assert got["rope_share"] == pytest.approx(inside, abs=1 / 2000)
        # On the odds-ratio scale: the error of the median of a log-normal, exp(mu) sd sqrt(pi / 2S), nearly.
        assert got["mcse"] == pytest.approx(np.exp(log_or) * sd * np.sqrt(np.pi / 2 / 4000), rel=0.02)


def test_roles_site_and_columns_are_stated(fit) -> None:
    frame = odds_ratios(fit)
    assert tuple(frame.columns[: len(COLUMNS)]) == COLUMNS
    assert set(frame.loc[frame["role"] == "exposure", "term"]) == {"intermat_z", "lmm_z"}
    assert set(frame["scale"]) == {"odds ratio"}
    assert set(frame["site"]) == {"conditional on site"}
    assert frame.attrs["rope"] == [0.95, 1.05]
    assert frame.attrs["estimate_is"] == "posterior median"
    assert row(frame, "age_z")["contrast"] == "per 2 Z (2 SD = 22.0 years)"
    assert row(frame, "activity[low]")["contrast"] == "low against moderate"
    assert row(frame, "diabetes")["contrast"] == "yes against no"


@pytest.mark.parametrize("lmm", [-1.0, 0.0, 1.5])
def test_interaction_is_evaluated_at_the_stated_value(make_fit, lmm: float) -> None:
    fit = make_fit(method="ml")
    got = row(odds_ratios(fit, at={"lmm_z": lmm}), "intermat_z")
    log_or, se = 2 * (0.10 - 0.04 * lmm), 2 * 0.03 * np.sqrt(1 + lmm**2)
    assert got["estimate"] == pytest.approx(np.exp(log_or), rel=1e-12)
    assert got["lower"] == pytest.approx(np.exp(log_or - Z975 * se), rel=1e-9)
    assert got["upper"] == pytest.approx(np.exp(log_or + Z975 * se), rel=1e-9)
    bayes = row(odds_ratios(make_fit(), at={"lmm_z": lmm}), "intermat_z")
    # Sum of two independent columns: Monte Carlo error of the median, four of its standard errors.
    assert bayes["estimate"] == pytest.approx(np.exp(log_or), abs=4 * bayes["mcse"])


def test_a_value_in_raw_units_is_the_same_as_its_z(fit) -> None:
    raw = row(odds_ratios(fit, at={"lmm_cm3_per_kg_m2": 24.0 - 5.0}), "intermat_z")
    assert raw["estimate"] == pytest.approx(
        row(odds_ratios(fit, at={"lmm_z": -1}), "intermat_z")["estimate"], rel=1e-12
    )
    assert raw["contrast"].endswith("at LMM = −1 Z")


def test_a_list_of_values_gives_a_row_each_and_only_for_what_interacts(fit) -> None:
    frame = odds_ratios(fit, at={"lmm_z": [-1, 0, 1]})
    assert list(frame.loc[frame["term"] == "intermat_z", "at"]) == ["LMM = −1 Z", "LMM = 0 Z", "LMM = 1 Z"]
    assert list(frame.loc[frame["term"] == "lmm_z", "at"]) == ["InterMAT = 0 Z"]
    assert (frame["term"] == "age_z").sum() == 1


def test_default_stands_at_the_mean_and_says_so(fit) -> None:
    at_zero = row(odds_ratios(fit, at={"lmm_z": 0}), "intermat_z")
    default = row(odds_ratios(fit), "intermat_z")
    assert default["estimate"] == at_zero["estimate"]
    assert default["at"] == "LMM = 0 Z"


def test_per_none_takes_each_exposures_own_contrast(make_fit) -> None:
    frame = odds_ratios(make_fit(method="ml"), per=None)
    assert row(frame, "intermat_z")["estimate"] == pytest.approx(np.exp(2 * 0.10))
    assert row(frame, "lmm_z")["estimate"] == pytest.approx(np.exp(3 * -0.07))
    assert row(frame, "lmm_z")["contrast"].startswith("per 3 Z (3 SD = 15.0 cm³/(kg/m²))")
    assert row(odds_ratios(make_fit(method="ml"), per=1), "lmm_z")["estimate"] == pytest.approx(np.exp(-0.07))


def test_maximum_likelihood_states_no_probability_and_no_monte_carlo_error(make_fit) -> None:
    frame = odds_ratios(make_fit(method="ml"))
    assert frame[["prob_gt_null", "mcse", "rope_share"]].isna().all(axis=None)
    assert frame["text"].str.contains("to").all()
    assert "P(above null)" not in printed(frame)


def test_text_shows_no_digit_beyond_the_error(make_fit) -> None:
    few = row(odds_ratios(make_fit(draws=1000, sd=0.3)), "sex[male]")
    assert 0.01 < few["upper_mcse"] < 0.1
    assert few["text"] == f"{few['estimate']:.2f} ({few['lower']:.2f} to {few['upper']:.2f})"
    wide = row(odds_ratios(make_fit(draws=1000, sd=1.0)), "sex[male]")
    assert wide["lower_mcse"] < 0.1 < wide["upper_mcse"] < 1
    assert wide["text"].endswith(f"({wide['lower']:.2f} to {wide['upper']:.1f})")
    assert row(odds_ratios(make_fit()), "sex[male]")["text"] == "0.86 (0.81 to 0.91)"


def test_terms_choose_rows_and_unknown_names_are_refused(fit) -> None:
    assert list(odds_ratios(fit, terms=["lmm_z", "sex"])["term"]) == ["lmm_z", "sex[male]"]
    with pytest.raises(EstimandError, match="'bmi_z'"):
        odds_ratios(fit, terms=["bmi_z"])
    with pytest.raises(EstimandError, match="'bmi_z'"):
        odds_ratios(fit, at={"bmi_z": 0})
    with pytest.raises(EstimandError, match="no level 'other'"):
        odds_ratios(fit, at={"sex": "other"})
    with pytest.raises(EstimandError, match=r"'age_z'.*none of the predictors asked for interacts"):
        odds_ratios(fit, at={"age_z": 1})
    with pytest.raises(EstimandError, match="no contrast"):
        odds_ratios(fit, per=0)


def test_a_fit_that_failed_its_gate_is_refused_unless_asked(make_fit) -> None:
    fit = make_fit(converged=False)
    with pytest.raises(UnconvergedFitError):
        odds_ratios(fit)
    assert len(odds_ratios(fit, allow_unconverged=True)) == 7


def test_e_values_stand_with_exposures_and_use_the_square_root(make_fit) -> None:
    frame = odds_ratios(make_fit(method="ml", slopes=np.array([0.5, -0.01, 0.25, 0, 0, 0, 0, 0.0])))
    root = np.exp(0.5)  # of an odds ratio exp(2 x 0.5)
    assert row(frame, "intermat_z")["e_value_sqrt_or"] == pytest.approx(root + np.sqrt(root * (root - 1)))
    lower = np.sqrt(row(frame, "intermat_z")["lower"])
    assert row(frame, "intermat_z")["e_value_sqrt_or_limit"] == pytest.approx(lower + np.sqrt(lower * (lower - 1)))
    assert row(frame, "lmm_z")["e_value_sqrt_or_limit"] == 1  # its interval covers 1
    assert frame.loc[frame["role"] == "adjustment", ["e_value_sqrt_or", "e_value_sqrt_or_limit"]].isna().all(axis=None)
