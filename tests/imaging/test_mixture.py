"""The mixture against populations that are known because they were drawn."""

import numpy as np
import pytest
from scipy import integrate, stats

from muscle_bayes.errors import MixtureNotSeparableError
from muscle_bayes.imaging.mixture import IntensityMixture, fit_mixture

N = 100_000


def muscle(seed, share, partial=0.0, lean=(100.0, 15.0), fat=(300.0, 25.0)):
    """Intensities and true adipose share of each voxel: lean, adipose, and voxels that hold some of both."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, N, p=[1 - share - partial, partial, share])
    content = np.where(kind == 1, rng.uniform(0, 1, N), kind / 2)
    mean = lean[0] + content * (fat[0] - lean[0])
    sd = np.where(kind == 2, fat[1], lean[1])
    return rng.normal(mean, sd), content


@pytest.mark.parametrize("share", [0.02, 0.1, 0.4])
def test_two_gaussians_are_recovered(share):
    values, content = muscle(1, share)
    mixture = fit_mixture(values, None, "image")
    assert mixture.lean_mean == pytest.approx(100, abs=0.5)
    assert mixture.lean_sd == pytest.approx(15, rel=0.02)
    # Standard error of the adipose mean is 25 / sqrt(2,000) = 0.56 at the smallest share; allow four and the histogram.
    assert mixture.adipose_mean == pytest.approx(300, abs=3.5)
    assert mixture.adipose_sd == pytest.approx(25, rel=0.08)
    assert mixture.separation == pytest.approx(np.sqrt(2) * 200 / np.hypot(15, 25), rel=0.05)
    found = mixture.adipose_share(values, mixture.weights_in(values)).mean()
    assert found == pytest.approx(content.mean(), abs=0.002)


@pytest.mark.parametrize("anchored", [False, True])
def test_partial_volume_is_shared_out(anchored):
    # 6 % pure fat and 20 % voxels with some of both: the truth is 16 %, a hard threshold at any place is off.
    values, content = muscle(2, 0.06, partial=0.20)
    subcutaneous = np.random.default_rng(3).normal(300, 25, 5000) if anchored else None
    mixture = fit_mixture(values, subcutaneous, "image")
    found = mixture.adipose_share(values, mixture.weights_in(values)).mean()
    assert content.mean() == pytest.approx(0.16, abs=0.003)
    assert found == pytest.approx(content.mean(), abs=0.008)


def test_subcutaneous_fat_makes_a_healthy_muscle_measurable():
    values, content = muscle(4, 0.0005, partial=0.01)
    with pytest.raises(MixtureNotSeparableError):
        fit_mixture(values, None, "image")
    mixture = fit_mixture(values, np.random.default_rng(5).normal(300, 25, 5000), "image")
    found = mixture.adipose_share(values, mixture.weights_in(values)).mean()
    assert found == pytest.approx(content.mean(), abs=0.003)


def test_anchor_withstands_a_dirty_label():
    # A tenth of the subcutaneous label is skin and vessels; median and MAD hardly move.
    rng = np.random.default_rng(6)
    dirty = np.concatenate([rng.normal(300, 25, 4500), rng.normal(100, 40, 500)])
    values, _ = muscle(6, 0.1)
    mixture = fit_mixture(values, dirty, "image")
    assert mixture.adipose_mean == pytest.approx(300, abs=5)
    assert mixture.adipose_sd == pytest.approx(25, rel=0.2)


def test_weights_are_the_regions_own():
    values, _ = muscle(7, 0.1)
    mixture = fit_mixture(values, None, "image")
    fatty, content = muscle(8, 0.5)
    assert mixture.adipose_share(fatty, mixture.weights_in(fatty)).mean() == pytest.approx(content.mean(), abs=0.005)


def test_densities_integrate_to_one():
    mixture = IntensityMixture(100, 15, 300, 25, (0.7, 0.2, 0.1))
    for kind in range(3):
        weights = tuple(float(i == kind) for i in range(3))
        # posterior x total density = weighted density; with one weight of 1 the posterior says where it is positive.
        grid = np.linspace(-200, 600, 20001)
        posterior = mixture.posterior(grid, weights)
        np.testing.assert_allclose(posterior.sum(axis=0), 1.0)
    x = np.linspace(-200, 600, 20001)
    partial = stats.norm.cdf(x, 100, 15) - stats.norm.cdf(x, 300, 25)
    assert integrate.trapezoid(partial / 200, x) == pytest.approx(1.0, abs=1e-6)
    # Bayes' rule with SciPy's densities.
    value = np.array([180.0])
    joint = np.array(
        [
            0.7 * stats.norm.pdf(180, 100, 15),
            0.2 * partial[np.searchsorted(x, 180.0)] / 200,
            0.1 * stats.norm.pdf(180, 300, 25),
        ]
    )
    np.testing.assert_allclose(mixture.posterior(value, (0.7, 0.2, 0.1))[:, 0], joint / joint.sum(), rtol=1e-6)


def test_far_tails_belong_to_the_nearer_component():
    # The wider component must not win the tail beyond the narrower one.
    mixture = IntensityMixture(100, 5, 300, 80, (0.6, 0.2, 0.2))
    share = mixture.adipose_share(np.array([-1e4, -50.0, 100.0, 300.0, 700.0, 1e6]), (0.6, 0.2, 0.2))
    np.testing.assert_array_equal(share, [0, 0, 0, 1, 1, 1])


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("one Gaussian", np.random.default_rng(1).normal(200, 30, N)),
        ("skewed to the bright", np.random.default_rng(2).gamma(2.0, 50.0, N)),
        ("skewed to the dark", 400 - np.random.default_rng(3).gamma(3.0, 30.0, N)),
        ("exponential", np.random.default_rng(4).exponential(50.0, N)),
        ("uniform", np.random.default_rng(5).uniform(0, 400, N)),
        ("close Gaussians", np.concatenate([np.random.default_rng(6).normal(m, 40, N // 2) for m in (200, 250)])),
    ],
)
def test_one_population_is_refused(name, values):
    with pytest.raises(MixtureNotSeparableError, match=r"image\.nii.*separation D = -?\d+\.\d\d") as refusal:
        fit_mixture(values, None, "image.nii")
    # Plain words come before the first figure.
    assert "so a fat share would be invented (" in refusal.value.problem.split("separation")[0]


def test_contrast_without_bright_fat_is_refused():
    # As in a contrast where subcutaneous fat (176) is darker than muscle (208).
    rng = np.random.default_rng(1)
    with pytest.raises(MixtureNotSeparableError, match="not brighter than muscle"):
        fit_mixture(rng.normal(208, 30, N), rng.normal(176, 20, 5000), "image.nii")


def test_mostly_bright_muscle_is_refused():
    # Bright muscle with dark tendon separates well, but the bright component is not fat.
    values, _ = muscle(9, 0.85)
    with pytest.raises(MixtureNotSeparableError, match=r"8[0-9] % of muscle would be fat"):
        fit_mixture(values, None, "image.nii")


def test_too_few_voxels():
    with pytest.raises(MixtureNotSeparableError, match="only 50 voxels"):
        fit_mixture(np.linspace(0, 1, 50), None, "image.nii")
    with pytest.raises(MixtureNotSeparableError, match="all of one value"):
        fit_mixture(np.full(5000, 7.0), None, "image.nii")
