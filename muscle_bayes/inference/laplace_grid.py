"""Proposal of the group SDs: cells over log SD, filled by the approximate marginal posterior.

The box of cells runs, for each SD, from the 0.0001 to the 0.9999 quantile of its half-normal prior and is extended
until its edges hold less than a set share of the mass; cells with much mass are split. A draw comes from the cells
(uniform inside one), or from one of two defensive components: the prior of the SDs, which has the posterior's tails
on both sides (as the SD goes to 0 the likelihood is constant, as it grows the likelihood only falls), and a uniform
over the box.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import logsumexp, ndtri

COVERED = (1e-4, 0.9999)  # prior quantiles of each SD that the box must contain
EDGE_MASS = 1e-4  # most mass that may lie beyond the edges
STARTING_WIDTH = {1: 0.1, 2: 0.25, 3: 0.5}  # of a cell in log SD, by number of group terms
MOST_IN_A_CELL = {1: 0.01, 2: 0.004, 3: 0.002}
NO_MASS = 1e-8  # cells that hold less are proposed from uniformly
STEEPEST = 6.0  # largest change of log density over a cell
DEFENSIVE = 0.04  # share of draws from each of the two defensive components


def half_normal_quantile(probability: float, scale: np.ndarray) -> np.ndarray:
    """Quantile of half-normal distributions with the given scales."""
    return scale * ndtri((1 + probability) / 2)


def prior_box(sd_scale: np.ndarray) -> np.ndarray:
    """Log SDs (2, T) between which the prior quantiles to be covered lie."""
    return np.log(np.stack([half_normal_quantile(p, sd_scale) for p in COVERED]))


@dataclass(frozen=True)
class LogSdProposal:
    """Mixture of cells, prior and uniform over log SD.

    Parameters
    ----------
    low, width : (C, T)
        Lower corner and width of every cell.
    slope : (C, T)
        Slopes of the log density inside every cell.
    log_mass : (C,)
        Log share of each cell, summing to 1.
    box : (2, T)
        Edges of the box of cells.
    edge_mass : float
        Approximate posterior mass beyond the edges.
    sd_scale : (T,)
        Scales of the half-normal priors.
    """

    low: np.ndarray
    width: np.ndarray
    slope: np.ndarray
    log_mass: np.ndarray
    box: np.ndarray
    edge_mass: float
    sd_scale: np.ndarray

    def sample(self, draws: int, rng: np.random.Generator) -> np.ndarray:
        """Draw log SDs (draws, T), stratified over the components and cells."""
        terms = self.box.shape[1]
        ends = np.cumsum(np.exp(self.log_mass)) * (1 - 2 * DEFENSIVE)
        u = (rng.permutation(draws) + rng.uniform(size=draws)) / draws
        cell = np.minimum(np.searchsorted(ends, u), len(ends) - 1)
        rise = self.slope[cell] * self.width[cell]
        steep = np.where(np.abs(rise) < 1e-6, 1.0, rise)
        share = rng.uniform(size=(draws, terms))
        share = np.where(np.abs(rise) < 1e-6, share, np.log1p(share * np.expm1(steep)) / steep)
        log_sd = self.low[cell] + self.width[cell] * share
        prior = (u >= ends[-1]) & (u < ends[-1] + DEFENSIVE)
        log_sd[prior] = np.log(self.sd_scale * np.abs(rng.standard_normal((int(prior.sum()), terms))))
        uniform = u >= ends[-1] + DEFENSIVE
        log_sd[uniform] = self.box[0] + (self.box[1] - self.box[0]) * rng.uniform(size=(int(uniform.sum()), terms))
        return log_sd

    def log_density(self, log_sd: np.ndarray) -> np.ndarray:
        """Log density of the mixture at log SDs (m, T): (m,)."""
        ratio = np.exp(log_sd) / self.sd_scale
        prior = (0.5 * np.log(2 / np.pi) + np.log(ratio) - 0.5 * ratio**2).sum(axis=1)
        inside = ((log_sd >= self.box[0]) & (log_sd <= self.box[1])).all(axis=1)
        uniform = np.where(inside, -np.log(self.box[1] - self.box[0]).sum(), -np.inf)
        parts = [np.log1p(-2 * DEFENSIVE) + self._log_cells(log_sd), np.log(DEFENSIVE) + prior]
        return logsumexp(np.stack([*parts, np.log(DEFENSIVE) + uniform]), axis=0)

    def _log_cells(self, log_sd: np.ndarray) -> np.ndarray:
        if not self.box.shape[1]:
            return np.zeros(len(log_sd))
        density = np.full(len(log_sd), -np.inf)
        height = self.log_mass - log_volume(self.width, self.slope)
        cell = self._find(log_sd)
        found = cell >= 0
        cell = cell[found]
        along = (self.slope[cell] * (log_sd[found] - self.low[cell] - self.width[cell] / 2)).sum(axis=1)
        density[found] = height[cell] + along
        return density

    def _find(self, log_sd: np.ndarray) -> np.ndarray:
        """Find the cell around each point (m, T), -1 outside the box: (m,)."""
        cell = np.full(len(log_sd), -1)
        halvings = np.round(np.log2(self.width[:, 0].max() / self.width[:, 0])).astype(int)
        # Cells are halved in every direction at once: those of one size lie on one lattice.
        for level in np.unique(halvings):
            own = np.flatnonzero(halvings == level)
            width = self.width[own[0]]
            counts = np.round((self.box[1] - self.box[0]) / width).astype(np.int64)
            radix = np.concatenate([[1], np.cumprod(counts[:-1])])
            keys = np.round((self.low[own] - self.box[0]) / width).astype(np.int64) @ radix
            place = np.floor((log_sd - self.box[0]) / width).astype(np.int64)
            within = ((place >= 0) & (place < counts)).all(axis=1)
            order = np.argsort(keys)
            at = np.minimum(np.searchsorted(keys[order], place @ radix), len(own) - 1)
            hit = within & (keys[order][at] == place @ radix)
            cell[hit] = own[order][at][hit]
        return cell

    def tempered(self, widening: float) -> "LogSdProposal":
        """Return the proposal with the masses' density flattened, as a `widening` times wider normal would be."""
        log_mass = (self.log_mass - log_volume(self.width, self.slope)) / widening**2
        slope = self.slope / widening**2
        log_mass += log_volume(self.width, slope)
        return replace(self, slope=slope, log_mass=log_mass - logsumexp(log_mass))


def log_volume(width: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Log integral of exp(slope * distance from the centre) over cells (C, T): (C,)."""
    half = np.abs(slope * width / 2)
    bulge = half + np.log1p(-np.exp(-2 * np.maximum(half, 1e-6))) - np.log(2 * np.maximum(half, 1e-6))
    return (np.log(width) + np.where(half < 1e-6, 0.0, bulge)).sum(axis=1)


def build_proposal(
    log_marginal: Callable[[np.ndarray], np.ndarray],
    extend: Callable[[np.ndarray], None],
    sd_scale: np.ndarray,
    limits: np.ndarray | None = None,
) -> LogSdProposal:
    """Fill a box of cells over log SD with the approximate marginal posterior.

    Parameters
    ----------
    log_marginal : callable
        Approximate log p(y, log sd) at points (m, T).
    extend : callable
        Called with the box (2, T) each time it has grown, so that design points can be added there.
    sd_scale : (T,)
        Scales of the half-normal priors.
    limits : (2, T), optional
        A fixed box that is not extended; what results is then certified only if it covers enough.

    Returns
    -------
    LogSdProposal
        Cells, their masses, and the mass beyond the edges.
    """
    terms = len(sd_scale)
    if not terms:
        empty = np.empty((1, 0))
        return LogSdProposal(empty, empty, empty, np.zeros(1), np.empty((2, 0)), 0.0, sd_scale)
    box = prior_box(sd_scale) if limits is None else limits
    for _ in range(12):
        extend(box)
        low, width = _cells(box, STARTING_WIDTH[terms])
        log_mass = log_marginal(low + width / 2) + np.log(width).sum(axis=1)
        beyond = _mass_beyond(low, width, log_mass, box)
        if limits is not None or beyond.max() < EDGE_MASS / (20 * terms):
            break
        # Toward 0 the mass beyond falls as exp(edge): go at once as far as that asks for; upward one step at a time.
        down = np.clip(np.log(np.maximum(beyond[0], 1e-300) * 40 * terms / EDGE_MASS), 0, 6)
        box = box + np.stack([-down, np.where(beyond[1] >= EDGE_MASS / (20 * terms), 0.5, 0)])
    for _ in range(8):
        heavy = log_mass - logsumexp(log_mass) > np.log(MOST_IN_A_CELL[terms])
        if not heavy.any() or len(low) > 20_000:
            break
        child_low, child_width = _split(low[heavy], width[heavy])
        child_mass = log_marginal(child_low + child_width / 2) + np.log(child_width).sum(axis=1)
        low, width = np.vstack([low[~heavy], child_low]), np.vstack([width[~heavy], child_width])
        log_mass = np.concatenate([log_mass[~heavy], child_mass])
    slope = _slopes(log_marginal, low, width, log_mass)
    log_mass += log_volume(width, slope) - np.log(width).sum(axis=1)
    return LogSdProposal(low, width, slope, log_mass - logsumexp(log_mass), box, float(beyond.sum()), sd_scale)


def _cells(box: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    counts = np.ceil((box[1] - box[0]) / width).astype(int)
    widths = (box[1] - box[0]) / counts
    mesh = np.meshgrid(*[np.arange(c) for c in counts], indexing="ij")
    low = box[0] + widths * np.stack([axis.ravel() for axis in mesh], axis=1)
    return low, np.broadcast_to(widths, low.shape).copy()


def _slopes(
    log_marginal: Callable[[np.ndarray], np.ndarray], low: np.ndarray, width: np.ndarray, log_mass: np.ndarray
) -> np.ndarray:
    """Slopes (C, T) of the log marginal inside the cells that hold any mass to speak of."""
    slope = np.zeros_like(low)
    rows = log_mass - logsumexp(log_mass) > np.log(NO_MASS)
    centre = low[rows] + width[rows] / 2
    for t in range(low.shape[1]):
        step = np.zeros_like(centre)
        step[:, t] = width[rows, t] / 4
        slope[rows, t] = (log_marginal(centre + step) - log_marginal(centre - step)) / (width[rows, t] / 2)
    return np.clip(slope, -STEEPEST / width, STEEPEST / width)


def _split(low: np.ndarray, width: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    terms = low.shape[1]
    corners = np.stack(np.meshgrid(*[[0.0, 0.5]] * terms, indexing="ij"), axis=-1).reshape(-1, terms)
    children = low[:, None] + corners * width[:, None]
    return children.reshape(-1, terms), np.repeat(width / 2, len(corners), axis=0)


def _mass_beyond(low: np.ndarray, width: np.ndarray, log_mass: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Bound on the posterior mass beyond each edge (2, T): the edge's density times one unit of log SD.

    Below, the density falls as fast as exp(log sd), so that the mass beyond equals the density at the edge. Above, it
    falls faster than that once the edge lies beyond the prior's scale.
    """
    share = np.exp(log_mass - logsumexp(log_mass))
    beyond = np.empty_like(box)
    for t in range(box.shape[1]):
        first = low[:, t] <= box[0, t] + 0.5 * width[:, t]
        last = low[:, t] + width[:, t] >= box[1, t] - 0.5 * width[:, t]
        beyond[:, t] = (share[first] / width[first, t]).sum(), (share[last] / width[last, t]).sum()
    return beyond
