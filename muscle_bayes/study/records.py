"""The record of a measured scan: a JSON sidecar that is written last, so that what it names is whole or not done."""

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from muscle_bayes.cohort.files import file_sha256
from muscle_bayes.study.lock import fingerprint
from muscle_bayes.study.people import Person


def record_path(folder: Path, person: Person) -> Path:
    """Return where a person's record lies.

    Parameters
    ----------
    folder : pathlib.Path
        Of the person's derivatives.
    person : Person
        Whose.

    Returns
    -------
    pathlib.Path
    """
    return folder / f"{person.entities}_measurements.json"


def read_record(path: Path) -> dict[str, Any]:
    """Return a record, or nothing where there is none that can be read.

    Parameters
    ----------
    path : pathlib.Path
        From `record_path`.

    Returns
    -------
    dict
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def input_stamps(files: Mapping[str, Iterable[Path]], before: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the identity of every input; a hash is only computed where size or time have changed since it was.

    Parameters
    ----------
    files : mapping of str to iterable of pathlib.Path
        Role -> files or folders.
    before : mapping
        `inputs` of the record that is there.

    Returns
    -------
    dict of str to dict
        Role -> file (its name), bytes, mtime_ns, sha256; of several files or a folder also their names.
    """
    return {role: _stamp(list(paths), before.get(role, {})) for role, paths in files.items()}


def _stamp(paths: list[Path], before: Mapping[str, Any]) -> dict[str, Any]:
    one = len(paths) == 1 and not paths[0].is_dir()
    parts = [(path, path.name) for path in paths if not path.is_dir()]
    for folder in (path for path in paths if path.is_dir()):
        inside = sorted(part for part in folder.rglob("*") if part.is_file())
        parts += [(part, part.relative_to(folder).as_posix()) for part in inside]
    stats = [part.stat() for part, _ in parts]
    stamp: dict[str, Any] = {
        "file": paths[0].name,
        "bytes": sum(stat.st_size for stat in stats),
        "mtime_ns": sum(stat.st_mtime_ns for stat in stats),
    }
    if not one:
        stamp["files"] = [name for _, name in parts]
    if "sha256" in before and all(before.get(key) == value for key, value in stamp.items()):
        return {**stamp, "sha256": before["sha256"]}
    hashes = [file_sha256(part) for part, _ in parts]
    return {**stamp, "sha256": hashes[0] if one else fingerprint(stamp["files"], hashes)}


def outputs_whole(record: Mapping[str, Any], root: Path, wanted: Iterable[Path] = ()) -> bool:
    """Tell whether everything that a record names is there and is still what was written.

    Parameters
    ----------
    record : mapping
        From `read_record`.
    root : pathlib.Path
        Folder that the names start from.
    wanted : iterable of pathlib.Path
        Files that must be among them.

    Returns
    -------
    bool
    """
    outputs = record.get("outputs")
    if not isinstance(outputs, dict) or any(path.relative_to(root).as_posix() not in outputs for path in wanted):
        return False
    try:
        return all(file_sha256(root / name) == digest for name, digest in outputs.items())
    except OSError:
        return False


def rows_as_text(table: pd.DataFrame) -> str:
    """Return measurement rows as they are written; numbers keep every digit that they have.

    Parameters
    ----------
    table : pandas.DataFrame
        Of `quantify`.

    Returns
    -------
    str
        Tab-separated, with a header.
    """
    return table.to_csv(sep="\t", index=False, na_rep="n/a", lineterminator="\n")


def rows_from_text(texts: Iterable[str]) -> pd.DataFrame:
    """Return the measurement rows of many scans, read from their texts, so that a first and a resumed run see the same numbers.

    Parameters
    ----------
    texts : iterable of str
        From `rows_as_text`; at least one.

    Returns
    -------
    pandas.DataFrame
        In the order of the texts.
    """
    by_header: dict[str, list[str]] = {}
    order: list[tuple[str, int]] = []
    for text in texts:
        header, _, body = text.partition("\n")
        by_header.setdefault(header, []).append(body)
        order.append((header, body.count("\n")))
    tables = [_parse(header + "\n" + "".join(bodies)) for header, bodies in by_header.items()]
    if len(tables) == 1:
        return tables[0]
    # Rows with other columns stand among the others where their scan does.
    taken = dict.fromkeys(by_header, 0)
    pieces = []
    position = dict(zip(by_header, tables, strict=True))
    for header, count in order:
        pieces.append(position[header].iloc[taken[header] : taken[header] + count])
        taken[header] += count
    return pd.concat(pieces, ignore_index=True)


def _parse(text: str) -> pd.DataFrame:
    keys = dict.fromkeys(("participant_id", "session_id", "weights_sha256"), "str")
    return pd.read_csv(io.StringIO(text), sep="\t", dtype=keys, na_values=["n/a"], keep_default_na=False)
