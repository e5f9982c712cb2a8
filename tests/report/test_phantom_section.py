"""Phantoms held against their truth, by hand-made numbers."""

import re

import pandas as pd
import pytest

from muscle_bayes.report import Phantoms
from muscle_bayes.report.agreement import agreement_figure
from muscle_bayes.report.page import Numbering
from muscle_bayes.report.phantom_section import difference_frame, measured_pairs, phantom_section

TABLE = pd.DataFrame(
    {
        "participant_id": ["a", "b", "a"],
        "image": ["trunk", "trunk", "thigh"],
        "backend": ["labelmap", "labelmap", "hull"],
        "muscle": ["autochthonous", "autochthonous", "all"],
        "intermat_percent_true": [6.0, 8.0, 5.0],
        "intermat_percent": [5.0, 7.5, 5.25],
        "lean_cm3_true": [600.0, 700.0, 3500.0],
        "lean_cm3_measured": [610.0, 730.0, 3400.0],
        "qc": "pass",
    }
)


def test_differences_are_measured_minus_true_by_image():
    frame = difference_frame(TABLE, measured_pairs(TABLE)).set_index(["group", "quantity"])
    trunk = frame.loc[("trunk, labelmap", "InterMAT")]
    assert trunk["mean"] == pytest.approx(-0.75)
    assert (trunk["low"], trunk["high"], trunk["n"]) == (-1.0, -0.5, 2)
    assert frame.loc[("trunk, labelmap", "Lean volume"), "mean"] == pytest.approx(20.0)
    assert frame.loc[("thigh, hull", "Lean volume"), "mean"] == pytest.approx(-100.0)


def test_the_section_shows_note_differences_and_every_image():
    section = phantom_section(Phantoms(TABLE, {}, "The thighs were measured with `hull`."), Numbering(simulated=True))
    assert section.blocks[0].text == "The thighs were measured with `hull`."
    differences, every = section.blocks[1].table, section.blocks[2].table
    assert ("Trunk, labelmap", "InterMAT (%)", "2", "7.00", "−0.75", "−1.00 to −0.50") in differences.rows
    assert every.rows[2] == ("a", "thigh", "hull", "all", "5.00", "5.25", "3,500", "3,400")
    assert "Simulated data." in every.caption


def test_a_phone_is_shown_the_agreement_with_its_panels_one_below_the_other(tmp_path):
    table = TABLE.rename(columns={"lean_cm3_measured": "lean_cm3"})
    figure = agreement_figure(table)
    figure.savefig(tmp_path / "agreement.svg")
    section = phantom_section(Phantoms(table, {"agreement": tmp_path / "agreement.svg"}), Numbering(simulated=True))
    drawing = section.blocks[0].figure
    assert drawing.narrow is not None
    wide, narrow = (
        tuple(map(float, re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', d).groups()))
        for d in (drawing.wide, drawing.narrow)
    )
    assert wide[0] > wide[1]
    assert narrow[0] < 0.5 * wide[0]
    assert narrow[1] > 2 * narrow[0]


@pytest.mark.parametrize("width_mm", [85, 180])
def test_the_caption_of_the_agreement_stays_clear_of_its_panels(width_mm):
    figure = agreement_figure(TABLE.rename(columns={"lean_cm3_measured": "lean_cm3"}), width_mm)
    figure.draw_without_rendering()
    caption = figure._supxlabel.get_window_extent()
    assert caption.y0 >= 0
    assert caption.x1 <= figure.bbox.x1
    assert all(ax.get_tightbbox().y0 >= caption.y1 for ax in figure.axes)
