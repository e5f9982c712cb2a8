"""Methods in sentences that are true of the fit: every number and every choice is read from it."""

from typing import TYPE_CHECKING

import pandas as pd

from muscle_bayes.estimands.labels import label_of
from muscle_bayes.estimands.rounding import number_text
from muscle_bayes.inference.laplace_certificate import MOST_STANDARD_ERRORS
from muscle_bayes.inference.psis import khat_threshold
from muscle_bayes.report.text import in_sentence, level_text, share_text
from muscle_bayes.specification.grouping import INTERCEPT, Varying

if TYPE_CHECKING:
    from muscle_bayes.inference import Fit


def term_words(fit: "Fit", term: str) -> str:
    """Return a term of the formula in words: ``intermat_z:lmm_z`` as ``InterMAT × LMM``, ``ns(age_z, df=4)`` as a smooth."""
    for one in fit.recipe.smooths:
        if str(one.call) == term:
            return f"{_listed([term_words(fit, name) for name in one.call.variables])} (smooth)"
    names = [fit.recipe.constants[part].source if part in fit.recipe.constants else part for part in term.split(":")]
    return " × ".join(label_of(name) for name in names)


def adjustment_words(fit: "Fit") -> str:
    """Return what the exposures are adjusted for, as a list in a sentence; empty where for nothing."""
    terms = dict.fromkeys(column.term for column in fit.recipe.columns if column.role == "adjustment")
    # Two columns of one variable, such as its amount and its category, are named once.
    return _listed(list(dict.fromkeys(in_sentence(term_words(fit, term)) for term in terms)))


def model_paragraph(fit: "Fit") -> str:
    """Say outcome, event, regression and predictors."""
    recipe = fit.recipe
    exposures = dict.fromkeys(term_words(fit, c.term) for c in recipe.columns if c.role == "exposure")
    adjusted = adjustment_words(fit)
    predictors = _listed(list(exposures)) if exposures else adjusted or "an intercept alone"
    family = "logistic regression by maximum likelihood" if fit.method == "ml" else "Bayesian logistic regression"
    if fit.categories:
        ordered = list(fit.categories)
        family = family.replace("logistic regression", "proportional-odds regression (cumulative logit)")
        text = (
            f"The outcome was {in_sentence(fit.model.outcome_label)} ({fit.model.parsed.response}), {len(ordered)} ordered "
            f"categories from {ordered[0]} to {ordered[-1]}. The log odds of a higher category, the same wherever the scale is "
            f"cut but for a threshold of each cut, were modelled by {family} on {predictors}"
        )
    else:
        text = (
            f"The outcome was {in_sentence(fit.model.outcome_label)} ({_event(fit)}), which "
            f"{share_text(fit.events, fit.n)} had. Its log odds were modelled by {family} on {predictors}"
        )
    text += f", adjusted for {adjusted}" if adjusted and exposures else ""
    if f"1|{recipe.site}" in {one.name for one in recipe.varying}:
        named = f": {_listed(list(recipe.site_levels))}" if len(recipe.site_levels) <= 8 else ""
        text += f", with a random intercept for {in_sentence(label_of(recipe.site or ''))} ({len(recipe.site_levels)}{named})"
    for factor in recipe.factors:
        text += _varying_words(fit, factor.name)
    return text + (f". {_shape_words(fit)}" if recipe.columns else ".")


def _shape_words(fit: "Fit") -> str:
    """Say which numeric predictors bend."""
    smooths = fit.recipe.smooths
    if not smooths:
        return "Numeric terms enter linearly on the log-odds scale."
    bent = []
    for one in smooths:
        names = [in_sentence(term_words(fit, name)) for name in one.call.variables]
        what = "a smooth surface" if len(names) > 1 else "a natural cubic spline"
        bent.append(
            f"{_listed(names)} by {what} of {one.call.df} degrees of freedom{' each' if len(names) > 1 else ''}"
        )
    return f"On the log-odds scale {_listed(bent)} may bend; other numeric terms enter linearly."


def standardisation_paragraph(fit: "Fit") -> str:
    """Say how Z-scores were made and what an odds ratio compares."""
    if not fit.recipe.constants:
        return ""
    text = (
        "Z-scores were made over the whole analysis set of this model, with the means and standard deviations of the table "
        "below; they stay fixed, so that a new person's raw values can be used. "
    )
    for name, z in fit.recipe.constants.items():
        if z.over != "all":
            text += f"Those of {term_words(fit, name)} were made within {in_sentence(label_of(z.over))}, each group by its own. "
    return text + (
        "An odds ratio per 2 Z compares persons two standard deviations apart who are alike in every other term of the model."
    )


def missing_paragraph(fit: "Fit") -> str:
    """Say how many were left out for missing values, and of which columns."""
    steps = fit.flow[fit.flow["step"] == "complete cases"]
    removed = int(steps["n_removed"].sum())
    if not removed:
        return "No participant had a missing value in a column of this model; nothing was imputed."
    reasons = missing_words(str(steps["reason"].iloc[-1])).removeprefix("missing: ")
    before = int(steps["n_left"].iloc[-1]) + removed
    return (
        f"{removed:,} of {before:,} participants ({100 * removed / before:.1f} %) lacked a value in at least one column of "
        f"the model and were left out (missing: {reasons}; several may be missing in one person). Nothing was imputed. "
        "Complete cases give unbiased odds ratios where, given the predictors, being complete does not depend on the outcome."
    )


def missing_words(reason: str) -> str:
    """Return the reason of the complete-case step with labels for columns: ``missing: LMM 122, diabetes 186``."""
    if not reason.startswith("missing: "):
        return reason
    counted = (part.rsplit(" ", 1) for part in reason.removeprefix("missing: ").split(", "))
    return "missing: " + ", ".join(" ".join([in_sentence(label_of(part[0])), *part[1:]]) for part in counted)


def prior_paragraph(fit: "Fit") -> str:
    """Say how priors are stated, and which there are; for maximum likelihood that there are none."""
    if fit.method == "ml":
        return "The fit is by maximum likelihood: no prior was used."
    text = (
        "Priors are normal on the log-odds scale and are stated as the odds ratios that they hold with 95 % probability "
        "(table below). "
    )
    if fit.categories:
        text += (
            "The middle threshold has the prior of an intercept, for a person with every predictor at its mean; the distances "
            "of the others from it have a Dirichlet prior that says nothing about the level."
        )
    else:
        text += "The intercept's prior is for a person with every predictor at its mean."
    for one in {one.name: one for one in fit.recipe.varying}.values():
        prior = fit.model.sd_prior(one.term, one.factor)
        text += (
            f" The standard deviation of {_spread_words(fit, one)} has a half-normal prior of scale {prior.scale:g}."
        )
    return text


def priors_frame(fit: "Fit") -> pd.DataFrame:
    """Return every prior as it is stated, as the distribution that was used, and why.

    Parameters
    ----------
    fit : Fit
        Any method; empty for `ml`.

    Returns
    -------
    pandas.DataFrame
        Columns term, stated, distribution, reason.
    """
    rows: list[dict[str, str]] = []
    if fit.method == "ml":
        return pd.DataFrame(rows, columns=["term", "stated", "distribution", "reason"])
    for name, prior in fit.model.normal_priors().items():
        rows.append(
            {
                "term": "Intercept" if name == "intercept" else term_words(fit, name),
                "stated": _stated(fit, name, prior.stated),
                "distribution": f"normal({number_text(prior.mean, decimals=2)}, {prior.sd:.2f})",
                "reason": prior.reason,
            }
        )
    if fit.categories:
        thresholds, middle = fit.model.priors.thresholds, fit.model.priors.intercept
        low, high = middle.prevalence_95
        row = {"term": "Middle threshold", "stated": f"prevalence above it {low:.3g} to {high:.3g} at the means"}
        normal = f"normal({number_text(-middle.mean or 0.0, decimals=2)}, {middle.sd:.2f})"
        rows.append({**row, "distribution": normal, "reason": middle.reason})
        each = thresholds.concentration(len(fit.categories))
        stated = f"weighs as much as {each:.2g} people in each category"
        row = {"term": "Distances of thresholds", "stated": stated, "distribution": f"Dirichlet({each:.2g})"}
        rows.append({**row, "reason": thresholds.reason})
    for one in {one.name: one for one in fit.recipe.varying}.values():
        spread = fit.model.sd_prior(one.term, one.factor)
        row = {"term": f"SD of {_spread_words(fit, one)}", "stated": f"95 % below {1.96 * spread.scale:.2g}"}
        rows.append({**row, "distribution": f"half-normal({spread.scale:g})", "reason": spread.reason})
    frame = pd.DataFrame(rows)
    # Terms that share a prior share a row.
    shared = ["stated", "distribution", "reason"]
    joined = frame.groupby(shared, sort=False)["term"].agg(", ".join).reset_index()
    return joined[["term", *shared]]


def engine_paragraph(fit: "Fit") -> str:
    """Say how the posterior (or the maximum) was computed and what vouches for it."""
    passed = fit.diagnostics.passed
    measures = fit.diagnostics.measures
    if fit.method == "ml":
        return (
            "The marginal likelihood, with the site effects integrated out by Laplace's approximation, was maximised; "
            "intervals are Wald intervals on the log-odds scale."
        )
    draws = len(fit.coefficients())
    if fit.method == "laplace":
        grid = "for a grid of site standard deviations, " if fit.recipe.site else ""
        verdict = "The fit met every criterion." if passed else "THE FIT DID NOT MEET EVERY CRITERION."
        return (
            f"The posterior was computed by a certified Laplace approximation: {grid}coefficients were drawn from "
            "heavy-tailed distributions around the mode of the posterior, and each draw was weighted by the posterior itself "
            "(Pareto-smoothed importance sampling). The approximation thus only proposes, and its error is measured: Pareto "
            f"k-hat was {number_text(measures['k-hat'], decimals=2)} (trusted below {khat_threshold(draws):.2f}), and "
            f"{draws:,} draws were worth "
            f"{measures['ESS of the weights']:,.0f} independent ones. A second, wider proposal had to agree within "
            f"{MOST_STANDARD_ERRORS:g} Monte Carlo standard errors on the evidence and on every mean and standard deviation, "
            f"and almost no posterior mass could lie at the edges of what was proposed. {verdict}"
        )
    parts = []
    if "largest R-hat" in measures:
        parts.append(f"largest R-hat {measures['largest R-hat']:.3f}")
    if "smallest bulk ESS" in measures:
        parts.append(f"smallest effective sample size {measures['smallest bulk ESS']:,.0f}")
    if "divergences" in measures:
        parts.append(f"{measures['divergences']} divergent transitions")
    model = " on the PyMC model" if fit.method == "pymc" else ""
    chains = fit.posterior["posterior"].sizes["chain"] if fit.posterior is not None else 4
    verdict = "The chains passed every check." if passed else "THE CHAINS DID NOT PASS EVERY CHECK."
    return (
        f"The posterior was sampled with the No-U-Turn sampler (NUTS, nutpie{model}): {chains} chains of "
        f"{draws // chains:,} draws after tuning; {', '.join(parts)}. {verdict}"
    )


def summary_paragraph(fit: "Fit") -> str:
    """Say what estimates and intervals are and how numbers are rounded."""
    level = level_text(float(fit.provenance()["interval"]))
    if fit.method == "ml":
        return f"Estimates are the maximum, intervals {level} Wald confidence intervals."
    return (
        f"Estimates are posterior medians, intervals {level} equal-tailed credible intervals. The last digit of a "
        "number stands no further right than the first digit of its Monte Carlo standard error."
    )


def few_sites_paragraphs(fit: "Fit", site_sd: str) -> list[str]:
    """Explain why intercept and site SD differ from those of a maximum-likelihood fit where sites are few.

    Parameters
    ----------
    fit : Fit
        With a site term and a posterior.
    site_sd : str
        Median and interval of the site SD, as text.

    Returns
    -------
    list of str
        Paragraphs.
    """
    scale, sites = fit.model.priors.site_sd.half_normal, len(fit.recipe.site_levels)
    return [
        f"{sites} sites are only {sites} observations of how much sites differ. The posterior of their standard deviation on "
        f"the log-odds scale has median and interval {site_sd}; before the data, its half-normal prior of scale {scale:g} had "
        f"median {0.6745 * scale:.2f} and was below {1.96 * scale:.2f} with 95 % probability.",
        "A maximum-likelihood fit (lme4, glmmTMB) reports the one most likely standard deviation and computes the standard "
        "error of the intercept as if that value were known. With few sites that value tends to be too small, and the "
        "intercept looks more certain than it is. The posterior averages over all standard deviations that data and prior "
        "allow, so its site SD is usually larger and its intercept less certain. This is a difference in what is taken into "
        "account, not an error of either program. The odds ratios compare persons within sites and hardly depend on it.",
    ]


def _spread_words(fit: "Fit", one: Varying) -> str:
    """Return ``site effects`` or ``slopes of InterMAT by site``."""
    over = " by ".join(in_sentence(label_of(column)) for column in one.factor.split(":"))
    return f"{over} effects" if one.column == INTERCEPT else f"slopes of {term_words(fit, one.term)} by {over}"


def _varying_words(fit: "Fit", factor: str) -> str:
    """Say what varies over a factor beside the random intercept of the site, which is said before."""
    names = dict.fromkeys(
        one.term for one in fit.recipe.varying if one.factor == factor and one.name != f"1|{fit.recipe.site}"
    )
    if not names:
        return ""
    what = ["the intercept" if term == "1" else f"the slope of {term_words(fit, term)}" for term in names]
    over = " by ".join(in_sentence(label_of(column)) for column in factor.split(":"))
    return f"; {_listed(what)} varied over {over} (independent normal effects)"


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1] if items else ""


def _stated(fit: "Fit", name: str, stated: str) -> str:
    """Say what the units of a stated prior are: Z for Z-scores, none for one level against another."""
    if set(name.split(":")) & set(fit.recipe.constants):
        return f"{stated} Z"
    return stated.removesuffix(" per 1")


def _event(fit: "Fit") -> str:
    event = fit.model.parsed_event
    value = f"{event.value:g}" if isinstance(event.value, float) else str(event.value)
    sign = {"==": "=", "!=": "≠", ">=": "≥", "<=": "≤"}.get(event.sign, event.sign)
    return f"{event.column} {sign} {value}"
