"""Why estimates of one model differ where they do, in sentences with the numbers of the comparison at hand."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.estimands.external import plain_name
from muscle_bayes.estimands.rounding import estimate_text, number_text
from muscle_bayes.inference.references import Reference

#: Below this many sites their SD is known so badly that its prior matters (Gelman 2006, Bayesian Analysis 1:515-533).
FEW_SITES = 10


def notes_on(
    fits: Mapping[str, Any],
    references: Mapping[str, Reference | str],
    external: Mapping[str, Any],
    frame: pd.DataFrame,
    columns: Sequence[str],
) -> list[str]:
    """Say where the estimates of a comparison should differ, and why.

    Parameters
    ----------
    fits : mapping of str to Fit
        As compared.
    references : mapping of str to Reference or str
        Reference methods, or why one has no estimates.
    external : mapping of str to pandas.DataFrame
        Coefficients of other software.
    frame : pandas.DataFrame
        Of `compare`.
    columns : sequence of str
        Names of the model's coefficients, which an external table is searched for.

    Returns
    -------
    list of str
        One a finding, most consequential first.
    """
    bayes = {name: fit for name, fit in fits.items() if fit.method != "ml"}
    likelihood = {name: fit for name, fit in fits.items() if fit.method == "ml"}
    notes = [
        f"{name} failed its gate: {'; '.join(f.text for f in fit.diagnostics.findings if f.kind == 'failure')}."
        for name, fit in fits.items()
        if not fit.diagnostics.passed
    ]
    notes += _on_sites(bayes, likelihood, frame)
    notes += _on_shrinkage(bayes, likelihood, frame)
    notes += _on_priors(bayes)
    notes += _on_engines(bayes, frame)
    notes += [found.note if isinstance(found, Reference) else found for found in references.values()]
    notes += _on_external(external, frame, columns)
    return notes


def _on_sites(bayes: Mapping[str, Any], likelihood: Mapping[str, Any], frame: pd.DataFrame) -> list[str]:
    notes = []
    spread = frame[frame["estimand"] == "site SD"].set_index("source")
    for name, fit in likelihood.items():
        sites = fit.recipe.site_levels
        if not sites:
            continue
        if fit.maximum.site_sd == 0:
            notes.append(
                f"{name} puts the site SD at 0, the edge of its range: it takes the sites for equal, and its "
                "standard errors know of no difference between them. A posterior averages over the SDs that the data allow."
            )
        if len(sites) < FEW_SITES and bayes:
            other = next(iter(bayes))
            prior = bayes[other].model.priors.site_sd.half_normal
            notes.append(
                f"{len(sites)} sites say little about how much sites differ. {name} takes its best guess of the site SD "
                f"({number_text(fit.maximum.site_sd, decimals=2)}) as known; {other} keeps what is not known: "
                f"{estimate_text(spread.loc[other].to_dict())}, with its half-normal prior of scale {prior:g}. So the "
                "intercept, the risk at a new site and the SD itself are wider in the posterior; odds ratios within sites "
                "hardly differ."
            )
    return notes


def _on_shrinkage(bayes: Mapping[str, Any], likelihood: Mapping[str, Any], frame: pd.DataFrame) -> list[str]:
    effects = frame[frame["estimand"] == "site effect"].pivot_table(
        index="term", columns="source", values="estimate", sort=False
    )
    fixed = [name for name in effects.columns if name not in bayes and name not in likelihood]
    if not fixed or len(effects) < 2:
        return []
    raw = effects[fixed[0]].to_numpy()
    if not (raw**2).sum() > 0:
        return []
    kept = {
        name: float(effects[name] @ raw / (raw @ raw))
        for name in effects.columns
        if name in bayes or name in likelihood
    }
    shares = ", ".join(f"{name} keeps {100 * share:.0f} %" for name, share in kept.items())
    return [
        f"Shrinkage: of the differences between sites that the fixed-site logit sees, {shares}; the rest is taken for chance."
    ]


def _on_priors(bayes: Mapping[str, Any]) -> list[str]:
    sets = {name: fit.model.priors for name, fit in bayes.items()}
    if len(sets) < 2 or all(priors == next(iter(sets.values())) for priors in sets.values()):
        return []
    said = "; ".join(
        f"{name}: set {priors.set!r}, site SD half-normal({priors.site_sd.half_normal:g})"
        for name, priors in sets.items()
    )
    return [f"The fits have different priors ({said})."]


def _on_engines(bayes: Mapping[str, Any], frame: pd.DataFrame) -> list[str]:
    names = list(bayes)
    notes = []
    for other in names[1:]:
        first = names[0]
        if bayes[other].model.priors != bayes[first].model.priors:
            continue
        rows = frame[frame["estimand"] == "odds ratio"]
        a, b = (rows[rows["source"] == name].reset_index(drop=True) for name in (first, other))
        apart: pd.Series = (a["estimate"] - b["estimate"]).abs() / np.hypot(a["mcse"], b["mcse"])
        notes.append(
            f"{first} and {other} are two samplers of one posterior; their odds ratios differ by at most "
            f"{apart.max():.1f} joint Monte Carlo standard errors."
        )
    return notes


def _on_external(external: Mapping[str, Any], frame: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    notes = []
    for name, table in external.items():
        known = {plain_name(column): column for column in columns}
        strange = [index for index in table.index if index not in known and index not in {"intercept", "const"}]
        if strange:
            sought = ", ".join(column for plain, column in known.items() if plain not in table.index)
            notes.append(
                f"{name} holds {', '.join(strange)}, which the model has no coefficient for"
                + (f"; it was searched for {sought}. Rename the rows to match." if sought else ".")
            )
        rows = frame[(frame["source"] == name) & (frame["estimand"] == "odds ratio")]
        empty = list(dict.fromkeys(rows.loc[rows["estimate"].isna(), "label"]))
        if empty:
            notes.append(
                f"{name} has no value for {', '.join(empty)}: the coefficient is not in its table, or the contrast needs several "
                "coefficients and their covariance."
            )
        far = rows[rows["shift"].abs() > 0.5]
        if len(far):
            worst = far.iloc[int(far["shift"].abs().to_numpy().argmax())]
            notes.append(
                f"{name} differs by {abs(worst['shift']):.1f} standard errors for {worst['label']}: look for another "
                "scale (Z-scores have ddof 1 here), another reference level or other participants."
            )
    return notes
