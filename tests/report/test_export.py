"""Tables as files: LaTeX and HTML that say what the frame says, whatever characters are in it."""

import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from muscle_bayes.estimands import interaction, risks
from muscle_bayes.report import estimand_tables, export, write_reading_tables
from muscle_bayes.report.checklist_section import checklist
from muscle_bayes.report.reading import readable
from muscle_bayes.report.tables import Table

HOSTILE = Table(
    r"100 % of a_b & $x$ \input{/etc/passwd} <script>",
    ("A^2", "B"),
    (("#1 ~ {x}", "−0.5 (−1.0 to 2.0)"), ("cm³/(kg/m²)", "≥ 4")),
    frozenset({1}),
    note="p < 0.05_",
)


def test_nothing_in_a_text_is_a_command_of_latex() -> None:
    made = export.latex_table(HOSTILE, "x")
    assert r"100 \% of a\_b \& \$x\$ \textbackslash{}input\{/etc/passwd\} \textless{}script\textgreater{}" in made
    assert r"\#1 \textasciitilde{} \{x\} & $-$0.5 ($-$1.0 to 2.0) \\" in made
    assert r"cm\textsuperscript{3}/(kg/m\textsuperscript{2}) & $\geq$ 4 \\" in made
    assert made.count(r"\toprule") == made.count(r"\midrule") == made.count(r"\bottomrule") == 1
    # Every environment that begins ends, in order.
    stack = []
    for what, name in re.findall(r"\\(begin|end)\{(\w+)\}", made):
        stack.append(name) if what == "begin" else stack.remove(name)
        assert what == "begin" or name not in stack
    assert stack == []
    assert all(ord(letter) < 128 for letter in made)


def test_a_long_table_breaks_over_pages() -> None:
    long = Table("Long.", ("A", "B"), (("a", "b"),) * (export.LONGEST + 1))
    assert r"\begin{longtable}{ll}" in export.latex_table(long, "x")
    assert r"\endhead" in export.latex_table(long, "x")


def test_html_for_a_word_processor_has_no_scripts_or_style_sheets_and_escapes() -> None:
    made = export.html_table(HOSTILE)
    found = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            found.append((tag, dict(attrs)))

    Reader().feed(made)
    tags = [tag for tag, _ in found]
    assert not {"script", "style", "link", "img"} & set(tags)
    assert (tags.count("th"), tags.count("td")) == (2, 4)
    assert all("style" in attrs for tag, attrs in found if tag in {"th", "td"})
    assert "&lt;script&gt;" in made


@pytest.fixture(scope="module")
def written(study, item, bayes):
    from dataclasses import replace

    frames = {**item.tables, "risks": risks(bayes, by="sex"), "interaction": interaction(bayes)}
    made = study(replace(item, tables=frames))
    return made, {path.name: path for path in write_reading_tables(made)}


def test_every_reading_table_is_written_in_both_formats_and_marked(written) -> None:
    results, paths = written
    names = readable(results.fits[0])
    assert {"odds_ratios", "risks", "interaction", "interaction_measures", "by_outcome"} <= set(names)
    for name in names:
        for ending in ("html", "tex"):
            content = paths[f"cbp_interaction_{name}.{ending}"].read_text()
            assert "Simulated data." in content, name
    frame = pd.read_csv(paths["cbp_interaction_checklist.csv"], keep_default_na=False)
    assert frame["simulated"].eq(1).all()
    assert frame["status"].tolist() == checklist(results.fits[0])["status"].tolist()
    shown = paths["cbp_interaction_odds_ratios.html"].read_text()
    row = results.fits[0].tables["odds_ratios"].iloc[0]
    assert row["text"] in shown
    assert (
        shown.count("adjustment, not an effect") == (results.fits[0].tables["odds_ratios"]["role"] != "exposure").sum()
    )


def test_four_cells_are_those_of_the_frame(bayes) -> None:
    frame = interaction(bayes)
    table = estimand_tables.four_cell_table(frame, "")
    assert table.headings[1:3] == ("LMM = 1 Z", "LMM = −1 Z")
    assert [row[0] for row in table.rows] == ["InterMAT = −1 Z", "InterMAT = 1 Z", "RR within LMM"]
    by = {(row["estimand"], row["cell"]): row for row in frame.to_dict("records")}
    for (i, j), cell in {(0, 1): "00", (0, 2): "01", (1, 1): "10", (1, 2): "11"}.items():
        shown = float(table.rows[i][j].split(" ")[0])
        assert shown == pytest.approx(100 * by["risk", cell]["estimate"], abs=0.51)
        ratio = 1.0 if cell == "00" else by["risk ratio", cell]["estimate"]
        assert float(table.rows[i][j].split("RR ")[1].split(" ")[0]) == pytest.approx(ratio, abs=0.06)
    # Within a row the second exposure's ratio is that of the two risks beside each other.
    assert float(table.rows[1][3].split(" ")[0]) == pytest.approx(
        by["risk", "11"]["estimate"] / by["risk", "10"]["estimate"], rel=0.06
    )


def test_risks_are_in_percent_with_everyone_first(bayes) -> None:
    frame = risks(bayes, by="sex")
    rows = estimand_tables.risk_table(frame, "").rows
    assert [row[0].split(" (")[0] for row in rows[:3]] == ["InterMAT, everyone", "InterMAT, female", "InterMAT, male"]
    known = frame[(frame["term"] == "intermat_z") & frame["population"].str.startswith("analysis set")]
    low = known[(known["estimand"] == "risk") & (known["level"] == "low")].iloc[0]
    assert float(rows[0][1].split(" ")[0]) == pytest.approx(100 * low["estimate"], abs=0.51)
    assert rows[0][3] == known.loc[known["estimand"] == "cases per 1,000", "text"].iloc[0]
