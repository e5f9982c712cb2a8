"""The picture for reviewers shows planes, sides, outlines and words; it is the right size and says what it is."""

import numpy as np
import pytest
from PIL import Image

from muscle_bayes.imaging.images import Volume
from muscle_bayes.imaging.labels import Structure
from muscle_bayes.imaging.quality import Finding
from muscle_bayes.imaging.quality import mosaic as drawing


def volume(data):
    return Volume(np.asarray(data), np.diag([3.0, 3.0, 6.0, 1.0]), "made up", "")


def test_picture_is_drawn_of_files_and_says_its_findings(tmp_path, nifti):
    rng = np.random.default_rng(1)
    data = np.zeros((40, 30, 12), dtype=np.float32)
    data[5:35, 5:25] = rng.uniform(300, 500, (30, 20, 12))
    labels = np.zeros(data.shape, dtype=np.uint8)
    labels[8:16, 8:16], labels[24:32, 8:16] = 3, 4
    images = [nifti(array, (3.0, 3.0, 6.0)) for array in (data, data[::-1], labels)]
    finding = Finding("zero_slices", "review", "slice 4 has no signal", 1, 0, (3,))
    path = drawing.draw_mosaic(*images, tmp_path / "m.png", title="sub-1", findings=[finding], simulated=True)
    with Image.open(path) as image:
        width, height = image.size
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    assert width == 1100
    assert 250 < height < 900
    # The frame and the words of a review are amber; autochthonous muscles are outlined in sky blue.
    for colour in ((0xFF, 0xC2, 0x4B), (0x56, 0xB4, 0xE9)):
        assert (np.abs(pixels.astype(int) - colour).sum(axis=1) < 12).sum() > 100


def test_axial_slices_have_the_right_on_the_left():
    data = np.zeros((20, 20, 4), dtype=np.float32)
    data[15:, 8:12] = 100
    data[2:15, 8:12] = 20
    figure, _ = drawing._figure(volume(data), None, None, {}, "sub-1", [], True, 4)
    axes = figure.axes[0]
    left, right = axes.get_xlim()
    assert left > right
    texts = " ".join(text.get_text() for text in figure.texts)
    assert "Simulated data" in texts
    assert "no finding" in texts
    assert "sub-1" in texts
    # Every axial and coronal view says its sides, the sagittal one its back and front.
    letters = ["".join(text.get_text() for text in axes.texts if len(text.get_text()) == 1) for axes in figure.axes]
    assert letters == ["RL"] * (len(letters) - 1) + ["PA"]


def test_slices_with_findings_are_shown():
    assert 3 in drawing._chosen_slices(40, None, {3: "review"}, 6)
    assert len(drawing._chosen_slices(40, None, {3: "review", 4: "review", 30: "fail"}, 6)) == 6


@pytest.mark.parametrize("planes", [[(420, 216), (420, 216), (250, 216)], [(400, 900), (250, 900)]])
def test_panels_fill_the_width_keep_their_shape_and_never_overlap(planes):
    axial = [(400, 290)] * 8
    boxes, tall = drawing._arranged(axial, planes, 10.0)
    assert tall <= 7.5
    assert max(left + width for left, _, width, _ in boxes) == pytest.approx(10)
    assert max(top + height for _, top, _, height in boxes) == pytest.approx(tall)
    for (_, _, width, height), (across, high) in zip(boxes, axial + planes, strict=True):
        assert width / height == pytest.approx(across / high)
    for i, (left, top, width, height) in enumerate(boxes):
        for other_left, other_top, other_width, other_height in boxes[:i]:
            apart = min(left + width, other_left + other_width) - max(left, other_left)
            under = min(top + height, other_top + other_height) - max(top, other_top)
            assert apart < 1e-9 or under < 1e-9
    # Nothing is empty: the panels fill all of the picture but a last row that is not full.
    assert sum(width * height for _, _, width, height in boxes) == pytest.approx(10 * tall)


def test_unnamed_muscles_share_no_colour_with_their_neighbours():
    structures = {i: Structure(f"muscle {i}") for i in range(1, 9)}
    colours = drawing._colours(structures)
    assert len(set(colours.values())) == 8
