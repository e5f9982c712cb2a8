"""Frequentist and Bayesian estimates of one model side by side, and why they differ where they do."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.comparison_notes import notes_on
from muscle_bayes.estimands.external import plain_name, read_external
from muscle_bayes.estimands.frame import COLUMNS, summarise_draws
from muscle_bayes.estimands.odds_ratios import contrast_summary, stated_contrasts
from muscle_bayes.estimands.rounding import estimate_text
from muscle_bayes.inference.references import LABELS, Reference, reference

_NORMAL = 1.959963984540054

#: What a row's `estimate` is.
KINDS = ("posterior", "maximum likelihood", "reference", "external")


def compare(
    fits: Mapping[str, Any],
    references: Sequence[str] = (),
    external: Mapping[str, str | Path | pd.DataFrame] | None = None,
    *,
    per: float | None = 2.0,
    at: Mapping[str, Any] | None = None,
    terms: Sequence[str] | None = None,
    cohort: Any = None,
    allow_unconverged: bool = False,
) -> pd.DataFrame:
    """Put several estimates of one model side by side.

    Parameters
    ----------
    fits : mapping of str to Fit
        Name -> fit of the same model to the same data, by any engine or priors; the first is what the others are held against.
    references : sequence of {"gee", "cluster_robust", "fixed_site"}
        Methods of other software, fitted here by statsmodels to the same analysis set (see
        `muscle_bayes.inference.references`). One whose estimates do not exist leaves its rows empty and a note why.
    external : mapping of str to path or pandas.DataFrame, optional
        Name -> coefficients that other software printed (see `muscle_bayes.estimands.external.read_external`).
    per, at, terms
        The odds ratios that are compared, as in `odds_ratios`.
    cohort : Cohort or pandas.DataFrame, optional
        Not needed; taken so that every estimand is called alike.
    allow_unconverged : bool
        Compare fits that failed their gate.

    Returns
    -------
    pandas.DataFrame
        Canonical columns, then `source, kind, label, width_ratio, shift, text`. Rows: `estimand` is
        ``odds ratio`` (log scale for the two ratios below), ``site SD`` or ``site effect`` (log odds of a site against the mean of
        the sites). `width_ratio` is the interval's width over the first fit's; `shift` the difference of the estimates in
        standard errors of the first fit. ``.attrs["notes"]`` says in sentences where the estimates should differ, and why.

    Raises
    ------
    EstimandError
        Where there is no fit, the fits are of different data or columns, or an external table cannot be read.
    UnconvergedFitError
        Where a fit failed its gate and `allow_unconverged` is False.
    """
    if not isinstance(fits, Mapping):
        raise EstimandError("compare", "the fits have no names", "Give a mapping: {'ML': ml, 'Bayes': fit}")
    _require_one_model(fits)
    for fit in fits.values():
        fit.require_converged(allow_unconverged)
    first = next(iter(fits.values()))
    described, difference = stated_contrasts(first, per, at, terms)
    rows: list[dict[str, Any]] = []
    for name, fit in fits.items():
        rows += _fit_rows(name, fit, described, difference)
    found: dict[str, Reference | str] = {}
    for name in references:
        with_cohort = first if first.cohort is not None else _with_cohort(fits)
        try:
            found[name] = reference(name, with_cohort)
        except EstimandError as error:
            if "there is no such method" in str(error):
                raise
            found[name] = str(error)
        rows += _reference_rows(name, found[name], first, described, difference)
    tables = {name: read_external(name, table) for name, table in (external or {}).items()}
    for name, table in tables.items():
        rows += _external_rows(name, table, first, described, difference)
    frame = _held_against_first(pd.DataFrame(rows), next(iter(fits)))
    frame.attrs = {
        **first.provenance(),
        "simulated": any(fit.simulated for fit in fits.values()),
        "interval": 0.95,
        "per": per,
        "sources": list(dict.fromkeys(frame["source"])),
        "baseline": next(iter(fits)),
        "fits": {name: fit.provenance() for name, fit in fits.items()},
        "notes": notes_on(fits, found, tables, frame, [column.label for column in first.recipe.columns]),
    }
    return frame


def _require_one_model(fits: Mapping[str, Any]) -> None:
    if not fits:
        raise EstimandError("compare", "there is no fit", "Give a mapping: {'ML': ml, 'Bayes': fit}")
    name, first = next(iter(fits.items()))
    for other, fit in fits.items():
        if fit.data_hash != first.data_hash:
            raise EstimandError(
                f"compare: {name!r} and {other!r}",
                f"they were fitted to different data ({first.n:,} and {fit.n:,} participants)",
                "Fit both to the same cohort; sensitivity() compares analysis sets",
            )
        if [column.label for column in fit.recipe.columns] != [column.label for column in first.recipe.columns]:
            raise EstimandError(
                f"compare: {name!r} and {other!r}",
                "they are different models: their coefficients differ",
                "Compare estimates of one model; sensitivity() compares models",
            )


def _with_cohort(fits: Mapping[str, Any]) -> Any:
    return next((fit for fit in fits.values() if fit.cohort is not None), next(iter(fits.values())))


def _fit_rows(name: str, fit: Any, described: Sequence[dict[str, Any]], difference: np.ndarray) -> list[dict[str, Any]]:
    kind = KINDS[1] if fit.method == "ml" else KINDS[0]
    with np.errstate(over="ignore", under="ignore"):
        summary = contrast_summary(fit, difference)
    if fit.method == "ml":
        # On its way to infinity, where separation sends it, an estimate is no estimate.
        finite = np.isfinite(summary["upper"]) & (summary["lower"] > 0)
        summary = {key: np.where(finite, values, np.nan) for key, values in summary.items()}
    rows = _odds_ratio_rows(name, kind, fit, described, summary)
    sites = fit.recipe.site_levels
    if not sites:
        return rows
    if fit.method == "ml":
        spread = {"estimate": np.array([fit.maximum.site_sd])}
        effects = {"estimate": fit.maximum.site_effects - fit.maximum.site_effects.mean()}
    else:
        spread = summarise_draws(fit.site_sd()[:, None], fit, null=0.0)
        # Against the mean of the sites: methods differ in what they call a site's zero.
        drawn = fit.site_effects()
        effects = summarise_draws(drawn - drawn.mean(axis=1, keepdims=True), fit, null=0.0)
    spread["prob_gt_null"] = np.array([np.nan])
    return [*rows, *_site_rows(name, kind, fit, spread, effects)]


def _reference_rows(
    name: str, found: Reference | str, fit: Any, described: Sequence[dict[str, Any]], difference: np.ndarray
) -> list[dict[str, Any]]:
    if isinstance(found, str):
        return _odds_ratio_rows(LABELS[name], KINDS[2], fit, described, {"estimate": np.full(len(described), np.nan)})
    log_ratio = difference @ found.coefficients[1:]
    error = np.sqrt(np.einsum("kp,pq,kq->k", difference, found.covariance[1:, 1:], difference))
    summary = _ratios(log_ratio, log_ratio - found.quantile * error, log_ratio + found.quantile * error)
    rows = [{**row, "site": found.site} for row in _odds_ratio_rows(found.label, KINDS[2], fit, described, summary)]
    if found.site_effects is None or found.site_covariance is None:
        return rows
    spread = found.quantile * np.sqrt(np.diag(found.site_covariance))
    effects = {
        "estimate": found.site_effects,
        "lower": found.site_effects - spread,
        "upper": found.site_effects + spread,
    }
    return [*rows, *_site_rows(found.label, KINDS[2], fit, None, effects)]


def _external_rows(
    name: str, table: pd.DataFrame, fit: Any, described: Sequence[dict[str, Any]], difference: np.ndarray
) -> list[dict[str, Any]]:
    labels = [plain_name(column.label) for column in fit.recipe.columns]
    if not set(labels) & set(table.index):
        raise EstimandError(
            f"external[{name!r}]",
            f"none of its coefficients ({', '.join(table.index[:4])}) is one of the model's",
            "Name them as the model does: " + ", ".join(column.label for column in fit.recipe.columns[:4]),
        )
    values = table.reindex(labels)[["estimate", "lower", "upper"]].to_numpy()
    # Limits of one coefficient say nothing of a sum of several: a contrast that needs more than one stays empty.
    single = (difference != 0).sum(axis=1) == 1
    at = np.abs(difference).argmax(axis=1)
    size = difference[np.arange(len(at)), at]
    scaled = np.where(single[:, None], values[at] * size[:, None], np.nan)
    lower, upper = np.fmin(scaled[:, 1], scaled[:, 2]), np.fmax(scaled[:, 1], scaled[:, 2])
    return _odds_ratio_rows(name, KINDS[3], fit, described, _ratios(scaled[:, 0], lower, upper))


def _ratios(estimate: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> dict[str, np.ndarray]:
    return {"estimate": np.exp(estimate), "lower": np.exp(lower), "upper": np.exp(upper)}


def _odds_ratio_rows(
    source: str, kind: str, fit: Any, described: Sequence[dict[str, Any]], summary: Mapping[str, np.ndarray]
) -> list[dict[str, Any]]:
    site = "conditional on site" if fit.recipe.site_levels else "no site in the model"
    return [
        {
            "estimand": "odds ratio", "source": source, "kind": kind, "scale": "odds ratio", "site": site,
            "population": "conditional on the covariates",
            **{key: said[key] for key in ("term", "contrast", "role", "label")},
            **{key: values[i] for key, values in summary.items()},
        }
        for i, said in enumerate(described)
    ]  # fmt: skip


def _site_rows(
    source: str, kind: str, fit: Any, spread: Mapping[str, np.ndarray] | None, effects: Mapping[str, np.ndarray]
) -> list[dict[str, Any]]:
    common = {"source": source, "kind": kind, "scale": "log odds", "population": "sites", "role": "adjustment"}
    rows = []
    if spread is not None:
        said = {"estimand": "site SD", "term": f"1|{fit.recipe.site}_sigma", "label": "Site SD", "contrast": "log odds"}
        rows.append({**common, **said, "site": "all", **{key: values[0] for key, values in spread.items()}})
    for i, site in enumerate(fit.recipe.site_levels):
        said = {
            "estimand": "site effect", "term": f"1|{fit.recipe.site}[{site}]", "label": site,
            "contrast": "log odds against the mean of the sites",
        }  # fmt: skip
        rows.append({**common, **said, "site": site, **{key: values[i] for key, values in effects.items()}})
    return rows


def _held_against_first(frame: pd.DataFrame, first: str) -> pd.DataFrame:
    """Add the ratio of interval widths and the shift against the first fit, and the numbers as text."""
    for name in (*COLUMNS, "lower_mcse", "upper_mcse"):
        if name not in frame:
            frame[name] = np.nan
    frame["interval"] = 0.95
    key = ["estimand", "term", "contrast"]
    ratio = (frame["estimand"] == "odds ratio").to_numpy()
    for name in ("estimate", "lower", "upper"):
        values = frame[name].to_numpy(dtype=float, copy=True)
        values[ratio] = np.log(values[ratio])
        frame[f"_{name}"] = values
    base = frame[frame["source"] == first].set_index(key)[["_estimate", "_lower", "_upper"]]
    base = base.reindex(pd.MultiIndex.from_frame(frame[key]))
    width = (base["_upper"] - base["_lower"]).to_numpy()
    frame["width_ratio"] = (frame["_upper"] - frame["_lower"]).to_numpy() / width
    frame["shift"] = (frame["_estimate"].to_numpy() - base["_estimate"].to_numpy()) / (width / (2 * _NORMAL))
    frame["text"] = [estimate_text(row) for row in frame.to_dict("records")]
    # Row by row of the model, in each the sources in the order given.
    order = {place: i for i, place in enumerate(dict.fromkeys(map(tuple, frame[key].to_numpy())))}
    frame["_order"] = [order[tuple(place)] for place in frame[key].to_numpy()]
    frame = frame.sort_values("_order", kind="stable", ignore_index=True)
    rest = ["source", "kind", "label", "lower_mcse", "upper_mcse", "width_ratio", "shift", "text"]
    return frame[[*COLUMNS, *rest]]
