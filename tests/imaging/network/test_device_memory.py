"""A device whose memory runs out: batches are halved, then the scan is held in main memory, and it is said."""

import numpy as np
import pytest
import torch

from muscle_bayes.errors import DeviceMemoryError
from muscle_bayes.imaging.network.prediction import predict_labels, slice_labels

CPU = torch.device("cpu")
Blocks = tuple[np.ndarray, np.ndarray]


class Small(torch.nn.Module):
    """Another network in too little memory: more than `most` windows raise what a card raises."""

    def __init__(self, inner: torch.nn.Module, most: int) -> None:
        super().__init__()
        self.inner, self.most, self.seen = inner, most, []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(x))
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return self.inner(x)


def test_batches_are_halved_and_labels_stay(known_network: torch.nn.Module, two_blocks: Blocks) -> None:
    image, labels = two_blocks
    small, record = Small(known_network, 2).eval(), {}
    found = predict_labels([small], image, None, (1.4, 1.4, 9.0), CPU, batch=8, mirror=False, record=record)
    np.testing.assert_array_equal(found, labels)
    assert record["batch"] == 2
    assert record["out_of_memory"] == ["slice 0: batches halved to 4", "slice 0: batches halved to 2"]
    assert small.seen == [6, 4, 2, 2, 2]


def test_a_device_without_room_for_one_window_is_an_error(known_network: torch.nn.Module, two_blocks: Blocks) -> None:
    with pytest.raises(DeviceMemoryError, match="single window"):
        slice_labels([Small(known_network, 0).eval()], two_blocks[0], None, (1.4, 1.4, 9.0), CPU)


def test_a_scan_that_does_not_fit_is_held_in_main_memory(
    monkeypatch: pytest.MonkeyPatch, known_network: torch.nn.Module, two_blocks: Blocks
) -> None:
    from muscle_bayes.imaging.network import prediction

    whole = prediction._start
    asked = []

    def start(scan, spacing, held, done):  # type: ignore[no-untyped-def]
        asked.append(held.type)
        if held.type == "meta":
            raise torch.OutOfMemoryError("out of memory")
        return whole(scan, spacing, held, done)

    def window(networks, signals, found, k, done, device, mirror):  # type: ignore[no-untyped-def]
        return prediction_batch(networks, signals, found, k, done, CPU, mirror)

    prediction_batch = prediction._next_batch
    monkeypatch.setattr(prediction, "_start", start)
    monkeypatch.setattr(prediction, "_next_batch", window)
    # "meta" stands for a card: a type of device that every torch has and that is not the processor.
    found, done = slice_labels(
        [known_network], two_blocks[0], None, (1.4, 1.4, 9.0), torch.device("meta"), mirror=False
    )
    np.testing.assert_array_equal(found, two_blocks[1])
    assert asked == ["meta", "cpu"]
    assert done.held_on == "cpu"
    assert done.out_of_memory == ["slice 0: the scan was moved to main memory"]
