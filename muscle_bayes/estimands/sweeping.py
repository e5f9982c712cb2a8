"""Many specifications: in parallel, each result written as it comes, and nothing computed twice."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from muscle_bayes import __version__
from muscle_bayes.errors import InvalidValueError
from muscle_bayes.estimands.one_specification import Computer, Settings
from muscle_bayes.estimands.specifications import Specification
from muscle_bayes.estimands.worker_processes import in_processes

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
    done = in_processes(settings, todo, workers) if workers > 1 else _here(settings, todo)
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
    from muscle_bayes.inference.provenance import hash_rows

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
