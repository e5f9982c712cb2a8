"""What an interactive nomogram carries along: thinned draws and how a person's values become a design row."""

from base64 import b64encode
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.linear_predictor import new_effects
from muscle_bayes.estimands.nomogram import Nomogram
from muscle_bayes.estimands.points import pretty
from muscle_bayes.estimands.probability_scale import NOT_CLINICAL
from muscle_bayes.estimands.sites import MEANING
from muscle_bayes.estimands.variables import Variable
from muscle_bayes.specification.grouping import INTERCEPT
from muscle_bayes.specification.splines import powers
from muscle_bayes.specification.transforms import Call, Smooth, call_of, elementwise


def embed(nomogram: Nomogram, draws: int = 1000) -> dict[str, Any]:
    """Return a nomogram as plain values for JSON, with thinned draws.

    Parameters
    ----------
    nomogram : Nomogram
        Of a fit.
    draws : int
        How many posterior draws to carry; evenly spaced ones of all chains.

    Returns
    -------
    dict
        Numbers, texts and lists; arrays as base64 of little-endian float64, row by row. A page computes
        ``expit(intercept + row @ slopes + site)`` from it, as `Nomogram.predict` does from all draws.

    Raises
    ------
    EstimandError
        Where the design rows that a page would make differ from the recipe's.
    """
    fit, system = nomogram.fit, nomogram.system
    kept = np.unique(np.linspace(0, len(fit.coefficients()) - 1, draws).round().astype(int))
    coefficients = fit.coefficients()[kept]
    columns = _columns(fit, nomogram.variables)
    _check(fit, nomogram.variables, columns)
    levels = list(fit.recipe.site_levels)
    attrs = nomogram.points.attrs
    return {
        **{key: attrs.get(key) for key in ("title", "outcome", "model", "method", "n", "events", "interval", "seed")},
        "simulated": bool(attrs.get("simulated", False)),
        "note": NOT_CLINICAL,
        "draws": len(kept),
        "coefficients": _packed(coefficients),
        "columns": columns,
        "variables": [_variable(fit, v) for v in nomogram.variables.values()],
        "sets": [
            {
                "label": " × ".join(nomogram.variables[n].label for n in s.names),
                "columns": [int(c) for c in s.columns],
                "adjustment": all(nomogram.variables[n].role == "adjustment" for n in s.names),
            }
            for s in system.sets
        ],
        "points": {
            "beta": system.beta.tolist(), "minima": system.minima.tolist(), "per_log_odds": system.per_log_odds,
        },
        "centre": np.asarray(fit.recipe.centre, dtype=float).tolist(),
        "site": {
            "names": levels, "default": nomogram.site if levels else "typical",
            "meaning": {key: MEANING[key][:1].upper() + MEANING[key][1:] + "." for key in ("typical", "new", "known")},
            "varying": _varying(nomogram, kept),
        },
        "support": _support(fit),
    }  # fmt: skip


def _varying(nomogram: Nomogram, kept: np.ndarray) -> list[dict[str, Any]]:
    """Return for each intercept or slope that varies by site: which coefficient, each site's effect, and a new site's."""
    fit = nomogram.fit
    others = [factor.name for factor in fit.recipe.factors if factor.name != fit.recipe.site]
    if others:
        raise EstimandError(
            "interactive nomogram",
            f"the model also has {', '.join(others)}, and the page offers sites only",
            "Use the printed nomogram and .predict()",
        )
    if not fit.recipe.varying:
        return []
    if nomogram.site == "known" and any(one.column != INTERCEPT for one in fit.recipe.varying):
        raise EstimandError(
            "interactive nomogram of a known site",
            "its slopes are that site's own, and the page offers every site",
            "Make it of nomogram(fit, site='typical')",
        )
    fresh, effects = new_effects(fit), fit.group_effects()
    return [
        {"column": 1 + one.column, "effects": _packed(effects[t][kept]), "new": _packed(fresh[kept, t])}
        for t, one in enumerate(fit.recipe.varying)
    ]


def _packed(values: np.ndarray) -> str:
    return b64encode(np.ascontiguousarray(values, dtype="<f8").tobytes()).decode("ascii")


def _columns(fit: Any, variables: Any) -> list[list[dict[str, Any]]]:
    """Return each design column as a product: a variable's value, a curve of it, or 1 where a category has a level."""
    smooths = {str(smooth.call): smooth for smooth in fit.recipe.smooths}
    out = []
    for column in fit.recipe.columns:
        levels = iter(str(column.level).split(", "))
        factors: list[dict[str, Any]] = []
        for part in column.term.split(":"):
            call = call_of(part)
            if part in smooths:
                factors += _curves(smooths[part], int(next(levels)))
            elif call is not None:
                factors.append({"variable": call.variables[0], "level": None, "curve": {"inner": call.function}})
            else:
                level = next(levels) if variables[part].kind == "categorical" else None
                factors.append({"variable": part, "level": level, "curve": None})
        out.append(factors)
    return out


def _curves(smooth: Smooth, number: int) -> list[dict[str, Any]]:
    """Return one column of a smooth as a product of curves of its variables, with what a page computes them from."""
    out: list[dict[str, Any]] = []
    for part, basis, power in zip(smooth.call.arguments, smooth.margins, smooth.powers[number], strict=True):
        if power:
            inner, name = (part.function, part.variables[0]) if isinstance(part, Call) else ("", part)
            curve: dict[str, Any] = {
                "inner": inner, "mean": basis.mean, "sd": basis.sd, "knots": basis.knots.tolist(),
                "coefficients": (basis.coefficients[power - 1] * (smooth.call.bend if out else 1.0)).tolist(),
            }  # fmt: skip
            out.append({"variable": name, "level": None, "curve": curve})
    return out


def _factor(values: pd.Series, factor: dict[str, Any]) -> np.ndarray:
    """Compute a factor as a page does."""
    if factor["level"] is not None:
        return np.asarray(values == factor["level"], dtype=float)
    numbers, curve = values.to_numpy(dtype=float), factor["curve"]
    if curve is None:
        return numbers
    if curve["inner"]:
        numbers = elementwise(Call(curve["inner"], (factor["variable"],)), numbers)
    if "knots" not in curve:
        return numbers
    u = (numbers - curve["mean"]) / curve["sd"]
    return np.asarray(powers(u, np.array(curve["knots"])) @ np.array(curve["coefficients"]))


def _check(fit: Any, variables: Any, columns: list[list[dict[str, Any]]]) -> None:
    """Refuse rather than show numbers from a design that a page would build differently."""
    choices = [
        v.levels if v.kind == "categorical"
        else (0.0, 1.0) if v.kind == "binary"
        else tuple(float(fit.support.quantiles.loc[v.name, q]) for q in (0.01, 0.75))
        for v in variables.values()
    ]  # fmt: skip
    combinations = list(product(*choices))
    every = max(1, len(combinations) // 500)
    frame = pd.DataFrame(combinations[::every], columns=list(variables))
    expected = fit.recipe.matrix(frame)
    got = np.ones((len(frame), len(columns)))
    for j, factors in enumerate(columns):
        for factor in factors:
            got[:, j] *= _factor(frame[factor["variable"]], factor)
    if not np.allclose(got, expected, rtol=1e-9, atol=1e-12):
        raise EstimandError(
            "interactive nomogram",
            "the model's columns are no plain products",
            "Use the printed nomogram and .predict()",
        )


def _variable(fit: Any, variable: Variable) -> dict[str, Any]:
    """Return what a control needs: raw unit, range of the data, a round step, and where it starts."""
    said = {
        "name": variable.name, "source": variable.source, "kind": variable.kind, "label": variable.label,
        "unit": variable.unit, "role": variable.role, "mean": variable.mean, "sd": variable.sd,
        "levels": list(variable.levels),
    }  # fmt: skip
    if variable.kind in {"categorical", "binary"}:
        return said | {"start": variable.reference}
    low, middle, high = (variable.to_raw(float(fit.support.quantiles.loc[variable.name, q])) for q in (0, 0.5, 1))
    ticks = pretty(low, high, 100)
    step = float(ticks[1] - ticks[0]) if len(ticks) > 1 else 1.0
    ends = {"low": float(np.floor(low / step) * step), "high": float(np.ceil(high / step) * step)}
    return (
        said
        | {key: round(v, 10) for key, v in ends.items()}
        | {"step": step, "start": round(round(middle / step) * step, 10)}
    )


def _support(fit: Any) -> list[dict[str, Any]]:
    """Return the 1st and 99th percentile of each exposure by sex and age band, as the flag on a page needs it."""
    groups = fit.support.by_group
    exposures = [column.removesuffix("_q01") for column in groups if str(column).endswith("_q01")]
    out = []
    for _, row in groups.iterrows():
        limits = {name: [float(row[f"{name}_q01"]), float(row[f"{name}_q99"])] for name in exposures}
        known = {name: pair for name, pair in limits.items() if not np.isnan(pair).any()}
        out.append({"sex": str(row["sex"]), "age_band": str(row["age_band"]), "limits": known})
    return out
