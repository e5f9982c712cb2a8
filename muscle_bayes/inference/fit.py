"""A fit: the posterior (or the maximum) of a model, with all that estimands need and all that a reader should know."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from muscle_bayes.errors import EstimandError, UnconvergedFitError
from muscle_bayes.inference.diagnostics import Diagnostics
from muscle_bayes.inference.draws import Draws
from muscle_bayes.inference.maximum import Maximum
from muscle_bayes.inference.provenance import software_versions
from muscle_bayes.inference.summary_text import summary_text
from muscle_bayes.inference.support import Support
from muscle_bayes.specification.model import Model
from muscle_bayes.specification.recipe import Recipe

Method = Literal["nuts", "laplace", "pymc", "ml"]
_MANY = 64


@dataclass(frozen=True, repr=False)
class Fit:
    """A model fitted to a cohort.

    Attributes
    ----------
    model : Model
        What was fitted, priors included.
    method : {"nuts", "laplace", "pymc", "ml"}
        By which engine; `auto` leaves the one that it took.
    seed : int
        Seed of every random number in the fit.
    recipe : Recipe
        Turns raw values of persons into design columns.
    posterior : xarray.DataTree or None
        Groups posterior and sample_stats, 4 chains x draws, with Bambi's names; None for `ml`. ArviZ 1.x shows 89 %
        intervals unless told: ``az.summary(fit.posterior, ci_prob=0.95)``.
    maximum : Maximum or None
        For `ml` only.
    support : Support
        Distributions of the analysis set.
    diagnostics : Diagnostics
        The gate and its findings.
    flow : pandas.DataFrame
        From the table that was read to the analysis set, with counts.
    n, events : int
        Participants and events of the analysis set; of an ordered outcome, those above the lowest category.
    simulated : bool
        Whether the data are simulated.
    data_hash : str
        SHA-256 of the analysis set's columns.
    cohort : pandas.DataFrame or None
        The analysis set; None after `load_fit` without a cohort.
    categories : dict of str to int
        Of an ordered outcome, the lowest first: participants in each; empty for an event.
    """

    model: Model
    method: Method
    seed: int
    recipe: Recipe
    posterior: xr.DataTree | None
    maximum: Maximum | None
    support: Support
    diagnostics: Diagnostics
    flow: pd.DataFrame
    n: int
    events: int
    simulated: bool
    data_hash: str
    cohort: pd.DataFrame | None = field(default=None, compare=False)
    categories: dict[str, int] = field(default_factory=dict)

    @cached_property
    def _draws(self) -> Draws:
        if self.posterior is not None:
            return Draws.from_dataset(self.posterior["posterior"].to_dataset(), self.recipe)
        assert self.maximum is not None
        # Risks of a maximum-likelihood fit come from draws of its Wald approximation; group effects stay at their modes.
        rng = np.random.default_rng(self.seed)
        effects = tuple(np.broadcast_to(modes, (4, 1000, len(modes))) for modes in self.maximum.effects)
        sds = tuple(np.full((4, 1000), sd) for sd in self.maximum.sds)
        centre, covariance = self.maximum.coefficients, self.maximum.covariance
        cut = self.maximum.thresholds
        if cut is not None and self.maximum.joint_covariance is not None:
            centre, covariance = np.concatenate([cut, centre[1:]]), self.maximum.joint_covariance
        drawn = rng.multivariate_normal(centre, covariance, size=(4, 1000), method="eigh")
        if cut is None:
            return Draws(drawn[..., 0], drawn[..., 1:], effects, sds)
        t = len(cut)
        return Draws(np.zeros((4, 1000)), drawn[..., t:], effects, sds, np.sort(drawn[..., :t], axis=-1))

    def coefficients(self) -> np.ndarray:
        """Return draws of the coefficients.

        Returns
        -------
        numpy.ndarray, shape (S, 1 + p)
            The intercept of the columns as they are, then the coefficients in the order of `recipe.columns`; chain after
            chain. For `ml`, 4,000 draws of N(maximum, Wald covariance).
        """
        flat = self._draws.flat
        return np.column_stack([flat.intercept, flat.coefficients])

    def thresholds(self) -> np.ndarray:
        """Return draws of the thresholds of an ordered outcome.

        Returns
        -------
        numpy.ndarray, shape (S, K - 1)
            Log odds of lying in category k or below for a person whose design columns are 0, at the typical site, for k from
            the lowest of `categories` to the last but one; chain after chain, as `coefficients`.

        Raises
        ------
        EstimandError
            Where the outcome is an event, which has an intercept instead.
        """
        found = self._draws.flat.thresholds
        if found is None:
            raise EstimandError(
                f"fit of {self.model.name!r}", "its outcome is an event, which has no thresholds", "Take coefficients()"
            )
        return found

    def at_least(self, category: str | int) -> "Fit":
        """Return this fit of an ordered outcome as one of the event "this category or higher".

        Every estimand of a probability takes it: its intercept is minus the threshold below the category, its odds ratios are
        those of the ordered outcome. See `muscle_bayes.inference.ordinal_event.event_fit`.

        Parameters
        ----------
        category : str or int
            One of `categories` but the lowest.

        Returns
        -------
        Fit
            Of family ``bernoulli``; refits of it are logistic regressions of that event.
        """
        from muscle_bayes.inference.ordinal_event import event_fit

        return event_fit(self, category)

    def group_effects(self) -> tuple[np.ndarray, ...]:
        """Return draws of everything that varies by group.

        Returns
        -------
        tuple of numpy.ndarray, shape (S, J)
            For each of `recipe.varying`, what each level of its factor adds to the average coefficient. For `ml`, the
            conditional modes, S times.
        """
        return self._draws.flat.effects

    def group_sds(self) -> np.ndarray:
        """Return draws of the standard deviations of everything that varies by group.

        Returns
        -------
        numpy.ndarray, shape (S, T)
            In the order of `recipe.varying`.
        """
        flat = self._draws.flat
        return np.column_stack([np.empty((flat.intercept.size, 0)), *flat.sds])

    def site_effects(self) -> np.ndarray:
        """Return draws of the random intercepts of the sites.

        Returns
        -------
        numpy.ndarray, shape (S, J)
            Log odds against the typical site, in the order of `recipe.site_levels`; zeros where no intercept varies by site.
        """
        t = self._site_intercept
        return (
            np.zeros((self._draws.intercept.size, len(self.recipe.site_levels)))
            if t is None
            else self.group_effects()[t]
        )

    def site_sd(self) -> np.ndarray:
        """Return draws of the standard deviation of the random intercepts of the sites.

        Returns
        -------
        numpy.ndarray, shape (S,)
            Log odds; zeros where no intercept varies by site.
        """
        t = self._site_intercept
        return np.zeros(self._draws.intercept.size) if t is None else self._draws.flat.sds[t]

    @property
    def _site_intercept(self) -> int | None:
        name = f"1|{self.recipe.site}"
        return next((t for t, one in enumerate(self.recipe.varying) if one.name == name), None)

    @property
    def weights_ess(self) -> float | None:
        """Effective sample size of the raw importance weights of a `laplace` fit, else None."""
        if self.posterior is None or "ess" not in self.posterior["sample_stats"].attrs:
            return None
        return float(self.posterior["sample_stats"].attrs["ess"])

    def mcse(self, values: np.ndarray, kind: Literal["mean", "median"] = "median") -> np.ndarray:
        """Return the Monte Carlo standard error of a summary of quantities computed draw by draw.

        Parameters
        ----------
        values : numpy.ndarray, shape (S,) or (S, k)
            One row a draw, in the order of `coefficients`.
        kind : {"mean", "median"}
            Which summary.

        Returns
        -------
        numpy.ndarray, shape (k,)
            NaN for `ml`. For `laplace` from the effective size of the raw weights, their rounding when draws are resampled,
            and the stratification of the group SD. Else from the chains; with more than 64 quantities from the least
            effective parameter, which bounds each of them.

        Notes
        -----
        The standard error of a median is taken as that of the mean times sqrt(pi / 2), which holds for a normal quantity, where
        it is not computed from the chains. Estimands carry the error of a share of draws to the scale of the quantity instead.
        """
        values = np.asarray(values, dtype=float).reshape(len(values), -1)
        if self.posterior is None:
            return np.full(values.shape[1], np.nan)
        chains, draws = self._draws.intercept.shape
        if self.weights_ess is None and values.shape[1] <= _MANY:
            from arviz_stats.base import array_stats

            chained = values.reshape(chains, draws, -1)
            return np.array(
                [
                    float(array_stats.mcse(chained[..., i], chain_axis=0, draw_axis=1, method=kind))
                    for i in range(values.shape[1])
                ]
            )
        factor = np.sqrt(np.pi / 2) if kind == "median" else 1.0
        variance = values.var(axis=0, ddof=1)
        ess = self.weights_ess
        if ess is None:
            return factor * np.sqrt(variance / float(np.nanmin(self.diagnostics.parameters["ess_bulk"])))
        total, order = len(values), self._stratified
        sampled = (
            variance
            if order is None
            else np.minimum(np.mean(np.diff(values[order], axis=0) ** 2, axis=0) / 2, variance)
        )
        # What the sampling of the draws leaves; what their unequal weights add; and what the rounding of these weights to
        # whole copies adds, at most 1/6 (a fraction f of a copy has the variance f (1 - f); E|w - 1| is 0.8 SD of a normal).
        unequal = max(total / ess - 1, 0.0)
        rounded = min(0.8 * np.sqrt(unequal), 1 / 6)
        return factor * np.sqrt((sampled + (unequal + rounded) * variance) / total)

    @cached_property
    def _stratified(self) -> np.ndarray | None:
        """Return the different draws of a `laplace` fit in the order of the group SD; None unless there is one SD.

        The engine draws that SD evenly over its distribution, so that what follows the SD has less Monte Carlo error than
        independent draws would have; differences of neighbours show how much less (Wolter 2007, Introduction to Variance
        Estimation, section 8.2).
        """
        sds = self.group_sds()
        if sds.shape[1] != 1:
            return None
        _, different = np.unique(self._draws.flat.intercept, return_index=True)
        return different[np.argsort(sds[different, 0], kind="stable")]

    def require_converged(self, allow_unconverged: bool = False) -> None:
        """Refuse to go on from a fit that failed its gate.

        Parameters
        ----------
        allow_unconverged : bool
            Go on all the same.

        Raises
        ------
        UnconvergedFitError
            With the failures, unless allowed.
        """
        if self.diagnostics.passed or allow_unconverged:
            return
        failures = "; ".join(finding.text for finding in self.diagnostics.findings if finding.kind == "failure")
        raise UnconvergedFitError(
            f"fit of {self.model.name!r} by {self.method}",
            f"it failed its gate: {failures}",
            "Mend the fit, or pass allow_unconverged=True, which stays written on every result",
        )

    def provenance(self) -> dict[str, Any]:
        """Say which fit a result came from.

        Returns
        -------
        dict
            model, title, outcome, method, seed, n, events, sites, simulated, interval, data_hash, converged, versions; of an
            ordered outcome `events` is None, and family and categories are added.
        """
        ordered = {"events": None, "family": self.model.family, "categories": dict(self.categories)}
        return {
            "model": self.model.name,
            "title": self.model.title,
            "outcome": self.model.outcome_label,
            "method": self.method,
            "seed": self.seed,
            "n": self.n,
            "events": self.events,
            "sites": len(self.recipe.site_levels),
            "simulated": self.simulated,
            "interval": 0.95,
            "data_hash": self.data_hash,
            "converged": self.diagnostics.passed,
            "versions": software_versions(),
            **(ordered if self.categories else {}),
        }

    def summary(self) -> pd.DataFrame:
        """Return one row a parameter: mean, sd, 95 % interval, and Monte Carlo error where there is one."""
        return self.diagnostics.parameters

    def profile_intervals(self, parameters: Sequence[str] | None = None, *, level: float = 0.95) -> pd.DataFrame:
        """Return profile likelihood intervals of an `ml` fit; see `muscle_bayes.inference.profiles.profile_intervals`."""
        from muscle_bayes.inference.profiles import profile_intervals

        return profile_intervals(self, parameters, level=level)

    def report_checklist(self, facts: Mapping[str, str] | None = None) -> pd.DataFrame:
        """Return BARG and STROBE with what the fit says to each item; see `muscle_bayes.inference.checklist`."""
        from muscle_bayes.inference.checklist import report_checklist

        return report_checklist(self, facts)

    def save(self, path: str | Path, *, rows: bool = False) -> Path:
        """Write the fit to a NetCDF file; see `muscle_bayes.inference.storage.save_fit`."""
        from muscle_bayes.inference.storage import save_fit

        return save_fit(self, path, rows=rows)

    def __repr__(self) -> str:
        """Return what was fitted, to how many, and the verdict of the gate."""
        simulated = " (simulated data)" if self.simulated else ""
        run = f"{self.method}, seed {self.seed}: {self._size}"
        head = f"{self.model.title or self.model.name}{simulated}\n{self.model.parsed}\n{run}"
        return f"{head}\n{self.diagnostics}\n{summary_text(self.summary()).to_string()}"

    @property
    def _size(self) -> str:
        outcome = f"{len(self.categories)} ordered categories" if self.categories else f"{self.events:,} events"
        return f"{self.n:,} participants, {outcome}"

    def _repr_html_(self) -> str:
        simulated = " <em>(simulated data)</em>" if self.simulated else ""
        table = summary_text(self.summary()).to_html()
        findings = "".join(f"<li>{finding.kind}: {escape(finding.text)}</li>" for finding in self.diagnostics.findings)
        arviz = "<p>ArviZ shows 89 % unless told: <code>az.summary(fit.posterior, ci_prob=0.95)</code></p>"
        return (
            f"<p><strong>{escape(self.model.title or self.model.name)}</strong>{simulated}<br>"
            f"<code>{escape(str(self.model.parsed))}</code><br>{self.method}, seed {self.seed}: {escape(self._size)}<br>"
            f"Gate {escape(self.diagnostics.verdict)}</p><ul>{findings}</ul>{table}"
            + (arviz if self.posterior is not None else "")
        )
