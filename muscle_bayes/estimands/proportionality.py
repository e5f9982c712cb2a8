"""Proportionality: whether one odds ratio describes an ordered outcome wherever its scale is cut."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands.odds_ratios import odds_ratios
from muscle_bayes.estimands.ordered import is_ordered
from muscle_bayes.estimands.proportional_odds_test import ProportionalOddsTest, proportional_odds_test
from muscle_bayes.estimands.refitting import REFIT_DRAWS, certificate, refit
from muscle_bayes.estimands.standardisation import analysis_set
from muscle_bayes.specification.ordinal import ordinal_codes
from muscle_bayes.specification.transforms import variables_of_term

#: Fewer people than so many for each coefficient on the smaller side of a cut, and maximum likelihood is too shaky for a test.
_LEAST_EACH = 5
#: A departure of a cut's odds ratio from the common one that is called small.
_SMALL = 0.10


def proportionality(
    fit: Any,
    terms: Sequence[str] | None = None,
    per: float | None = 2.0,
    *,
    cohort: Any = None,
    draws: int = REFIT_DRAWS,
    allow_unconverged: bool = False,
) -> pd.DataFrame:
    """Compare the odds ratio of an ordered outcome with those of each cut of its scale.

    A proportional-odds model has one odds ratio for "1 or more", "2 or more", and so on. Each of these events is fitted by
    itself, by logistic regression with the same predictors and priors (Harrell 2015, Regression Modeling Strategies, ch. 13;
    by the `laplace` engine with its certificate), and their odds ratios stand beside the common one. Brant's test says whether
    they differ by more than chance: with tens of thousands of people it also finds differences that do not matter, so that
    the finding says how large they are.

    Parameters
    ----------
    fit : Fit
        Of an ordered outcome, with its persons.
    terms : sequence of str, optional
        Predictors; by default the exposures.
    per : float or None
        As in `odds_ratios`.
    cohort : Cohort or pandas.DataFrame, optional
        The persons, where the fit was loaded without them.
    draws : int
        Of each refit.
    allow_unconverged : bool
        Check a fit that failed its gate.

    Returns
    -------
    pandas.DataFrame
        For each predictor a row of the common odds ratio (`cut` empty), then one for each cut: canonical columns, then
        `label, cut, threshold` (such as ``>= 4``), `events, text, note` (why a cut has no estimate), and `brant_chi2, brant_df,
        brant_p` of the predictor. ``.attrs["findings"]`` has a sentence on each predictor.

    Raises
    ------
    EstimandError
        Where the outcome is an event, has two categories only, or persons are not there.
    UnconvergedFitError
        Where the fit failed its gate and `allow_unconverged` is False.
    """
    fit.require_converged(allow_unconverged)
    if not is_ordered(fit) or len(fit.categories) < 3:
        raise EstimandError(
            "proportionality",
            "the fit has one cut only, so that there is nothing to compare",
            'Give a fit of an ordered outcome with three or more categories (family = "cumulative")',
        )
    chosen = list(terms) if terms is not None else list(fit.model.exposures)
    persons = analysis_set(fit, cohort)
    labels = list(fit.categories)
    response = fit.model.parsed.response
    _, codes = ordinal_codes(persons[response], tuple(labels))
    common = odds_ratios(fit, per, terms=chosen, allow_unconverged=allow_unconverged)
    frames = [common.assign(cut="", threshold="all cuts", events=np.nan, note="")]
    event = f"{response}_cut"
    model = fit.model.model_copy(
        update={"family": "bernoulli", "event": f"{event} == 1", "categories": [], "among": ""}
    )
    for k, label in enumerate(labels[1:], 1):
        y = (codes >= k).astype(int)
        note = ""
        if y.min() == y.max():
            note = "nobody is there" if not y.any() else "everybody is there"
        else:
            one, note = _refitted(fit, model, persons.assign(**{event: y}), draws)
        if note:
            found = common.assign(
                **dict.fromkeys(("estimate", "lower", "upper", "mcse", "prob_gt_null"), np.nan), text=""
            )
        else:
            found = odds_ratios(one, per, terms=chosen)
        frames.append(found.assign(cut=label, threshold=f">= {label}", events=int(y.sum()), note=note))
    frame = pd.concat(frames, ignore_index=True)
    frame["estimand"] = np.where(frame["cut"] == "", "odds ratio, common", "odds ratio of a cut")
    test, tested = _test(fit, persons, codes)
    rows, findings = [], []
    for name in chosen:
        columns = [i for i, column in enumerate(fit.recipe.columns) if name in variables_of_term((column.term,))]
        chi2, df, p = test.wald(columns) if test is not None and columns else (np.nan, 0, np.nan)
        rows.append({"variable": name, "brant_chi2": chi2, "brant_df": df, "brant_p": p})
        findings += _findings(frame[frame["variable"] == name], p, [labels[k] for k in tested])
    frame = frame.merge(pd.DataFrame(rows), on="variable", how="left", validate="many_to_one")
    order = {term: i for i, term in enumerate(dict.fromkeys(common["term"]))}
    frame = frame.sort_values("term", key=lambda column: column.map(order), kind="stable", ignore_index=True)
    frame.attrs = {**common.attrs, "findings": findings, "tested_cuts": [labels[k] for k in tested], "cuts": labels[1:]}
    return frame


def _refitted(fit: Any, model: Any, persons: pd.DataFrame, draws: int) -> tuple[Any, str]:
    """Fit one cut, with four times the draws where the first ones are not enough for a certificate."""
    for size in (draws, 4 * draws):
        one = refit(model, persons, fit.recipe.constants, draws=size, seed=fit.seed, simulated=fit.simulated)
        note = certificate(one)
        if not note:
            break
    return one, note


def _test(fit: Any, persons: pd.DataFrame, codes: np.ndarray) -> tuple[ProportionalOddsTest | None, list[int]]:
    """Run Brant's test over the cuts with people enough on both sides, sites as fixed effects."""
    X = fit.recipe.matrix(persons)
    if fit.recipe.site:
        members = pd.Categorical(persons[fit.recipe.site].astype("str"))
        X = np.column_stack([X, np.eye(len(members.categories))[members.codes][:, 1:]])
    least = _LEAST_EACH * (1 + X.shape[1])
    above = np.array([(codes >= k).sum() for k in range(1, len(fit.categories))])
    cuts = [k for k, n in enumerate(above, 1) if min(n, len(codes) - n) >= least]
    if len(cuts) < 2:
        return None, cuts
    try:
        return proportional_odds_test(X - X.mean(axis=0), codes, cuts), cuts
    except (EstimandError, np.linalg.LinAlgError):
        return None, cuts


def _findings(rows: pd.DataFrame, p: float, tested: Sequence[str]) -> list[str]:
    """Say of each contrast of a predictor how far the cuts depart from the common odds ratio, and whether by chance."""
    sentences = []
    for _, own in rows.groupby("term", sort=False):
        common = own[own["cut"] == ""].iloc[0]
        cuts = own[(own["cut"] != "") & own["estimate"].notna() & own["cut"].isin(list(tested) or own["cut"])]
        what = f"{common['label']}, {str(common['contrast']).split(' (')[0]}"
        if len(cuts) < 2:
            sentences.append(f"{what}: fewer than two cuts could be fitted, so that proportionality was not checked.")
            continue
        low, high = cuts["estimate"].min(), cuts["estimate"].max()
        away = np.exp(np.abs(np.log(cuts["estimate"] / common["estimate"])).max()) - 1
        outside = int(((cuts["lower"] > common["estimate"]) | (cuts["upper"] < common["estimate"])).sum())
        begin = (
            f"{what}: the odds ratio of single cuts runs from {low:.2f} to {high:.2f} "
            f"({cuts['cut'].iloc[0]} or more to {cuts['cut'].iloc[-1]} or more), the common one is {common['estimate']:.2f}; "
            f"{outside} of {len(cuts)} intervals leave it out"
        )
        test = f"Brant's test p {'< 0.001' if p < 0.001 else f'= {p:.2g}'}" if np.isfinite(p) else "no test possible"
        if not np.isfinite(p):
            end = f"{test}; judge by the figure."
        elif p >= 0.05:
            end = f"no more than chance brings about ({test}). One odds ratio may stand for the whole scale."
        elif away <= _SMALL:
            end = (
                f"more than chance brings about ({test}), but by {100 * away:.0f} % at most, which is small. "
                "One odds ratio may stand for the whole scale."
            )
        else:
            end = (
                f"more than chance brings about ({test}), by up to {100 * away:.0f} %. One odds ratio does not stand for the "
                "whole scale: report the cuts, or a hurdle (any at all, and how much among those)."
            )
        sentences.append(f"{begin}; {end}")
    return sentences
