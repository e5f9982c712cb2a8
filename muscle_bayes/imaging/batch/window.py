"""Tasks through a window: never more than the workers can begin, and who kills its worker harms nobody else.

Everything submitted at once, one task that ends its worker takes healthy tasks with it: the scheduler counts the death against
all tasks that the worker held, and gives them up when it has seen too many (dask/distributed#5234). Here a worker holds one
task, deaths are counted per task, and a task that was there at two deaths is tried again with nothing else in the cluster.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from muscle_bayes.errors import ClusterError, WorkerKilledError
from muscle_bayes.imaging.batch.answers import Answer

if TYPE_CHECKING:
    from distributed import Client, Future

#: A task that was there when this many workers ended is tried alone from then on: until now a neighbour may have been at fault.
IN_COMPANY = 2
#: Workers that a task may end while it is alone; after that the reason is its own.
ALONE = 2
#: Seconds without any worker after which a run gives up.
PATIENCE = 300.0
_LOOK = 5.0

_LOST = (
    "What was measured is kept. Look at the logs of scheduler and workers (memory, wall time, preemption), then run the same "
    "command again: it goes on where it stopped"
)


def through_window[Task, Value](
    client: "Client",
    function: Callable[[Task], Value],
    tasks: Sequence[Task],
    *,
    per_worker: int = 1,
    patience: float = PATIENCE,
) -> Iterator[Answer[Value]]:
    """Run tasks on the workers of a cluster and yield what came of each, as they end.

    Parameters
    ----------
    client : distributed.Client
        Of the cluster.
    function : callable
        Taken from its module by the workers.
    tasks : sequence
        Whatever `function` takes; each must pickle.
    per_worker : int
        Tasks in flight for each thread of the workers.
    patience : float
        Seconds without any worker after which the run gives up.

    Yields
    ------
    Answer
        One a task, in the order in which they end; `WorkerKilledError` for a task that ended its worker `ALONE` times.

    Raises
    ------
    ClusterError
        Where the scheduler is lost, or no worker is there for `patience` seconds.
    """
    waiting = deque(range(len(tasks)))
    alone: deque[int] = deque()
    deaths, lonely_deaths = dict.fromkeys(waiting, 0), dict.fromkeys(waiting, 0)
    flying: dict[Future, int] = {}
    run = uuid4().hex[:12]
    seats = _Seats(client, per_worker, patience)
    try:
        while waiting or alone or flying:
            by_itself = not waiting and bool(alone)
            room = (1 if not flying else 0) if by_itself else max(seats.free() - len(flying), 0)
            queue = alone if by_itself else waiting
            for _ in range(min(room, len(queue))):
                number = queue.popleft()
                key = f"scan-{run}-{number}-{deaths[number]}"
                flying[client.submit(function, tasks[number], key=key, pure=False, retries=0)] = number
            was_alone = len(flying) == 1 and not waiting
            for future in _ended(client, flying, seats):
                number = flying.pop(future)
                answer = _answer(future, number, deaths[number])
                future.release()
                if answer is not None:
                    yield answer
                    continue
                deaths[number] += 1
                lonely_deaths[number] += was_alone
                if lonely_deaths[number] >= ALONE:
                    yield Answer(number, error=_killer(deaths[number]), killed=deaths[number])
                else:
                    (alone if deaths[number] >= IN_COMPANY or was_alone else waiting).append(number)
    finally:
        for future in flying:
            future.cancel()


class _Seats:
    """How many tasks the workers can begin, asked of the scheduler every few seconds."""

    def __init__(self, client: "Client", per_worker: int, patience: float) -> None:
        self._client, self._per_worker, self._patience = client, per_worker, patience
        self._threads, self._asked = 0, float("-inf")
        self._there = time.monotonic()

    def free(self) -> int:
        """Return the number of tasks that may be in flight; at least one, so that a task waits for the next worker."""
        now = time.monotonic()
        if now - self._asked > _LOOK:
            self.look()
        return max(self._threads * self._per_worker, 1)

    def look(self) -> None:
        """Count the workers' threads; give up where there have been none for too long."""
        now = self._asked = time.monotonic()
        try:
            self._threads = sum(self._client.nthreads().values())
        except (OSError, RuntimeError) as error:
            raise ClusterError("scheduler", f"It does not answer any more ({error})", _LOST) from error
        if self._threads:
            self._there = now
        elif now - self._there > self._patience:
            raise ClusterError("workers", f"There has been none for {self._patience:.0f} seconds", _LOST)


def _ended(client: "Client", flying: "dict[Future, int]", seats: _Seats) -> "list[Future]":
    """Wait until a task ends and return all that have; looks after the workers meanwhile."""
    from distributed import wait

    while True:
        try:
            with client.as_current():
                return list(wait(list(flying), timeout=_LOOK, return_when="FIRST_COMPLETED").done)
        except TimeoutError:
            seats.look()


def _answer(future: "Future", number: int, killed: int) -> Answer[Any] | None:
    """Return what came of a task, or None where its worker ended."""
    from distributed import KilledWorker

    if future.status == "finished":
        try:
            return Answer(number, value=future.result(), killed=killed)
        except KilledWorker:
            # The worker ended with the answer in its hands. What it wrote is there, so the second time is quick.
            return None
    if future.status != "error":
        raise ClusterError("scheduler", f"It was lost, or gave up a task ({future.status})", _LOST)
    error = future.exception()
    if isinstance(error, KilledWorker):
        return None
    return Answer(number, error=error if isinstance(error, Exception) else RuntimeError(repr(error)), killed=killed)


def _killer(deaths: int) -> WorkerKilledError:
    return WorkerKilledError(
        "worker",
        f"{deaths} processes ended while they worked on this participant, {ALONE} of them with nothing else beside it",
        "Too little memory is the usual reason: look at the size of the images, give a worker more memory, or leave the "
        "participant out",
    )
