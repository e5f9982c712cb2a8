"""How the exposures are distributed in groups, with and without the outcome: the numbers of a boxplot."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.frame import COLUMNS
from muscle_bayes.estimands.labels import label_of, unit_of
from muscle_bayes.estimands.predictive import groups_of

#: Ends of a box's whiskers; single persons are never shown.
WHISKERS = (0.05, 0.95)

_FEWEST = 20


def exposure_distributions(
    fit: Any, by: Sequence[str] = ("osteoarthritis", "osteoporosis"), *, cohort: Any = None, only_with: bool = True
) -> pd.DataFrame:
    """Return quantiles of the exposures in raw units, by group and outcome.

    Parameters
    ----------
    fit : Fit
        With its persons; names the exposures, their raw columns and the outcome.
    by : sequence of str
        Columns that make groups.
    cohort : Cohort or pandas.DataFrame, optional
        Persons, where the fit was loaded without them.
    only_with : bool
        Of yes/no columns show those with the diagnosis only, as the 2025 paper does (Fig 2b).

    Returns
    -------
    pandas.DataFrame
        One row an exposure, group and outcome, everyone first: `estimate` (median), `lower, upper` (quartiles, so
        `interval` is 0.5), `q05, q95`, `n`, `outcome` (True with the event), `p_value` (Mann-Whitney, with against
        without the event). Cells of fewer than 20 persons have no quantiles.

    Raises
    ------
    EstimandError
        Where persons or columns are not there, or no exposure is a number.
    """
    persons = fit.cohort if cohort is None else fit.recipe.standardise(getattr(cohort, "table", cohort))
    if persons is None:
        raise EstimandError("distributions", "the fit was loaded without its persons", "Give them: cohort=...")
    event = fit.model.parsed_event
    happened = event.happened(persons[event.column]) == 1
    groups = [("all", "all", np.ones(len(persons), dtype=bool))]
    for column in by:
        levels = groups_of(persons, column)
        yes_no = list(levels.cat.categories) == ["no", "yes"]
        for level in levels.cat.categories:
            if not (only_with and yes_no and level == "no"):
                groups.append((column, str(level), (levels == level).to_numpy(dtype=bool)))
    from scipy.stats import mannwhitneyu  # most of a second to import, for this alone

    rows = []
    for name in fit.model.exposures:
        source = fit.recipe.constants[name].source if name in fit.recipe.constants else name
        if not pd.api.types.is_numeric_dtype(persons[source]):
            continue
        values = persons[source].to_numpy(dtype=float)
        for column, group, inside in groups:
            sides = [values[inside & ~happened], values[inside & happened]]
            enough = min(map(len, sides)) >= _FEWEST
            p_value = float(mannwhitneyu(*sides).pvalue) if enough else np.nan
            rows += [
                _row(name, source, column, group, side, bool(k)) | {"p_value": p_value} for k, side in enumerate(sides)
            ]
    if not rows:
        raise EstimandError(
            "distributions",
            f"no exposure of the model is a number ({', '.join(fit.model.exposures) or 'none'}), and categories have no quantiles",
            "Compare the risks of the levels instead: mb.risks(fit)",
        )
    frame = pd.DataFrame(rows)
    for name in COLUMNS:
        if name not in frame:
            frame[name] = np.nan
    frame = frame[[*COLUMNS, *(name for name in frame if name not in COLUMNS)]]
    frame.attrs.update({**fit.provenance(), "interval": 0.5, "whiskers": list(WHISKERS), "by": list(by)})
    return frame


def _row(name: str, source: str, column: str, group: str, values: np.ndarray, outcome: bool) -> dict[str, Any]:
    n = len(values)
    at = [WHISKERS[0], 0.25, 0.5, 0.75, WHISKERS[1]]
    low, q1, median, q3, high = np.quantile(values, at) if n >= _FEWEST else np.full(5, np.nan)
    who = "everyone" if column == "all" else f"{column} = {group}"
    return {
        "estimand": "distribution", "term": name, "contrast": "", "estimate": median, "lower": q1, "upper": q3,
        "interval": 0.5, "scale": unit_of(source), "site": "all sites", "role": "description",
        "population": f"{who}, {'with' if outcome else 'without'} the event (n = {n:,})",
        "by": column, "group": group, "by_label": "Age band" if column == "age_band" else label_of(column),
        "outcome": outcome, "n": n, "q05": low, "q95": high, "label": label_of(source), "source": source,
    }  # fmt: skip
