"""The odds-ratio surface: two exposures against a stated reference, with interval, probability and support.

A linear model gives a plane of log odds ratios (a saddle with an interaction), a smooth one whatever the data say; several
models side by side share grid, reference and the cells that are shown.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.frame import tidy
from muscle_bayes.estimands.odds_ratios import contrast_summary
from muscle_bayes.estimands.sites import conditional_label
from muscle_bayes.estimands.support import MIN_PERSONS, joint_support, marginal_densities
from muscle_bayes.estimands.variables import Variable, design_rows, model_scale, variables_of

_BLOCK = 500


def odds_ratio_surface(
    fit: Any | Sequence[Any] | Mapping[str, Any],
    first: str = "intermat_z",
    second: str = "lmm_z",
    reference: tuple[float, float] = (0.0, 0.0),
    grid: Mapping[str, Sequence[float]] | float = 0.1,
    *,
    at: Mapping[str, Any] | None = None,
    cohort: Any = None,
    allow_unconverged: bool = False,
) -> pd.DataFrame:
    """Return the odds ratio of every combination of two exposures against a reference combination.

    Parameters
    ----------
    fit : Fit, or a sequence or mapping of them
        Posterior or maximum likelihood. Several models are shown side by side, a mapping gives them names.
    first, second : str
        Two exposures, as the formula calls them.
    reference : tuple of float
        Their values, in the units of the formula (Z), at which the odds ratio is 1.
    grid : mapping of str to sequence of float, or float
        Values of each exposure; or a step, for a grid through the reference from the 1st to the 99th percentile of the
        analysis set, widened to the next half Z.
    at : mapping, optional
        Values of other variables that the exposures interact with; by default their reference.
    cohort : Cohort or pandas.DataFrame, optional
        Not needed; taken so that every estimand is called alike.
    allow_unconverged : bool
        Report a fit that failed its gate.

    Returns
    -------
    pandas.DataFrame
        One row a combination, second exposure fastest: canonical columns, then the two exposures in Z, their raw
        columns in raw units, `supported` and `supported_SEX` (rule in `muscle_bayes.estimands.support`), `rope_share`.
        At the reference itself the odds ratio is 1 without error and `prob_gt_null` is missing. ``.attrs`` has the
        reference, labels, units, Z-score constants and the exposures' densities by sex. Of several models, one after the
        other with a column `model`; a cell is supported where it is in every model's analysis set.

    Raises
    ------
    EstimandError
        Where the exposures are not two of the model's Z-scored predictors, or models differ in how a Z is made.
    UnconvergedFitError
        Where the fit failed its gate and `allow_unconverged` is False.
    """
    if isinstance(fit, Mapping | Sequence):
        named = fit if isinstance(fit, Mapping) else _named(fit, first, second)
        return _side_by_side(named, first, second, reference, grid, at=at, allow_unconverged=allow_unconverged)
    fit.require_converged(allow_unconverged)
    variables = variables_of(fit)
    pair = [_exposure(name, variables) for name in (first, second)]
    if first == second:
        raise EstimandError(f"surface of {first!r}", "it needs two different exposures", "Name two")
    axes = [_axis(fit, variable, centre, grid) for variable, centre in zip(pair, reference, strict=True)]
    a, b = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
    others = model_scale(at or {}, variables)

    combinations = [reference, *zip(a, b, strict=True)]
    rows = design_rows(fit, variables, [{**others, first: x, second: y} for x, y in combinations])
    difference = rows[1:] - rows[0]
    # In blocks: all draws of a fine grid at once would be hundreds of megabytes.
    blocks = [contrast_summary(fit, difference[i : i + _BLOCK]) for i in range(0, len(difference), _BLOCK)]
    summary = {key: np.concatenate([block[key] for block in blocks]) for key in blocks[0]}
    summary["prob_gt_null"][~difference.any(axis=1)] = np.nan
    support = joint_support(fit, first, second, a, b)
    if not support["any"].any():
        raise EstimandError(
            f"surface of {first!r} and {second!r}",
            f"{fit.provenance()['n']} participants support no cell of it ({MIN_PERSONS} of one sex within a square of 0.75 Z)",
            "Read the odds ratios at stated values of the other exposure",
        )

    words = [variable.label for variable in pair]
    return tidy(
        {
            "estimand": "odds ratio surface",
            "term": f"{first}, {second}",
            "contrast": [f"{pair[0].stated(round(x, 6))}, {pair[1].stated(round(y, 6))}" for x, y in combinations[1:]],
            **summary,
            "scale": "odds ratio",
            "site": conditional_label(fit),
            "population": "conditional on the covariates",
            "role": "exposure",
            first: a,
            second: b,
            pair[0].source: pair[0].to_raw(a),
            pair[1].source: pair[1].to_raw(b),
            "supported": support.pop("any"),
            **{f"supported_{sex}": mask for sex, mask in support.items()},
        },
        fit,
        interval=0.95,
        attrs={
            "exposures": [first, second],
            "reference": [float(v) for v in reference],
            "labels": words,
            "units": [variable.unit for variable in pair],
            "sources": [variable.source for variable in pair],
            "constants": [[variable.mean, variable.sd] for variable in pair],
            "densities": marginal_densities(fit, first, second),
            "sexes": list(support),
            "support_rule": (
                "supported: 1st to 99th percentile of an age band of that sex, and at least "
                f"{MIN_PERSONS} persons of that sex in a square of 0.75 Z around"
            ),
        },
    )


def _named(fits: Sequence[Any], first: str, second: str) -> dict[str, Any]:
    """Name models by how the two exposures enter: linear, linear with interaction, smooth."""
    out: dict[str, Any] = {}
    for fit in fits:
        variables = variables_of(fit)
        pair = [_exposure(name, variables) for name in (first, second)]
        word = "Linear with interaction" if second in pair[0].partners else "Linear"
        word = "Smooth" if any(variable.curved for variable in pair) else word
        same = sum(name.partition(" (")[0] == word for name in out)
        out[f"{word} ({same + 1})" if same else word] = fit
    return out


def _side_by_side(
    fits: Mapping[str, Any],
    first: str,
    second: str,
    reference: tuple[float, float],
    grid: Mapping[str, Sequence[float]] | float,
    *,
    at: Mapping[str, Any] | None,
    allow_unconverged: bool,
) -> pd.DataFrame:
    if not fits:
        raise EstimandError("surfaces side by side", "no fit is given", "Give two or more")
    frames: dict[str, pd.DataFrame] = {}
    for name, fit in fits.items():
        frame = odds_ratio_surface(fit, first, second, reference, grid, at=at, allow_unconverged=allow_unconverged)
        if not frames:
            # The first model's grid for all.
            grid = {key: [float(value) for value in np.unique(frame[key])] for key in (first, second)}
            constants = frame.attrs["constants"]
        elif not np.allclose(frame.attrs["constants"], constants, rtol=1e-9):
            raise EstimandError(
                f"surface of {name!r}",
                "its Z-scores have other means and SDs than the first model's, so that the same Z is another person",
                "Fit both models on the same analysis set",
            )
        frames[name] = frame
    masks = [str(key) for key in next(iter(frames.values())) if str(key).startswith("supported")]
    shared: dict[str, Any] = {
        key: np.logical_and.reduce([frame[key].to_numpy() for frame in frames.values()]) for key in masks
    }
    whole: pd.DataFrame = pd.concat(
        [frame.assign(model=name, **shared) for name, frame in frames.items()], ignore_index=True
    )
    attrs = [frame.attrs for frame in frames.values()]
    whole.attrs = {
        **attrs[0],
        "models": list(frames),
        "of_models": [
            {key: of.get(key) for key in ("model", "title", "method", "n", "events", "seed")} for of in attrs
        ],
        "converged": all(of.get("converged", True) for of in attrs),
        "simulated": any(of.get("simulated", False) for of in attrs),
    }
    return whole


def _exposure(name: str, variables: Mapping[str, Variable]) -> Variable:
    variable = variables.get(name)
    if variable is None or variable.kind != "standardised" or variable.role != "exposure":
        known = [v.name for v in variables.values() if v.kind == "standardised" and v.role == "exposure"]
        remedy = f"Take two of {', '.join(known)}"
        raise EstimandError(f"exposure {name!r}", "it is no Z-scored exposure of the model", remedy)
    return variable


def _axis(fit: Any, variable: Variable, centre: float, grid: Mapping[str, Sequence[float]] | float) -> np.ndarray:
    if isinstance(grid, Mapping):
        if variable.name not in grid:
            remedy = "Give both exposures' values, or a step"
            raise EstimandError("grid", f"it has no values for {variable.name!r}", remedy)
        return np.asarray(grid[variable.name], dtype=float)
    low, high = (float(fit.support.quantiles.loc[variable.name, q]) for q in (0.01, 0.99))
    low, high = np.floor(low * 2) / 2, np.ceil(high * 2) / 2
    # Counted from the reference, so that it is a grid point and its odds ratio exactly 1.
    steps = np.arange(np.ceil((low - centre) / grid - 1e-9), np.floor((high - centre) / grid + 1e-9) + 1)
    return centre + grid * steps
