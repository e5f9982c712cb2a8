"""Tables of one fit: Z-score constants, priors, diagnostics, parameters, sites."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from muscle_bayes.estimands.labels import label_of, unit_of
from muscle_bayes.estimands.rounding import decimals_shown, estimate_text, number_text
from muscle_bayes.inference.psis import khat_threshold
from muscle_bayes.report.quantities import sentence_case
from muscle_bayes.report.tables import Table, whole_text
from muscle_bayes.report.text import level_text

if TYPE_CHECKING:
    from muscle_bayes.inference import Fit

#: Monte Carlo error of the 2.5 % quantile of a normal quantity, in errors of its mean: sqrt(p (1 - p)) / density.
_END_ERROR = 2.67


def constants_table(fit: "Fit", caption: str) -> Table:
    """Return the Z-score constants in raw units."""
    rows = []
    for name, z in fit.recipe.constants.items():
        term = fit.model.exposures.get(name)
        span = 2.0 if term is None else term.contrast
        for group, (mean, sd) in (z.groups or {"": (z.mean, z.sd)}).items():
            rows.append(
                (
                    f"{label_of(z.source)}, {group}" if group else label_of(z.source),
                    z.source,
                    unit_of(z.source),
                    number_text(mean, decimals=_decimals(sd)),
                    number_text(sd, decimals=_decimals(sd)),
                    f"{span:g} Z = {number_text(span * sd, decimals=1)}",
                )
            )
    headings = ("Z-score of", "Column", "Unit", "Mean", "SD", "Contrast")
    return Table(caption, headings, tuple(rows), frozenset({3, 4, 5}), frozenset({1}))


def priors_table(frame: pd.DataFrame, caption: str) -> Table:
    """Return the priors: stated, as a distribution, and why."""
    rows = tuple(
        tuple(str(row[c]) for c in ("term", "stated", "distribution", "reason")) for row in frame.to_dict("records")
    )
    return Table(
        caption, ("Term", "95 % within", "Log odds", "Reason"), rows, short=frozenset({2}), prose=frozenset({3})
    )


def diagnostics_table(fit: "Fit", caption: str) -> Table | None:
    """Return the measures of the gate in plain words; None where there are none."""
    draws = 0 if fit.method == "ml" else len(fit.coefficients())
    khat = f"below {khat_threshold(draws):.2f}" if draws else ""
    words = {
        "k-hat": ("Pareto k-hat", khat, "Tail of the importance weights: low means that no draw dominates"),
        "ESS of the weights": (
            "Effective draws",
            f"of {draws:,}",
            "What the weighted draws are worth in independent ones",
        ),
        "log evidence": (
            "Log evidence",
            "",
            "Log probability of the data under the model, to compare models of the same data",
        ),
        "MCSE of the log evidence": (
            "Its Monte Carlo error",
            "",
            "Standard error of the log evidence from finitely many draws",
        ),
        "divergences": ("Divergent transitions", "0", "Places where the sampler could not follow the posterior"),
        "largest R-hat": ("Largest R-hat", "below 1.01", "Agreement of the chains; 1 is perfect"),
        "smallest bulk ESS": (
            "Smallest bulk ESS",
            "400 or more",
            "Effective draws for the middle of the least certain parameter",
        ),
        "smallest tail ESS": ("Smallest tail ESS", "400 or more", "Effective draws for its interval's ends"),
        "log likelihood": ("Log likelihood", "", "Of the maximum, site effects integrated out"),
        "p-value of site SD = 0": (
            "P-value of site SD = 0",
            "",
            "How surprising such differences would be if sites were alike",
        ),
        "smallest BFMI": ("Smallest BFMI", "0.3 or more", "Whether the sampler explored all energies"),
    }
    rows = []
    for name, value in fit.diagnostics.measures.items():
        label, limit, meaning = words.get(name, (sentence_case(name), "", ""))
        rows.append((label, _measure(name, value), limit, meaning))
    if not rows:
        return None
    return Table(
        caption, ("Measure", "Value", "Asked for", "What it says"), tuple(rows), frozenset({1}), prose=frozenset({3})
    )


def parameters_table(fit: "Fit", caption: str) -> Table:
    """Return every parameter on the log-odds scale."""
    frame = fit.diagnostics.parameters
    known = {
        "mean": "Mean",
        "estimate": "Estimate",
        "se": "SE",
        "sd": "SD",
        "2.5 %": "2.5 %",
        "97.5 %": "97.5 %",
        "mcse_mean": "MCSE of mean",
        "r_hat": "R-hat",
        "ess_bulk": "Bulk ESS",
        "ess_tail": "Tail ESS",
    }
    shown = [name for name in known if name in frame]
    rows = []
    for label, row in zip(frame.index, frame.to_dict("records"), strict=True):
        rows.append((str(label), *(_parameter(name, row) for name in shown)))
    headings = ("Parameter", *(known[name] for name in shown))
    numeric = frozenset(range(1, len(headings)))
    return Table(caption, headings, tuple(rows), numeric, note="Z-scored terms are per 1 Z, on the log-odds scale.")


def likelihood_comparison(bayes: "Fit", ml: "Fit", caption: str) -> Table:
    """Return intercept and site SD of a posterior beside those of a maximum-likelihood fit of the same model."""
    assert ml.maximum is not None
    error = float(ml.maximum.covariance[0, 0]) ** 0.5
    ml_sd = "not in the model" if ml.maximum.site_sd is None else f"{ml.maximum.site_sd:.2f}"
    rows = (
        (
            "Intercept",
            _mean_sd(bayes, bayes.coefficients()[:, 0]),
            f"{number_text(ml.maximum.coefficients[0], decimals=2)} ± {error:.2f}",
        ),
        ("SD of site effects", _mean_sd(bayes, bayes.site_sd()), ml_sd),
    )
    headings = ("Log odds", "Posterior mean ± SD", "Maximum likelihood ± SE")
    return Table(caption, headings, rows, frozenset({1, 2}))


def site_effects_table(frame: pd.DataFrame, caption: str) -> Table:
    """Return each site's odds against the typical site."""
    level = level_text(frame["interval"].iloc[0])
    # A maximum-likelihood fit has modes of the site effects, and no intervals of them.
    heading = "Odds ratio" if frame["lower"].isna().all() else f"Odds ratio ({level} interval)"
    rows = [(str(row["label"]), whole_text(row["n"]), estimate_text(row)) for row in frame.to_dict("records")]
    note = "Against a site of effect 0, other terms alike."
    return Table(caption, ("Site", "Participants", heading), tuple(rows), frozenset({1, 2}), note=note)


def _mean_sd(fit: "Fit", draws: np.ndarray) -> str:
    decimals = decimals_shown(float(fit.mcse(draws, kind="mean")[0]))
    return f"{number_text(float(draws.mean()), decimals=decimals)} ± {draws.std(ddof=1):.{decimals}f}"


def _decimals(sd: float) -> int:
    """Decimals that show at least three figures of a standard deviation."""
    return 1 if sd >= 10 else 2 if sd >= 1 else 3


def _measure(name: str, value: Any) -> str:
    if not isinstance(value, int | float):
        return str(value)
    if name in {"ESS of the weights", "smallest bulk ESS", "smallest tail ESS"}:
        return f"{value:,.0f}"
    if name == "MCSE of the log evidence":
        return f"{value:.2g}"
    if name.startswith("p-value"):
        return f"{value:.3f}" if value >= 0.001 else "< 0.001"
    if name == "largest R-hat":
        return f"{value:.3f}"
    return number_text(value, decimals=0 if isinstance(value, int) else 2)


def _parameter(name: str, row: dict[Any, Any]) -> str:
    value = row[name]
    if pd.isna(value):
        return ""
    if name in {"ess_bulk", "ess_tail"}:
        return f"{value:,.0f}"
    if name == "mcse_mean":
        return f"{value:.2g}"
    if name == "r_hat":
        return f"{value:.3f}"
    error = row.get("mcse_mean", float("nan")) * (_END_ERROR if name in {"2.5 %", "97.5 %"} else 1.0)
    return number_text(value, decimals=decimals_shown(error, most=3))
