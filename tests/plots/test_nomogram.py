"""The printed nomogram: every tick at its points, probability at its total, words that say what it is."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from muscle_bayes.estimands import nomogram as make_nomogram
from muscle_bayes.plots import nomogram


@pytest.fixture(scope="module")
def result(make_fit):
    return make_nomogram(make_fit(n=4_000, interaction=False))


def placed(figure, text: str) -> list[tuple[float, float]]:
    return [t.get_position() for t in figure.axes[0].texts if t.get_text() == text]


def to_points(figure, x: float) -> float:
    """Read a position off the top axis, from where its 0 and 100 stand."""
    (x0, _), (x100, _) = placed(figure, "0")[0], placed(figure, "100")[0]
    return 100 * (x - x0) / (x100 - x0)


def test_ticks_stand_at_their_points(result) -> None:
    figure = nomogram(result)
    points = result.points
    for level, expected in points.loc[points["variable"].isin(["sex", "activity"]), ["level", "points"]].to_numpy():
        assert [to_points(figure, x) for x, _ in placed(figure, level)] == [pytest.approx(expected, abs=1e-6)]
    age = points[(points["variable"] == "age_z") & (points["level"] == "70")]["points"].item()
    # 70 years, once among the points axis' own 70 and perhaps a total.
    assert any(to_points(figure, x) == pytest.approx(age, abs=1e-6) for x, _ in placed(figure, "70"))


def test_probability_ticks_stand_at_the_total_that_has_them(result) -> None:
    figure = nomogram(result)
    scale = result.scale
    ends = scale["total_points"].iloc[[0, -1]].to_numpy()
    left, right = (p[0] for p in (placed(figure, "0")[0], placed(figure, "100")[0]))
    total = np.interp(0.2, scale["estimate"], scale["total_points"])
    expected = left + (right - left) * (total - ends[0]) / (ends[1] - ends[0])
    assert any(x == pytest.approx(expected, abs=1e-6) for x, _ in placed(figure, "20"))


def test_the_band_is_the_frames_interval(result) -> None:
    figure = nomogram(result)
    inside = result.scale[~result.scale["extrapolated"]]
    bands = [c for c in figure.axes[0].collections if isinstance(c, PolyCollection) and c.get_alpha() == 0.25]
    assert len(bands) == 1
    y = bands[0].get_paths()[0].vertices[:, 1]
    # Linear in probability, downward: the ratio of distances is the ratio of probabilities.
    (_, zero), (_, twenty) = (
        sorted(placed(figure, "0"), key=lambda p: p[1])[-2],
        next(p for p in placed(figure, "20") if p[0] < 45),
    )
    drawn = 0.2 * (zero - y) / (zero - twenty)
    assert drawn.min() == pytest.approx(inside["lower"].min(), abs=1e-3)
    assert drawn.max() == pytest.approx(inside["upper"].max(), abs=1e-3)


def test_words(look, result) -> None:
    shown = look.texts(nomogram(result))
    for text in (
        "Points",
        "Total points",
        "Probability (%)",
        "InterMAT (%)",
        "LMM (cm³/(kg/m²))",
        "Age (years) †",
        "Sex †",
        "Simulated data",
    ):
        assert text in shown
    caption = " ".join(" ".join(shown).split())
    for phrase in ("not for clinical decisions", "n = 4,000 (436 events), 3 sites", "Site: typical, a site of effect 0",
                   "averaged over persons with about that total", "† Adjustment terms"):  # fmt: skip
        assert phrase in caption


def test_interacting_exposures_have_one_axis_a_level(look, make_fit) -> None:
    made = make_nomogram(make_fit(n=4_000), interact={"lmm_cm3_per_kg_m2": [15, 24, 33]})
    shown = look.texts(nomogram(made))
    assert "InterMAT (%) at …" in shown
    assert [t for t in shown if re.fullmatch(r"LMM = \d+ cm³/\(kg/m²\)", t)] == [
        f"LMM = {level} cm³/(kg/m²)" for level in (15, 24, 33)
    ]


@pytest.mark.parametrize("interaction", [False, True])
@pytest.mark.parametrize("width", [85, 180])
def test_nothing_overlaps_in_print(look, make_fit, width: int, interaction: bool) -> None:
    figure = nomogram(make_nomogram(make_fit(n=4_000, interaction=interaction)), width_mm=width)
    assert look.overlapping(figure) == []


@pytest.mark.parametrize("width", [85, 180])
def test_short_limbs_of_an_axis_that_turns_have_labels_at_their_points(look, result, width: int) -> None:
    points = result.points.copy()
    points.attrs = result.points.attrs
    own = points["variable"] == "intermat_z"
    value = points.loc[own, "value"].to_numpy()
    turn = value[3]
    # Falls by 2 points in three ticks, then rises by 4: neither line has room for its labels.
    bent = np.where(value < turn, 2 * (turn - value) / (turn - value[0]), 4 * (value - turn) / (value[-1] - turn))
    points.loc[own, "points"] = bent
    figure = nomogram(SimpleNamespace(points=points, scale=result.scale), width_mm=width)
    assert look.overlapping(figure) == []
    ends = points.loc[own, "level"].iloc[[0, 3, -1]]
    left, right = (placed(figure, text)[0][0] for text in ("0", "100"))
    for text, expected in zip(ends, bent[[0, 3, -1]], strict=True):
        # A label's line begins at its tick and ends where the label stands.
        at = left + (right - left) * expected / 100
        lines = [line.get_xdata() for line in figure.axes[0].lines]
        where = [x for x, _ in placed(figure, text)]
        assert any(abs(x[0] - at) < 1e-6 and abs(x[1] - w) < 1e-6 and x[0] != x[1] for x in lines for w in where)


def test_vector_output_keeps_text(result, tmp_path) -> None:
    nomogram(result).savefig(tmp_path / "nomogram.svg")
    svg = (tmp_path / "nomogram.svg").read_text(encoding="utf-8")
    assert "Total points" in svg
    assert "<text" in svg


def test_into_a_readers_own_axes(result) -> None:
    mine = Figure(figsize=(7, 8)).add_subplot()
    assert nomogram(result, ax=mine) is mine
    assert "Simulated data" in mine.get_title(loc="left")
