"""Averaging over persons within draws, against the plain double-precision sum."""

import numpy as np
import pytest
from scipy.special import expit

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.standardisation import analysis_set, mean_risks


@pytest.fixture(scope="module")
def small(make_fit):
    return make_fit(draws=300, n=1500, sd=0.2)


def by_hand(fit, X, offset):
    draws = fit.coefficients()
    return expit(draws[:, :1] + draws[:, 1:] @ X.T + offset)


def test_averages_equal_the_plain_sum_for_every_site(small) -> None:
    X = [small.recipe.matrix(small.cohort.assign(intermat_z=z)) for z in (-1.0, 1.0)]
    index = small.recipe.site_index(small.cohort)
    rng = np.random.default_rng([small.seed, 71])
    offsets = {
        "typical": np.zeros((300, 1)),
        "known": small.site_effects()[:, index],
        "new": (rng.standard_normal(300) * 0.25)[:, None],
    }
    for site, offset in offsets.items():
        got = mean_risks(small, X, site=site, site_index=index)
        assert got.shape == (300, 1, 2)
        for j in range(2):
            np.testing.assert_allclose(got[:, 0, j], by_hand(small, X[j], offset).mean(axis=1), atol=1e-6)


def test_marginal_site_is_the_integral(small) -> None:
    X = [small.recipe.matrix(small.cohort)]
    z = np.linspace(-8, 8, 801)
    weight = np.exp(-z * z / 2) / np.exp(-z * z / 2).sum()
    eta = small.coefficients()[:5, :1] + small.coefficients()[:5, 1:] @ X[0].T
    expected = sum(w * expit(eta + 0.25 * u) for w, u in zip(weight, z, strict=True)).mean(axis=1)
    np.testing.assert_allclose(mean_risks(small, X, site="marginal")[:5, 0, 0], expected, atol=2e-6)


def test_groups_are_averaged_apart_and_make_up_the_whole(small) -> None:
    X = [small.recipe.matrix(small.cohort)]
    # Interleaved groups, one of them a single person, so that tiles cut through them.
    groups = np.arange(1500) % 3
    groups[groups == 2] = 1
    groups[7] = 2
    got = mean_risks(small, X, site="typical", groups=groups)[:, :, 0]
    probability = by_hand(small, X[0], 0.0)
    for g in range(3):
        np.testing.assert_allclose(got[:, g], probability[:, groups == g].mean(axis=1), atol=1e-6)
    whole = mean_risks(small, X, site="typical")[:, 0, 0]
    np.testing.assert_allclose(got @ np.bincount(groups) / 1500, whole, atol=1e-6)


def test_persons_come_from_the_fit_or_are_given_and_complete(small) -> None:
    assert len(analysis_set(small)) == 1500
    given = small.cohort.head(10).copy()
    given.loc[3, "age_years"] = np.nan
    frame = analysis_set(small, given)
    assert len(frame) == 9
    # The constants are the fit's, not those of ten persons.
    assert frame["age_z"].iloc[0] == pytest.approx((given["age_years"].iloc[0] - 48) / 11)
    with pytest.raises(EstimandError, match="no person is complete"):
        analysis_set(small, given.assign(sex=None))


def test_exposures_moved_alike_for_everyone_share_one_exponential_and_give_the_same(make_fit) -> None:
    """Designs that differ by one number a draw take a shorter way; each design alone takes the long one."""
    fit = make_fit(n=1500, draws=200)
    X = fit.recipe.matrix(fit.cohort)
    persons = fit.recipe.standardise(fit.cohort)
    shifted = [X, X + np.array([0.5, 0, 0, 0, 0, 0, 0, 0]), X + np.array([0, -30.0, 0, 0, 0, 0, 0, 0])]
    groups = np.repeat([0, 1], 750)
    beta = np.column_stack([fit.coefficients(), fit.site_effects()])
    for site in ("known", "marginal"):
        index = fit.recipe.site_index(persons) if site == "known" else None
        together = mean_risks(fit, shifted, site=site, site_index=index, groups=groups)
        for k, design in enumerate(shifted):
            alone = mean_risks(fit, [design], site=site, site_index=index, groups=groups)
            np.testing.assert_allclose(together[:, :, k], alone[:, :, 0], atol=1e-6)
        if site == "known":
            plain = expit(beta @ np.column_stack([np.ones(1500), shifted[2], np.eye(3)[index]]).T)
            np.testing.assert_allclose(together[:, 1, 2], plain[:, 750:].mean(axis=1), atol=1e-6)
