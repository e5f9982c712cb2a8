"""The variables of a fitted model, and design rows of persons that differ in some of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.labels import label_of, unit_of, with_unit
from muscle_bayes.specification.transforms import Call, call_of, variables_of_term


@dataclass(frozen=True)
class Variable:
    """One predictor of a model.

    Attributes
    ----------
    name : str
        As the formula calls it, such as ``intermat_z``.
    kind : {"standardised", "categorical", "binary", "numeric"}
        How its contrasts are stated.
    source : str
        The raw column.
    role : {"exposure", "adjustment"}
        What the model says it is there for.
    levels : tuple of str
        Of a categorical variable, the reference first.
    mean, sd : float
        Z-score constants in raw units; 0 and 1 for what is not standardised.
    partners : tuple of str
        Variables that share an interaction term with it.
    reference : float or str
        Its value in the reference person: Z of 0, first level, 0, or the median.
    over : str
        Of a Z-score: ``all``, or the column of groups within which it was made.
    curved : bool
        Whether it stands in a smooth or another transform, so that no odds ratio holds for every unit of it.
    compared : tuple of float
        Values that its odds ratios compare, the reference first, where the model states them.
    scale : str
        The transform of single values by which the model takes it, such as ``sqrt``; empty where it takes the values.
    """

    name: str
    kind: Literal["standardised", "categorical", "binary", "numeric"]
    source: str
    role: Literal["exposure", "adjustment"]
    levels: tuple[str, ...]
    mean: float
    sd: float
    partners: tuple[str, ...]
    reference: float | str
    over: str = "all"
    curved: bool = False
    compared: tuple[float, ...] = ()
    scale: str = ""

    @property
    def label(self) -> str:
        """What readers call it, such as ``InterMAT``."""
        return label_of(self.source)

    @property
    def unit(self) -> str:
        """Unit of the raw column as printed."""
        return unit_of(self.source)

    @property
    def axis_label(self) -> str:
        """Label with the raw unit."""
        return with_unit(self.source)

    def to_raw(self, value: Any) -> Any:
        """Return a value of the model's column in raw units."""
        self.require_one_scale()
        return value * self.sd + self.mean if self.kind == "standardised" else value

    def require_one_scale(self) -> None:
        """Refuse raw units for Z-scores within groups, where one Z means another raw value in each group."""
        if self.over != "all":
            raise EstimandError(
                f"variable {self.name!r}",
                f"its Z-scores are within {self.over}, so a Z-score has no one value of {self.source!r}",
                f'Speak of it in Z, or fit the model with [standardise.{self.name}] over = "all"',
            )

    def stated(self, value: Any) -> str:
        """Return ``LMM = −1 Z``, ``Sex = male`` or ``Diabetes = no``."""
        if self.kind == "categorical":
            text = str(value)
        elif self.kind == "binary" and value in (0, 1):
            text = "yes" if value else "no"
        else:
            unit = "Z" if self.kind == "standardised" else self.unit if self.kind == "numeric" else ""
            text = (f"{value:g}".replace("-", "\N{MINUS SIGN}") + f" {unit}").strip()
        return f"{self.label} = {text}"


def variables_of(fit: Any) -> dict[str, Variable]:
    """List the predictors of a fit, exposures first.

    Parameters
    ----------
    fit : Fit
        With `recipe`, `model` and `support`.

    Returns
    -------
    dict of str to Variable
        By name.
    """
    recipe, exposures = fit.recipe, fit.model.exposures
    terms = [variables_of_term(column.term) for column in recipe.columns]
    curved = {name for column in recipe.columns if "(" in column.term for name in variables_of_term(column.term)}
    curved -= {name for name in recipe.levels if name in curved}
    names = dict.fromkeys([*(name for name in exposures), *(name for term in terms for name in term)])
    out = {}
    for name in names:
        partners = tuple(dict.fromkeys(other for term in terms if name in term for other in term if other != name))
        role: Literal["exposure", "adjustment"] = "exposure" if name in exposures else "adjustment"
        compared = tuple(getattr(exposures[name], "levels", ())) if name in exposures else ()
        bent: dict[str, Any] = {"curved": name in curved, "compared": compared, "scale": _scale(name, recipe.columns)}
        if name in recipe.constants:
            z = recipe.constants[name]
            at = compared[0] if compared else 0.0
            out[name] = Variable(name, "standardised", z.source, role, (), z.mean, z.sd, partners, at, z.over, **bent)
        elif name in recipe.levels:
            levels = tuple(recipe.levels[name])
            out[name] = Variable(name, "categorical", name, role, levels, 0.0, 1.0, partners, levels[0])
        elif name in fit.support.counts:
            out[name] = Variable(name, "binary", name, role, (), 0.0, 1.0, partners, 0.0)
        else:
            at = compared[0] if compared else float(fit.support.quantiles.loc[name, 0.5])
            out[name] = Variable(name, "numeric", name, role, (), 0.0, 1.0, partners, at, **bent)
    return out


def _scale(name: str, columns: Sequence[Any]) -> str:
    """Return the transform of single values that a variable goes through, first of all terms; empty without one."""
    calls = [call for column in columns for part in column.term.split(":") if (call := call_of(part))]
    inner = [part for call in calls for part in (call, *call.arguments) if isinstance(part, Call)]
    return next((call.function for call in inner if not call.smooth and call.variables == (name,)), "")


def model_scale(values: Mapping[str, Any], variables: Mapping[str, Variable]) -> dict[str, Any]:
    """Name values as the formula does: a raw column's value becomes its Z-score.

    Parameters
    ----------
    values : mapping of str to value
        ``{"lmm_z": -1}`` or ``{"lmm_cm3_per_kg_m2": 19}``.
    variables : mapping of str to Variable
        Of the fit.

    Returns
    -------
    dict
        By the names in the formula.

    Raises
    ------
    EstimandError
        Where a name is none of the model's variables, or a level is none of a variable's levels.
    """
    by_source = {variable.source: variable for variable in variables.values()}
    out = {}
    for key, value in values.items():
        variable = variables.get(key) or by_source.get(key)
        if variable is None:
            known = ", ".join(variables)
            raise EstimandError(f"variable {key!r}", "the model has no such predictor", f"Take one of {known}")
        if variable.kind == "categorical" and value not in variable.levels:
            raise EstimandError(
                f"variable {key!r}", f"it has no level {value!r}", f"Take one of {', '.join(variable.levels)}"
            )
        from_raw = key not in variables and variable.kind == "standardised"
        if from_raw:
            variable.require_one_scale()
        out[variable.name] = (value - variable.mean) / variable.sd if from_raw else value
    return out


def design_rows(fit: Any, variables: Mapping[str, Variable], persons: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Return the design rows of persons who equal the reference person but for what is given.

    Parameters
    ----------
    fit : Fit
        Its `recipe` makes the columns.
    variables : mapping of str to Variable
        Of the fit.
    persons : sequence of mapping, length n
        Values by the names in the formula.

    Returns
    -------
    numpy.ndarray, shape (n, p)
        Not centred, without the intercept.
    """
    reference = {name: variable.reference for name, variable in variables.items()}
    frame = pd.DataFrame([{**reference, **person} for person in persons], columns=list(reference))
    return np.asarray(fit.recipe.matrix(frame), dtype=float)
