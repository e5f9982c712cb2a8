"""The hull backend on legs made of circles, whose areas are known, and on simulated thighs."""

import numpy as np
import pytest

from muscle_bayes.errors import CompartmentNotFoundError
from muscle_bayes.imaging import read_scan
from muscle_bayes.imaging.fat_fraction import fat_signal_fraction
from muscle_bayes.imaging.hull import hull_compartment, split_limbs

SPACING = (1.5, 1.5, 5.0)
SLICES = 8


class Legs:
    """Legs of concentric circles (mm): skin, subcutaneous fat, muscle, cortex, marrow; noise on both images."""

    def __init__(self, centres=(-70.0, 70.0), muscle=50.0, fat=62.0, bone=True, seed=1, field=(300.0, 160.0)):
        nx, ny = (int(side / step) for side, step in zip(field, SPACING, strict=False))
        self.x = (np.arange(nx) - (nx - 1) / 2)[:, None, None] * SPACING[0]
        self.y = (np.arange(ny) - (ny - 1) / 2)[None, :, None] * SPACING[1]
        shape = (nx, ny, SLICES)
        self.water, self.fat = np.zeros(shape), np.zeros(shape)
        self.truth = [np.zeros(shape, dtype=bool) for _ in centres]
        for leg, centre in enumerate(centres):
            r = np.hypot(self.x - centre, self.y) + np.zeros(shape)
            self.paint(r < fat + 2, 250, 60)
            self.paint(r < fat, 30, 400)
            self.paint(r < muscle, 350, 15)
            self.truth[leg] = r < muscle
            if bone:
                core = np.hypot(self.x - centre - 5, self.y - 3) + np.zeros(shape)
                self.paint(core < 14, 4, 4)
                self.paint(core < 9, 20, 380)
                self.truth[leg] &= core >= 14
        rng = np.random.default_rng(seed)
        self.water, self.fat = (
            np.abs(image + rng.normal(0, 8, shape)).astype(np.float32) for image in (self.water, self.fat)
        )

    def paint(self, where, water, fat):
        self.water[where], self.fat[where] = water, fat

    def labels(self):
        return hull_compartment(self.water, self.fat, SPACING)


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_two_legs_sides_volumes_and_bone():
    legs = Legs()
    labels = legs.labels()
    for number, truth in zip((3, 4), legs.truth, strict=True):
        assert dice(labels == number, truth) > 0.97
        # Muscle is pi (50^2 - 14^2) mm2 a slice.
        area = (labels == number).sum() * 2.25 / SLICES
        assert area == pytest.approx(np.pi * (50**2 - 14**2), rel=0.03)
    bone = (labels == 2).sum() * 2.25 / SLICES / 2
    assert bone == pytest.approx(np.pi * 14**2, rel=0.1)
    assert not (labels[(legs.water + legs.fat) < 40] >= 3).any()


def test_sides_are_relative_to_each_other_not_to_the_middle():
    # Both legs at positive x, as in a stack that is not centred; the smaller one is on the right.
    legs = Legs(centres=(-60.0, 75.0))
    small = np.hypot(legs.x - 75, legs.y) + np.zeros(legs.water.shape)
    legs.paint((small >= 40) & (small < 50), 30, 400)
    labels = legs.labels()
    x = [np.nonzero(labels == number)[0].mean() for number in (3, 4)]
    assert x[0] < x[1]
    assert (labels == 3).sum() > (labels == 4).sum()


def test_one_leg_has_no_side():
    labels = Legs(centres=(0.0,)).labels()
    assert set(np.unique(labels)) == {0, 1, 2, 5}


def test_thighs_that_touch_are_parted():
    # Muscles of the two thighs meet over 20 mm: one component, which must be cut near the middle.
    legs = Legs(centres=(-55.0, 55.0), muscle=52.0, fat=58.0)
    bridge = (np.abs(legs.x) < 8) & (np.abs(legs.y) < 10) & np.ones(legs.water.shape, dtype=bool)
    legs.paint(bridge, 350, 15)
    labels = legs.labels()
    for number, truth in zip((3, 4), legs.truth, strict=True):
        assert dice(labels == number, truth) > 0.95
    assert labels[labels >= 3].size > 0
    assert np.nonzero(labels == 3)[0].max() <= np.nonzero(labels == 4)[0].min() + 8


def test_fat_beside_bone_stays_in_the_compartment():
    # A wedge of fat that lies against the bone through all slices is intermuscular fat, not marrow.
    legs = Legs()
    for leg, centre in enumerate((-70.0, 70.0)):
        wedge = (np.abs(legs.x - centre - 5) < 6) & (legs.y > -30) & (legs.y < -9) & legs.truth[leg]
        legs.paint(wedge, 20, 380)
    labels = legs.labels()
    for number, truth in zip((3, 4), legs.truth, strict=True):
        assert dice(labels == number, truth) > 0.97
    wedge_in = labels[(legs.fat > 300) & (legs.truth[0] | legs.truth[1])] >= 3
    assert wedge_in.mean() > 0.9


def test_muscles_apart_in_fat_belong_to_one_limb():
    # Four compartments, each pair of one leg apart by 9 mm of fat; the two largest components are both of one leg.
    legs = Legs(bone=False)
    for centre, y in ((-70.0, 6.0), (70.0, -6.0)):
        legs.paint(
            (np.abs(legs.y - y) < 4.5) & (np.hypot(legs.x - centre, legs.y) < 50) & np.ones(legs.water.shape, bool),
            30,
            400,
        )
    labels = legs.labels()
    for number, truth in zip((3, 4), legs.truth, strict=True):
        assert dice(labels == number, truth) > 0.95


def test_masked_background_gives_the_same():
    legs = Legs()
    before = legs.labels()
    air = np.ones(legs.water.shape, dtype=bool)
    for centre in (-70.0, 70.0):
        air &= np.hypot(legs.x - centre, legs.y) >= 65
    legs.water[air] = legs.fat[air] = 0
    assert (legs.labels() != before).mean() < 1e-3


def test_swapped_images_or_no_muscle_say_so():
    legs = Legs(muscle=0.0, fat=62.0, bone=False)
    legs.water[:] = np.where(legs.fat > 100, 10, legs.water)
    with pytest.raises(CompartmentNotFoundError, match="no lean tissue"):
        legs.labels()


def test_split_of_nothing():
    assert split_limbs(np.zeros((5, 5, 2), dtype=bool), SPACING) == []


def test_simulated_thighs():
    simulation = pytest.importorskip("muscle_bayes.simulation.phantom")
    phantom = simulation.simulate_phantom(
        "thigh", intermat_percent=15.0, bmi_kg_m2=30.0, sex="female", seed=2, voxel_mm=(2.2, 2.2, 6.0)
    )
    truth = np.asarray(phantom.labels.dataobj)
    scan = read_scan(phantom.water, phantom.fat, backend="hull")
    muscle = (truth >= 9) & (truth <= 17)
    for number, odd in ((3, 1), (4, 0)):
        assert dice(scan.labels == number, muscle & (truth % 2 == odd)) > 0.95
    assert dice(scan.labels == 2, truth == 2) > 0.95
    # What is measured in the found compartment is what is measured in the true one.
    found, true = (np.nanmean(scan.fraction[mask] >= 0.5) * 100 for mask in (scan.labels >= 3, muscle))
    assert found == pytest.approx(true, abs=1.5)


def test_fraction_of_noise_is_not_used_below_the_floor():
    # Cortical void has no signal; its FF must be undefined, not 1 by noise.
    legs = Legs()
    fraction = fat_signal_fraction(legs.water, legs.fat, 60.0)
    void = np.hypot(legs.x + 70 - 5, legs.y - 3) + np.zeros(legs.water.shape)
    assert np.isnan(fraction[(void > 9.8) & (void < 13.2)]).mean() > 0.99
