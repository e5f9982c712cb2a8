"""Processes that compute specifications for this one.

They are started anew (not forked from this process, which may hold threads) and run this module, so that a script or a notebook
needs no ``if __name__ == "__main__"``. Each gets the table once, then one specification after another, on one thread. A process
that dies takes one specification with it, whose row says so, and is replaced.
"""

import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import IO, Any

from muscle_bayes.estimands.one_specification import Computer, Settings
from muscle_bayes.estimands.specifications import Specification


def in_processes(
    settings: Settings, todo: Sequence[tuple[int, Specification]], workers: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Compute specifications in parallel; a thread minds each process.

    Parameters
    ----------
    settings : Settings
        Shared by all.
    todo : sequence of (int, Specification)
        With the number that each result comes back with.
    workers : int
        Processes.

    Yields
    ------
    int, dict
        Number and result, as they come; a result whose process died says so and has the key `lost`.
    """
    payload = pickle.dumps(settings)
    waiting: queue.SimpleQueue[tuple[int, Specification]] = queue.SimpleQueue()
    for task in todo:
        waiting.put(task)
    finished: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
    stop = threading.Event()
    running: list[_Process] = []

    def mind() -> None:
        process = None
        try:
            while not stop.is_set():
                try:
                    i, specification = waiting.get_nowait()
                except queue.Empty:
                    break
                if process is None:
                    process = _Process(payload)
                    running.append(process)
                result = process.ask(specification)
                if result is None:
                    how = process.end()
                    process = None
                    result = _lost(how)
                finished.put((i, result))
        except BaseException as error:
            finished.put((-1, error))
        finally:
            if process is not None:
                process.end()

    minders = [threading.Thread(target=mind, daemon=True) for _ in range(workers)]
    for minder in minders:
        minder.start()
    try:
        for _ in todo:
            i, result = finished.get()
            if i < 0:
                raise result
            yield i, result
    finally:
        # Also where the caller stops listening, by an error or by the keyboard.
        stop.set()
        for process in running:
            process.end()
        for minder in minders:
            minder.join()


def _lost(how: str) -> dict[str, Any]:
    return {
        "rows": [], "certified": False, "note": f"not fitted: the process that computed it ended ({how})", "n": None,
        "events": None, "khat": None, "ess": None, "provenance": None, "seconds": None, "cpu_seconds": None, "lost": True,
    }  # fmt: skip


class _Process:
    """A fresh process that computes specifications, spoken to through its standard input and output."""

    def __init__(self, payload: bytes) -> None:
        one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        environment = {**os.environ, **one, "MUSCLE_BAYES_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from muscle_bayes.estimands.worker_processes import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        with suppress(OSError):
            self._send(payload)

    def ask(self, specification: Specification) -> dict[str, Any] | None:
        """Return the result of one specification, or None where the process has ended."""
        try:
            self._send(pickle.dumps(specification))
            assert self._process.stdout is not None
            return _receive(self._process.stdout)
        except (OSError, EOFError, ValueError):
            return None

    def end(self) -> str:
        """End the process, wait for it, and return how it ended."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError, ValueError):
                    stream.close()
        try:
            code = self._process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def _send(self, content: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(len(content).to_bytes(8, "little") + content)
        self._process.stdin.flush()


def _receive(stream: IO[bytes]) -> Any:
    head = stream.read(8)
    if len(head) < 8:
        raise EOFError
    content = stream.read(int.from_bytes(head, "little"))
    return pickle.loads(content)  # of our own parent or child


def serve() -> None:
    """Compute specifications for the process that started this one, until it closes the pipe."""
    import signal

    # The keyboard's interrupt is the parent's, which then ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not fall among the answers
    computer = Computer(_receive(sys.stdin.buffer))
    while True:
        try:
            specification = _receive(sys.stdin.buffer)
        except EOFError:
            return
        content = pickle.dumps(computer.compute(specification))
        answers.write(len(content).to_bytes(8, "little") + content)
        answers.flush()
