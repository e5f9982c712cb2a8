"""Batches made by other processes, in the order in which one process would make them."""

import warnings
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader, Dataset

from muscle_bayes.imaging.network.samples import SampleSource

if TYPE_CHECKING:
    from muscle_bayes.imaging.network.training import TrainingProfile


class _Batches(Dataset[Any]):
    """Batch i of a source, by number."""

    def __init__(self, source: SampleSource, profile: "TrainingProfile", seed: int, start: int) -> None:
        self._source, self._profile, self._seed, self._start = source, profile, seed, start

    def __len__(self) -> int:
        return self._profile.steps

    def __getitem__(self, number: int) -> tuple[Any, Any]:
        from muscle_bayes.imaging.network.training import batches

        return next(islice(batches(self._source, self._profile, self._seed, self._start + number), 1))


def batches_from_workers(
    source: SampleSource, profile: "TrainingProfile", seed: int, start: int, workers: int
) -> Iterator[tuple[Any, Any]]:
    """Yield the batches of `training.batches`, made side by side.

    Parameters
    ----------
    source, profile, seed, start
        As there.
    workers : int
        Processes.

    Yields
    ------
    inputs, labels : torch.Tensor
        As there.
    """
    # The processes are forked, so that they share the bodies in memory.
    loader = DataLoader(
        _Batches(source, profile, seed, start),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=4,
        multiprocessing_context="fork",
    )
    with warnings.catch_warnings():
        # The workers draw samples with NumPy and SciPy and take no lock that a thread of this process may hold.
        warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
        running = iter(loader)
    yield from running
