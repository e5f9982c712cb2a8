"""The nomogram: points for a reader with a pencil, and a person's posterior predictive probability."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.frame import summarise_draws, tidy
from muscle_bayes.estimands.linear_predictor import linear_predictor
from muscle_bayes.estimands.points import PointsSystem, points_system
from muscle_bayes.estimands.probability_scale import NOT_CLINICAL, probability_scale
from muscle_bayes.estimands.sites import MEANING, check_site, conditional_label, site_label
from muscle_bayes.estimands.support import joint_support, outside_support
from muscle_bayes.estimands.variables import Variable, variables_of
from muscle_bayes.specification.grouping import INTERCEPT

#: Five blocks of the profile, which holds at least 20 persons in each.
LEAST_PERSONS = 100


@dataclass(frozen=True, repr=False)
class Nomogram:
    """Axes with points, the scale from total points to probability, and predictions for persons.

    Attributes
    ----------
    points : pandas.DataFrame
        One row a tick of an axis: predictor, value in raw units or level, points, and whether the data hold it.
    scale : pandas.DataFrame
        One row a total: probability with interval, number of persons near it, whether it is beyond all of them.
    system : PointsSystem
        What the points are made from.
    fit : Fit
        Draws and recipe.
    variables : dict of str to Variable
        Predictors of the fit.
    site, site_name : str, str or None
        Which site the scale and the predictions are meant for.
    """

    points: pd.DataFrame
    scale: pd.DataFrame
    system: PointsSystem
    fit: Any
    variables: Mapping[str, Variable] = field(default_factory=dict)
    site: str = "typical"
    site_name: str | None = None

    @property
    def attrs(self) -> dict[str, Any]:
        """Return the provenance, as the frames carry it."""
        return {str(key): value for key, value in self.points.attrs.items()}

    def __repr__(self) -> str:
        """Return what it is of, its sets and its site."""
        sets = ", ".join(" × ".join(s.names) for s in self.system.sets)
        title, largest = self.attrs.get("title", "a model"), self.system.largest_total
        return f"<Nomogram of {title}: {sets}; site {self.site}; totals to {largest:.0f}>"

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>".replace("<Nomogram", "&lt;Nomogram") + self.points.to_html(index=False)

    def predict(self, person: Mapping[str, Any] | pd.Series | pd.DataFrame, *, site: str | None = None) -> pd.DataFrame:
        """Return each person's own posterior predictive probability of the outcome.

        Parameters
        ----------
        person : mapping, pandas.Series or pandas.DataFrame
            Raw values (or Z-scores) of every predictor; one row a person. With site "known" also the site, unless the
            nomogram has been made for one.
        site : {"known", "typical", "new", "marginal"}, optional
            By default the nomogram's.

        Returns
        -------
        pandas.DataFrame
            One row a person: canonical columns, then `total_points`, `points_from_SET` for each set of predictors,
            `from_points` (the probability that a reader of the scale finds; missing where another site than the
            scale's is asked for), and `outside` (exposures beyond the 1st
            to 99th percentile of the person's sex and age band). The interval is the person's own: it comes from their
            row, not from the average over persons with the same total.

        Raises
        ------
        MissingColumnError, InvalidValueError
            Where a value is missing or impossible.
        EstimandError
            Where the site cannot be used.
        """
        frame = as_persons(person)
        site = site or self.site
        check_site(self.fit, site)
        rows = self.fit.recipe.matrix(frame)
        members = self._members(frame, site)
        eta = linear_predictor(self.fit, rows, site=site, members=members)
        summary = summarise_draws(eta.probabilities(), self.fit, null=0.5)
        points = self.system.points(rows)
        total = points.sum(axis=1)
        z = self.fit.recipe.standardise(frame)
        exposures = [v.name for v in self.variables.values() if v.role == "exposure" and v.name in z]
        sites: list[str | None] = [None]
        if members:
            sites = [self.fit.recipe.site_levels[i] for i in members[self.fit.recipe.site]]
        return tidy(
            {
                "estimand": "probability",
                "term": self.attrs.get("outcome", "outcome"),
                "contrast": "one person",
                **summary,
                "prob_gt_null": np.nan,
                "scale": "probability",
                "site": [site_label(self.fit, site, name) for name in sites] * (len(frame) // len(sites)),
                "population": "one person",
                "role": "prediction",
                "total_points": total,
                **{f"points_from_{'_x_'.join(s.names)}": points[:, j] for j, s in enumerate(self.system.sets)},
                "from_points": self._from_points(total, site),
                "outside": [", ".join(outside_support(self.fit, row, exposures)) for _, row in z.iterrows()],
            },
            self.fit,
            interval=0.95,
            decimals=3,
            attrs={"site_meaning": MEANING[site], "note": NOT_CLINICAL},
        )

    def contributions(self, person: Mapping[str, Any] | pd.Series | pd.DataFrame) -> pd.DataFrame:
        """Return what each set of predictors adds to one person's log odds, against the average person's row.

        Parameters
        ----------
        person : mapping, pandas.Series or pandas.DataFrame
            One person.

        Returns
        -------
        pandas.DataFrame
            One row a set: canonical columns on the log-odds scale with the average design row of the analysis set as
            the null, then `value` (text in raw units) and `points`.
        """
        frame = as_persons(person)
        if len(frame) != 1:
            raise EstimandError("contributions", f"{len(frame)} persons are given", "Give one")
        rows = self.fit.recipe.matrix(frame)
        draws = _draws(self.fit, self.site, self.site_name)[:, 1:]
        difference = (rows - self.fit.recipe.centre)[0]
        values = np.column_stack([draws[:, s.columns] @ difference[s.columns] for s in self.system.sets])
        members = [[self.variables[name] for name in s.names] for s in self.system.sets]
        raw = {**self.fit.recipe.standardise(frame).iloc[0], **frame.iloc[0]}
        return tidy(
            {
                "estimand": "contribution to the log odds",
                "term": [" × ".join(s.names) for s in self.system.sets],
                "contrast": "this person against the average person",
                **summarise_draws(values, self.fit, null=0.0),
                "scale": "log odds",
                "site": conditional_label(self.fit),
                "population": "one person",
                "role": [set_[0].role for set_ in members],
                "label": [" × ".join(v.label for v in set_) for set_ in members],
                "value": [", ".join(_value_text(v, raw) for v in set_) for set_ in members],
                "points": self.system.points(rows)[0],
            },
            self.fit,
            interval=0.95,
        )

    def embedded(self, draws: int = 1000) -> dict[str, Any]:
        """Return plain values with thinned draws, for an interactive page; see `muscle_bayes.estimands.embedding.embed`."""
        from muscle_bayes.estimands.embedding import embed

        return embed(self, draws)

    def _from_points(self, total: np.ndarray, site: str) -> np.ndarray:
        if site != self.site or site == "known":
            return np.full(len(total), np.nan)
        return np.interp(total, self.scale["total_points"], self.scale["estimate"])

    def _members(self, frame: pd.DataFrame, site: str) -> dict[str, np.ndarray] | None:
        if site != "known":
            return None
        column = self.fit.recipe.site
        if column not in frame and self.site_name is not None:
            frame = frame.assign(**{column: self.site_name})
        return dict(self.fit.recipe.group_index(frame))


def nomogram(
    fit: Any,
    *,
    site: str = "typical",
    site_name: str | None = None,
    ticks: Mapping[str, Sequence[float]] | None = None,
    interact: Mapping[str, Sequence[Any]] | None = None,
    step: float | None = None,
    cohort: Any = None,
    allow_unconverged: bool = False,
) -> Nomogram:
    """Make a nomogram of a fit, in the layout of R's rms.

    Points come from the posterior mean of the coefficients (the maximum for maximum likelihood): the mean is linear,
    so that total points and the posterior mean of the linear predictor say the same. The scale's probability at a
    total is the posterior of the risk averaged, within each draw, over persons with about that total; each of them is
    moved along the logit to exactly that total. Beyond the totals of the analysis set the scale follows the points
    alone, has no interval, and is marked as extrapolated.

    Parameters
    ----------
    fit : Fit
        Posterior or maximum likelihood.
    site : {"typical", "known", "new", "marginal"}
        Which site the probabilities are meant for; see `muscle_bayes.estimands.sites.MEANING`.
    site_name : str, optional
        With "known": which one.
    ticks : mapping of str to sequence of float, optional
        Raw values of an axis by raw column, such as ``{"age_years": [20, 40, 60]}``.
    interact : mapping of str to sequence, optional
        Raw values (levels) that an interacting predictor is held at, one axis each.
    step : float, optional
        Distance between totals on the scale; by default about 1/100 of the range, rounded.
    cohort : Cohort or pandas.DataFrame, optional
        Not needed; taken so that every estimand is called alike.
    allow_unconverged : bool
        Use a fit that failed its gate.

    Returns
    -------
    Nomogram
        With `points`, `scale`, `predict` and `contributions`.

    Raises
    ------
    EstimandError
        Where the site cannot be used, or there are too few participants for the scale.
    UnconvergedFitError
        Where the fit failed its gate and `allow_unconverged` is False.
    """
    fit.require_converged(allow_unconverged)
    n = fit.provenance()["n"]
    if n < LEAST_PERSONS:
        raise EstimandError(
            f"nomogram of {n} participants",
            f"its scale averages over participants with the same total, and needs {LEAST_PERSONS} of them",
            "Read the odds ratios, which need no such average",
        )
    check_site(fit, site)
    if site == "known" and site_name not in fit.recipe.site_levels:
        known = ", ".join(fit.recipe.site_levels)
        raise EstimandError(
            f"site_name={site_name!r}", "the scale of a known site needs its name", f"Take one of {known}"
        )
    _check_groups(fit, site)
    variables = variables_of(fit)
    coefficients = _central(fit, site, site_name)
    system = points_system(fit, variables, coefficients[0], coefficients[1:], ticks=ticks, interact=interact)
    scale = probability_scale(fit, system, site=site, site_name=site_name, step=step)
    points = system.table().assign(supported=_supported_ticks(fit, system))
    points.attrs = dict(scale.attrs)
    return Nomogram(points, scale, system, fit, variables, site, site_name)


def _supported_ticks(fit: Any, system: PointsSystem) -> np.ndarray:
    """Say for each tick whether the data hold such a combination; single predictors are drawn where they have data."""
    flags = []
    for s in system.sets:
        for axis in s.axes:
            names = [axis.variable.name, *axis.held]
            pair = len(names) == 2 and all(name in fit.model.exposures for name in names)
            values = np.asarray(axis.values, dtype=float) if pair else np.zeros(len(axis.raw))
            held = np.full(len(values), float(next(iter(axis.held.values())))) if pair else values
            supported = (
                joint_support(fit, names[0], names[1], values, held)["any"]
                if pair
                else np.ones(len(values), dtype=bool)
            )
            flags.append(supported)
    return np.concatenate(flags)


def as_persons(person: Mapping[str, Any] | pd.Series | pd.DataFrame) -> pd.DataFrame:
    """Return persons as a frame, one row each.

    Parameters
    ----------
    person : mapping, pandas.Series or pandas.DataFrame
        One person's values, or a table of persons.

    Returns
    -------
    pandas.DataFrame
        A new index from 0.
    """
    if isinstance(person, pd.DataFrame):
        return person.reset_index(drop=True)
    return pd.DataFrame([dict(person)])


def _check_groups(fit: Any, site: str) -> None:
    """Refuse models whose points of one predictor would depend on the group that another one puts a person in."""
    own = [factor.name for factor in fit.recipe.factors if fit.recipe.is_own(factor)]
    if own:
        raise EstimandError(
            f"nomogram of {fit.provenance()['title'] or 'a model'}",
            f"coefficients vary over {own[0]}, which are predictors themselves, so that no axis holds for everyone",
            "Take risks(...), or a nomogram of a model with an interaction in place of the group",
        )
    others = [factor.name for factor in fit.recipe.factors if factor.name != fit.recipe.site]
    if site == "known" and others:
        raise EstimandError(
            "nomogram of a known site",
            f"the model also has {', '.join(others)}, so that a site alone does not say what its probability is",
            "Take site='typical', 'new' or 'marginal'",
        )


def _slopes(fit: Any, site: str, site_name: str | None) -> list[tuple[int, int]]:
    """Return which of what varies adds to which coefficient of a nomogram, as pairs of numbers; intercepts stay out."""
    if site != "known" or site_name is None:
        return []
    return [(t, 1 + one.column) for t, one in enumerate(fit.recipe.varying) if one.column != INTERCEPT]


def _draws(fit: Any, site: str, site_name: str | None) -> np.ndarray:
    """Return the coefficients of a nomogram's site, shape (S, 1 + p), its intercept left out."""
    draws = np.array(fit.coefficients(), dtype=float)
    for t, place in _slopes(fit, site, site_name):
        draws[:, place] += fit.group_effects()[t][:, list(fit.recipe.site_levels).index(str(site_name))]
    return draws


def _central(fit: Any, site: str, site_name: str | None) -> np.ndarray:
    """Return the coefficients that points are made from, shape (1 + p,): posterior means, or the maximum."""
    if fit.method != "ml":
        return np.asarray(_draws(fit, site, site_name).mean(axis=0))
    central = np.array(fit.maximum.coefficients, dtype=float)
    for t, place in _slopes(fit, site, site_name):
        central[place] += fit.maximum.effects[t][list(fit.recipe.site_levels).index(str(site_name))]
    return central


def _value_text(variable: Variable, raw: Mapping[str, Any]) -> str:
    if variable.kind == "standardised":
        value = raw.get(variable.source)
        value = variable.to_raw(raw[variable.name]) if value is None or pd.isna(value) else value
        return f"{value:.3g} {variable.unit}".strip()
    if variable.kind == "binary":
        return "yes" if raw[variable.name] else "no"
    return str(raw[variable.name])
