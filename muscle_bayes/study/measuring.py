"""The measurement stage: each participant's images are found, measured and kept; one bad participant stops nobody."""

import io
import json
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd

from muscle_bayes import __version__
from muscle_bayes.cohort.exposure import Exposure
from muscle_bayes.cohort.files import file_sha256, whole_file
from muscle_bayes.errors import EmptyTableError, MuscleBayesError
from muscle_bayes.study.lock import code_version, fingerprint
from muscle_bayes.study.measurement_dictionary import measurement_dictionary
from muscle_bayes.study.people import Person, find_images
from muscle_bayes.study.progress import Progress
from muscle_bayes.study.settings import ImagesSection

FAILURE_COLUMNS = ("participant_id", "session_id", "error", "where", "problem", "remedy")


@dataclass
class Measured:
    """What came of the measurement stage.

    Attributes
    ----------
    table : pandas.DataFrame
        Measurement rows of everybody who could be measured.
    failures : pandas.DataFrame
        One row a participant who could not: `FAILURE_COLUMNS`.
    reused : int
        Participants whose images and settings had not changed since they were measured.
    notes : list of str
        What the measurements said about themselves, with how many participants it holds for.
    """

    table: pd.DataFrame
    failures: pd.DataFrame
    reused: int = 0
    notes: list[str] = field(default_factory=list)


def measure_person(
    files: Mapping[str, Path],
    person: Person,
    folder: Path,
    *,
    backend: str,
    exposure: Exposure,
    scheme: str | None = None,
    resample_labels: bool = False,
    overlay: Path | None = None,
) -> tuple[pd.DataFrame, bool]:
    """Measure one person's images, or take what was measured from the same images before.

    Parameters
    ----------
    files : mapping of str to pathlib.Path
        Role (water, fat, image, labels, scheme) -> file; labels may be a folder with one mask a class.
    person : Person
        Whose.
    folder : pathlib.Path
        Where the rows and their sidecar are kept.
    backend : {"labelmap", "hull"}
        Where the compartment comes from.
    exposure : Exposure
        Definition of adipose tissue and compartment.
    scheme : str, optional
        Name of a published label scheme, in place of a file of one.
    resample_labels : bool
        Bring labels on another grid onto that of the images.
    overlay : pathlib.Path, optional
        Where to draw the compartment and its adipose voxels.

    Returns
    -------
    table : pandas.DataFrame
        Rows of `quantify`.
    reused : bool
        Whether they were taken over.

    Raises
    ------
    ImageError, InvalidValueError
        Where the images cannot be measured.
    """
    table_path = folder / f"{person.entities}_measurements.tsv"
    sidecar_path = table_path.with_suffix(".json")
    settings = {
        "backend": backend,
        "adipose": exposure.adipose,
        "compartment": exposure.compartment,
        "bmi_kg_m2": person.bmi,
        "simulated": person.simulated,
        "scheme": scheme,
        "resample_labels": resample_labels,
        "code": code_version("imaging"),
    }
    before = _sidecar(sidecar_path)
    inputs = {role: _stamp(path, before.get("inputs", {}).get(role, {})) for role, path in files.items()}
    wanted = fingerprint(settings, {role: stamp["sha256"] for role, stamp in inputs.items()})
    drawn = overlay is None or overlay.is_file()
    if before.get("fingerprint") == wanted and table_path.is_file() and drawn:
        text = table_path.read_text(encoding="utf-8")
        if sha256(text.encode()).hexdigest() == before.get("table_sha256"):
            return _parse(text, before.get("notes", [])), True

    from muscle_bayes.imaging import quantify

    with whole_file(overlay) if overlay is not None else nullcontext() as drawing:
        table = quantify(
            files.get("water"),
            files.get("fat"),
            files.get("labels"),
            image=files.get("image"),
            bmi=person.bmi,
            adipose=exposure.adipose,
            compartment=exposure.compartment,
            backend=backend,
            participant_id=person.participant_id,
            session_id=person.session_id,
            simulated=person.simulated,
            overlay=drawing,
            scheme=files.get("scheme", scheme),
            resample_labels=resample_labels,
        )
    text = table.to_csv(sep="\t", index=False, na_rep="n/a", lineterminator="\n")
    notes = [str(note) for note in table.attrs.get("notes", [])]
    sidecar = {
        "fingerprint": wanted,
        "table_sha256": sha256(text.encode()).hexdigest(),
        "settings": settings,
        "inputs": inputs,
        "notes": notes,
        "measurement": {k: v for k, v in table.attrs.items() if k not in {"notes", "inputs"}},
    }
    with whole_file(table_path) as path:
        path.write_text(text, encoding="utf-8")
    with whole_file(sidecar_path) as path:
        path.write_text(json.dumps(sidecar, indent=2, default=str) + "\n", encoding="utf-8")
    return _parse(text, notes), False


def _sidecar(path: Path) -> dict[str, Any]:
    """Return a sidecar, or nothing where there is none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _stamp(path: Path, before: Mapping[str, Any]) -> dict[str, Any]:
    """Return the identity of a file or folder; its hash is only computed where size or time have changed since it was."""
    parts = sorted(part for part in path.rglob("*") if part.is_file()) if path.is_dir() else [path]
    stats = [part.stat() for part in parts]
    stamp: dict[str, Any] = {
        "file": path.name,
        "bytes": sum(stat.st_size for stat in stats),
        "mtime_ns": sum(stat.st_mtime_ns for stat in stats),
    }
    if path.is_dir():
        stamp["files"] = [part.relative_to(path).as_posix() for part in parts]
    if "sha256" in before and all(before.get(key) == value for key, value in stamp.items()):
        return {**stamp, "sha256": before["sha256"]}
    hashes = [file_sha256(part) for part in parts]
    whole = fingerprint(stamp["files"], hashes) if path.is_dir() else hashes[0]
    return {**stamp, "sha256": whole}


def _parse(text: str, notes: Iterable[str]) -> pd.DataFrame:
    """Return measurement rows from their text, so that a first and a resumed run see the same numbers."""
    keys = dict.fromkeys(("participant_id", "session_id", "weights_sha256"), "str")
    table = pd.read_csv(io.StringIO(text), sep="\t", dtype=keys, na_values=["n/a"], keep_default_na=False)
    table.attrs["notes"] = list(notes)
    return table


def measure_people(
    people: Iterable[Person],
    images: ImagesSection,
    root: Path,
    scheme: Path | str | None,
    out: Path,
    exposure: Exposure,
    progress: Progress,
) -> Measured:
    """Measure everybody; who cannot be measured becomes a row of failures.

    Parameters
    ----------
    people : iterable of Person
        Whose images.
    images : ImagesSection
        Patterns and backend.
    root : pathlib.Path
        Folder that the patterns start from.
    scheme : pathlib.Path, str or None
        What label ids mean, for labels of another tool: a table of ids, or the name of a published scheme.
    out : pathlib.Path
        Folder of the study's results.
    exposure : Exposure
        Definition of adipose tissue and compartment.
    progress : Progress
        Told after each person.

    Returns
    -------
    Measured
        Rows, failures, and how many were taken over from before.

    Raises
    ------
    EmptyTableError
        Where nobody could be measured.
    """
    people = list(people)
    tables: list[pd.DataFrame] = []
    failures: list[dict[str, str]] = []
    noted: dict[str, int] = {}
    reused = 0
    progress.start("measurements", len(people))
    for person in people:
        try:
            files = find_images(root, images.patterns, person)
            if isinstance(scheme, Path):
                files["scheme"] = scheme
            folder = out / "derivatives" / person.folder
            table, again = measure_person(
                files,
                person,
                folder,
                backend=images.backend,
                exposure=exposure,
                scheme=scheme if isinstance(scheme, str) else None,
                resample_labels=images.resample_labels,
            )
            tables.append(table)
            reused += again
            for note in table.attrs["notes"]:
                noted[note] = noted.get(note, 0) + 1
        # Whatever goes wrong with one person's images is that person's row, never the end of the cohort.
        except Exception as error:
            failures.append(_failure(person, error))
            progress.warn(f"participant {person.participant_id}: {failures[-1]['problem']}")
        progress.advance(person.participant_id)
    failed = pd.DataFrame(failures, columns=list(FAILURE_COLUMNS), dtype="str")
    if not tables:
        first = failures[0] if failures else {"problem": "there are no participants", "remedy": "Check the table"}
        raise EmptyTableError(
            "measurements",
            f"None of {len(people):,} participants could be measured; the first: {first['problem']}",
            first["remedy"],
        )
    progress.finish(f"{len(tables):,} measured" + (f", {len(failures):,} failed" if failures else ""))
    table = pd.concat(tables, ignore_index=True)
    table.attrs = {}
    notes = [f"{note} ({count:,} of {len(tables):,} scans)" for note, count in noted.items()]
    return Measured(table, failed, reused, notes)


def _failure(person: Person, error: Exception) -> dict[str, str]:
    """Return the row of a person who could not be measured."""
    row = {"participant_id": person.participant_id, "session_id": person.session_id, "error": type(error).__name__}
    if isinstance(error, MuscleBayesError):
        return row | {"where": error.where, "problem": error.problem, "remedy": error.remedy}
    return row | {
        "where": "muscle_bayes",
        "problem": f"unexpected: {error}",
        "remedy": "Report this as a fault of muscle_bayes, with the image's header",
    }


def write_measured(measured: Measured, out: Path) -> list[Path]:
    """Write measurements.tsv, measurements.json (the dictionary), failures.tsv and the description of the derivatives.

    Parameters
    ----------
    measured : Measured
        As `measure_people` returns it.
    out : pathlib.Path
        Folder of the study's results.

    Returns
    -------
    list of pathlib.Path
        The four files.
    """
    paths = [out / "measurements.tsv", out / "measurements.json", out / "failures.tsv"]
    paths.append(out / "derivatives" / "dataset_description.json")
    with whole_file(paths[0]) as path:
        measured.table.to_csv(path, sep="\t", index=False, na_rep="n/a", lineterminator="\n")
    with whole_file(paths[1]) as path:
        path.write_text(json.dumps(measurement_dictionary(measured.table.columns), indent=2) + "\n", encoding="utf-8")
    described = {
        "Name": "Muscle measurements",
        "BIDSVersion": "1.11.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "muscle_bayes", "Version": __version__}],
    }
    with whole_file(paths[3]) as path:
        path.write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    with whole_file(paths[2]) as path:
        measured.failures.to_csv(path, sep="\t", index=False, na_rep="n/a", lineterminator="\n")
    return paths
