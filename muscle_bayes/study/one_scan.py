"""One participant's scan, in whatever process: load, check, label, measure, draw, write; the record last."""

import gzip
import json
import platform
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import nibabel as nib
import pandas as pd

from muscle_bayes import __version__
from muscle_bayes.cohort.files import file_sha256, whole_file
from muscle_bayes.imaging.batch import participant_seed
from muscle_bayes.imaging.deliveries import Delivery, load_delivery
from muscle_bayes.study.lock import fingerprint
from muscle_bayes.study.people import Person
from muscle_bayes.study.records import (
    input_stamps,
    outputs_whole,
    read_record,
    record_path,
    rows_as_text,
    rows_from_text,
)
from muscle_bayes.study.scan_settings import WITHOUT_NETWORK, ScanSettings, opened_backend

_SOFTWARE = ("numpy", "scipy", "pandas", "nibabel", "torch", "monai", "pydicom", "dcm2niix")
_VERDICTS = ("pass", "review", "fail")


@dataclass(frozen=True)
class MeasuredScan:
    """Rows of one scan, and what a cohort needs to know of it.

    Attributes
    ----------
    text : str
        Rows of `quantify`, tab-separated.
    reused : bool
        Whether they were taken over from before.
    notes : list of str
        What a reader of the rows must know.
    facts : dict
        Sequence parameters.
    quality : dict
        Verdict and findings.
    picture : str
        File name of the picture, relative to the results; "" without one.
    seconds : dict of str to float
        What each stage took.
    """

    text: str
    reused: bool = False
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    quality: dict[str, Any] = field(default_factory=dict)
    picture: str = ""
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def table(self) -> pd.DataFrame:
        """The rows."""
        return rows_from_text([self.text])


@dataclass(frozen=True)
class ScanTask:
    """One scan to be measured; pickles, and holds no image.

    Attributes
    ----------
    person : Person
        Whose.
    delivery : Delivery
        Which files.
    out : pathlib.Path
        Folder of the study's results.
    settings : ScanSettings
        How.
    """

    person: Person
    delivery: Delivery
    out: Path
    settings: ScanSettings

    @property
    def folder(self) -> Path:
        """Where the derivatives go."""
        return self.out / "derivatives" / self.person.folder

    @property
    def picture(self) -> Path | None:
        """Where the picture goes, where one is asked for."""
        return self.out / "qc" / f"{self.person.entities}.png" if self.settings.pictures else None


def measure_task(task: ScanTask) -> MeasuredScan:
    """Measure the scan of a task, unless that has been done.

    Parameters
    ----------
    task : ScanTask
        Whose, from where, how.

    Returns
    -------
    MeasuredScan
    """
    done = finished_scan(task.delivery, task.person, task.folder, task.settings, root=task.out, picture=task.picture)
    if done is not None:
        return done
    return measure_person(task.delivery, task.person, task.folder, task.settings, root=task.out, picture=task.picture)


def finished_scan(
    delivery: Delivery,
    person: Person,
    folder: Path,
    settings: ScanSettings,
    *,
    root: Path | None = None,
    picture: Path | None = None,
) -> MeasuredScan | None:
    """Return a scan that was measured from the same inputs, settings, weights and code, whose files are still what was written.

    Parameters
    ----------
    delivery, person, folder, settings, root, picture
        As in `measure_person`.

    Returns
    -------
    MeasuredScan or None
        None where anything differs.
    """
    root = root or folder
    path = record_path(folder, person)
    before = read_record(path)
    if not before:
        return None
    inputs = input_stamps(delivery.files, before.get("inputs", {}))
    wanted = _fingerprint(person, settings, inputs)
    rows = path.with_suffix(".tsv")
    wants = [rows, *([picture] if picture is not None else [])]
    if before.get("fingerprint") != wanted or not outputs_whole(before, root, wants):
        return None
    return MeasuredScan(
        rows.read_text(encoding="utf-8"),
        True,
        list(before.get("notes", [])),
        dict(before.get("facts", {})),
        dict(before.get("quality", {})),
        picture.relative_to(root).as_posix() if picture is not None else "",
    )


def measure_person(
    delivery: Delivery,
    person: Person,
    folder: Path,
    settings: ScanSettings,
    *,
    root: Path | None = None,
    picture: Path | None = None,
    overlay: Path | None = None,
) -> MeasuredScan:
    """Measure one person's scan and write what came of it; the record comes last.

    Parameters
    ----------
    delivery : Delivery
        Which files.
    person : Person
        Whose.
    folder : pathlib.Path
        Where rows, labels and record are kept.
    settings : ScanSettings
        How.
    root : pathlib.Path, optional
        Folder that names in the record start from; `folder` where left out.
    picture : pathlib.Path, optional
        Where to draw images and labels.
    overlay : pathlib.Path, optional
        Where to draw the compartment and its adipose voxels.

    Returns
    -------
    MeasuredScan

    Raises
    ------
    MuscleBayesError
        Where the scan cannot be measured.
    """
    from muscle_bayes.imaging import quantify

    root = root or folder
    path = record_path(folder, person)
    _sweep(folder, person)
    inputs = input_stamps(delivery.files, read_record(path).get("inputs", {}))
    seed = participant_seed(settings.seed, person.participant_id, person.session_id)
    clock = _Clock()
    written: list[Path] = []
    with tempfile.TemporaryDirectory(prefix="muscle-bayes-scan-") as scratch:
        with clock.stage("load"):
            scan = load_delivery(delivery, Path(scratch))
        images = dict(scan.images)
        made = None
        with clock.stage("labels"):
            if settings.backend not in WITHOUT_NETWORK:
                made = _segmented(images, settings)
        with clock.stage("quantify"), whole_file(overlay) if overlay is not None else nullcontext() as drawing:
            table = quantify(
                images.get("water"),
                images.get("fat"),
                images.get("labels") if made is None else made,
                image=images.get("image"),
                bmi=person.bmi,
                adipose=settings.exposure.adipose,
                compartment=settings.exposure.compartment,
                backend="hull" if settings.backend == "hull" else "labelmap",
                participant_id=person.participant_id,
                session_id=person.session_id,
                simulated=person.simulated,
                overlay=drawing,
                scheme=settings.scheme if made is None else None,
                resample_labels=settings.resample_labels,
            )
        said: dict[str, Any] = dict(made.extra) if made is not None else {}
        hashes = [str(digest) for digest in said.get("weights_sha256", [])]
        if made is not None:
            table = table.assign(backend=settings.backend, weights_sha256=_one_hash(hashes))
        with clock.stage("write"):
            if made is not None:
                written += _write_labels(made, folder, person, said)
            text = rows_as_text(table)
            rows = path.with_suffix(".tsv")
            with whole_file(rows) as temporary:
                temporary.write_text(text, encoding="utf-8")
            written.append(rows)
    notes = [*map(str, scan.notes), *(str(note) for note in table.attrs.get("notes", []))]
    record = {
        "fingerprint": _fingerprint(person, settings, inputs),
        "participant_id": person.participant_id,
        "session_id": person.session_id,
        "settings": settings.recorded,
        "bmi_kg_m2": person.bmi,
        "simulated": person.simulated,
        "seed": seed,
        "inputs": inputs,
        "made_from": scan.inputs,
        "facts": scan.facts,
        "labels": {key: value for key, value in said.items() if key not in ("inputs", "labels", "command", "model")},
        "weights_sha256": hashes,
        "device": str(said.get("device", "cpu")),
        "notes": notes,
        "measurement": {k: v for k, v in table.attrs.items() if k not in {"notes", "inputs"}},
        "seconds": clock.seconds,
        "versions": _versions(),
        "outputs": {part.relative_to(root).as_posix(): file_sha256(part) for part in written},
    }
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(record, indent=2, default=str) + "\n", encoding="utf-8")
    return MeasuredScan(text, False, notes, dict(scan.facts), {}, "", clock.seconds)


def _fingerprint(person: Person, settings: ScanSettings, inputs: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the hash of all that a scan's figures depend on."""
    known = [person.participant_id, person.session_id, person.bmi, person.simulated]
    return fingerprint(known, settings.recorded, {role: stamp["sha256"] for role, stamp in inputs.items()})


def _segmented(images: Mapping[str, Any], settings: ScanSettings) -> nib.Nifti1Image:
    """Label a scan by the backend that this process has open."""
    tool = tuple(sorted(settings.tool.items()))
    backend = opened_backend(settings.backend, settings.weights, settings.device, settings.trust_weights, tool)
    roles = ("water", "fat") if "water" in images else ("image",)
    labels: nib.Nifti1Image = backend({role: images[role] for role in roles})
    return labels


def _write_labels(labels: nib.Nifti1Image, folder: Path, person: Person, said: Mapping[str, Any]) -> list[Path]:
    """Write a label map and its BIDS sidecar; equal labels give equal bytes."""
    path = folder / f"{person.entities}_dseg.nii.gz"
    with whole_file(path) as temporary:
        temporary.write_bytes(gzip.compress(labels.to_bytes(), 6, mtime=0))
    sidecar = folder / f"{person.entities}_dseg.json"
    with whole_file(sidecar) as temporary:
        temporary.write_text(json.dumps({"Manual": False, **said}, indent=2, default=str) + "\n", encoding="utf-8")
    return [path, sidecar]


def _one_hash(hashes: list[str]) -> str:
    """Return the hash that stands in the table: the weights' own, or one of all members of an ensemble."""
    return hashes[0] if len(hashes) == 1 else fingerprint(hashes) if hashes else ""


def _sweep(folder: Path, person: Person) -> None:
    """Remove what a process that was killed had begun to write of this person."""
    if folder.is_dir():
        for left in folder.glob(f".{person.entities}_*-????????.*"):
            left.unlink(missing_ok=True)


class _Clock:
    """Seconds of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(time.perf_counter() - began, 4)


def _versions() -> dict[str, str]:
    """Return versions of what a scan goes through, where it is installed."""
    found = {"muscle_bayes": __version__, "python": platform.python_version()}
    for name in _SOFTWARE:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
