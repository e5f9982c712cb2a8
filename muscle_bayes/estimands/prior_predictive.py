"""What a model's priors say before the data: the prevalence and the odds ratios that they imply."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.frame import COLUMNS, summarise_draws, tidy
from muscle_bayes.estimands.odds_ratios import odds_ratios
from muscle_bayes.estimands.ordered_prior import draw_thresholds, ordered_rows
from muscle_bayes.estimands.sites import expit
from muscle_bayes.inference.provenance import hash_rows, software_versions
from muscle_bayes.inference.support import Support, describe_support
from muscle_bayes.specification import Model, Priors, load_model
from muscle_bayes.specification.design import Design
from muscle_bayes.specification.grouping import INTERCEPT
from muscle_bayes.specification.recipe import Recipe

_CELLS = 4_000_000
_BINS = np.linspace(0, 1, 41)


@dataclass(frozen=True)
class PriorDraws:
    """Draws from the priors of a model, read by estimands as they read a fit.

    Attributes
    ----------
    model, recipe, support, design
        As of a fit.
    seed : int
        Of the draws.
    centred : numpy.ndarray, shape (S, 1 + p)
        The intercept at the means of all predictors, then the coefficients.
    effects : tuple of numpy.ndarray, shape (S, J)
        For each of `recipe.varying`, the effects of its groups.
    sds : numpy.ndarray, shape (S, T)
        Their standard deviations.
    thresholds : numpy.ndarray, shape (S, K - 1), or None
        Of an ordered outcome, those of the centred columns; the intercept is then 0.
    """

    model: Model
    recipe: Recipe
    support: Support
    design: Design
    seed: int
    centred: np.ndarray
    effects: tuple[np.ndarray, ...]
    sds: np.ndarray
    thresholds: np.ndarray | None = None
    method: str = "prior"

    def coefficients(self) -> np.ndarray:
        """Return the draws with the intercept of the columns as they are, shape (S, 1 + p)."""
        intercept = self.centred[:, 0] - self.centred[:, 1:] @ self.recipe.centre
        return np.column_stack([intercept, self.centred[:, 1:]])

    def group_effects(self) -> tuple[np.ndarray, ...]:
        """Return the draws of what varies by group, each of shape (S, J)."""
        return self.effects

    def group_sds(self) -> np.ndarray:
        """Return the draws of their standard deviations, shape (S, T)."""
        return self.sds

    def log_odds(self, rows: slice) -> np.ndarray:
        """Return the linear predictor of some persons of the analysis set, each in their own groups, shape (S, m)."""
        eta = self.centred[:, :1] + self.centred[:, 1:] @ self.design.X[rows].T
        for one, effects in zip(self.recipe.varying, self.effects, strict=True):
            covariate = one.covariate(self.design.X[rows] + self.recipe.centre)
            eta += effects[:, self.design.groups[one.factor][rows]] * covariate
        return eta

    def mcse(self, values: np.ndarray, kind: Literal["mean", "median"] = "median") -> np.ndarray:
        """Return the Monte Carlo standard error of a mean, or of a median by its neighbouring order statistics.

        It is that of independent draws, which stratified ones stay below (McKay et al. 1979, theorem 1, for monotone
        functions).
        """
        root = np.sqrt(len(values))
        if kind == "mean":
            return values.std(axis=0, ddof=1) / root
        low, high = np.quantile(values, [0.5 - 0.5 / root, 0.5 + 0.5 / root], axis=0)
        return (high - low) / 2

    def require_converged(self, allow_unconverged: bool = False) -> None:
        """Pass: draws from priors have nothing to converge."""

    def provenance(self) -> dict[str, Any]:
        """Say which priors and whose design a result came from."""
        recipe, frame = self.recipe, self.design.frame
        used = [self.model.parsed_event.column, *recipe.raw_columns, *recipe.group_columns]
        return {
            "model": self.model.name,
            "title": self.model.title,
            "outcome": self.model.outcome_label,
            "method": self.method,
            "prior_set": self.model.priors.set,
            "seed": self.seed,
            "n": len(frame),
            "events": None if self.thresholds is not None else int(self.design.y.sum()),
            "sites": len(recipe.site_levels),
            "simulated": self.design.simulated,
            "interval": 0.95,
            "data_hash": hash_rows(frame[list(dict.fromkeys(used))]),
            "versions": software_versions(),
        }


def prior_predictive(
    model: Model | str | Path, cohort: Any, *, priors: str | Priors | None = None, draws: int = 2000, seed: int = 1
) -> pd.DataFrame:
    """Return the prevalence and the odds ratios that a model's priors imply for a cohort, before its outcome is seen.

    Parameters
    ----------
    model : Model or str or pathlib.Path
        A model, the name of one in the catalogue, or a model file.
    cohort : Cohort or pandas.DataFrame
        Whose predictors and sites are taken; of the outcome only its share, for the figure.
    priors : str or Priors, optional
        Other priors than the model's, as in `fit`.
    draws : int
        Draws of intercept, coefficients, site SD and site effects.
    seed : int
        Of the draws.

    Returns
    -------
    pandas.DataFrame
        Canonical columns, then `label, variable, level, at, text`. First the ``prior prevalence`` of the analysis set
        and of a person with every predictor at its mean at a typical site, then the ``prior site odds ratio`` of a site one SD
        above the mean against one that is one SD below it (``prior ratio of odds ratios`` where a slope varies), then the
        ``prior odds ratio`` of every predictor per its contrast, exposures first. `.attrs` hold a histogram of the prevalence
        and the observed one. Of an ordered outcome, the ``prior share of a category`` and the ``prior share of a category or
        higher`` of the analysis set stand in place of the prevalence, and `.attrs` hold the observed shares.

    Raises
    ------
    EstimandError
        Where there are fewer than 100 draws.
    ModelFileError, PriorError, TableError
        Where the model or the cohort cannot be used.

    Notes
    -----
    Gabry, Simpson, Vehtari, Betancourt, Gelman 2019, J R Stat Soc A 182, 389-402. Wide priors on many coefficients together
    can say that the outcome happens to almost everyone or to almost no one; this is where it shows.
    """
    if draws < 100:
        raise EstimandError("draws", f"{draws} draws do not show tails of 2.5 %", "Take 100 or more, such as 2000")
    if not isinstance(model, Model):
        model = load_model(model)
    model = model.with_priors(priors)
    prior = draw_priors(model, model.design(cohort), draws=draws, seed=seed)
    rows, values, of_outcome = ordered_rows(prior) if prior.thresholds is not None else _event_rows(prior)
    for t, one in enumerate(prior.recipe.varying):
        intercept = one.column == INTERCEPT
        contrast = 1.0 if intercept else _contrast(model, one.term)
        what, per = ("site odds ratio", "") if intercept else ("ratio of odds ratios", f", per {contrast:g}")
        group = "site" if one.factor == prior.recipe.site else f"group of {one.factor}"
        between = "sites" if group == "site" else f"groups of {one.factor}"
        rows.append(
            {
                "estimand": f"prior {what}", "contrast": f"a {group} at +1 SD against one at \N{MINUS SIGN}1 SD{per}",
                "scale": "odds ratio" if intercept else "ratio of odds ratios",
                "label": "Sites" if intercept and group == "site" else one.label,
                "population": "conditional on the covariates", "site": f"between {between}", "null": 1.0,
            }
        )  # fmt: skip
        values.append(np.exp(2 * contrast * prior.sds[:, t]))
    described, drawn = pd.DataFrame(rows), np.column_stack(values)
    null = described.pop("null").to_numpy()
    summary = summarise_draws(drawn, prior, null=np.nan)
    summary["prob_gt_null"] = np.where(np.isnan(null), np.nan, np.mean(drawn > null, axis=0))
    attrs = {"draws": draws, **of_outcome, "estimate_is": "prior median"}
    whole = tidy(
        {**described, **summary, "term": "", "role": "prior", "variable": "", "level": "", "at": ""},
        prior,
        interval=0.95,
        attrs=attrs,
    )
    parts = [whole]
    if prior.recipe.columns:
        parts.append(odds_ratios(prior, per=None).assign(estimand="prior odds ratio"))
    frame = pd.concat(parts, ignore_index=True)
    frame["text"] = [
        "{} ({} to {})".format(*(_short(value, probability=scale == "probability") for value in values))
        for scale, *values in frame[["scale", "estimate", "lower", "upper"]].itertuples(index=False)
    ]
    frame = frame[[*COLUMNS, "label", "variable", "level", "at", "text"]]
    frame.attrs = whole.attrs
    return frame


def _event_rows(prior: PriorDraws) -> tuple[list[dict[str, Any]], list[np.ndarray], dict[str, Any]]:
    """Return the rows of the prevalence, their draws, and what the figure needs of it."""
    sites, n = bool(prior.recipe.site_levels), len(prior.design.y)
    rows: list[dict[str, Any]] = [
        {
            "estimand": "prior prevalence", "contrast": "", "scale": "probability", "label": "Prevalence",
            "population": f"analysis set (n = {n:,})", "site": "known" if sites else "no site in the model", "null": np.nan,
        },
        {
            "estimand": "prior prevalence", "contrast": "", "scale": "probability", "label": "Prevalence",
            "population": "every predictor at its mean", "site": "typical" if sites else "no site in the model",
            "null": np.nan,
        },
    ]  # fmt: skip
    prevalence = _prevalence(prior)
    counts, edges = np.histogram(prevalence, bins=_BINS)
    attrs = {
        "prevalence": {"edges": edges.tolist(), "counts": counts.tolist()},
        "observed_prevalence": float(prior.design.y.mean()),
    }
    return rows, [prevalence, expit(prior.centred[:, 0])], attrs


def _contrast(model: Model, term: str) -> float:
    exposures = [part for part in term.split(":") if part in model.exposures]
    return model.exposures[exposures[0]].contrast if exposures else 1.0


def _short(value: float, *, probability: bool) -> str:
    if probability and value < 0.0005:  # sparse shares reach down to 1e-300, which nobody reads
        return "<0.001"
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def draw_priors(model: Model, design: Design, *, draws: int, seed: int) -> PriorDraws:
    """Draw intercept, coefficients, site SD and site effects from their priors.

    Parameters
    ----------
    model : Model
        With its priors.
    design : Design
        Of a cohort.
    draws : int
        How many.
    seed : int
        Of the draws.

    Returns
    -------
    PriorDraws
        Stratified in each parameter (Latin hypercube; McKay, Beckman, Conover 1979, Technometrics 21, 239-245), so that a
        few draws show each prior's quantiles as they are stated.
    """
    from scipy.stats import halfnorm, norm, qmc  # most of a second to import, for this alone

    recipe, normals = design.recipe, model.normal_priors()
    intercept = model.priors.intercept
    terms = [normals[column.term] for column in recipe.columns]
    mean = np.array([intercept.mean, *(prior.mean for prior in terms)])
    spread = np.array([intercept.sd, *(prior.sd for prior in terms)])
    sizes = [len(factor.levels) for one in recipe.varying for factor in recipe.factors if factor.name == one.factor]
    uniform = qmc.LatinHypercube(len(mean) + sum(sizes) + len(sizes), rng=np.random.default_rng(seed)).random(draws)
    centred = mean + spread * norm.ppf(uniform[:, : len(mean)])
    sds, effects, place = np.empty((draws, len(sizes))), [], len(mean)
    for t, (one, groups) in enumerate(zip(recipe.varying, sizes, strict=True)):
        sds[:, t] = halfnorm.ppf(uniform[:, place]) * model.sd_prior(one.term, one.factor).scale
        effects.append(sds[:, [t]] * norm.ppf(uniform[:, place + 1 : place + 1 + groups]))
        place += 1 + groups
    support = describe_support(model, design, np.zeros(len(recipe.columns)))
    thresholds = None
    if design.categories:
        # The middle threshold has the prior of the intercept with the other sign, and there is no intercept beside it.
        thresholds = draw_thresholds(model, len(design.categories), -centred[:, 0], seed=seed)
        centred[:, 0] = 0.0
    return PriorDraws(model, recipe, support, design, seed, centred, tuple(effects), sds, thresholds)


def _prevalence(prior: PriorDraws) -> np.ndarray:
    """Return the mean probability of the analysis set in each draw, shape (S,), each person in their own groups."""
    n = len(prior.design.y)
    total = np.zeros(len(prior.centred))
    step = max(1, _CELLS // len(total))
    for start in range(0, n, step):
        rows = slice(start, start + step)
        total += expit(prior.log_odds(rows)).sum(axis=1)
    return total / n
