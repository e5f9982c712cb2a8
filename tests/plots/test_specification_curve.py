"""The specification curve shows every specification, in order, over its own choices."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex

from muscle_bayes.estimands import odds_ratios
from muscle_bayes.plots import specification_curve
from muscle_bayes.plots.style import ORANGE


@pytest.fixture(scope="module")
def result(fit):
    """Twelve specifications as `sensitivity` makes them, one of them not certified."""
    base = odds_ratios(fit, terms=["intermat_z", "lmm_z"])
    rng, frames = np.random.default_rng(1), []
    for k in range(12):
        one = base.assign(
            specification=k + 1, priors=["weak", "sceptical"][k % 2], site_sd=[0.25, 0.5, 1.0][k % 3],
            excluded=["nobody", "site Augsburg"][k // 6], adipose="threshold", adjustment="as specified", reference=k == 4,
            certified=k != 7,
        )  # fmt: skip
        one[["estimate", "lower", "upper"]] *= np.exp(0.05 * rng.normal()) if k != 7 else np.nan
        frames.append(one)
    frame = pd.concat(frames, ignore_index=True)
    frame.attrs = base.attrs | {"per": 2.0}
    return frame


def test_intervals_are_in_order_and_the_model_as_it_stands_is_orange(result) -> None:
    figure = specification_curve(result)
    own = result[result["term"] == "intermat_z"].sort_values("estimate")
    lines = [c for c in figure.axes[0].collections if isinstance(c, LineCollection)]
    drawn = np.array([s[:, 1] for s in lines[0].get_segments() if len(s)])
    np.testing.assert_allclose(drawn[: len(own) - 1], own[["lower", "upper"]].to_numpy()[:-1])
    (marked,) = lines[1].get_segments()
    np.testing.assert_allclose(marked[:, 1], own.loc[own["reference"], ["lower", "upper"]].to_numpy()[0])
    assert to_hex(lines[1].get_colors()[0]) == ORANGE.lower()


def test_choices_stand_under_their_specification(look, result) -> None:
    figure = specification_curve(result)
    own = result[result["term"] == "intermat_z"].sort_values("estimate", na_position="last").reset_index(drop=True)
    rows = [c.get_offsets()[:, 0] for c in figure.axes[1].collections]
    expected = [("priors", v) for v in ("weak", "sceptical")] + [("site_sd", v) for v in (0.25, 0.5, 1.0)]
    for drawn, (name, value) in zip(rows, expected, strict=False):
        np.testing.assert_array_equal(drawn, np.flatnonzero(own[name] == value))
    shown = " ".join(look.texts(figure)).replace("\n", " ")
    assert "Scale of the site SD's prior" in shown
    assert "Adipose tissue by" not in shown
    assert "12 specifications" in shown
    assert "11 certified" in shown
    assert "Simulated data" in shown


@pytest.mark.parametrize("width", [85, 180])
def test_nothing_overlaps_in_print(look, result, width: int) -> None:
    figure = specification_curve(result, width_mm=width)
    assert figure.get_figwidth() * 25.4 == pytest.approx(width)
    assert look.overlapping(figure) == []


def test_without_an_estimate_a_specification_stands_with_a_cross_and_its_choices(look, result) -> None:
    figure = specification_curve(result)
    own = result[result["term"] == "intermat_z"].sort_values("estimate", na_position="last").reset_index(drop=True)
    assert not own["certified"].iloc[-1]
    crosses = figure.axes[0].collections[-1]
    np.testing.assert_array_equal(crosses.get_offsets()[:, 0], [len(own) - 1])
    assert "1 without estimate (crosses)" in " ".join(look.texts(figure)).replace("\n", " ")


def test_a_missing_scale_is_one_line_in_words_and_standing_choices_have_none(look, result) -> None:
    changed = result.assign(
        site_sd=result["site_sd"].where(result["specification"] != 3),
        site_term=np.where(result["specification"] == 3, "fixed effect", "as specified"),
    )
    changed.attrs = result.attrs
    figure = specification_curve(changed)
    texts = look.texts(figure)
    assert texts.count("no random effect") == 1
    assert "fixed effect" in texts
    assert "as specified" not in texts
    own = changed[changed["term"] == "intermat_z"].sort_values("estimate", na_position="last").reset_index(drop=True)
    rows = [c.get_offsets()[:, 0] for c in figure.axes[1].collections]
    # Lines: two priors, three scales and none, ...
    np.testing.assert_array_equal(rows[5], np.flatnonzero(own["site_sd"].isna()))


def test_in_one_column_exposures_share_one_order_and_one_table(result) -> None:
    figure = specification_curve(result, width_mm=85)
    assert len(figure.axes) - len(specification_curve(result).axes) == -1
    first = result[result["term"] == "intermat_z"].sort_values("estimate", na_position="last")["specification"]
    second = result[result["term"] == "lmm_z"].set_index("specification").loc[first]
    drawn = np.array([s[:, 1] for s in figure.axes[1].collections[0].get_segments() if len(s)])
    np.testing.assert_allclose(drawn[: len(second) - 1], second[["lower", "upper"]].to_numpy()[:-1])
