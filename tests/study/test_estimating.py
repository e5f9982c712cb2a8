"""All that a study estimates and draws of one fit: nothing is left out, and what is read back is what was written."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import muscle_bayes as mb
from muscle_bayes.study import drawing
from muscle_bayes.study.drawing import draw_figures
from muscle_bayes.study.estimating import ESTIMATES, ON_REQUEST, estimate, keep_frames, write_tables
from muscle_bayes.study.frames import read_frame, write_frame


@pytest.fixture(scope="module")
def made(small_fit: mb.Fit, small_table: pd.DataFrame):
    return estimate(small_fit, mb.read_cohort(small_table))


def test_every_estimate_is_made_or_says_why(made) -> None:
    """The interaction model of five sites has all but what needs a smooth or an ordered outcome."""
    expected = set(ESTIMATES) - {"nomogram", "curve", "proportionality"} | {"nomogram_points", "nomogram_scale"}
    assert set(made.tables) == expected
    assert made.problems == []
    assert not set(ON_REQUEST) & set(made.tables)
    assert all(table.attrs["simulated"] for table in made.tables.values())


def test_every_table_has_a_figure_in_two_widths_and_is_read_back_unchanged(
    made, small_fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "FIGURE_FORMATS", ("svg",))
    files = keep_frames(made.tables, tmp_path / "kept")
    kept = {path.stem: read_frame(path) for path in files}
    for name, table in made.tables.items():
        numbers = table.select_dtypes("number").columns
        pd.testing.assert_frame_equal(kept[name][numbers], table[numbers].reset_index(drop=True))
    assert {name: frame.attrs["data_hash"] for name, frame in kept.items()} == dict.fromkeys(kept, small_fit.data_hash)
    # What has no figure of its own is a few numbers.
    drawn = draw_figures(kept, "fit", tmp_path)
    tables_only = {"odds_ratios", "nomogram_points", "nomogram_scale", "discrimination", "loo"}
    assert set(drawn) == set(made.tables) - tables_only | {"forest", "nomogram"}
    for svg in drawn.values():
        for path in (svg, svg.with_name(f"{svg.stem}_85mm.svg")):
            shown = path.read_text()
            assert "Simulated data" in shown, path.name
            assert f"n = {small_fit.n:,}" in shown, path.name

    paths = write_tables(made.tables, "fit", tmp_path)
    assert {path.name for path in paths} == {f"fit_{name}.csv" for name in made.tables}
    assert pd.read_csv(paths[0])["simulated"].eq(1).all()


def test_a_fit_that_failed_its_gate_has_no_estimates(small_fit, small_table) -> None:
    import dataclasses

    from muscle_bayes.inference.diagnostics import Diagnostics, Finding

    failed = dataclasses.replace(small_fit, diagnostics=Diagnostics((Finding("failure", "largest R-hat 1.3"),)))
    nothing = estimate(failed, mb.read_cohort(small_table))
    assert nothing.tables == {}
    assert "R-hat 1.3" in nothing.problems[0]


def test_a_frame_comes_back_with_its_mixed_columns_and_attributes(tmp_path: Path) -> None:
    frame = pd.DataFrame({"level": ["no", 3.0, None], "estimate": [1.5, np.nan, 2.0], "flag": [True, False, True]})
    frame.attrs = {
        "interval": 0.95,
        "exposures": ("a", "b"),
        "edges": np.arange(3.0),
        "nested": {1: (np.float64(2.5),)},
    }
    back = read_frame(write_frame(frame, tmp_path / "frame.parquet"))
    assert back["level"].tolist()[:2] == ["no", "3.0"]
    assert pd.isna(back["level"].iloc[2])
    pd.testing.assert_series_equal(back["estimate"], frame["estimate"])
    assert back["flag"].tolist() == [True, False, True]
    assert back.attrs == {"interval": 0.95, "exposures": ["a", "b"], "edges": [0.0, 1.0, 2.0], "nested": {"1": [2.5]}}
    assert json.dumps(back.attrs)
