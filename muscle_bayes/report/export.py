"""Reading tables as files: HTML that pastes into a word processor, and LaTeX with booktabs."""

from dataclasses import replace
from pathlib import Path

from markupsafe import escape

from muscle_bayes.cohort.files import whole_file
from muscle_bayes.report import check_tables, estimand_tables
from muscle_bayes.report.checklist_section import checklist, checklist_tables
from muscle_bayes.report.reading import readable, reading_table
from muscle_bayes.report.results import StudyResults
from muscle_bayes.report.tables import Table

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "\N{MINUS SIGN}": "$-$", "\N{MULTIPLICATION SIGN}": r"$\times$", "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "\N{GREATER-THAN OR EQUAL TO}": r"$\geq$", "\N{LESS-THAN OR EQUAL TO}": r"$\leq$", "\N{NOT EQUAL TO}": r"$\neq$",
    "\N{SUPERSCRIPT TWO}": r"\textsuperscript{2}", "\N{SUPERSCRIPT THREE}": r"\textsuperscript{3}",
    "\N{EN DASH}": "--", "\N{NO-BREAK SPACE}": "~",
}  # fmt: skip
#: Rows that a page holds in print.
LONGEST = 24
#: Columns that stand in the size of the text; more are set smaller.
_NARROW = 4
# Said at every element, since a word processor takes over an element's own style and drops style sheets.
_CELL = "padding:3pt 8pt 3pt 0;vertical-align:top"


def latex_text(text: str) -> str:
    """Return a text for LaTeX, every character that means something there escaped.

    Parameters
    ----------
    text : str
        Plain.

    Returns
    -------
    str
        Needs no package but the standard ones.
    """
    return "".join(_LATEX.get(letter, letter) for letter in text)


def latex_table(table: Table, label: str) -> str:
    """Return a table in LaTeX; the document loads booktabs.

    Parameters
    ----------
    table : Table
        Texts.
    label : str
        For references.

    Returns
    -------
    str
        A `table` environment.
    """
    columns = "".join(_latex_column(table, i) for i in range(len(table.headings)))
    # A table longer than a page is broken by longtable.
    long = len(table.rows) > LONGEST
    caption = rf"\caption{{{latex_text(table.caption)}}}\label{{tab:{label}}}"
    size = [r"\footnotesize", r"\setlength{\tabcolsep}{4pt}"] if len(table.headings) > _NARROW else []
    opening = (
        [rf"\begin{{longtable}}{{{columns}}}", caption + r" \\"]
        if long
        else [r"\begin{table}", *size, caption, rf"\begin{{tabular}}{{{columns}}}"]
    )
    lines = [
        r"% \usepackage{booktabs}" + (r" \usepackage{longtable}" if long else ""),
        *opening,
        r"\toprule",
        " & ".join(latex_text(heading) for heading in table.headings) + r" \\",
        r"\midrule",
        *([r"\endhead"] if long else []),
        *(" & ".join(latex_text(cell) for cell in row) + r" \\" for row in table.rows),
        r"\bottomrule",
        r"\end{longtable}" if long else r"\end{tabular}",
        *([rf"\par\smallskip{{\footnotesize {latex_text(table.note)}}}"] if table.note else []),
        *([] if long else [r"\end{table}"]),
    ]
    return "\n".join(lines) + "\n"


def _latex_column(table: Table, i: int) -> str:
    """Return how a column is set; words are broken into lines."""
    if i in table.numeric:
        return "r"
    return "p{0.4\\linewidth}" if i in table.prose else "p{0.2\\linewidth}" if i in table.phrase else "l"


def html_table(table: Table) -> str:
    """Return a table as an HTML page without scripts or style sheets: open it, mark it, paste it into a document.

    Parameters
    ----------
    table : Table
        Texts.

    Returns
    -------
    str
        A page.
    """
    heads = "".join(_cell("th", heading, i in table.numeric, "border-top:1.5pt solid;border-bottom:0.75pt solid")
                    for i, heading in enumerate(table.headings))  # fmt: skip
    rows = []
    for k, row in enumerate(table.rows):
        line = "border-bottom:1.5pt solid" if k == len(table.rows) - 1 else ""
        rows.append(
            "<tr>" + "".join(_cell("td", cell, i in table.numeric, line) for i, cell in enumerate(row)) + "</tr>"
        )
    note = f'<p style="font-size:9pt">{escape(table.note)}</p>\n' if table.note else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>'
        f"{escape(table.caption)}</title></head>\n"
        '<body style="font-family:Arial,Helvetica,sans-serif;font-size:10pt">\n'
        '<table style="border-collapse:collapse">\n'
        f'<caption style="text-align:left;font-weight:bold;padding-bottom:4pt">{escape(table.caption)}</caption>\n'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n"
        + "\n".join(rows)
        + f"\n</tbody>\n</table>\n{note}</body>\n</html>\n"
    )


def _cell(tag: str, text: str, numeric: bool, line: str) -> str:
    style = ";".join(part for part in (_CELL, "text-align:right" if numeric else "text-align:left", line) if part)
    return f'<{tag} style="{style}">{escape(text)}</{tag}>'


def write_reading_tables(results: StudyResults) -> list[Path]:
    """Write every reading table of a study as HTML and LaTeX beside the CSV of its frame.

    Parameters
    ----------
    results : StudyResults
        Tables and fits.

    Returns
    -------
    list of pathlib.Path
        tables/FIT_NAME.html and .tex, and the checklists also as CSV. Captions of simulated data say so.
    """
    made: dict[str, tuple[Table, bool]] = {}
    for item in results.fits:
        for name in readable(item):
            made[f"{item.name}_{name}"] = (reading_table(name, item), item.fit.simulated)
    together = results.tables
    if "symptom_burden" in together:
        caption = "Odds ratios of the same exposures for several outcomes."
        table = estimand_tables.ratio_lines(together["symptom_burden"], caption, "outcome", "Outcome")
        made["symptom_burden"] = (table, results.simulated)
    if "model_comparison" in together:
        table = check_tables.loo_table(together["model_comparison"], "Predictive comparison of models.")
        made["model_comparison"] = (table, results.simulated)
    paths = []
    for item in results.fits:
        frame = checklist(item)
        path = results.out / "tables" / f"{item.name}_checklist.csv"
        with whole_file(path) as temporary:
            marked = frame.assign(simulated=1) if item.fit.simulated else frame
            marked.to_csv(temporary, index=False, lineterminator="\n")
        paths.append(path)
        for name, table in checklist_tables(frame).items():
            made[f"{item.name}_checklist_{name.lower()}"] = (table, item.fit.simulated)
    for name, (table, simulated) in made.items():
        paths += write_table(table, results.out / "tables" / name, simulated=simulated)
    return paths


def write_table(table: Table, stem: Path, *, simulated: bool) -> list[Path]:
    """Write one table as HTML and LaTeX.

    Parameters
    ----------
    table : Table
        Texts.
    stem : pathlib.Path
        Path without an ending.
    simulated : bool
        Whether the caption says so.

    Returns
    -------
    list of pathlib.Path
        The two files.
    """
    marked = replace(table, caption=f"{table.caption} Simulated data.") if simulated else table
    written = []
    for ending, content in (("html", html_table(marked)), ("tex", latex_table(marked, stem.name))):
        path = stem.with_name(f"{stem.name}.{ending}")
        with whole_file(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
        written.append(path)
    return written
