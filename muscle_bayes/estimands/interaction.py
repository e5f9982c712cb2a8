"""Interaction of two exposures, on the additive and on the multiplicative scale, in the four cells of their levels."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.frame import summarise_draws, tidy
from muscle_bayes.estimands.sites import MEANING, check_site, conditional_label, site_label
from muscle_bayes.estimands.standardisation import analysis_set, mean_risks
from muscle_bayes.estimands.variables import Variable, design_rows, model_scale, variables_of
from muscle_bayes.specification.transforms import variables_of_term

#: AP and S need two harmful exposures; refused where one protects with more than this probability.
MOST_PROTECTIVE = 0.05

#: The cells, as (first exposed, second exposed).
CELLS = ((0, 0), (1, 0), (0, 1), (1, 1))


def interaction(
    fit: Any,
    first: str | None = None,
    second: str | None = None,
    levels: Mapping[str, tuple[Any, Any]] | None = None,
    *,
    site: str | None = None,
    design: Literal["cohort", "case-control"] = "cohort",
    cohort: Any = None,
    allow_unconverged: bool = False,
) -> pd.DataFrame:
    """Return how two exposures act together: four risks, their ratios, RERI, AP, S and the ratio of odds ratios.

    Risks are standardised: everyone is given each pair of levels and averaged within each draw. The reference cell holds
    the level that the model calls not adverse for both (for LMM: high).

    Parameters
    ----------
    fit : Fit
        Posterior or maximum likelihood, with its persons.
    first, second : str, optional
        Two predictors. By default the first two exposures that the model lets interact; else an exposure and the category
        that modifies it (``sex``); else the first two exposures.
    levels : mapping of str to (unexposed, exposed), optional
        In Z or by raw column; by default half the model's contrast on either side of the mean, the adverse end exposed. Of a
        category with two levels the one with the higher odds is called exposed, since it has no adverse end of its own.
    site : {"known", "typical", "new", "marginal"}, optional
        For the risks; by default the persons' own sites.
    design : {"cohort", "case-control"}
        "case-control": risks are not estimable, only the odds-ratio versions are given.
    cohort : Cohort or pandas.DataFrame, optional
        Persons to average over, in place of the analysis set.
    allow_unconverged : bool
        Report a fit that failed its gate.

    Returns
    -------
    pandas.DataFrame
        Rows `risk`, `risk ratio`, `odds ratio` of the cells; `ratio of risk ratios`, `ratio of odds ratios`; `RERI`,
        `AP`, `S` from standardised risks and `RERI (odds ratios)` and so on from conditional odds ratios. `cell` is
        ``10`` where only the first is exposed. `note` says why a value is missing, and P(denominator <= 0) for S.

    Raises
    ------
    EstimandError
        Where the two are not different predictors of the model, or a level is missing.
    UnconvergedFitError
        Where the fit failed its gate and `allow_unconverged` is False.

    Notes
    -----
    Rothman 1986; VanderWeele & Knol 2014, Epidemiol Methods 3, 33-72; presentation of the four cells by Knol &
    VanderWeele 2012, Int J Epidemiol 41, 514-520; recoding by Knol et al. 2011, Eur J Epidemiol 26, 433-438.
    """
    fit.require_converged(allow_unconverged)
    variables = variables_of(fit)
    first, second = _names(first, second, variables)
    pair = _pair(first, second, variables)
    values = [cell_levels(v, fit, levels, variables) for v in pair]
    stated = [[v.stated(value) for value in both] for v, both in zip(pair, values, strict=True)]
    site = site or ("known" if fit.recipe.site_levels else "typical")
    check_site(fit, site)

    rows, draws, central = [], [], []
    row = _describer(pair, stated, fit)
    if design == "cohort":
        risk, best, persons = _cell_risks(fit, first, second, values, site, cohort)
        who = f"{'analysis set' if cohort is None else 'persons given'} (n = {persons:,})"
        settings = {"site": site_label(fit, site), "population": who}
        for quantity in (*_four_cells(risk, best, "risk"), *additive(risk, best, "")):
            rows.append(row(quantity, settings))
            draws.append(quantity["draws"])
            central.append(quantity["maximum"])
    odds, best = _cell_odds_ratios(fit, first, second, values)
    settings = {"site": conditional_label(fit), "population": "conditional on the covariates"}
    for quantity in (*_four_cells(odds, best, "odds"), *additive(odds, best, " (odds ratios)")):
        rows.append(row(quantity, settings))
        draws.append(quantity["draws"])
        central.append(quantity["maximum"])
    return _frame(fit, rows, draws, central, stated, site)


def additive(cells: np.ndarray, maximum: np.ndarray | None, suffix: str) -> list[dict[str, Any]]:
    """Return RERI, AP and S of four risks (or odds ratios, which are proportional to odds).

    Parameters
    ----------
    cells : numpy.ndarray, shape (S, 4)
        In the order of `CELLS`.
    maximum : numpy.ndarray, shape (4,), optional
        The same at the maximum of the likelihood.
    suffix : str
        What the names of the estimands end in.

    Returns
    -------
    list of dict
        Name, null, draws (missing where refused), value at the maximum, note.
    """
    ratios = cells[:, 1:] / cells[:, :1]
    protects = np.mean(ratios[:, :2] < 1, axis=0)
    refused = ""
    if protects.max() > MOST_PROTECTIVE:
        which = "first" if protects[0] >= protects[1] else "second"
        refused = (
            f"refused: the {which} exposure alone protects with probability {protects.max():.2f}; recode its levels"
        )
    at = None if maximum is None else maximum[1:] / maximum[0]
    out = []
    for name, null, of in (("RERI", 0.0, reri), ("AP", 0.0, attributable_proportion), ("S", 1.0, synergy_index)):
        unusable = refused if name != "RERI" else ""
        note = unusable
        if name == "S" and not unusable:
            note = f"P(denominator <= 0) = {np.mean(ratios[:, 0] + ratios[:, 1] - 2 <= 0):.3f}"
        out.append(
            {
                "estimand": name + suffix, "null": null, "scale": name, "cell": "", "note": note,
                "draws": np.full(len(cells), np.nan) if unusable else of(*ratios.T),
                "maximum": np.nan if at is None or unusable else float(of(*at)),
            }
        )  # fmt: skip
    return out


def reri(r10: Any, r01: Any, r11: Any) -> Any:
    """Return the relative excess risk due to interaction, RR11 - RR10 - RR01 + 1."""
    return r11 - r10 - r01 + 1


def attributable_proportion(r10: Any, r01: Any, r11: Any) -> Any:
    """Return the proportion of the joint risk that is due to interaction, RERI / RR11."""
    return reri(r10, r01, r11) / r11


def synergy_index(r10: Any, r01: Any, r11: Any) -> Any:
    """Return (RR11 - 1) / (RR10 + RR01 - 2)."""
    return (r11 - 1) / (r10 + r01 - 2)


def _four_cells(cells: np.ndarray, maximum: np.ndarray | None, kind: str) -> list[dict[str, Any]]:
    """Return the cells themselves (risks), their ratios to the reference, and the multiplicative interaction."""
    ratio_name, out = ("risk ratio", []) if kind == "risk" else ("odds ratio", [])

    def add(estimand: str, scale: str, null: float, cell: str, of: Any) -> None:
        value = np.nan if maximum is None else float(of(maximum[None, :])[0])
        out.append(
            {
                "estimand": estimand,
                "scale": scale,
                "null": null,
                "cell": cell,
                "draws": of(cells),
                "maximum": value,
                "note": "",
            }
        )

    if kind == "risk":
        for k, (a, b) in enumerate(CELLS):
            add("risk", "probability", np.nan, f"{a}{b}", lambda c, k=k: c[:, k])
    for k, (a, b) in enumerate(CELLS[1:], start=1):
        add(ratio_name, ratio_name, 1.0, f"{a}{b}", lambda c, k=k: c[:, k] / c[:, 0])
    # Within strata: the one exposure where the other is present, as Knol & VanderWeele ask to show.
    add(
        f"{ratio_name} of the first where the second is exposed",
        ratio_name,
        1.0,
        "11 / 01",
        lambda c: c[:, 3] / c[:, 2],
    )
    add(
        f"{ratio_name} of the second where the first is exposed",
        ratio_name,
        1.0,
        "11 / 10",
        lambda c: c[:, 3] / c[:, 1],
    )
    add(
        f"ratio of {ratio_name}s", f"ratio of {ratio_name}s", 1.0, "", lambda c: c[:, 3] * c[:, 0] / (c[:, 1] * c[:, 2])
    )
    return out


def _cell_risks(
    fit: Any, first: str, second: str, values: list[tuple[Any, Any]], site: str, cohort: Any
) -> tuple[np.ndarray, np.ndarray | None, int]:
    persons = analysis_set(fit, cohort)
    designs = [fit.recipe.matrix(persons.assign(**{first: values[0][a], second: values[1][b]})) for a, b in CELLS]
    index = fit.recipe.group_index(persons) if site == "known" else None
    shared: dict[str, Any] = {"site": site, "site_index": index}
    risk = mean_risks(fit, designs, **shared)[:, 0, :]
    if fit.method != "ml":
        return risk, None, len(persons)
    return risk, mean_risks(fit, designs, coefficients=fit.maximum.coefficients[None, :], **shared)[0, 0], len(persons)


def _cell_odds_ratios(
    fit: Any, first: str, second: str, values: list[tuple[Any, Any]]
) -> tuple[np.ndarray, np.ndarray | None]:
    rows = design_rows(fit, variables_of(fit), [{first: values[0][a], second: values[1][b]} for a, b in CELLS])
    difference = rows - rows[0]
    maximum = np.exp(difference @ fit.maximum.coefficients[1:]) if fit.method == "ml" else None
    return np.exp(fit.coefficients()[:, 1:] @ difference.T), maximum


def _names(first: str | None, second: str | None, variables: Mapping[str, Variable]) -> tuple[str, str]:
    """Return the pair that is asked for, or the one that the model is most likely about."""
    exposures = [v for v in variables.values() if v.role == "exposure"]
    if first is not None and second is not None:
        return first, second
    one = first or second
    if one is not None:
        partners = list(variables[one].partners) if one in variables else []
        other = next((v.name for v in exposures if v.name in partners), next(iter(partners), None))
        other = other or next((v.name for v in exposures if v.name != one), None)
        if other is None:
            raise EstimandError(
                f"interaction of {one!r}", "it needs a second predictor", f"Take one of {', '.join(variables)}"
            )
        return (one, other) if first is not None else (other, one)
    pairs = [(a.name, b.name) for a in exposures for b in exposures if b.name in a.partners]
    pairs += [(a.name, name) for a in exposures for name in a.partners]
    pairs += [(a.name, b.name) for a, b in combinations(exposures, 2)]
    if not pairs:
        raise EstimandError("interaction", "the model has no two exposures", f"Name two of {', '.join(variables)}")
    return pairs[0]


def _pair(first: str, second: str, variables: Mapping[str, Variable]) -> list[Variable]:
    for name in (first, second):
        if name not in variables:
            raise EstimandError(
                f"exposure {name!r}", "the model has no such predictor", f"Take two of {', '.join(variables)}"
            )
    if first == second:
        raise EstimandError(f"interaction of {first!r}", "it needs two different exposures", "Name two")
    return [variables[first], variables[second]]


def cell_levels(
    variable: Variable, fit: Any, levels: Mapping[str, tuple[Any, Any]] | None, variables: Mapping[str, Variable]
) -> tuple[Any, Any]:
    """Return a variable's unexposed and exposed level: as given, or half its contrast either side of the mean."""
    for key, value in (levels or {}).items():
        if key in (variable.name, variable.source):
            unexposed, exposed = (model_scale({key: v}, variables)[variable.name] for v in value)
            return unexposed, exposed
    if variable.kind == "binary":
        return 0.0, 1.0
    if variable.kind == "categorical" and len(variable.levels) == 2:
        low, high = variable.levels
        rows = design_rows(fit, variables, [{variable.name: low}, {variable.name: high}])
        higher = float((fit.coefficients()[:, 1:] @ (rows[1] - rows[0])).mean()) >= 0
        return (low, high) if higher else (high, low)
    if variable.kind != "standardised":
        example = (variable.levels[0], variable.levels[1]) if variable.levels else ("...", "...")
        raise EstimandError(
            f"exposure {variable.name!r}",
            "its two levels are not given",
            f"Say which, unexposed first, such as levels={{'{variable.name}': {example}}}",
        )
    term = fit.model.exposures.get(variable.name)
    half = (term.contrast if term else 2.0) / 2
    return (half, -half) if term and term.adverse == "low" else (-half, half)


def _describer(pair: list[Variable], stated: list[list[str]], fit: Any) -> Any:
    names = " × ".join(v.name for v in pair)
    asked = all(v.role == "exposure" for v in pair)
    # The model may count an exposure's term with a category (sex) among its exposures.
    both = {v.name for v in pair}
    asked = asked or any(c.role == "exposure" and both <= set(variables_of_term(c.term)) for c in fit.recipe.columns)
    role = "exposure" if asked else "adjustment"

    def row(quantity: dict[str, Any], settings: dict[str, str]) -> dict[str, Any]:
        cell = quantity["cell"]
        if cell in {"00", "10", "01", "11"}:
            contrast = f"{stated[0][int(cell[0])]}, {stated[1][int(cell[1])]}"
        else:
            contrast = f"{stated[0][1]} against {_value(stated[0][0])}; {stated[1][1]} against {_value(stated[1][0])}"
        kept = {key: quantity[key] for key in ("estimand", "scale", "cell", "note", "null")}
        return {**kept, **settings, "term": names, "contrast": contrast, "role": role}

    return row


def _value(stated: str) -> str:
    return stated.split(" = ")[1]


def _frame(
    fit: Any,
    rows: list[dict[str, Any]],
    draws: list[np.ndarray],
    central: list[Any],
    stated: list[list[str]],
    site: str,
) -> pd.DataFrame:
    frame, values = pd.DataFrame(rows), np.column_stack(draws)
    nulls = frame.pop("null").to_numpy(dtype=float)
    shift = np.nan_to_num(nulls)
    usable = ~np.isnan(values).any(axis=0)
    summary: dict[str, np.ndarray] = {}
    for key, value in summarise_draws(values[:, usable] - shift[usable], fit, null=0.0).items():
        summary[key] = np.full(len(frame), np.nan)
        summary[key][usable] = value + (shift[usable] if key in {"estimate", "lower", "upper"} else 0.0)
    if fit.method == "ml":
        summary["estimate"] = np.where(usable, np.array(central, dtype=float), np.nan)
    summary["prob_gt_null"] = np.where(np.isnan(nulls), np.nan, summary["prob_gt_null"])
    return tidy(
        {**{key: frame[key] for key in frame.columns}, **summary},
        fit,
        interval=0.95,
        decimals=3,
        attrs={
            "reference_cell": f"{stated[0][0]}, {stated[1][0]}",
            "exposed_cell": f"{stated[0][1]}, {stated[1][1]}",
            "site_meaning": MEANING[site],
        },
    )
