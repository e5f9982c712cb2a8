"""Tables of the report: frames turned into cells of text, with a caption and a heading for every row and column."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from muscle_bayes.cohort.dictionary import VARIABLES
from muscle_bayes.estimands.labels import label_of, unit_of
from muscle_bayes.estimands.rounding import estimate_text, number_text
from muscle_bayes.inference.psis import khat_threshold
from muscle_bayes.report.methods import missing_words
from muscle_bayes.report.quantities import sentence_case
from muscle_bayes.report.text import chance_text, level_text

if TYPE_CHECKING:
    from muscle_bayes.inference import Fit

#: Columns that say nothing about the persons.
_NOT_DESCRIBED = frozenset({"simulated", "participant_id", "session_id"})


@dataclass(frozen=True)
class Table:
    """A table of texts; the first cell of a row is its heading.

    Attributes
    ----------
    caption : str
        Says what the table holds without the text around it.
    headings : tuple of str
        One a column.
    rows : tuple of tuple of str
        Texts; the template escapes them.
    numeric : frozenset of int
        Columns that are set flush right.
    code : frozenset of int
        Columns set as code.
    short : frozenset of int
        Columns whose text is not broken into lines.
    prose, phrase : frozenset of int
        Columns of sentences and of a few words, which need room.
    note : str
        Under the table.
    """

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int] = frozenset()
    code: frozenset[int] = frozenset()
    short: frozenset[int] = frozenset()
    prose: frozenset[int] = frozenset()
    phrase: frozenset[int] = frozenset()
    note: str = ""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Class of every column: `number`, `code`, `short`, `prose`, `phrase` or nothing."""
        named = (
            ("number", self.numeric),
            ("code", self.code),
            ("short", self.short),
            ("prose", self.prose),
            ("phrase", self.phrase),
        )
        return tuple(" ".join(name for name, at in named if i in at) for i in range(len(self.headings)))


def odds_ratio_table(
    frame: pd.DataFrame,
    caption: str,
    *,
    method: str,
    effective_draws: float | None = None,
    quantity: str = "Odds ratio",
) -> Table:
    """Return odds ratios with interval and probability.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of `odds_ratios`, `interaction_factors` or `site_table`.
    caption : str
        What it holds.
    method : str
        Engine of the fit.
    effective_draws : float, optional
        For the rounding of probabilities.
    quantity : str
        What the estimates are.

    Returns
    -------
    Table
        Term, contrast, odds ratio with interval, P(OR > 1); the last is left out where there is none.
    """
    level = level_text(frame["interval"].iloc[0])
    with_chance = not frame["prob_gt_null"].isna().all()
    headings = ["Term", "Contrast", f"{quantity} ({level} interval)"]
    if with_chance:
        headings.append("P(OR > 1)" if quantity == "Odds ratio" else f"P({quantity.lower()} > 1)")
    rows = []
    for row in frame.to_dict("records"):
        cells = [sentence_case(str(row["label"])), contrast_cell(row), estimate_text(row)]
        rows.append((*cells, *([chance_text(row["prob_gt_null"], effective_draws)] if with_chance else [])))
    note = "Maximum-likelihood estimates with Wald intervals." if method == "ml" else ""
    return Table(caption, tuple(headings), tuple(rows), frozenset({2, 3}), phrase=frozenset({1}), note=note)


def contrast_cell(row: Any) -> str:
    """Return a contrast for a cell; Z values of 0 are called the mean."""
    at = row.get("at") or ""
    text = str(row["contrast"])
    if not at:
        return text
    stated = ", ".join(
        f"mean {part.removesuffix(' = 0 Z')}" if part.endswith(" = 0 Z") else part for part in at.split(", ")
    )
    return f"{text.removesuffix(f' at {at}')} at {stated}"


def flow_table(flow: pd.DataFrame, caption: str) -> Table:
    """Return the participant flow: reason, removed, left."""
    rows = [
        (
            sentence_case(missing_words(str(row["reason"] or row["step"]))),
            _whole(row["n_removed"]),
            _whole(row["n_left"]),
        )
        for row in flow.to_dict("records")
    ]
    return Table(caption, ("Step", "Removed", "Left"), tuple(rows), frozenset({1, 2}))


def cohort_table(summary: pd.DataFrame, caption: str) -> Table:
    """Return the description of every column of the cohort."""
    rows = [
        (
            _column(str(row["column"])),
            _unit(str(row["column"]), str(row["unit"])),
            str(row["summary"]),
            _whole(row["missing"]),
        )
        for row in summary.to_dict("records")
        if row["column"] not in _NOT_DESCRIBED
    ]
    return Table(caption, ("Variable", "Unit", "Summary", "Missing"), tuple(rows), frozenset({3}), prose=frozenset({2}))


def by_outcome_table(frame: pd.DataFrame, caption: str, event: str) -> Table:
    """Return the analysis set by outcome."""
    rows = []
    for row in frame.to_dict("records"):
        name = f"{row['variable']} ({row['unit']})" if row["unit"] else str(row["variable"])
        # Every row names its variable, also where a level follows on others of the same: tables are read row by row aloud.
        level = str(row["level"])
        rows.append(
            (
                name,
                level,
                str(row["all"]),
                str(row["event"]),
                str(row["no_event"]),
            )
        )
    return Table(
        caption, ("Variable", "", "All", event, f"No {event[:1].lower()}{event[1:]}"), tuple(rows), frozenset({2, 3, 4})
    )


def constants_table(fit: "Fit", caption: str) -> Table:
    """Return the Z-score constants in raw units."""
    rows = []
    for name, z in fit.recipe.constants.items():
        term = fit.model.exposures.get(name)
        span = 2.0 if term is None else term.contrast
        rows.append(
            (
                label_of(z.source),
                z.source,
                unit_of(z.source),
                number_text(z.mean, decimals=_decimals(z.sd)),
                number_text(z.sd, decimals=_decimals(z.sd)),
                f"{span:g} Z = {number_text(span * z.sd, decimals=1)}",
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
        rows.append((str(label), *(_parameter(name, row[name]) for name in shown)))
    headings = ("Parameter", *(known[name] for name in shown))
    numeric = frozenset(range(1, len(headings)))
    return Table(caption, headings, tuple(rows), numeric, note="Z-scored terms are per 1 Z, on the log-odds scale.")


def likelihood_comparison(bayes: "Fit", ml: "Fit", caption: str) -> Table:
    """Return intercept and site SD of a posterior beside those of a maximum-likelihood fit of the same model."""
    assert ml.maximum is not None
    draws = bayes.coefficients()[:, 0]
    site_sd = bayes.site_sd()
    error = float(ml.maximum.covariance[0, 0]) ** 0.5
    rows = [
        (
            "Intercept",
            f"{_two(draws.mean())} ± {draws.std(ddof=1):.2f}",
            f"{_two(ml.maximum.coefficients[0])} ± {error:.2f}",
        )
    ]
    ml_sd = "not in the model" if ml.maximum.site_sd is None else f"{ml.maximum.site_sd:.2f}"
    rows.append(("SD of site effects", f"{site_sd.mean():.2f} ± {site_sd.std(ddof=1):.2f}", ml_sd))
    headings = ("Log odds", "Posterior mean ± SD", "Maximum likelihood ± SE")
    return Table(caption, headings, tuple(rows), frozenset({1, 2}))


def site_effects_table(frame: pd.DataFrame, caption: str) -> Table:
    """Return each site's odds against the typical site."""
    level = level_text(frame["interval"].iloc[0])
    # A maximum-likelihood fit has modes of the site effects, and no intervals of them.
    heading = "Odds ratio" if frame["lower"].isna().all() else f"Odds ratio ({level} interval)"
    rows = [(str(row["label"]), _whole(row["n"]), estimate_text(row)) for row in frame.to_dict("records")]
    note = "Against a site of effect 0, other terms alike."
    return Table(caption, ("Site", "Participants", heading), tuple(rows), frozenset({1, 2}), note=note)


def plain_table(
    frame: pd.DataFrame, caption: str, headings: Sequence[str] | None = None, code: Sequence[str] = ()
) -> Table:
    """Return a frame as it is, numbers with four significant digits.

    Parameters
    ----------
    frame : pandas.DataFrame
        Any.
    caption : str
        What it holds.
    headings : sequence of str, optional
        In place of the column names.
    code : sequence of str
        Columns that hold code.

    Returns
    -------
    Table
        Numeric columns flush right.
    """
    numeric = frozenset(i for i, name in enumerate(frame.columns) if pd.api.types.is_numeric_dtype(frame[name]))
    rows = tuple(tuple(_cell(value) for value in row) for row in frame.itertuples(index=False))
    names = headings or [sentence_case(str(name).replace("_", " ")) for name in frame.columns]
    said = frozenset(i for i, name in enumerate(frame.columns) if name in {"description", "problem", "remedy"})
    set_as_code = frozenset(i for i, name in enumerate(frame.columns) if name in code)
    return Table(caption, tuple(names), rows, numeric, set_as_code, prose=said)


def _unit(column: str, given: str) -> str:
    return unit_of(column) or ("" if given == "0/1" else given)


def _column(name: str) -> str:
    """Return what readers call a column; a study's own column is shown as it is called."""
    return sentence_case(label_of(name)) if name in VARIABLES else name


def _whole(value: Any) -> str:
    return "" if pd.isna(value) else f"{int(value):,}"


def _two(value: float) -> str:
    return number_text(float(value), decimals=2)


def _decimals(sd: float) -> int:
    """Decimals that show at least three figures of a standard deviation."""
    return 1 if sd >= 10 else 2 if sd >= 1 else 3


def _cell(value: Any) -> str:
    if pd.isna(value):
        return ""
    if isinstance(value, float):
        return number_text(value, decimals=0) if value.is_integer() else f"{value:,.4g}".replace("-", "\N{MINUS SIGN}")
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


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


def _parameter(name: str, value: float) -> str:
    if pd.isna(value):
        return ""
    if name in {"ess_bulk", "ess_tail"}:
        return f"{value:,.0f}"
    return number_text(value, decimals=4 if name == "mcse_mean" else 3)
