"""Training phantoms: what was asked for is in the tissue, contrasts differ, labels fit, and the exam stays out of it."""

import numpy as np
import pytest

from muscle_bayes.resources import data_folder
from muscle_bayes.simulation import phantom_anatomy as an
from muscle_bayes.simulation.phantom_contrast import random_signals
from muscle_bayes.simulation.phantom_ranges import read_exam
from muscle_bayes.simulation.phantom_samples import PhantomSamples
from muscle_bayes.simulation.phantom_stack import STREAK, TRAINING_RANGES, TissueStack, tissue_stack, training_seeds


@pytest.fixture(scope="module")
def stacks() -> list[TissueStack]:
    return [tissue_stack("trunk", 1, pixel_mm=4.0, step_mm=15.0), tissue_stack("thigh", 2, pixel_mm=4.0, step_mm=15.0)]


def test_stacks_hold_the_muscles_of_their_region_with_the_fat_asked_for(stacks: list[TissueStack]) -> None:
    trunk, thigh = stacks
    assert {3, 4, 5, 6, 7, 8, an.OTHER_MUSCLE} <= set(np.unique(trunk.codes % STREAK))
    assert set(range(9, 17)) <= set(np.unique(thigh.codes % STREAK))
    muscle = np.isin(thigh.codes % STREAK, range(9, 17))
    share = 100 * (thigh.codes[muscle] >= STREAK).mean()
    assert share == pytest.approx(TRAINING_RANGES.draw(2)["intermat_percent"], abs=0.2)
    assert not (thigh.codes[~muscle] >= STREAK).any()


def test_muscles_look_alike_and_unlike_fat_in_every_contrast() -> None:
    muscles = np.arange(an.FIRST_MUSCLE, an.OTHER_MUSCLE + 1)
    ratios = []
    for seed in range(1, 61):
        first, second = random_signals(np.random.default_rng(seed))
        for signal in (first,) if second is None else (first, second):
            assert np.isfinite(signal).all()
            assert (signal >= 0).all()
        assert first[muscles].std() < 0.25 * first[muscles].mean()
        ratios.append(first[an.SUBCUTANEOUS_FAT] / first[muscles].mean())
        if second is not None:
            assert second[an.SUBCUTANEOUS_FAT] > 3 * second[muscles].mean()
    # Single contrasts show fat brighter and darker than muscle, so neither can be learnt by heart.
    assert np.mean(np.array(ratios) > 1.2) > 0.1
    assert np.mean(np.array(ratios) < 0.8) > 0.1


def test_samples_have_the_labels_of_their_slice(stacks: list[TissueStack]) -> None:
    source = PhantomSamples(stacks)
    seen: set[int] = set()
    for seed in range(1, 21):
        sample = source.sample(np.random.default_rng(seed))
        assert sample.first.shape == (3, *sample.labels.shape)
        seen |= set(np.unique(sample.labels).tolist())
        body = sample.labels > 0
        air = sample.first[1][0, 0]
        assert np.median(sample.first[1][body]) > air
    assert seen >= set(range(18))
    again = source.sample(np.random.default_rng(20))
    np.testing.assert_array_equal(again.first, sample.first)


def test_the_exam_is_200_scans_that_training_cannot_see() -> None:
    exam = read_exam(data_folder("segmentation") / "exam.toml")
    settings = list(exam.settings())
    assert len(settings) == 200
    assert exam.voxel_mm == (1.4, 1.4, 3.0)
    assert len({seed for seed, _ in settings}) == 200
    assert min(seed for seed, _ in settings) > max(seed for _, seed in training_seeds(10_000, 0.3, 1))
    for name, (low, high) in exam.ranges.ranges.items():
        values = [keywords[name] for _, keywords in settings]
        assert low <= min(values)
        assert max(values) <= high
        # 200 uniform draws leave less than 5 % empty at either end, except once in 10,000.
        assert min(values) < low + 0.05 * (high - low)
        assert max(values) > high - 0.05 * (high - low)
    assert [dict(keywords) for _, keywords in exam.settings()] == [dict(keywords) for _, keywords in settings]
