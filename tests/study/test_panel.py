"""The images panel of a study: drawn from its own images where three people agree, silently left out where none do."""

from pathlib import Path

import pandas as pd

import muscle_bayes as mb
from muscle_bayes.cohort import Cohort
from muscle_bayes.study.panel import draw_panel, matched_people


def test_three_people_of_equal_lean_muscle_are_drawn_in_both_widths(small_table: pd.DataFrame, tmp_path: Path) -> None:
    cohort = mb.read_cohort(small_table)
    chosen = matched_people(cohort)
    assert chosen is not None
    assert len(chosen) == 3
    images = {}
    for person in chosen.itertuples():
        phantom = mb.simulate_phantom(
            "trunk",
            intermat_percent=person.intermat_percent,
            lmm_cm3_per_kg_m2=person.lmm_cm3_per_kg_m2,
            bmi_kg_m2=person.bmi_kg_m2,
            sex=person.sex,
            site=person.site,
            seed=1,
            voxel_mm=(4.0, 4.0, 8.0),
        )
        saved = phantom.save(tmp_path / person.participant_id)
        images[person.participant_id] = {role: saved[role] for role in ("water", "fat", "labels")}
    (tmp_path / "figures").mkdir()
    svg = draw_panel(chosen, images, tmp_path)
    for name in ("images_panel.svg", "images_panel_85mm.svg", "images_panel.png", "images_panel.pdf"):
        assert (tmp_path / "figures" / name).stat().st_size > 5_000
    words = svg.read_text(encoding="utf-8")
    assert "Simulated data" in words
    for value in chosen["intermat_percent"]:
        assert f"InterMAT {value:.1f} %" in words


def test_nobody_agrees_in_a_handful(small_table: pd.DataFrame) -> None:
    cohort: Cohort = mb.read_cohort(small_table.head(4))
    assert matched_people(cohort) is None
