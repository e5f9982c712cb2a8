"""One participant's scan, in whatever process: load, check, label, measure, draw, write; the record last."""

import gzip
import json
import platform
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import nibabel as nib

from muscle_bayes import __version__
from muscle_bayes.cohort.files import file_sha256, whole_file
from muscle_bayes.imaging.backends.opening import BundleBackend
from muscle_bayes.imaging.batch import participant_seed
from muscle_bayes.imaging.deliveries import Delivery, load_delivery
from muscle_bayes.imaging.deliveries.extent import cut_to_training
from muscle_bayes.imaging.images import ImageSource, Volume, read_volumes, says_simulated
from muscle_bayes.imaging.quality import Finding, Quality
from muscle_bayes.imaging.quality.decisions import Decision
from muscle_bayes.imaging.quality.findings import worst_first
from muscle_bayes.imaging.spread import weights_name
from muscle_bayes.study.lock import fingerprint
from muscle_bayes.study.people import Person
from muscle_bayes.study.records import (
    input_stamps,
    outputs_whole,
    read_record,
    record_path,
    rows_as_text,
)
from muscle_bayes.study.scan_quality import assessed, repaired, superseding, with_verdicts
from muscle_bayes.study.scan_settings import WITHOUT_NETWORK, ScanSettings, backend_of
from muscle_bayes.study.scan_task import Clock, MeasuredScan, ScanTask

_SOFTWARE = ("numpy", "scipy", "pandas", "nibabel", "torch", "monai", "pydicom", "dcm2niix")


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
    done = finished_scan(
        task.delivery,
        task.person,
        task.folder,
        task.settings,
        root=task.out,
        picture=task.picture,
        decision=task.decision,
    )
    return done or measure_person(
        task.delivery,
        task.person,
        task.folder,
        task.settings,
        root=task.out,
        picture=task.picture,
        decision=task.decision,
    )


def finished_scan(
    delivery: Delivery,
    person: Person,
    folder: Path,
    settings: ScanSettings,
    *,
    root: Path | None = None,
    picture: Path | None = None,
    decision: Decision | None = None,
) -> MeasuredScan | None:
    """Return a scan that was measured from the same inputs, settings, weights and code, whose files are still what was written.

    Parameters
    ----------
    delivery, person, folder, settings, root, picture, decision
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
    wanted = _fingerprint(person, settings, inputs, decision)
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
    decision: Decision | None = None,
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
    decision : Decision, optional
        What a reviewer said of the scan; a corrected mask takes the place of the labels.
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
    clock = Clock()
    written: list[Path] = []
    with tempfile.TemporaryDirectory(prefix="muscle-bayes-scan-") as scratch:
        with clock.stage("load"):
            scan = load_delivery(delivery, Path(scratch))
            roles = [role for role in ("water", "fat", "image") if role in scan.images]
            volumes = read_volumes({role: scan.images[role] for role in roles})
        notes = [str(note) for note in scan.notes]
        # The record's key stays the table's word; what a reader sees says it of images that say it of themselves, too.
        simulated = person.simulated or any(says_simulated(scan.images[role]) for role in roles)
        mended: list[Finding] = []
        made: nib.Nifti1Image | None = None
        labels: ImageSource | None = scan.images.get("labels")
        scheme = settings.scheme
        if settings.backend not in WITHOUT_NETWORK:
            if settings.repair_swap and "water" in volumes:
                # Before the network sees them: it was not trained on fat that is called water.
                with clock.stage("quality"):
                    volumes = _put_right(volumes, None, None, scan.facts, simulated, notes, mended)
            with clock.stage("labels"):
                volumes, made = _segmented(volumes, settings, notes)
            labels, scheme = made, None
        content = gzip.compress(made.to_bytes(), 6, mtime=0) if made is not None else b""
        digest = sha256(content).hexdigest() if made is not None else inputs.get("labels", {}).get("sha256", "")
        labels = superseding(decision, str(digest)) or labels
        quality: Quality | None = None
        if settings.quality:
            with clock.stage("quality"):
                if settings.repair_swap and "water" in volumes:
                    volumes = _put_right(volumes, labels, scheme, scan.facts, simulated, notes, mended)
        with clock.stage("quantify"), whole_file(overlay) if overlay is not None else nullcontext() as drawing:
            table = quantify(
                volumes.get("water"),
                volumes.get("fat"),
                labels,
                image=volumes.get("image"),
                bmi=person.bmi,
                adipose=settings.exposure.adipose,
                compartment=settings.exposure.compartment,
                backend="hull" if settings.backend == "hull" else "labelmap",
                participant_id=person.participant_id,
                session_id=person.session_id,
                simulated=simulated,
                overlay=drawing,
                scheme=scheme,
                resample_labels=settings.resample_labels,
            )
        said: dict[str, Any] = dict(made.extra) if made is not None else {}
        hashes = [str(digest) for digest in said.get("weights_sha256", [])]
        if made is not None:
            table = table.assign(backend=settings.backend, weights_sha256=weights_name(hashes))
        if settings.quality:
            with clock.stage("quality"):
                judged = None if settings.resample_labels else labels
                quality = assessed(volumes, judged, scheme, scan.facts, simulated=simulated, table=table)
                quality = replace(quality, findings=worst_first([*mended, *quality.findings]))
        attributes = dict(table.attrs)
        table = with_verdicts(table, quality, decision)
        if picture is not None:
            with clock.stage("picture"):
                shown = replace(person, simulated=simulated)
                _draw(volumes, labels, scheme, picture, shown, quality, resampled=settings.resample_labels)
            written.append(picture)
        with clock.stage("write"):
            if made is not None:
                written += _write_labels(content, folder, person, said)
            text = rows_as_text(table)
            rows = path.with_suffix(".tsv")
            with whole_file(rows) as temporary:
                temporary.write_text(text, encoding="utf-8")
            written.append(rows)
    notes += [str(note) for note in attributes.get("notes", [])]
    found = quality.to_dict() if quality is not None else {}
    record = {
        "fingerprint": _fingerprint(person, settings, inputs, decision),
        "participant_id": person.participant_id,
        "session_id": person.session_id,
        "settings": settings.recorded,
        "bmi_kg_m2": person.bmi,
        "simulated": simulated,
        "seed": seed,
        "inputs": inputs,
        "made_from": scan.inputs,
        "facts": scan.facts,
        "labels": {key: value for key, value in said.items() if key not in ("inputs", "labels", "command", "model")},
        "weights_sha256": hashes,
        "device": str(said.get("device", "cpu")),
        "notes": notes,
        "quality": found,
        "decision": decision.decision if decision is not None else "",
        "labels_sha256": digest,
        "measurement": {k: v for k, v in attributes.items() if k not in {"notes", "inputs"}},
        "seconds": clock.seconds,
        "versions": _versions(),
        "outputs": {part.relative_to(root).as_posix(): file_sha256(part) for part in written},
    }
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(record, indent=2, default=str) + "\n", encoding="utf-8")
    drawn = picture.relative_to(root).as_posix() if picture is not None else ""
    return MeasuredScan(text, False, notes, dict(scan.facts), found, drawn, clock.seconds)


def _fingerprint(
    person: Person, settings: ScanSettings, inputs: Mapping[str, Mapping[str, Any]], decision: Decision | None
) -> str:
    """Return the hash of all that a scan's figures depend on."""
    known = [person.participant_id, person.session_id, person.bmi, person.simulated]
    reviewed = []
    if decision is not None:
        mask = file_sha256(decision.corrected_mask) if decision.corrected_mask is not None else ""
        reviewed = [decision.decision, mask, decision.corrects_sha256]
    return fingerprint(known, settings.recorded, {role: stamp["sha256"] for role, stamp in inputs.items()}, reviewed)


def _segmented(
    volumes: dict[str, Volume], settings: ScanSettings, notes: list[str]
) -> tuple[dict[str, Volume], nib.Nifti1Image]:
    """Label a scan by the backend that this process has open, cut to the regions that its weights were trained on."""
    backend = backend_of(settings)
    if isinstance(backend, BundleBackend):
        volumes, cut = cut_to_training(volumes, backend.metadata)
        notes += [cut] if cut else []
    roles = ("water", "fat") if "water" in volumes else ("image",)
    return volumes, backend({role: volumes[role] for role in roles})


def _put_right(
    volumes: dict[str, Volume],
    labels: ImageSource | None,
    scheme: str | Path | None,
    facts: Mapping[str, Any],
    simulated: bool,
    notes: list[str],
    mended: list[Finding],
) -> dict[str, Volume]:
    """Exchange water and fat back where they were found exchanged; note it, and keep the finding for the reviewers."""
    found = assessed(volumes, labels, scheme, facts, simulated=simulated)
    if found.repair is None:
        return volumes
    swaps = [finding for finding in found.findings if finding.kind.startswith("swap")]
    mended += [replace(finding, message=f"put right before measuring: {finding.message}") for finding in swaps]
    said = swaps[0].message if swaps else found.repair
    notes.append(f"water and fat were exchanged back before measuring ({found.repair}): {said}")
    return repaired(volumes, found)


def _draw(
    volumes: Mapping[str, Volume],
    labels: ImageSource | None,
    scheme: str | Path | None,
    picture: Path,
    person: Person,
    quality: Quality | None,
    *,
    resampled: bool,
) -> None:
    """Draw images, labels and findings for a reviewer."""
    from muscle_bayes.imaging.quality.mosaic import draw_mosaic

    title = person.participant_id + (f", session {person.session_id}" if person.session_id else "")
    with whole_file(picture) as drawing:
        draw_mosaic(
            volumes["water"] if "water" in volumes else volumes["image"],
            volumes.get("fat"),
            None if resampled else labels,
            drawing,
            title=title,
            findings=quality.findings if quality is not None else (),
            scheme=str(scheme) if isinstance(scheme, Path) else scheme,
            simulated=person.simulated,
        )


def _write_labels(content: bytes, folder: Path, person: Person, said: Mapping[str, Any]) -> list[Path]:
    """Write a packed label map and its BIDS sidecar; equal labels give equal bytes."""
    path = folder / f"{person.entities}_dseg.nii.gz"
    with whole_file(path) as temporary:
        temporary.write_bytes(content)
    sidecar = folder / f"{person.entities}_dseg.json"
    with whole_file(sidecar) as temporary:
        temporary.write_text(json.dumps({"Manual": False, **said}, indent=2, default=str) + "\n", encoding="utf-8")
    return [path, sidecar]


def _sweep(folder: Path, person: Person) -> None:
    """Remove what a process that was killed had begun to write of this person."""
    if folder.is_dir():
        for left in folder.glob(f".{person.entities}_*-????????.*"):
            left.unlink(missing_ok=True)


def _versions() -> dict[str, str]:
    """Return versions of what a scan goes through, where it is installed."""
    found = {"muscle_bayes": __version__, "python": platform.python_version()}
    for name in _SOFTWARE:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
