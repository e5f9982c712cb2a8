"""The panel of images shows what is in the images, at one scale and the right way round."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

import muscle_bayes as mb
from muscle_bayes.errors import InvalidValueError
from muscle_bayes.plots.style import ORANGE

VOXEL = (2.0, 2.0, 5.0)


def body(fat_columns: int, width: int = 60) -> dict[str, nib.Nifti1Image]:
    """A block of muscle on the person's left, whose first columns are fat."""
    water, fat, labels = (np.zeros((80, 60, 8), dtype=np.float32) for _ in range(3))
    water[10 : 10 + width, 5:55] = 270
    labels[46:66, 10:30, 2:6] = 3
    water[46 : 46 + fat_columns, 10:30] = 15
    fat[46 : 46 + fat_columns, 10:30] = 250
    affine = np.diag([*VOXEL, 1.0])
    return {
        "water": nib.Nifti1Image(water, affine),
        "fat": nib.Nifti1Image(fat, affine),
        "labels": nib.Nifti1Image(labels.astype(np.uint8), affine),
    }


@pytest.fixture(scope="module")
def selection() -> pd.DataFrame:
    return mb.select_matched(mb.simulate_cohort(n=2_000, seed=1))


@pytest.fixture(scope="module")
def images(selection: pd.DataFrame) -> dict:
    return {name: body(columns) for name, columns in zip(selection["participant_id"], (1, 3, 6), strict=True)}


def test_fat_and_lean_muscle_are_the_voxels_of_the_images(selection: pd.DataFrame, images: dict) -> None:
    figure = mb.plots.images_panel(selection, images, width_mm=180)
    for ax, columns in zip(figure.axes[:3], (1, 3, 6), strict=True):
        lean, fat = (np.asarray(image.get_array().filled(0)) for image in ax.images[1:3])
        assert fat.sum() == columns * 20
        assert lean.sum() == (20 - columns) * 20
        assert np.allclose(ax.images[2].cmap(0)[:3], to_rgb(ORANGE))
    for ax, columns in zip(figure.axes[3:6], (1, 3, 6), strict=True):
        fraction = ax.images[1].get_array()
        assert fraction.count() == 400
        assert (fraction > 90).sum() == columns * 20


def test_one_scale_and_the_persons_right_on_the_left(selection: pd.DataFrame, images: dict) -> None:
    wider = {name: body(2, width=60 if i else 40) for i, name in enumerate(images)}
    figure = mb.plots.images_panel(selection, wider, width_mm=180)
    spans = [ax.get_xlim()[0] - ax.get_xlim()[1] for ax in figure.axes[:3]]
    assert spans[0] > 0  # drawn backwards
    np.testing.assert_allclose(spans, spans[0])
    ax = figure.axes[0]
    bar = ax.patches[0]
    words = next(t.get_text() for t in ax.texts if "mm" in t.get_text())
    assert words == f"{bar.get_width():g} mm"
    across, high = spans[0], np.ptp(ax.get_ylim())
    box = ax.get_window_extent()
    assert across / box.width == pytest.approx(high / box.height, rel=1e-3)


@pytest.mark.parametrize("width", [85, 180])
def test_words_are_the_values_and_nothing_overlaps(look, selection: pd.DataFrame, images: dict, width: int) -> None:
    figure = mb.plots.images_panel(selection, images, width_mm=width)
    shown = " ".join(look.texts(figure))
    for value in selection["intermat_percent"]:
        assert f"InterMAT {value:.1f} %" in shown
    assert "75th percentile" in shown
    assert "Simulated data" in shown
    assert look.overlapping(figure) == []


def test_a_participant_without_an_image_is_named(selection: pd.DataFrame, images: dict) -> None:
    last = selection["participant_id"].iloc[-1]
    with pytest.raises(InvalidValueError, match=last):
        mb.plots.images_panel(selection, {name: image for name, image in images.items() if name != last})
