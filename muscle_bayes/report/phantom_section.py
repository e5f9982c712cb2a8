"""The section on phantoms: what measuring made of simulated images whose truth is known."""

from pathlib import Path

import pandas as pd
from markupsafe import Markup

from muscle_bayes.estimands.labels import label_of, unit_of
from muscle_bayes.estimands.rounding import number_text
from muscle_bayes.report.figures import NARROW_MM, InlineFigure, drawing, inline_drawn, inline_file
from muscle_bayes.report.page import Drawing, Numbering, Paragraph, Section
from muscle_bayes.report.quantities import sentence_case
from muscle_bayes.report.results import Phantoms
from muscle_bayes.report.tables import Table

_ABOUT = ("participant_id", "image", "region", "backend", "muscle")
_HEADINGS = {
    "participant_id": "Participant",
    "image": "Image",
    "region": "Region",
    "backend": "Backend",
    "muscle": "Muscle",
    "compartment_cm3": "Compartment (cm³)",
}
_DECIMALS = {"%": 2, "cm³": 0}


def phantom_section(phantoms: Phantoms, number: Numbering) -> Section:
    """Return the phantoms measured against their truth.

    Parameters
    ----------
    phantoms : Phantoms
        Table, figures and note.
    number : Numbering
        Of tables and figures.

    Returns
    -------
    Section
        Note, figures, mean differences and every phantom.
    """
    table = phantoms.table
    section = Section("phantoms", "Phantom images measured against their truth")
    if phantoms.note:
        section.blocks.append(Paragraph(phantoms.note))
    pairs = measured_pairs(table)
    differences = difference_frame(table, pairs)
    if "agreement" in phantoms.figures:
        key, alt = number.key(), agreement_description(differences)
        wide = inline_file(phantoms.figures["agreement"], key, alt)
        caption = "Measured against true, one mark an image; on the dashed line both are equal."
        narrow = _narrow_agreement(table, f"{key}-narrow", alt)
        section.blocks.append(number.figure(InlineFigure(key, caption, alt, wide, narrow)))
    if len(differences):
        caption = "Measured minus true: mean over images, and the range."
        section.blocks.append(number.table(_difference_table(differences, caption)))
    for name, path in phantoms.figures.items():
        if name == "agreement":
            continue
        if name == "images_panel":
            section.blocks.append(images_panel(path, number))
            continue
        what = sentence_case(name.removeprefix("overlay_").replace("_", " ").replace("overlays", "phantoms"))
        alt = (
            f"Slices of a simulated image ({what}): outline of the muscle compartment that was measured, and the voxels counted "
            "as adipose."
        )
        caption = f"{what}: slices with the outline of the measured compartment and the voxels counted as adipose."
        key = number.key()
        section.blocks.append(number.figure(InlineFigure(key, caption, alt, inline_file(path, key, alt))))
    if len(table):
        section.blocks.append(number.table(_every_phantom(table, pairs, "Every image, measured and true.")))
    return section


def images_panel(path: Path, number: Numbering) -> Drawing:
    """Return the panel of participants who are matched on lean muscle.

    Parameters
    ----------
    path : pathlib.Path
        The SVG; its one-column version lies beside it.
    number : Numbering
        Of figures.

    Returns
    -------
    Drawing
        With caption and a description.
    """
    caption = "Participants of equal lean muscle at three percentiles of InterMAT, chosen from the table alone."
    alt = (
        "Three slices at one scale with intermuscular fat and lean muscle marked, and below them the fat signal fraction within "
        "the muscle: the more InterMAT, the more of it is bright."
    )
    return drawing(path, number, caption, alt)


def images_section(path: Path, number: Numbering) -> Section:
    """Return the images panel of a study that measured its own images."""
    section = Section("images", "Images of matched participants")
    section.blocks.append(images_panel(path, number))
    return section


def _narrow_agreement(table: pd.DataFrame, key: str, alt: str) -> Markup | None:
    """Draw the agreement for a phone; None where the table is not a demonstration's."""
    from muscle_bayes.report.agreement import AGREEMENT_COLUMNS, agreement_figure

    if not set(AGREEMENT_COLUMNS) <= set(table.columns):
        return None
    return inline_drawn(agreement_figure(table, NARROW_MM), key, alt)


def measured_pairs(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Return pairs of columns, measured and true: ``lean_cm3`` or ``lean_cm3_measured`` with ``lean_cm3_true``.

    Parameters
    ----------
    table : pandas.DataFrame
        One row an image.

    Returns
    -------
    list of tuple of str
        In the order of the table.
    """
    pairs = []
    for name in table.columns:
        stem = str(name).removesuffix("_true")
        if stem == name:
            continue
        measured = next((found for found in (stem, f"{stem}_measured") if found in table), None)
        if measured:
            pairs.append((measured, str(name)))
    return pairs


def difference_frame(table: pd.DataFrame, pairs: list[tuple[str, str]]) -> pd.DataFrame:
    """Return measured minus true by kind of image.

    Parameters
    ----------
    table : pandas.DataFrame
        One row an image.
    pairs : list of tuple of str
        Of `measured_pairs`.

    Returns
    -------
    pandas.DataFrame
        Columns group, quantity, unit, n, mean_true, mean, low, high.
    """
    by = [name for name in ("image", "region", "backend") if name in table]
    groups = table.groupby(by, sort=False) if by else [((), table)]
    rows = []
    for key, part in groups:
        for measured, true in pairs:
            difference = (part[measured] - part[true]).dropna()
            stem = true.removesuffix("_true")
            if len(difference):
                rows.append(
                    {
                        "group": ", ".join(str(value) for value in key),
                        "quantity": _HEADINGS.get(stem, label_of(stem)).split(" (")[0],
                        "unit": _unit(stem),
                        "n": len(difference),
                        "mean_true": part[true].mean(),
                        "mean": difference.mean(),
                        "low": difference.min(),
                        "high": difference.max(),
                    }
                )
    columns = ["group", "quantity", "unit", "n", "mean_true", "mean", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def agreement_description(differences: pd.DataFrame) -> str:
    """Describe the agreement figure with the mean differences."""
    parts = [
        f"{row['group']}: {row['quantity']} {_signed(row['mean'], row['unit'])} {row['unit']} on average, true mean "
        f"{number_text(row['mean_true'], decimals=_DECIMALS.get(row['unit'], 1))}"
        for row in differences.to_dict("records")
    ]
    return f"Measured against true values of simulated images. Measured minus true: {'; '.join(parts)}."


def _difference_table(frame: pd.DataFrame, caption: str) -> Table:
    rows = []
    for row in frame.to_dict("records"):
        decimals = _DECIMALS.get(row["unit"], 1)
        rows.append(
            (
                sentence_case(row["group"]),
                f"{row['quantity']} ({row['unit']})",
                str(row["n"]),
                number_text(row["mean_true"], decimals=decimals),
                _signed(row["mean"], row["unit"]),
                f"{_signed(row['low'], row['unit'])} to {_signed(row['high'], row['unit'])}",
            )
        )
    headings = ("Image, backend", "Quantity", "Images", "True mean", "Mean difference", "Range")
    return Table(caption, headings, tuple(rows), frozenset({2, 3, 4, 5}))


def _every_phantom(table: pd.DataFrame, pairs: list[tuple[str, str]], caption: str) -> Table:
    about = [name for name in _ABOUT if name in table]
    headings = [_HEADINGS[name] for name in about]
    for _, true in pairs:
        stem = true.removesuffix("_true")
        unit = _unit(stem)
        label = _HEADINGS.get(stem, label_of(stem)).split(" (")[0]
        headings += [f"{label}, true ({unit})", f"{label}, measured ({unit})"]
    rows = []
    for row in table.to_dict("records"):
        cells = [str(row[name]) for name in about]
        for measured, true in pairs:
            decimals = _DECIMALS.get(_unit(true.removesuffix("_true")), 1)
            cells += [number_text(row[true], decimals=decimals), number_text(row[measured], decimals=decimals)]
        rows.append(tuple(cells))
    return Table(caption, tuple(headings), tuple(rows), frozenset(range(len(about), len(headings))))


def _unit(stem: str) -> str:
    return "cm³" if stem.endswith("_cm3") else unit_of(stem)


def _signed(value: float, unit: str) -> str:
    text = number_text(value, decimals=_DECIMALS.get(unit, 1))
    return text if value <= 0 or not text.strip("0.,") else f"+{text}"
