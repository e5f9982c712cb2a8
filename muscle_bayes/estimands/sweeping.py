"""Many specifications: in parallel processes, each result written as it comes, and nothing computed twice.

Processes are started anew (not forked from this one, which may hold threads) and run this module, so that a script or a notebook
needs no ``if __name__ == "__main__"``. Each gets the table once, then one specification after another. A process that dies takes
one specification with it, whose row says so, and is replaced.
"""

import hashlib
import json
import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from muscle_bayes import __version__
from muscle_bayes.errors import InvalidValueError
from muscle_bayes.estimands.one_specification import Computer, Settings
from muscle_bayes.estimands.specifications import Specification

#: Persons x specifications below which starting processes (seconds of imports) takes longer than it saves.
_WORTH_PROCESSES = 400_000

#: What marks a line of a results file.
_FORMAT = 1


def sweep(
    settings: Settings,
    specifications: Sequence[Specification],
    *,
    results: str | Path | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Compute specifications, or read those that an earlier run has left.

    Parameters
    ----------
    settings : Settings
        Shared by all.
    specifications : sequence of Specification
        In an order in which those of one design follow each other.
    results : str or pathlib.Path, optional
        A file of one JSON line a result. Results in it whose key is that of a specification, its data and its seed are taken; new
        ones are appended as they come, so that a run that was killed goes on where it stopped.
    workers : int, optional
        Processes; by default one for each core, and none for little work. 1 computes in this process.
    progress : callable, optional
        Called with how many are done and how many there are.

    Returns
    -------
    list of dict
        In the order of `specifications`: what `Computer.compute` returns, and `reused`.

    Raises
    ------
    InvalidValueError
        Where `workers` is not positive.
    """
    if workers is not None and workers < 1:
        raise InvalidValueError("workers", f"{workers} is no number of processes", "Take 1 or more, or None")
    keys = specification_keys(settings, specifications)
    stored = read_results(results) if results is not None else {}
    found: dict[int, dict[str, Any]] = {
        i: {**stored[key], "reused": True} for i, key in enumerate(keys) if key in stored
    }
    todo = [(i, specifications[i]) for i in range(len(keys)) if i not in found]
    cores = available_cores()
    if workers is None:
        workers = cores if len(todo) * len(settings.table) > _WORTH_PROCESSES else 1
    workers = min(workers, max(len(todo), 1))
    if progress:
        progress(len(found), len(keys))
    done = _in_processes(settings, todo, workers) if workers > 1 else _here(settings, todo)
    for i, result in done:
        lost = result.pop("lost", False)
        # What a killed process left undone is tried again by the next run.
        if results is not None and not lost:
            _append(results, {"format": _FORMAT, "key": keys[i], "specification": specifications[i].stated(), **result})
        found[i] = {**result, "reused": False}
        if progress:
            progress(len(found), len(keys))
    return [found[i] for i in range(len(keys))]


def specification_keys(settings: Settings, specifications: Sequence[Specification]) -> list[str]:
    """Return a SHA-256 for each specification: of its choices, its model, the table, the draws, the seed and this version."""
    from muscle_bayes.inference.fit import hash_rows

    shared = {
        "table": hash_rows(settings.table), "simulated": settings.simulated, "own": settings.own,
        "estimands": settings.estimands, "per": settings.per, "draws": settings.draws, "seed": settings.seed,
        "version": __version__, "format": _FORMAT,
    }  # fmt: skip
    models = {name: model.model_dump_json() for name, model in settings.models.items()}
    keys = []
    for one in specifications:
        priors = settings.stated_priors.get(one.priors)
        own = {
            "specification": one.stated(),
            "model": models[one.model],
            "rule": settings.rules.get(one.excluded),
            "priors": priors if isinstance(priors, str | None) else priors.model_dump_json(),
            "let_in": one.model in settings.let_in,
        }
        text = json.dumps({**shared, **own}, sort_keys=True, default=str)
        keys.append(hashlib.sha256(text.encode()).hexdigest())
    return keys


def read_results(path: str | Path) -> dict[str, dict[str, Any]]:
    """Read a results file; a last line that a killed run left half written is passed over.

    Parameters
    ----------
    path : str or pathlib.Path
        Need not be there yet.

    Returns
    -------
    dict of str to dict
        Result by key.

    Raises
    ------
    InvalidValueError
        Where a line is not such a result, so that the file is another one.
    """
    path = Path(path)
    if not path.exists():
        return {}
    found = {}
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, start=1):
        try:
            result = json.loads(line) if line.strip() else None
        except json.JSONDecodeError:
            result = None
            if number < len(lines):
                result = {}
        if result is None:
            continue
        if result.get("format") != _FORMAT:
            raise InvalidValueError(
                f"{path}, line {number}", "it is no result of a sensitivity analysis", "Give another file, or remove it"
            )
        found[result["key"]] = {k: v for k, v in result.items() if k not in {"format", "key", "specification"}}
    return found


def available_cores() -> int:
    """Return the cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _append(path: str | Path, result: dict[str, Any]) -> None:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, default=_plain) + "\n"
    with path.open("ab+") as file:
        if file.tell() > 0:
            file.seek(-1, os.SEEK_END)
            # A line that a killed run left unfinished is closed, so that it spoils no other.
            if file.read(1) != b"\n":
                _cut_unfinished(file)
        file.write(text.encode())
        file.flush()


def _cut_unfinished(file: IO[bytes]) -> None:
    file.seek(0)
    content = file.read()
    file.truncate(content.rfind(b"\n") + 1)
    file.seek(0, os.SEEK_END)


def _plain(value: Any) -> Any:
    """Return NumPy's scalars and arrays as JSON knows them."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _here(settings: Settings, todo: Sequence[tuple[int, Specification]]) -> Iterator[tuple[int, dict[str, Any]]]:
    computer = Computer(settings)
    for i, specification in todo:
        yield i, computer.compute(specification)


def _in_processes(
    settings: Settings, todo: Sequence[tuple[int, Specification]], workers: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield results as they come; a thread minds each process."""
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
            [sys.executable, "-c", "from muscle_bayes.estimands.sweeping import serve; serve()"],
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
