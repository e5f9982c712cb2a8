"""Voids made by hand: what piles up, what is exchanged and what lies above and below is measured as it was made."""

import numpy as np
import pytest

from muscle_bayes.imaging import SCHEME, label_id
from muscle_bayes.imaging.quality.metal import LEAST_CM3, find_metal, voids
from muscle_bayes.imaging.quality.view import make_view

SPACING = (3.0, 3.0, 6.0)
SHAPE = (60, 50, 24)
MUSCLE, FAT = (300.0, 10.0), (20.0, 500.0)


def made(radius_mm, *, around, rim, bright=1.0, labels=None, centre=(30, 25, 12), reach_mm=6.0):
    """Return a view of a body of one tissue, with a spherical void whose rim is of another tissue, `bright` times as bright."""
    body = np.zeros(SHAPE, dtype=bool)
    body[5:-5, 5:-5] = True
    distance = np.sqrt(sum(((np.indices(SHAPE)[axis] - centre[axis]) * SPACING[axis]) ** 2 for axis in range(3)))
    images = []
    for channel in (0, 1):
        data = np.where(body, around[channel], 0.0)
        data[body & (distance < radius_mm + reach_mm)] = rim[channel] * bright
        data[distance < radius_mm] = 0
        images.append(data.astype(np.float32))
    return make_view(SPACING, *images, labels=labels, scheme=SCHEME if labels is not None else None)


def test_a_rim_that_is_exchanged_is_metal_and_a_wall_of_bowel_in_fat_is_not():
    (metal,) = voids(made(20, around=MUSCLE, rim=FAT, reach_mm=7.0))
    assert metal.exchanged > 0.9
    (bowel,) = voids(made(20, around=FAT, rim=MUSCLE, reach_mm=7.0))
    assert bowel.exchanged == 0
    assert bowel.piled_up == 0
    assert find_metal(made(20, around=FAT, rim=MUSCLE)) == []
    assert find_metal(made(20, around=MUSCLE, rim=MUSCLE)) == []


def test_void_has_the_volume_of_its_ball_and_small_ones_are_let_through():
    (void,) = voids(made(20, around=MUSCLE, rim=FAT))
    # Voxels are 3 and 6 mm wide.
    assert void.cm3 == pytest.approx(4 / 3 * np.pi * 2.0**3, rel=0.1)
    assert set(void.slices) == {9, 10, 11, 12, 13, 14, 15}
    assert 4 / 3 * np.pi * 0.9**3 < LEAST_CM3
    assert voids(made(9, around=MUSCLE, rim=FAT)) == []


@pytest.mark.parametrize(("bright", "named"), [(1.2, False), (2.0, True)])
def test_signal_brighter_than_the_same_tissue_near_by_is_pile_up(bright, named):
    view = made(20, around=MUSCLE, rim=MUSCLE, bright=bright, reach_mm=8.0)
    (void,) = voids(view)
    assert void.piled_up == pytest.approx(1.0 if named else 0.0, abs=0.05)
    assert bool(find_metal(view)) == named


def test_fat_that_is_brighter_than_muscle_is_no_pile_up():
    half = made(20, around=MUSCLE, rim=MUSCLE)
    for data, value in ((half.water, FAT[0]), (half.fat, FAT[1])):
        data[31:][half.total[31:] > 0] = value
    view = make_view(SPACING, half.water, half.fat)
    (void,) = voids(view)
    assert void.piled_up < 0.01


def test_muscle_above_and_below_is_told_from_what_is_none():
    labels = np.zeros(SHAPE, dtype=np.int32)
    labels[20:40, 15:35] = label_id("autochthonous", "left")
    labels[:, :, 8:17] = 0
    (within,) = voids(made(20, around=MUSCLE, rim=MUSCLE, labels=labels))
    assert within.between == 1
    (finding,) = find_metal(made(20, around=MUSCLE, rim=MUSCLE, labels=labels))
    assert "100 % of what lies above and below it is muscle or bone" in finding.message
    labels[:, :, :8] = 0
    (above,) = voids(made(20, around=MUSCLE, rim=MUSCLE, labels=labels))
    assert above.between == 0


def test_a_void_that_reaches_the_skin_is_seen_whole():
    view = made(20, around=MUSCLE, rim=FAT, centre=(30, 9, 12))
    (void,) = voids(view)
    (inside,) = voids(made(20, around=MUSCLE, rim=FAT))
    # A sixth of the ball is cut off by the surface.
    assert 0.7 * inside.cm3 < void.cm3 < inside.cm3


def test_single_contrast_is_judged_by_brightness_and_labels():
    metal = made(20, around=MUSCLE, rim=MUSCLE, bright=2.5, reach_mm=8.0)
    (void,) = voids(make_view(SPACING, image=metal.total))
    assert void.single
    assert void.exchanged == 0
    assert void.piled_up > 0.5
    assert find_metal(make_view(SPACING, image=made(20, around=MUSCLE, rim=MUSCLE).total)) == []
