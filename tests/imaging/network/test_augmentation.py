"""What the network sees: the same whatever the scanner's gain, and augmented images whose labels still fit."""

import numpy as np
import pytest

from muscle_bayes.imaging.labels import SCHEME
from muscle_bayes.imaging.network.augmentation import MIRRORED, augment, shape_for
from muscle_bayes.imaging.network.preprocessing import CHANNELS, body_frame, network_input
from muscle_bayes.imaging.network.samples import Sample


def body(seed: int = 1) -> Sample:
    """A body with two bright muscles, left (3) and right (4)."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((96, 64), dtype=np.uint8)
    labels[20:40, 20:40], labels[56:76, 20:40] = 3, 4
    signal = np.zeros((3, 96, 64), dtype=np.float32)
    signal[:, 8:88, 8:56] = 100
    signal[:, labels > 0] = 300
    return Sample(signal * rng.uniform(0.9, 1.1, signal.shape).astype(np.float32), None, labels)


def test_mirroring_exchanges_sides_and_nothing_else() -> None:
    for number, structure in SCHEME.items():
        other = SCHEME[int(MIRRORED[number])]
        assert other.name == structure.name
        assert other.side == {"left": "right", "right": "left", "both": "both"}[structure.side]
    assert MIRRORED[0] == 0


@pytest.mark.parametrize("gain", [0.01, 50.0])
def test_gain_does_not_change_the_input(gain: float) -> None:
    sample = body()
    second = sample.first[::-1] * 0.3
    plain = network_input(sample.first, second, body_frame(sample.first, second))
    gained = network_input(gain * sample.first, gain * second, body_frame(gain * sample.first, gain * second))
    assert plain.shape == (CHANNELS, 96, 64)
    np.testing.assert_allclose(plain, gained, atol=1e-4)


def test_a_single_contrast_has_no_second_signal_and_places_follow_the_body() -> None:
    sample = body()
    channels = network_input(sample.first, None, body_frame(sample.first, None))
    assert not channels[3:7].any()
    assert channels[7, 47, 0] == pytest.approx(0, abs=0.05)  # the body's middle is at 47.5
    assert channels[7, 8, 0] == pytest.approx(-1, abs=0.05)
    shifted = np.roll(sample.first, 7, axis=1)
    np.testing.assert_allclose(
        network_input(shifted, None, body_frame(shifted, None))[7, 7:], channels[7, :-7], atol=0.03
    )


@pytest.mark.parametrize("seed", range(1, 13))
def test_labels_stay_with_the_image(seed: int) -> None:
    # Without elastic, shading and noise (strength 0) only flips, a blur and a gamma curve are left, which keep bright bright.
    changed = augment(body(), (96, 64), np.random.default_rng(seed), strength=0.0)
    bright = changed.first[1] > 2 * np.median(changed.first[1][changed.first[1] > 0])
    assert 2 * (bright & (changed.labels > 0)).sum() / (bright.sum() + (changed.labels > 0).sum()) > 0.9
    # Left stays left: mirrored images have mirrored ids.
    x = {number: np.nonzero(changed.labels == number)[0].mean() for number in (3, 4)}
    assert x[3] < x[4]


def test_the_same_seed_gives_the_same_sample_and_shapes_are_multiples() -> None:
    first, again = (augment(body(), (64, 96), np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first.first, again.first)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert set(np.unique(first.labels)) <= {0, 3, 4}
    for seed in range(1, 6):
        shape = shape_for(np.array([[260.0, 180.0], [400.0, 200.0]]), np.random.default_rng(seed), (320, 224))
        assert shape[0] % 32 == 0
        assert shape[1] % 32 == 0
        assert shape[0] <= 320
        assert shape[1] <= 224
