"""`measure`: the scan half of a study, from its images to measurements.tsv; `run` begins with the same."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from muscle_bayes.cohort.exposure import Exposure
from muscle_bayes.errors import StudyFileError
from muscle_bayes.imaging.batch import Shard, open_pool
from muscle_bayes.imaging.batch.pools import cards_of_this_machine
from muscle_bayes.study.folder import StudyFolder
from muscle_bayes.study.lock import code_version, fingerprint
from muscle_bayes.study.measuring import Measured, measure_people, require_some
from muscle_bayes.study.progress import Progress
from muscle_bayes.study.scan_review import write_review
from muscle_bayes.study.scan_settings import WITHOUT_NETWORK, ScanSettings, hash_of_weights
from muscle_bayes.study.scan_tables import tables_folder, write_measured
from muscle_bayes.study.settings import Study, load_study
from muscle_bayes.study.visits import people_of_study
from muscle_bayes.study.writing import single_writer

STAGE = "measurements"


@dataclass(frozen=True)
class How:
    """How a run is spread, where study.toml does not say it or the command line says otherwise.

    Attributes
    ----------
    workers : int, optional
        Processes.
    scheduler : str, optional
        Of a Dask cluster that is there.
    device : str, optional
        Where networks compute.
    shard : Shard, optional
        Part of the participants.
    limit : int, optional
        At most this many new scans.
    """

    workers: int | None = None
    scheduler: str | None = None
    device: str | None = None
    shard: Shard | None = None
    limit: int | None = None


@dataclass(frozen=True)
class ScanRun:
    """What came of `measure`.

    Attributes
    ----------
    out : pathlib.Path
        Folder of the results.
    measured : Measured
        Rows, failures, notes.
    files : dict of str to pathlib.Path
        What was written.
    people : int
        Scans that this run was about: one a participant and session.
    """

    out: Path
    measured: Measured
    files: dict[str, Path]
    people: int

    @property
    def exit_code(self) -> int:
        """0 done, 1 some participants failed."""
        return 1 if len(self.measured.failures) else 0


def measure(
    study: Study | Path | str,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    shard: str | Shard | None = None,
    device: str | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> ScanRun:
    """Measure the images of a study: the scan half of `run`, which goes on where it stopped.

    Parameters
    ----------
    study : Study or path
        study.toml, its folder, or what `load_study` returned; with [images].
    workers : int, optional
        Processes on this machine (or jobs, with `scheduler="slurm"`); as study.toml says where left out. A script that asks for
        more than one needs `if __name__ == "__main__":` around the call, as multiprocessing does everywhere.
    scheduler : str, optional
        Address of a Dask scheduler that is there (`tcp://host:8786`), its scheduler file (.json), or "slurm".
    shard : str or Shard, optional
        `3/16`: only this part of the participants, whose tables `merge_shards` puts together.
    device : str, optional
        cpu, cuda, cuda:1 or mps.
    limit : int, optional
        Measure at most this many scans that were not measured before.
    progress : Progress, optional
        Told what happens.

    Returns
    -------
    ScanRun
        Measurements, failures, files.

    Raises
    ------
    StudyFileError
        Where study.toml breaks a rule, has no [images], or another run writes into the folder.
    MuscleBayesError
        Where the table or the workers cannot be used. One bad participant is a row of failures.tsv instead.
    """
    study = study if isinstance(study, Study) else load_study(study)
    if study.images is None:
        raise StudyFileError(
            "study.toml",
            "There is no [images], so there is nothing to measure",
            "Add it, or start with `muscle-bayes run`",
        )
    part = Shard.parse(shard) if isinstance(shard, str) else shard
    how = How(workers, scheduler, device, part, limit)
    progress = progress or Progress()
    with single_writer(study.out, progress, shard=part.label if part else None, what="measure"):
        folder = StudyFolder(study, progress)
        measured, people = measure_images(folder, how)
        files = {path.name: path for path in _written(study.out, part)}
    return ScanRun(study.out, measured, files, people)


def measure_images(folder: StudyFolder, how: How | None = None) -> tuple[Measured, int]:
    """Measure the images of every participant, of the sessions that the study measures, and write the tables.

    Parameters
    ----------
    folder : StudyFolder
        Whose study has [images]; its lock records the stage, except for a shard.
    how : How, optional
        Workers and parts.

    Returns
    -------
    measured : Measured
    people : int
        Participants that it was about.

    Raises
    ------
    EmptyTableError
        Where nobody could be measured.
    """
    study, how = folder.study, how or How()
    assert study.images is not None
    settings = scan_settings(folder, how.device)
    people = people_of_study(study)
    if how.shard is not None:
        people = [person for person in people if how.shard.holds(person.participant_id, person.session_id)]
    number, cards = _workers(study, how)
    if number > 1 and cards:
        # Each worker sees one card only, whatever its number is for everybody else.
        settings = replace(settings, device="cuda")
    measured = measure_people(
        people,
        study.images,
        study.resolve(study.images.root),
        folder.out,
        settings,
        folder.progress,
        partial(open_pool, number, scheduler=how.scheduler, cards=cards),
        shard=how.shard,
        limit=how.limit,
    )
    written = write_measured(measured, folder.out, how.shard)
    if how.shard is not None:
        return measured, len(people)
    # Each person's record knows whether the images were measured before; the joined table costs nothing to write again.
    folder.stages.append(STAGE)
    wanted = fingerprint(study.images.model_dump(mode="json"), code_version("imaging", "study"))
    whole = measured.reused == len(people) - len(measured.failures)
    (folder.kept if whole and folder.lock.is_done(STAGE, wanted) else folder.made).append(STAGE)
    folder.lock.record(STAGE, wanted, written)
    folder.write_lock()
    require_some(measured, len(people))
    changed = measured.reused != len(people) - len(measured.failures)
    measured.notes += write_review(study, people, folder.out, measured.facts, changed=changed)
    return measured, len(people)


def scan_settings(folder: StudyFolder, device: str | None = None) -> ScanSettings:
    """Return how a study's scans are measured, with the hashes of weights and label scheme.

    Parameters
    ----------
    folder : StudyFolder
        Of the study.
    device : str, optional
        In place of what study.toml says.

    Returns
    -------
    ScanSettings
    """
    from muscle_bayes.imaging.label_schemes import is_scheme_name

    study = folder.study
    images = study.images
    assert images is not None
    scheme: Path | str | None = images.scheme
    digest = ""
    if images.scheme is not None and not is_scheme_name(images.scheme):
        scheme = study.resolve(images.scheme)
        digest = folder.input_hash(scheme)
    weights = study.resolve(images.weights) if images.weights is not None else None
    if weights is not None and not weights.is_dir():
        raise StudyFileError("study.toml, images.weights", f"{weights} is no folder", "Give the bundle or model")
    tool = images.tool.model_dump(exclude_none=True) if images.tool else {}
    if images.uncertainty is not None:
        tool["uncertainty"] = images.uncertainty
    return ScanSettings(
        exposure=study.exposure.exposure() if study.exposure else Exposure(),
        backend=images.backend,
        weights=weights,
        weights_sha256=hash_of_weights(images.backend, weights),
        trust_weights=images.trust_weights,
        tool=tool,
        device=device or images.device,
        scheme=scheme,
        scheme_sha256=digest,
        resample_labels=images.resample_labels,
        quality=images.quality,
        repair_swap=images.repair_swap,
        pictures=images.pictures,
        seed=study.study.seed,
    )


def _workers(study: Study, how: How) -> tuple[int, list[str]]:
    """Return how many processes the command line or study.toml asks for, and which cards they share."""
    assert study.images is not None
    device = how.device or study.images.device
    network = study.images.backend not in WITHOUT_NETWORK and (device is None or device.startswith("cuda"))
    cards = cards_of_this_machine() if network and how.scheduler is None else []
    if device is not None and device.startswith("cuda:"):
        cards = cards[int(device[5:]) :][:1]
    return how.workers or study.images.workers or max(len(cards), 1), cards


def _written(out: Path, shard: Shard | None) -> list[Path]:
    folder = tables_folder(out, shard)
    return [folder / name for name in ("measurements.tsv", "measurements.json", "failures.tsv")]
