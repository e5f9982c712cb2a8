"""Where tasks are run: in this process, in processes of this machine with one card each, or on a cluster that is there."""

import logging
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from muscle_bayes.errors import ClusterError, MissingDependencyError
from muscle_bayes.imaging.batch.answers import Answer
from muscle_bayes.imaging.batch.window import through_window

if TYPE_CHECKING:
    from distributed import Client

#: Seconds that the first worker of a cluster may take to come.
_FIRST_WORKER = 600.0
#: Seconds that a scheduler may take to answer.
_ANSWER = 60.0


class Pool(Protocol):
    """Runs one function over many tasks."""

    @property
    def words(self) -> str:
        """Where tasks run, for people."""

    def run[Task, Value](self, function: Callable[[Task], Value], tasks: Sequence[Task]) -> Iterator[Answer[Value]]:
        """Yield what came of each task, as they end."""


class InProcess:
    """One task after the other in this process: no workers, nothing pickled, a debugger stops where it should."""

    words = "in this process"

    def run[Task, Value](self, function: Callable[[Task], Value], tasks: Sequence[Task]) -> Iterator[Answer[Value]]:
        """Yield what came of each task, in order."""
        for number, task in enumerate(tasks):
            try:
                yield Answer(number, value=function(task))
            except Exception as error:
                yield Answer(number, error=error)


class OnCluster:
    """Tasks on the workers of a Dask cluster.

    Parameters
    ----------
    client : distributed.Client
        Of the cluster.
    words : str
        What it is, for people.
    """

    def __init__(self, client: "Client", words: str) -> None:
        self._client, self.words = client, words

    def run[Task, Value](self, function: Callable[[Task], Value], tasks: Sequence[Task]) -> Iterator[Answer[Value]]:
        """Yield what came of each task, as they end."""
        return through_window(self._client, function, tasks)


@contextmanager
def open_pool(workers: int = 1, *, scheduler: str | None = None, cards: Sequence[str] = ()) -> Iterator[Pool]:
    """Open what runs the tasks, and close it afterwards.

    Parameters
    ----------
    workers : int
        Processes. One without cards and without a scheduler is this process itself.
    scheduler : str, optional
        Address of a Dask scheduler that is there (`tcp://host:8786`, or its scheduler file); "slurm" starts `workers` workers
        with dask-jobqueue, by the user's own Dask configuration.
    cards : sequence of str
        Cards of this machine; each worker sees one of them, in turn.

    Yields
    ------
    Pool

    Raises
    ------
    MissingDependencyError
        Where `distributed` (or dask-jobqueue) is needed and not installed.
    ClusterError
        Where the scheduler does not answer or no worker comes.
    """
    if scheduler is None and workers <= 1:
        yield InProcess()
        return
    _require("distributed")
    if scheduler is None:
        with _local_cluster(workers, cards) as client:
            yield OnCluster(client, f"{workers} processes" + (f" on {len(cards)} cards" if cards else ""))
        return
    with _cluster(scheduler, workers) as client:
        yield OnCluster(client, f"cluster at {scheduler}")


def cards_of_this_machine() -> list[str]:
    """Return the cards that this process may use, as CUDA_VISIBLE_DEVICES names them; without importing torch.

    Returns
    -------
    list of str
        Empty where there are none.
    """
    stated = os.environ.get("CUDA_VISIBLE_DEVICES")
    if stated is not None:
        return [card.strip() for card in stated.split(",") if card.strip() and card.strip() != "-1"]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [str(number) for number in range(sum(line.startswith("GPU ") for line in listed.splitlines()))]


@contextmanager
def _local_cluster(workers: int, cards: Sequence[str]) -> Iterator["Client"]:
    """Start processes on this machine; spawned, because a fork of a process with threads or a card can hang."""
    import dask
    from distributed import Client, Nanny, Scheduler, SpecCluster
    from distributed.system import MEMORY_LIMIT

    # A worker above its share is ended, which is a reason in failures.tsv; one that pauses would wait for ever.
    limits: dict[str, Any] = {f"distributed.worker.memory.{name}": False for name in ("target", "spill", "pause")}
    # By default a cluster gives up a process that needs more than 15 s to start again, and never replaces it.
    limits["distributed.deploy.lost-worker-timeout"] = "1 hour"
    # Dask has glibc give every freed block back at once; asking for the same pages again tripled the CPU seconds of a scan.
    limits["distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_"] = None
    with dask.config.set(limits), tempfile.TemporaryDirectory(prefix="muscle-bayes-") as scratch:
        common: dict[str, Any] = {
            "nthreads": 1,
            "host": "127.0.0.1",
            "protocol": "tcp://",
            "dashboard": False,
            "local_directory": scratch,
            "silence_logs": logging.CRITICAL,
            "memory_limit": int(MEMORY_LIMIT / workers),
        }
        spec = {
            number: {
                "cls": Nanny,
                "options": {
                    **common,
                    **({"env": {"CUDA_VISIBLE_DEVICES": cards[number % len(cards)]}} if cards else {}),
                },
            }
            for number in range(workers)
        }
        # A death counts at once: the window decides what becomes of the task.
        scheduler = {
            "cls": Scheduler,
            "options": {
                "host": "127.0.0.1",
                "protocol": "tcp://",
                "dashboard": False,
                "dashboard_address": "127.0.0.1:0",
                "allowed_failures": 0,
            },
        }
        with (
            SpecCluster(workers=spec, scheduler=scheduler, silence_logs=logging.CRITICAL) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            yield client


@contextmanager
def _cluster(scheduler: str, workers: int) -> Iterator["Client"]:
    """Connect to a cluster that is there, or let dask-jobqueue start one."""
    from distributed import Client

    cluster: Any = None
    if scheduler == "slurm":
        jobqueue = _require("dask_jobqueue")
        cluster = jobqueue.SLURMCluster()
        cluster.scale(workers)
    named = {"scheduler_file": scheduler} if scheduler.endswith(".json") else {"address": cluster or scheduler}
    try:
        client = Client(**named, set_as_default=False, timeout=_ANSWER)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"scheduler {scheduler}",
            f"It does not answer ({error})",
            "Check address and port from this machine; `dask scheduler` prints them when it starts",
        ) from error
    try:
        try:
            client.wait_for_workers(1, timeout=_FIRST_WORKER)
        except TimeoutError as error:
            raise ClusterError(
                f"scheduler {scheduler}",
                f"No worker came within {_FIRST_WORKER:.0f} seconds",
                "Start workers: `dask worker ADDRESS --nthreads 1`, or look at the queue",
            ) from error
        yield client
    finally:
        client.close()
        if cluster is not None:
            cluster.close()


def _require(package: str) -> Any:
    """Import a package of the extra `scans`, or say what is missing."""
    from importlib import import_module

    try:
        return import_module(package)
    except ImportError as error:
        extra = "'muscle-bayes[scans]'" if package == "distributed" else "dask-jobqueue"
        raise MissingDependencyError(
            "scans in several processes",
            f"{package} is not installed; one process works without it (workers = 1)",
            f"Install it: pip install {extra}",
        ) from error
