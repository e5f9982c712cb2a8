import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest

from muscle_bayes.imaging import quantify, read_scan
from muscle_bayes.imaging.overlay import overlay_figure, save_overlay


@pytest.fixture(scope="module")
def images():
    labels = np.zeros((40, 30, 12), dtype=np.uint8)
    labels[4:18, 8:22, 2:10] = 9
    labels[22:36, 8:22, 2:10] = 10
    labels[8:12, 12:16, 2:10] = 2
    water = np.full(labels.shape, 300, dtype=np.int16)
    fat = np.full(labels.shape, 20, dtype=np.int16)
    water[25:28, 10:12], fat[25:28, 10:12] = 20, 300
    affine = np.diag([2.0, 1.5, 5.0, 1.0])
    return [nib.Nifti1Image(data, affine) for data in (water, fat, labels)]


@pytest.fixture(scope="module")
def scan(images):
    return read_scan(*images)


def test_slices_and_layers(scan):
    figure = overlay_figure(scan, slices=4)
    panels = [axis for axis in figure.axes if axis.images]
    assert [axis.get_title() for axis in panels] == ["slice 3", "slice 5", "slice 8", "slice 10"]
    # The adipose layer of each panel is the 6 voxels of fat, and nothing else.
    for axis in panels:
        assert axis.images[1].get_array().count() == 6
    assert len(overlay_figure(scan, slices=None).axes) >= 8


def test_the_persons_right_is_on_the_left(scan):
    axis = overlay_figure(scan, slices=1).axes[0]
    layer = axis.images[1]
    left, right = layer.get_extent()[:2]
    column = np.flatnonzero(layer.get_array().count(axis=0)).mean()
    x = left + (column + 0.5) / layer.get_array().shape[1] * (right - left)
    on_screen = axis.transData.transform([(x, 0), (np.mean(axis.get_xlim()), 0)])[:, 0]
    # The fat is in the right leg, at high x.
    assert on_screen[0] < on_screen[1]
    # Outlines lie where the image does: the one around the right leg as well.
    outline = axis.collections[1].get_paths()[0].vertices
    assert outline[:, 0].min() < x < outline[:, 0].max()


def test_simulated_is_written(scan):
    assert "Simulated data" in overlay_figure(scan, simulated=True, title="p1").get_suptitle()
    assert overlay_figure(scan).get_suptitle() == ""


def test_file_is_written_by_quantify(images, tmp_path):
    quantify(*images, overlay=tmp_path / "qc.png")
    assert (tmp_path / "qc.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_vector_formats(scan, tmp_path):
    save_overlay(scan, tmp_path / "qc.svg", slices=1)
    assert b"<svg" in (tmp_path / "qc.svg").read_bytes()


def test_importing_and_measuring_needs_no_matplotlib():
    code = "import sys, muscle_bayes.imaging; print([m for m in ('matplotlib', 'torch', 'pymc') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
