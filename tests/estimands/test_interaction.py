"""RERI, AP, S and the four cells: a published example and closed forms."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands import interaction
from muscle_bayes.estimands.interaction import additive, attributable_proportion, reri, synergy_index

# Rothman & Keller 1972, oral cancer: cases and controls by smoking and alcohol; Hosmer & Lemeshow 1992 (Epidemiology 3,
# 452-456) give RERI 3.74, AP 0.41, S 1.87 for it.
CASES, CONTROLS = np.array([3, 8, 6, 225]), np.array([20, 18, 12, 166])


def pick(frame, estimand, cell=None):
    found = frame[frame["estimand"] == estimand]
    if cell is not None:
        found = found[found["cell"] == cell]
    assert len(found) == 1
    return found.iloc[0]


def test_oral_cancer_alcohol_and_smoking() -> None:
    odds_ratios = (CASES / CONTROLS) / (CASES[0] / CONTROLS[0])
    assert reri(*odds_ratios[1:]) == pytest.approx(3.74, abs=0.005)
    assert attributable_proportion(*odds_ratios[1:]) == pytest.approx(0.41, abs=0.005)
    assert synergy_index(*odds_ratios[1:]) == pytest.approx(1.87, abs=0.005)


def test_a_single_exposure_that_may_protect_refuses_ap_and_s_but_not_reri() -> None:
    odds_ratios = (CASES / CONTROLS) / (CASES[0] / CONTROLS[0])
    # In these data each exposure alone protects with a probability near 0.07: two tables of few cases.
    rng = np.random.default_rng(1)
    logs = rng.normal(np.log(CASES / CONTROLS), np.sqrt(1 / CASES + 1 / CONTROLS), size=(4000, 4))
    expected = norm.cdf(0, np.log(odds_ratios[1]), np.sqrt((1 / CASES + 1 / CONTROLS)[[0, 1]].sum()))
    assert expected > 0.05
    by_name = {q["estimand"]: q for q in additive(np.exp(logs), odds_ratios, "")}
    assert by_name["RERI"]["note"] == ""
    assert by_name["RERI"]["maximum"] == pytest.approx(3.74, abs=0.005)
    for name in ("AP", "S"):
        assert by_name[name]["note"].startswith("refused: the")
        assert np.isnan(by_name[name]["draws"]).all()
        assert np.isnan(by_name[name]["maximum"])
    harmful = np.array([[1.0, 2.0, 3.0, 6.0]] * 10)
    kept = {q["estimand"]: q for q in additive(harmful, None, "")}
    assert kept["S"]["draws"][0] == pytest.approx(5 / 3)
    assert kept["S"]["note"] == "P(denominator <= 0) = 0.000"
    assert kept["AP"]["draws"][0] == pytest.approx(2 / 6)


@pytest.fixture(scope="module")
def certain(make_fit):
    """Only the exposures matter, without spread, so that all risks have closed forms."""
    slopes = np.zeros(8)
    slopes[[0, 1, 7]] = 0.10, -0.07, -0.04
    return make_fit(slopes=slopes, sd=0.0)


def test_risks_and_their_measures_have_closed_forms(certain) -> None:
    frame = interaction(certain, site="typical")
    # Low lean muscle is the exposure; the fit's own contrasts are 2 and 3 Z.
    a, b = (-1.0, 1.0), (1.5, -1.5)
    risk = {f"{i}{j}": expit(-1.4 + 0.1 * a[i] - 0.07 * b[j] - 0.04 * a[i] * b[j]) for i in (0, 1) for j in (0, 1)}
    for cell, value in risk.items():
        assert pick(frame, "risk", cell)["estimate"] == pytest.approx(value, abs=1e-6)
    ratio = {cell: value / risk["00"] for cell, value in risk.items()}
    for cell in ("10", "01", "11"):
        assert pick(frame, "risk ratio", cell)["estimate"] == pytest.approx(ratio[cell], abs=2e-5)
    assert pick(frame, "RERI")["estimate"] == pytest.approx(ratio["11"] - ratio["10"] - ratio["01"] + 1, abs=5e-5)
    odds = {cell: value / (1 - value) for cell, value in risk.items()}
    expected = (odds["11"] - odds["10"] - odds["01"]) / odds["00"] + 1
    assert pick(frame, "RERI (odds ratios)")["estimate"] == pytest.approx(expected, rel=1e-9)
    # The interaction coefficient alone, over the product of the contrasts.
    assert pick(frame, "ratio of odds ratios")["estimate"] == pytest.approx(np.exp(-0.04 * 2 * -3), rel=1e-9)
    assert frame.attrs["reference_cell"] == "InterMAT = −1 Z, LMM = 1.5 Z"
    stratum = pick(frame, "risk ratio of the first where the second is exposed")
    assert stratum["estimate"] == pytest.approx(risk["11"] / risk["01"], abs=2e-5)


def test_without_interaction_the_ratio_of_odds_ratios_is_one_and_reri_is_not_zero(make_fit) -> None:
    frame = interaction(make_fit(interaction=False, sd=0.0), site="typical")
    assert pick(frame, "ratio of odds ratios")["estimate"] == pytest.approx(1, rel=1e-9)
    # Risks that multiply on the odds scale exceed additivity: the point of showing both.
    assert pick(frame, "RERI")["estimate"] > 0.005


def test_spread_of_the_multiplicative_interaction_is_that_of_its_coefficient(fit) -> None:
    got = pick(interaction(fit, site="typical"), "ratio of odds ratios")
    assert np.log(got["estimate"]) == pytest.approx(0.24, abs=1e-4)
    assert np.log(got["upper"]) == pytest.approx(0.24 + 6 * 0.03 * norm.ppf(0.975), abs=6e-4)
    assert got["prob_gt_null"] == pytest.approx(norm.cdf(0.24 / 0.18), abs=3e-4)


def test_levels_in_raw_units_and_their_recoding(certain) -> None:
    raw = interaction(
        certain, levels={"intermat_percent": (4.8, 9.6), "lmm_cm3_per_kg_m2": (31.5, 16.5)}, site="typical"
    )
    default = interaction(certain, site="typical")
    np.testing.assert_allclose(raw["estimate"], default["estimate"], rtol=1e-6)
    swapped = interaction(certain, levels={"lmm_z": (-1.5, 1.5)}, site="typical")
    assert pick(swapped, "risk", "00")["estimate"] == pytest.approx(pick(default, "risk", "01")["estimate"], abs=1e-7)


def test_case_control_data_have_odds_ratio_versions_only(certain) -> None:
    frame = interaction(certain, design="case-control")
    assert set(frame["scale"]) == {"odds ratio", "ratio of odds ratios", "RERI", "AP", "S"}
    assert frame["site"].eq("conditional on site").all()
    assert not frame["estimand"].isin(["risk", "RERI"]).any()


def test_maximum_likelihood_is_at_the_maximum(make_fit) -> None:
    frame = interaction(make_fit(method="ml", sd=0.1), site="typical")
    assert pick(frame, "ratio of odds ratios")["estimate"] == pytest.approx(np.exp(0.24), rel=1e-9)
    assert frame["prob_gt_null"].isna().all()


def test_what_makes_no_pair_is_refused(fit) -> None:
    with pytest.raises(EstimandError, match="two different"):
        interaction(fit, "lmm_z", "lmm_z")
    with pytest.raises(EstimandError, match="no such predictor"):
        interaction(fit, "lmm_z", "bmi_z")
    with pytest.raises(EstimandError, match=r"levels=\{'activity': \('moderate', 'low'\)\}"):
        interaction(fit, "lmm_z", "activity")


def test_the_default_pair_is_what_the_model_lets_interact(fit, make_fit) -> None:
    assert set(interaction(fit)["term"]) == {"intermat_z × lmm_z"}
    assert set(interaction(make_fit(interaction=False))["term"]) == {"intermat_z × lmm_z"}
    assert set(interaction(fit, "lmm_z")["term"]) == {"lmm_z × intermat_z"}
