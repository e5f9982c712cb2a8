"""Proposal of the SDs: what is drawn follows the stated density, and the box reaches where the mass is."""

import numpy as np
import pytest
from scipy import integrate, stats

from muscle_bayes.inference.laplace_grid import DEFENSIVE, EDGE_MASS, LogSdProposal, build_proposal, prior_box


def steep(log_sd: np.ndarray, centre: float = -1.0, spread: float = 0.4) -> np.ndarray:
    """Normal below, exponential above, in every dimension."""
    z = (log_sd - centre) / spread
    return np.where(z < 0, -0.5 * z**2, -3 * z).sum(axis=1)


def build(sd_scale: np.ndarray, **options: float) -> LogSdProposal:
    return build_proposal(lambda log_sd: steep(log_sd, **options), lambda box: None, sd_scale)


@pytest.mark.parametrize("widening", [1.0, 1.3])
def test_draws_follow_the_density(widening: float) -> None:
    """Kolmogorov-Smirnov on 20,000 draws at p > 1e-4, and a density that integrates to 1."""
    proposal = build(np.array([0.5])).tempered(widening)
    grid = np.linspace(-16, 4, 400_001)
    density = np.exp(proposal.log_density(grid[:, None]))
    cumulative = integrate.cumulative_trapezoid(density, grid, initial=0)
    assert cumulative[-1] == pytest.approx(1, abs=1e-3)
    draws = proposal.sample(20_000, np.random.default_rng(1))[:, 0]
    assert stats.kstest(np.interp(draws, grid, cumulative / cumulative[-1]), "uniform").pvalue > 1e-4


def test_cells_follow_the_target_closely() -> None:
    proposal = build(np.array([0.5]))
    grid = np.linspace(-2.2, -0.2, 2001)[:, None]
    target = steep(grid)
    target -= np.log(integrate.trapezoid(np.exp(steep(np.linspace(-6, 3, 90_001)[:, None])), dx=1e-4))
    ratio = np.exp(grid[:, 0]) / 0.5
    prior = stats.halfnorm.pdf(ratio) * ratio
    uniform = 1 / (proposal.box[1, 0] - proposal.box[0, 0])
    mixture = (1 - 2 * DEFENSIVE) * np.exp(target) + DEFENSIVE * (prior + uniform)
    assert np.abs(proposal.log_density(grid) - np.log(mixture)).max() < 0.05


def test_two_dimensions_integrate_to_one() -> None:
    proposal = build(np.array([0.5, 0.8]))
    axis = np.linspace(-11, 3, 201)
    mesh = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    assert np.exp(proposal.log_density(mesh)).sum() * (axis[1] - axis[0]) ** 2 == pytest.approx(1, abs=0.02)
    draws = proposal.sample(4000, np.random.default_rng(1))
    assert np.isfinite(proposal.log_density(draws)).all()


@pytest.mark.parametrize("centre", [-9.0, -1.0, 2.0])
def test_box_covers_the_prior_and_grows_to_the_mass(centre: float) -> None:
    sd_scale = np.array([0.5])
    proposal = build(sd_scale, centre=centre)
    needed = prior_box(sd_scale)
    np.testing.assert_allclose(np.exp(needed[:, 0]), stats.halfnorm.ppf([1e-4, 0.9999], scale=0.5), rtol=1e-6)
    assert proposal.box[0, 0] <= needed[0, 0]
    assert proposal.box[1, 0] >= needed[1, 0]
    assert proposal.edge_mass < EDGE_MASS
    assert proposal.box[0, 0] < centre - 1
    assert proposal.box[1, 0] > centre + 1
