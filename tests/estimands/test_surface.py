"""The odds-ratio surface: closed forms, symmetries and support."""

import numpy as np
import pytest

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands import odds_ratio_surface, odds_ratios

GRID = {"intermat_z": [-1.0, 0.0, 0.5, 2.0], "lmm_z": [-2.0, 0.0, 1.0]}


def cell(frame, a, b):
    found = frame[np.isclose(frame["intermat_z"], a) & np.isclose(frame["lmm_z"], b)]
    assert len(found) == 1
    return found.iloc[0]


@pytest.mark.parametrize("reference", [(0.0, 0.0), (0.5, -2.0)])
def test_every_cell_has_its_closed_form(make_fit, reference) -> None:
    frame = odds_ratio_surface(make_fit(method="ml"), reference=reference, grid=GRID)
    assert len(frame) == 12

    def eta(a, b):
        return 0.10 * a - 0.07 * b - 0.04 * a * b

    expected = np.exp(eta(frame["intermat_z"], frame["lmm_z"]) - eta(*reference))
    np.testing.assert_allclose(frame["estimate"], expected, rtol=1e-12)
    a, b = frame["intermat_z"] - reference[0], frame["lmm_z"] - reference[1]
    c = frame["intermat_z"] * frame["lmm_z"] - reference[0] * reference[1]
    half = 1.959963984540054 * 0.03 * np.sqrt(a**2 + b**2 + c**2)
    np.testing.assert_allclose(np.log(frame["upper"] / frame["lower"]), 2 * half, rtol=1e-9, atol=1e-12)


def test_the_reference_is_one_without_error_and_has_no_probability(fit) -> None:
    at = cell(odds_ratio_surface(fit, reference=(0.5, 1.0), grid=GRID), 0.5, 1.0)
    assert at["estimate"] == at["lower"] == at["upper"] == 1
    assert at["mcse"] == 0
    assert np.isnan(at["prob_gt_null"])


def test_exchanging_cell_and_reference_inverts_the_odds_ratio(fit) -> None:
    there = cell(odds_ratio_surface(fit, reference=(0.5, 1.0), grid=GRID), -1.0, -2.0)
    back = cell(odds_ratio_surface(fit, reference=(-1.0, -2.0), grid=GRID), 0.5, 1.0)
    # The interval's limits swap places; between order statistics, interpolation of x and of 1/x differ in the sixth digit.
    assert back["estimate"] == pytest.approx(1 / there["estimate"], rel=1e-4)
    assert back["lower"] == pytest.approx(1 / there["upper"], rel=1e-4)
    assert back["prob_gt_null"] == pytest.approx(1 - there["prob_gt_null"])


def test_along_an_axis_it_is_the_odds_ratio_of_that_exposure(fit) -> None:
    grid = {"intermat_z": [-1.0, 1.0], "lmm_z": [-1.0]}
    along = odds_ratio_surface(fit, reference=(-1.0, -1.0), grid=grid)
    single = odds_ratios(fit, per=2, at={"lmm_z": -1}, terms=["intermat_z"]).iloc[0]
    for name in ("estimate", "lower", "upper", "prob_gt_null", "rope_share"):
        assert cell(along, 1.0, -1.0)[name] == pytest.approx(single[name], rel=1e-12)


def test_default_grid_passes_through_the_reference_and_covers_the_data(fit) -> None:
    frame = odds_ratio_surface(fit, reference=(0.03, -0.02), grid=0.25)
    assert cell(frame, 0.03, -0.02)["estimate"] == 1
    q = fit.support.quantiles
    assert frame["intermat_z"].min() <= q.loc["intermat_z", 0.01] + 0.25
    assert frame["intermat_z"].max() >= q.loc["intermat_z", 0.99] - 0.25
    np.testing.assert_allclose(frame["intermat_percent"], 7.2 + 2.4 * frame["intermat_z"])
    np.testing.assert_allclose(frame["lmm_cm3_per_kg_m2"], 24.0 + 5.0 * frame["lmm_z"])


def test_support_is_by_sex_and_where_persons_are(make_fit) -> None:
    frame = odds_ratio_surface(make_fit(n=20_000), grid=0.5)
    assert cell(frame, 0.0, 0.0)["supported"]
    assert not cell(frame, -2.0, -2.5)["supported"]
    np.testing.assert_array_equal(frame["supported"], frame["supported_female"] | frame["supported_male"])
    # The simulated men have 1.2 Z more lean muscle.
    low, high = cell(frame, 0.0, -2.5), cell(frame, 0.0, 2.5)
    assert (low["supported_female"], low["supported_male"]) == (True, False)
    assert (high["supported_female"], high["supported_male"]) == (False, True)


def test_densities_for_the_edges_integrate_to_one(fit) -> None:
    densities = odds_ratio_surface(fit, grid=1.0).attrs["densities"]
    for name in ("intermat_z", "lmm_z"):
        z = np.array(densities[name]["z"])
        assert sum(np.sum(densities[name][sex]) for sex in ("female", "male")) * (z[1] - z[0]) == pytest.approx(1)


def test_only_two_different_exposures_make_a_surface(fit) -> None:
    with pytest.raises(EstimandError, match="'age_z'"):
        odds_ratio_surface(fit, "intermat_z", "age_z")
    with pytest.raises(EstimandError, match="two different"):
        odds_ratio_surface(fit, "lmm_z", "lmm_z")
    with pytest.raises(EstimandError, match="no values for 'lmm_z'"):
        odds_ratio_surface(fit, grid={"intermat_z": [0.0]})
