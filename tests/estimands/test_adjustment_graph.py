"""The sets of docs/adjustment.md close the paths that the page says they close: d-separation by networkx."""

import importlib.util
from itertools import combinations
from pathlib import Path

import pytest

from muscle_bayes.estimands.specifications import ADJUSTMENTS, LEAN_MUSCLE, SITE_TERMS

nx = pytest.importorskip("networkx")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "adjustment.md"


@pytest.fixture(scope="module")
def page():
    source = importlib.util.spec_from_file_location("adjustment", PAGE.with_suffix(".py"))
    module = importlib.util.module_from_spec(source)
    source.loader.exec_module(module)
    return module


def closed(page, choice, exposure, *, direct=False, without=("earlier pain",), joints_first=False, less=()) -> bool:
    """Whether a set leaves no path from the exposure to pain but those of the effect that is asked for."""
    graph = nx.DiGraph(page.graph(without=without, joints_first=joints_first))
    assert nx.is_directed_acyclic_graph(graph)
    (other,) = set(page.MUSCLE) - {exposure}
    adjusted = ({*page.SETS[choice], other} - set(less)) & set(graph)
    if not direct and adjusted & nx.descendants(graph, exposure):
        return False  # part of the effect is adjusted away
    gone = [(exposure, page.PAIN)] if direct else list(graph.out_edges(exposure))
    graph.remove_edges_from(gone)
    return bool(nx.is_d_separator(graph, {exposure}, {page.PAIN}, adjusted))


@pytest.mark.parametrize("exposure", ["InterMAT", "lean muscle"])
def test_each_set_answers_its_question(page, exposure: str) -> None:
    mediators_out = "with BMI, without osteoarthritis and osteoporosis"
    # Total effects: the diagnoses first, or after muscle.
    assert closed(page, "with BMI", exposure, joints_first=True)
    assert closed(page, mediators_out, exposure)
    assert not closed(page, mediators_out, exposure, joints_first=True)
    assert not closed(page, "with BMI", exposure)
    # Effect that does not go through the diagnoses.
    assert closed(page, "with BMI", exposure, direct=True)
    # As published: only if body size does not act on pain beside muscle.
    sizeless = {"without": ("earlier pain", "body size")}
    assert not closed(page, "as specified", exposure, joints_first=True)
    assert closed(page, "as specified", exposure, joints_first=True, **sizeless)
    assert not closed(page, "as specified", exposure, **sizeless)
    assert closed(page, "without osteoarthritis and osteoporosis", exposure, **sizeless)
    for description in ("without diagnoses", "without physical activity", "without covariates"):
        assert not closed(page, description, exposure, **sizeless)
    # Site has to be taken out by one of its terms.
    assert not closed(page, "with BMI", exposure, joints_first=True, less=("site",))


@pytest.mark.parametrize("joints_first", [True, False])
def test_no_measured_set_closes_the_path_through_earlier_pain(page, joints_first: bool) -> None:
    graph = nx.DiGraph(page.graph(joints_first=joints_first))
    graph.remove_edges_from(list(graph.out_edges("InterMAT")))
    measured = sorted(set(graph) - {"InterMAT", page.PAIN, page.EARLIER})
    sets = [set(chosen) for size in range(len(measured) + 1) for chosen in combinations(measured, size)]
    assert not any(nx.is_d_separator(graph, {"InterMAT"}, {page.PAIN}, chosen) for chosen in sets)


def test_the_page_names_every_choice_and_the_graph_every_set(page) -> None:
    text = PAGE.read_text(encoding="utf-8")
    for choice in (*ADJUSTMENTS, *LEAN_MUSCLE, *SITE_TERMS):
        assert f"`{choice}`" in text
    assert set(page.SETS) == set(ADJUSTMENTS)


def test_the_picture_is_the_one_that_is_drawn(page) -> None:
    with page.plt.rc_context(page.STYLE):
        figure = page.draw()
    page.plt.close(figure)
    shown = {text.get_text().replace("\n", " ") for text in figure.axes[0].texts}
    assert any("earlier pain" in text for text in shown)
    assert "osteoarthritis, osteoporosis" in shown
    for name in ("adjustment.svg", "adjustment.png"):
        assert (PAGE.parent / "images" / name).stat().st_size > 10_000
