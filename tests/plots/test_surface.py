"""The surface shows its frame: colours, contours, support, both units."""

import numpy as np
import pytest
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from muscle_bayes.estimands import odds_ratio_surface
from muscle_bayes.plots import surface


@pytest.fixture(scope="module")
def result(make_fit):
    return odds_ratio_surface(make_fit(n=8_000), grid=0.25)


def test_colours_are_the_odds_ratios_on_a_log_scale_centred_at_one(result) -> None:
    ax = surface(result).axes[0]
    mesh = ax.collections[0]
    assert isinstance(mesh.norm, LogNorm)
    assert mesh.norm.vmin * mesh.norm.vmax == pytest.approx(1)
    shape = (result["lmm_z"].nunique(), result["intermat_z"].nunique())
    drawn = np.asarray(mesh.get_array()).reshape(shape)
    top_left = result[(result["lmm_z"] == result["lmm_z"].min()) & (result["intermat_z"] == result["intermat_z"].min())]
    assert drawn[0, 0] == pytest.approx(top_left["estimate"].item())
    bottom_right = result[
        (result["lmm_z"] == result["lmm_z"].max()) & (result["intermat_z"] == result["intermat_z"].min())
    ]
    assert drawn[-1, 0] == pytest.approx(bottom_right["estimate"].item())


def test_the_reference_is_marked_where_it_is(make_fit) -> None:
    at = surface(odds_ratio_surface(make_fit(), reference=(0.5, -1.0), grid=0.5)).axes[0]
    dots = [line for line in at.lines if line.get_marker() == "o"]
    assert [(d.get_xdata()[0], d.get_ydata()[0]) for d in dots] == [(0.5, -1.0)]


def test_heavy_contour_runs_where_the_interval_touches_one(result) -> None:
    from scipy.interpolate import RegularGridInterpolator

    ax = surface(result).axes[0]
    heavy = [c for c in ax.collections if np.allclose(c.get_linewidth(), 1.4)]
    assert heavy
    y, x = np.unique(result["lmm_z"]), np.unique(result["intermat_z"])
    limits = [
        RegularGridInterpolator(
            (y, x), result.sort_values(["lmm_z", "intermat_z"])[name].to_numpy().reshape(len(y), len(x))
        )
        for name in ("lower", "upper")
    ]
    for lines in heavy:
        for path in lines.get_paths():
            if len(path.vertices):
                at = path.vertices[:, ::-1]
                nearest = np.minimum(*(np.abs(limit(at) - 1) for limit in limits))
                assert nearest.max() < 0.01


def test_unsupported_combinations_are_hatched_and_only_they(result) -> None:
    assert not result["supported"].all()
    ax = surface(result).axes[0]
    assert any("/" in str(hatch) for c in ax.collections for hatch in (getattr(c, "hatches", None) or []))
    everything = result.assign(supported=True, supported_female=True, supported_male=True)
    everything.attrs = result.attrs
    ax = surface(everything).axes[0]
    assert not any("/" in str(hatch) for c in ax.collections for hatch in (getattr(c, "hatches", None) or []))


def test_axes_have_both_units_and_the_caption_its_n(look, result) -> None:
    shown = look.texts(surface(result))
    for text in ("InterMAT (Z)", "LMM (Z)", "InterMAT (%)", "LMM (cm³/(kg/m²))", "Simulated data", "Odds ratio",
                 "Probability that it exceeds 1", "female", "male"):  # fmt: skip
        assert text in shown
    caption = " ".join(" ".join(shown).split())
    assert "n = 8,000 (436 events), 3 sites" in caption
    assert "Hatched: no support in the data" in caption
    figure = surface(result)
    figure.canvas.draw()
    raw = figure.axes[0].child_axes[0]
    assert raw.get_xlim() == pytest.approx(
        [7.2 + 2.4 * z for z in (result["intermat_z"].min(), result["intermat_z"].max())]
    )


def test_second_panel_is_the_probability(result) -> None:
    mesh = surface(result).axes[1].collections[0]
    drawn = np.asarray(mesh.get_array()).ravel()
    assert (mesh.norm.vmin, mesh.norm.vmax) == (0, 1)
    expected = result.sort_values(["lmm_z", "intermat_z"])["prob_gt_null"].fillna(0.5).to_numpy()
    np.testing.assert_allclose(drawn, expected)


@pytest.mark.parametrize(("width", "interval"), [(85, "contour"), (180, "contour"), (180, "panels")])
def test_nothing_overlaps_in_print(look, result, width: int, interval: str) -> None:
    figure = surface(result, width_mm=width, interval=interval)
    # Contour labels stand on their lines by construction, halo included.
    labels = {t for t in look.texts(figure) if t.replace(".", "").isdigit()}
    assert look.overlapping(figure, ignore=labels) == []


def test_one_sex_alone(look, result) -> None:
    shown = look.texts(surface(result, sex="female"))
    assert "female" in shown
    assert "male" not in shown


def test_maximum_likelihood_has_no_probability_panel(look, make_fit) -> None:
    figure = surface(odds_ratio_surface(make_fit(method="ml"), grid=0.5))
    assert any("no probability" in t for t in look.texts(figure))


def test_into_a_readers_own_axes(result) -> None:
    mine = Figure(figsize=(5, 5)).add_subplot()
    assert surface(result, ax=mine) is mine
    assert mine.get_xlabel() == "InterMAT (Z)"
