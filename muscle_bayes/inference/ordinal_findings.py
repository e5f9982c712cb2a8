"""What a reader should know about the data of an ordered outcome, in plain words."""

from typing import Literal

import numpy as np

from muscle_bayes.inference.diagnostics import Finding, collinearity_findings, few_sites_findings
from muscle_bayes.specification.design import Design

#: Fewer people than this, and the thresholds beside a category rest on next to nothing.
_FEW = 5
_PEOPLE_PER_COEFFICIENT = 10
#: Share of the persons that the prior of the distances between thresholds may weigh without a word.
_LIGHT = 0.01


def ordinal_findings(design: Design, *, priors: bool = True) -> list[Finding]:
    """Look for empty categories, separation, few data, collinearity and few sites.

    Parameters
    ----------
    design : Design
        The analysis set of an ordered outcome.
    priors : bool
        Whether the fit has priors; a maximum-likelihood fit has none.

    Returns
    -------
    list of Finding
        With priors, warnings and notes; without, separation is a failure.
    """
    recipe, codes, found = design.recipe, design.y.astype(int), []
    counts = np.bincount(codes, minlength=len(design.categories))
    empty = [name for name, count in zip(design.categories, counts, strict=True) if count == 0]
    if empty:
        text = (
            f"nobody is in the categories {', '.join(empty)}; their thresholds rest on the prior"
            if len(empty) > 1
            else f"nobody is in the category {empty[0]}; the thresholds beside it rest on the prior"
        )
        found.append(Finding("warning", text))
    few = [f"{name} ({count})" for name, count in zip(design.categories, counts, strict=True) if 0 < count < _FEW]
    if few:
        found.append(
            Finding("warning", f"few participants in the categories {', '.join(few)}: fewer than {_FEW} in each")
        )
    kind: Literal["failure", "warning"] = "warning" if priors else "failure"
    rests = "rests on its prior" if priors else "has no finite estimate"
    lowest, highest = codes.min(), codes.max()
    for i, column in enumerate(recipe.columns):
        values = design.X[:, i] + recipe.centre[i]
        present = np.unique(codes)
        ends = np.array([[values[codes == k].min(), values[codes == k].max()] for k in present])
        if (ends[:-1, 1] < ends[1:, 0]).all() or (ends[:-1, 0] > ends[1:, 1]).all():
            found.append(
                Finding(kind, f"separation: {column.label} alone tells all categories apart; its odds ratio {rests}")
            )
        elif set(np.unique(values)) <= {0.0, 1.0}:
            for level in (0.0, 1.0):
                inside = codes[values == level]
                # All of a group at one end of the scale: any larger coefficient fits them better.
                if len(inside) and inside.min() == inside.max() and inside[0] in (lowest, highest):
                    end = "lowest" if inside[0] == lowest else "highest"
                    found.append(
                        Finding(
                            kind,
                            f"quasi-separation: all {len(inside)} participants with {column.label} = {level:g} are in the "
                            f"{end} category; its odds ratio {rests}",
                        )
                    )
    # As many events as a split of the scale in its middle would have (Harrell 2015, Regression Modeling Strategies, 4.4).
    n = len(codes)
    effective = int(n - (counts.astype(float) ** 3).sum() / n**2)
    coefficients = len(recipe.columns)
    if effective < _PEOPLE_PER_COEFFICIENT * coefficients:
        found.append(
            Finding(
                "warning",
                f"few data: {n} participants over these categories weigh as much as {effective} with a measurement, for "
                f"{coefficients} coefficients; "
                + ("the priors decide much" if priors else "maximum likelihood is biased"),
            )
        )
    return [*found, *collinearity_findings(design), *few_sites_findings(design, priors=priors)]


def threshold_prior_findings(concentration: float, design: Design) -> list[Finding]:
    """Say where the prior of the distances between thresholds weighs more than one in a hundred persons.

    Parameters
    ----------
    concentration : float
        Of every category, in persons.
    design : Design
        The analysis set of an ordered outcome.

    Returns
    -------
    list of Finding
        One warning, or none.
    """
    people, n = concentration * len(design.categories), len(design.y)
    if people <= _LIGHT * n:
        return []
    text = (
        f"the prior of the distances between thresholds weighs as much as {people:.3g} people, beside {n:,} participants: "
        "probabilities of single categories lean on it; odds ratios hardly do"
    )
    return [Finding("warning", text)]
