"""Subgroup, symptom-burden and box figures show the numbers of their frames, also where there is no estimate."""

import numpy as np
import pandas as pd
import pytest

from muscle_bayes.errors import EstimandError
from muscle_bayes.estimands import exposure_distributions, odds_ratios, symptom_burden
from muscle_bayes.plots import distributions as draw_boxes
from muscle_bayes.plots import subgroups as draw_subgroups
from muscle_bayes.plots import symptom_burden as draw_burden


@pytest.fixture(scope="module")
def result(fit):
    """A frame as `subgroups` makes it, of three groups, one without an estimate."""
    base = odds_ratios(fit, terms=["intermat_z", "lmm_z"])
    said = [
        ("all", "all", "", 2000, True, ""),
        ("sex", "female", "Sex", 900, True, ""),
        ("sex", "male", "Sex", 1100, False, "k-hat is 0.9"),
    ]
    frames = []
    for k, (by, group, label, n, good, note) in enumerate(said):
        one = base.assign(by=by, group=group, by_label=label, n=n, events=n // 5, certified=good, note=note)
        one[["estimate", "lower", "upper"]] *= 1 + 0.1 * k if good else np.nan
        frames.append(one.assign(text=one["text"] if good else ""))
    frame = pd.concat(frames, ignore_index=True)
    frame.attrs = base.attrs | {"refit_draws": 1000}
    return frame


@pytest.fixture(scope="module")
def boxes(fit):
    return exposure_distributions(fit, by=["diabetes", "sex"])


@pytest.fixture(scope="module")
def burden(fit, make_fit):
    return symptom_burden({"Chronic back pain": fit, "Pain intensity >= 4 (NRS 0-10)": make_fit(seed=2)})


def test_lines_lie_where_the_frame_says_and_a_missing_one_says_so(look, result) -> None:
    figure = draw_subgroups(result)
    for ax, term in zip(figure.axes, ("intermat_z", "lmm_z"), strict=True):
        own = result[(result["term"] == term) & result["certified"]]
        squares = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "s"]
        np.testing.assert_allclose(squares, own["estimate"])
        segments = [x for line in ax.lines if len(x := line.get_xdata()) == 2 and line.get_lw() == 1.2]
        np.testing.assert_allclose(segments, own[["lower", "upper"]])
    shown = " ".join(look.texts(figure)).replace("\n", " ")
    assert "no estimate" in shown
    assert "Sex male: k-hat is 0.9" in shown
    assert "female (n = 900; 180 events)" in shown


def test_long_heads_keep_to_their_panels(look, result) -> None:
    long = result.copy()
    long.attrs = result.attrs
    long["label"] = "Physical activity of a week"
    long["contrast"] = "low against moderate"
    figure = draw_subgroups(long, width_mm=85)
    assert not [pair for pair in look.overlapping(figure) if any("against" in text for text in pair)]


def test_boxes_of_categories_alone_are_refused(make_fit) -> None:
    categories = make_fit(n=500)
    categories.model.exposures = {"activity": None}
    with pytest.raises(EstimandError, match=r"no exposure of the model is a number \(activity\)"):
        exposure_distributions(categories, by=["sex"])


def test_boxes_and_sizes_are_those_of_the_frame(look, boxes) -> None:
    figure = draw_boxes(boxes)
    for ax, term in zip(figure.axes, ("intermat_z", "lmm_z"), strict=True):
        own = boxes[boxes["term"] == term]
        extents = [patch.get_path().get_extents() for patch in ax.patches]
        np.testing.assert_allclose([[e.y0, e.y1] for e in extents], own[["lower", "upper"]])
    shown = look.texts(figure)
    for n in boxes["n"]:
        assert f"{n:,}" in shown


@pytest.mark.parametrize("width", [85, 180])
def test_nothing_overlaps_in_print(look, result, boxes, burden, width: int) -> None:
    for figure in (
        draw_subgroups(result, width_mm=width),
        draw_boxes(boxes, width_mm=width),
        draw_burden(burden, width_mm=width),
    ):
        assert figure.get_figwidth() * 25.4 == pytest.approx(width)
        assert look.overlapping(figure) == []
        assert "Simulated data" in look.texts(figure)


def test_boxes_of_too_few_persons_say_so_and_keep_the_sizes(look, boxes) -> None:
    few = boxes.copy()
    few.attrs = boxes.attrs
    few[["q05", "lower", "estimate", "upper", "q95"]] = np.nan
    figure = draw_boxes(few)
    assert look.texts(figure).count("too few participants to show") == few["term"].nunique()
    assert f"{few['n'].iloc[0]:,}" in look.texts(figure)
    assert not look.overlapping(figure)
