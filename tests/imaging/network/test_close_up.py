"""The second look decides where the paraspinal muscles end, touches nothing else, and is trained on what it will see."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation, binary_erosion

from muscle_bayes.imaging.network.close_up import close_up, close_up_shape, look_closer, shows_paraspinal
from muscle_bayes.imaging.network.prediction import predict_labels
from muscle_bayes.imaging.network.samples import Sample
from muscle_bayes.imaging.network.training import Stage, TrainingProfile, batches, cross_entropy

CPU = torch.device("cpu")
PLANE = np.ones((3, 3, 1), dtype=bool)
Blocks = tuple[np.ndarray, np.ndarray]


def drawn(labels: np.ndarray, change) -> np.ndarray:
    """The same labels with borders drawn elsewhere."""
    out = np.zeros_like(labels)
    for number in (3, 4):
        out[change(labels == number, PLANE)] = number
    return out


@pytest.mark.parametrize("change", [binary_dilation, binary_erosion])
@pytest.mark.parametrize("mirror", [False, True])
def test_borders_are_those_of_the_second_look(
    known_network: torch.nn.Module, two_blocks: Blocks, change, mirror: bool
) -> None:
    image, labels = two_blocks
    found = look_closer([known_network], image, None, drawn(labels, change), (1.4, 1.4, 9.0), CPU, mirror=mirror)
    np.testing.assert_array_equal(found, labels)


def test_other_structures_stay_unless_they_are_the_muscle(known_network: torch.nn.Module, two_blocks: Blocks) -> None:
    image, labels = two_blocks
    first = labels.copy()
    first[5:15, 5:15] = 17  # elsewhere in the slice
    first[40:44, 20:35, 1:5] = 5  # beside the muscle, where the second look sees background
    first[38:40, 20:35, 1:5] = 7  # a part of the muscle that was taken for something else
    found = look_closer([known_network], image, None, first, (1.4, 1.4, 9.0), CPU)
    wanted = labels.copy()
    wanted[5:15, 5:15], wanted[40:44, 20:35, 1:5] = 17, 5
    np.testing.assert_array_equal(found, wanted)


def test_other_voxels_and_no_muscle(known_network: torch.nn.Module, two_blocks: Blocks) -> None:
    image, labels = two_blocks
    fine = [np.repeat(np.repeat(values, 2, axis=0), 2, axis=1) for values in (image, labels)]
    found = look_closer([known_network], fine[0], None, drawn(fine[1], binary_dilation), (0.7, 0.7, 9.0), CPU)
    # Interpolation back to the finer grid may move a border by one of its voxels.
    assert (found != fine[1]).sum() < (drawn(fine[1], binary_dilation) != fine[1]).sum() / 2
    nothing = np.zeros_like(labels)
    np.testing.assert_array_equal(look_closer([known_network], image, None, nothing, (1.4, 1.4, 9.0), CPU), nothing)


def test_a_few_paraspinal_labels_in_a_thigh_are_not_looked_at_again(
    known_network: torch.nn.Module, two_blocks: Blocks
) -> None:
    image, labels = two_blocks
    thigh = np.where(image == 100, np.uint8(9), np.uint8(0))
    thigh[20:30, 20:30, 1:5] = 3
    np.testing.assert_array_equal(look_closer([known_network], image, None, thigh, (1.4, 1.4, 9.0), CPU), thigh)
    # Above the thighs in a larger scan the back is looked at all the same.
    both = np.concatenate([np.full((100, 70, 3), 9, dtype=np.uint8), drawn(labels, binary_dilation)], axis=2)
    tall = np.concatenate([np.repeat(image[:, :, :1], 3, axis=2), image], axis=2)
    found = look_closer([known_network], tall, None, both, (1.4, 1.4, 9.0), CPU)
    np.testing.assert_array_equal(found[:, :, 3:], labels)
    assert (found[:, :, :3] == 9).all()


def test_prediction_looks_closer_only_where_asked(two_blocks: Blocks) -> None:
    shapes = []

    class Watched(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            shapes.append(x.shape)
            logits = torch.zeros((x.shape[0], 18, *x.shape[2:]))
            logits[:, 3] = torch.where(x[:, 1] > 0.714, 20.0, -20.0)
            return logits

    image, _ = two_blocks
    predict_labels([Watched().eval()], image, None, (1.4, 1.4, 9.0), CPU, mirror=False)
    whole = len(shapes)
    predict_labels([Watched().eval()], image, None, (1.4, 1.4, 9.0), CPU, mirror=False, close_up=True)
    assert len(shapes) > 2 * whole


class Backs:
    """Slices with muscle at a random place; every third shows none."""

    def __init__(self) -> None:
        self.number = 0

    def sample(self, rng: np.random.Generator) -> Sample:
        self.number += 1
        labels = np.zeros((160, 120), dtype=np.uint8)
        x, y = rng.integers(20, 80), rng.integers(5, 80)
        if self.number % 3:
            labels[x : x + 25, y : y + 20], labels[x + 30 : x + 55, y : y + 20] = 3, 4
        signal = np.where(labels > 0, np.float32(300), np.float32(100))
        return Sample(np.stack([signal] * 3), None, labels)


def test_windows_hold_the_whole_muscle_wherever_it_lies() -> None:
    rng = np.random.default_rng(1)
    samples = [sample for sample in (Backs().sample(rng) for _ in range(20)) if shows_paraspinal(sample.labels)]
    assert not shows_paraspinal(np.full((160, 120), 17, dtype=np.uint8))
    for sample in samples:
        shape = close_up_shape([sample], rng)
        # 55 by 20 pixels of muscle with 8 to 24 pixels around, in multiples of 32, at least 64.
        assert shape in {(96, 64), (128, 64), (96, 96), (128, 96)}
        cut = close_up(sample, shape, rng)
        assert cut.first.shape[1:] == cut.labels.shape
        assert all(side >= 1.3 * wanted for side, wanted in zip(cut.labels.shape, shape, strict=True))
        assert (cut.labels > 0).sum() == 2 * 25 * 20
        np.testing.assert_array_equal(cut.first[1][cut.labels > 0], 300)


def test_a_stage_of_windows_gives_twice_as_many_smaller_images() -> None:
    profile = TrainingProfile((8, 8), bodies=0, batch=2, stages=(Stage(5), Stage(5, close_up=1.0)), strength=0.2)
    whole = next(batches(Backs(), profile, seed=1))[1]
    close = next(batches(Backs(), profile, seed=1, start=5))[1]
    assert (len(whole), len(close)) == (2, 4)
    assert close.shape[1] * close.shape[2] < whole.shape[1] * whole.shape[2]
    assert all(shows_paraspinal(labels) for labels in close)

    class Legs:
        def sample(self, rng: np.random.Generator) -> Sample:
            return Sample(np.ones((3, 64, 64), dtype=np.float32), None, np.zeros((64, 64), dtype=np.uint8))

    # Images without these muscles are trained on as they are.
    assert len(next(batches(Legs(), replace(profile, stages=(Stage(1, close_up=1.0),)), seed=1))[1]) == 2


def test_cross_entropy_counts_borders_more() -> None:
    labels = torch.zeros((1, 1, 20, 20), dtype=torch.uint8)
    labels[..., 10:] = 1
    logits = torch.zeros((1, 18, 20, 20))
    logits[:, 1, :, 8:] = 50.0  # wrong in the two columns before the border, sure elsewhere
    logits[:, 0, :, :8] = 50.0
    plain = torch.nn.functional.cross_entropy(logits, labels[:, 0].long())
    assert cross_entropy(logits, labels, 1.0).item() == pytest.approx(plain.item())
    # Columns 8 to 11 weigh 4, the other 16 weigh 1; 50 is lost in two of them.
    assert cross_entropy(logits, labels, 4.0).item() == pytest.approx(50 * 2 * 4 / (4 * 4 + 16), rel=1e-5)
    # The paraspinal muscle's border weighs twice that.
    assert cross_entropy(logits.roll(3, 1), labels * 4 + 3 * (labels == 0), 4.0).item() == pytest.approx(
        50 * 2 * 8 / (4 * 8 + 16), rel=1e-5
    )
