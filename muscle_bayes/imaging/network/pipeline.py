"""Many scans through one device: the next are read and the last are measured while one is labelled.

Reading is decompression, which threads share; the network has the device to itself; measuring is work for processes, which get
the arrays through shared memory. At most a stated number of scans is in memory. A scan that fails is an answer like any other.
"""

import mmap
import multiprocessing
import os
import pickle
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Answer[Task, Result]:
    """What became of one scan.

    Attributes
    ----------
    task : object
        As it was given.
    result : object or None
        What `finish` returned.
    error : Exception or None
        What any stage raised.
    seconds : dict of float
        Time in each stage; `finish` includes the way through shared memory.
    """

    task: Task
    result: Result | None = None
    error: Exception | None = None
    seconds: dict[str, float] = field(default_factory=dict)


def run_pipeline[Task, Scan, Labels, Result](
    tasks: Iterable[Task],
    read: Callable[[Task], Scan],
    label: Callable[[Scan], Labels],
    finish: Callable[[Task, Scan, Labels], Result],
    *,
    readers: int = 2,
    labellers: int = 1,
    finishers: int = 2,
    in_memory: int | None = None,
    processes: bool = True,
) -> Iterator[Answer[Task, Result]]:
    """Take scans through three stages that overlap.

    Parameters
    ----------
    tasks : iterable
        One a scan; drawn as there is room.
    read : callable
        Task to images, in `readers` threads.
    label : callable
        Images to labels, in `labellers` threads: the stage that has the device. With two, one scan's work on the processor
        goes on beside the other's on the device.
    finish : callable
        Task, images and labels to a result, in `finishers` processes: a function of a module, with arguments that pickle.
    readers, labellers, finishers : int
        How many side by side.
    in_memory : int, optional
        Scans in memory at most; one for every worker and one more where left out.
    processes : bool
        False finishes in threads.

    Yields
    ------
    Answer
        In the order of the tasks.
    """
    room = in_memory or readers + labellers + finishers + 1
    with ExitStack() as stack:
        reading = stack.enter_context(ThreadPoolExecutor(readers, "read"))
        labelling = stack.enter_context(ThreadPoolExecutor(labellers, "label"))
        finishing = stack.enter_context(ThreadPoolExecutor(finishers, "finish"))
        # Never forked: a child of a process with a card or with threads could hang.
        pool: Executor | None = None
        if processes:
            pool = stack.enter_context(ProcessPoolExecutor(finishers, multiprocessing.get_context("spawn")))
        waiting: deque[Future[Answer[Task, Result]]] = deque()
        for task in tasks:
            scan = reading.submit(_timed, read, task)
            labels = labelling.submit(_label, label, scan)
            waiting.append(finishing.submit(_finish, finish, task, scan, labels, pool))
            del scan, labels
            if len(waiting) >= room:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _timed[T](step: Callable[..., T], *arguments: Any) -> tuple[T, float]:
    began = time.perf_counter()
    return step(*arguments), time.perf_counter() - began


def _label[Scan, Labels](label: Callable[[Scan], Labels], scan: Future[tuple[Scan, float]]) -> tuple[Labels, float]:
    images, _ = scan.result()
    return _timed(label, images)


def _finish[Task, Scan, Labels, Result](
    finish: Callable[[Task, Scan, Labels], Result],
    task: Task,
    scan: Future[tuple[Scan, float]],
    labels: Future[tuple[Labels, float]],
    pool: Executor | None,
) -> Answer[Task, Result]:
    """Wait for a scan and its labels, and measure it; every failure becomes an answer."""
    seconds: dict[str, float] = {}
    try:
        images, seconds["read"] = scan.result()
        found, seconds["label"] = labels.result()
        began = time.perf_counter()
        if pool is None:
            result = finish(task, images, found)
        else:
            with Shared((task, images, found)) as parcel:
                result = pool.submit(_opened, finish, parcel.content, parcel.name, parcel.sizes).result()
        seconds["finish"] = time.perf_counter() - began
    except Exception as error:  # whatever is wrong with one scan must not end the others
        return Answer(task, None, error, seconds)
    return Answer(task, result, None, seconds)


class Shared:
    """An object whose arrays lie in shared memory, for another process to open without a copy.

    Parameters
    ----------
    value : object
        Anything that pickles; contiguous arrays in it go into the shared memory, the rest into `content`.
    """

    def __init__(self, value: object) -> None:
        buffers: list[pickle.PickleBuffer] = []
        self.content = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
        views = [buffer.raw() for buffer in buffers]
        self.sizes = [view.nbytes for view in views]
        total = max(sum(self.sizes), 1)
        # A file in memory where the system has room for one: in containers there is often hardly any.
        handle, self.name = tempfile.mkstemp(prefix="muscle-bayes-", dir=_roomy_folder(total))
        with os.fdopen(handle, "r+b") as file:
            file.truncate(total)
            with mmap.mmap(file.fileno(), total) as memory:
                place = 0
                for view in views:
                    memory[place : place + view.nbytes] = view
                    place += view.nbytes

    def __enter__(self) -> "Shared":
        return self

    def __exit__(self, *_: object) -> None:
        os.unlink(self.name)


def _roomy_folder(size: int) -> str:
    """Where files are memory, if twice the size is free there; the folder for temporary files else."""
    memory = "/dev/shm"
    if os.path.isdir(memory) and os.access(memory, os.W_OK):
        free = os.statvfs(memory)
        if free.f_bavail * free.f_frsize >= 2 * size:
            return memory
    return tempfile.gettempdir()


def _opened[Result](finish: Callable[..., Result], content: bytes, name: str, sizes: list[int]) -> Result:
    """Run `finish` in another process on what lies in shared memory."""
    with open(name, "r+b") as file:
        whole = memoryview(mmap.mmap(file.fileno(), 0))
    views = [whole[start:stop] for start, stop in pairwise(np.cumsum([0, *sizes]).tolist())]
    return finish(*pickle.loads(content, buffers=views))
