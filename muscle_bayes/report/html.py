"""`write_report`: one HTML page that needs nothing but itself."""

import os
from importlib.resources import files
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from muscle_bayes.report import sections
from muscle_bayes.report.checklist_section import checklist_section
from muscle_bayes.report.estimand_sections import across_section
from muscle_bayes.report.fit_section import fit_section
from muscle_bayes.report.key_result import NO_CLAIM, fit_title, key_result
from muscle_bayes.report.page import Numbering, Section
from muscle_bayes.report.phantom_section import images_section, phantom_section
from muscle_bayes.report.results import StudyResults

TEMPLATE, STYLE = "report.html.jinja", "report.css"


def write_report(results: StudyResults, path: Path | str | None = None) -> Path:
    """Write a study as one self-contained HTML page: no network, no other file, no script.

    Parameters
    ----------
    results : StudyResults
        Tables, fits and drawn figures.
    path : path, optional
        The page; by default `report.html` in the study's folder. It appears whole or not at all.

    Returns
    -------
    pathlib.Path
        The page. A fit that failed its gate is shown as such, without estimates; simulated data are marked on top of the
        page and in every caption.
    """
    path = results.out / "report.html" if path is None else Path(path)
    page = render(results)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(page, encoding="utf-8")
    os.replace(partial, path)
    return path


def render(results: StudyResults) -> str:
    """Return the page as text.

    Parameters
    ----------
    results : StudyResults
        Tables, fits and drawn figures.

    Returns
    -------
    str
        HTML; the same text for the same results.
    """
    # Markup comes from the template and from cleaned drawings only; every text of the study is escaped.
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["code_spans"] = code_spans
    environment.filters["unbroken"] = unbroken
    package = files("muscle_bayes.report")
    template = environment.from_string(package.joinpath(TEMPLATE).read_text(encoding="utf-8"))
    return template.render(
        study=results.name,
        question=results.fits[0].model.question if results.fits else "",
        simulated=is_simulated(results),
        no_claim=NO_CLAIM,
        sections=page_sections(results),
        style=Markup(package.joinpath(STYLE).read_text(encoding="utf-8")),
    )


def code_spans(text: str) -> Markup:
    """Return a text, escaped, with what stands between backticks set as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if i % 2 else escape(part) for i, part in enumerate(parts)
    )


def unbroken(text: str) -> str:
    """Return the text of a number's cell that breaks at most before its bracket: ``1.17 (1.09 to 1.26)``."""
    centre, bracket, limits = text.partition(" (")
    space = "\N{NO-BREAK SPACE}"
    return centre.replace(" ", space) + bracket + limits.replace(" ", space)


def is_simulated(results: StudyResults) -> bool:
    """Return whether anything on the page comes from simulated data."""
    return results.simulated or results.phantoms is not None or any(item.fit.simulated for item in results.fits)


def page_sections(results: StudyResults) -> list[Section]:
    """Return the sections in the order in which a reader needs them.

    Parameters
    ----------
    results : StudyResults
        Tables, fits and drawn figures.

    Returns
    -------
    list of Section
        From the key result to provenance.
    """
    number = Numbering(is_simulated(results))
    made = [
        key_result(results),
        sections.participants(results, number),
        sections.methods_section(results, number),
    ]
    several = len(results.fits) > 1
    for i, item in enumerate(results.fits, 1):
        short = f"Results: {item.name}" if several else "Results"
        made.append(fit_section(item, f"fit-{i}", fit_title(results, item), short, number, results.fits))
    together = across_section(results.tables, results.figures, number)
    if together is not None:
        made.append(together)
    if "images_panel" in results.figures:
        made.append(images_section(results.figures["images_panel"], number))
    if results.phantoms is not None:
        made.append(phantom_section(results.phantoms, number))
    if len(results.failures):
        made.append(sections.failures_section(results, number))
    made.append(sections.limitations(results))
    checked = checklist_section({fit_title(results, item): item for item in results.fits}, number)
    if checked is not None:
        made.append(checked)
    made.append(sections.dictionary_section(results, number))
    made.append(sections.provenance(results, number))
    return made
