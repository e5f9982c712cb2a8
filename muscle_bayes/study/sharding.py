"""Shards of a cohort: each job of an array writes tables of its own, and this puts them together."""

import re
from pathlib import Path

import pandas as pd

from muscle_bayes.errors import StudyFileError
from muscle_bayes.imaging.batch import Shard
from muscle_bayes.study.folder import StudyFolder
from muscle_bayes.study.lock import code_version, fingerprint
from muscle_bayes.study.measuring import Measured, require_some
from muscle_bayes.study.missing_scans import failure_row, failure_table
from muscle_bayes.study.people import Person
from muscle_bayes.study.progress import Progress
from muscle_bayes.study.records import rows_from_text
from muscle_bayes.study.scan_review import write_review
from muscle_bayes.study.scan_tables import FACTS, tables_folder, write_measured
from muscle_bayes.study.scanning import STAGE, ScanRun
from muscle_bayes.study.settings import Study, load_study
from muscle_bayes.study.visits import people_of_study
from muscle_bayes.study.writing import single_writer

_KEY = ["participant_id", "session_id"]


def merge_shards(study: Study | Path | str, *, progress: Progress | None = None) -> ScanRun:
    """Put the tables of all shards together, as one run over everybody would have written them.

    Parameters
    ----------
    study : Study or path
        As for `measure`.
    progress : Progress, optional
        Told what happens.

    Returns
    -------
    ScanRun
        Everybody: whoever is in no shard's table is a row of failures.tsv that says so.

    Raises
    ------
    StudyFileError
        Where there are no shards, shards of different divisions, or one is missing or still being written.
    """
    study = study if isinstance(study, Study) else load_study(study)
    progress = progress or Progress()
    with single_writer(study.out, progress, what="measure --merge"):
        shards = _whole_set(study.out)
        folder = StudyFolder(study, progress)
        people = people_of_study(study)
        progress.start("shards", len(shards))
        texts: dict[tuple[str, str], str] = {}
        failed: dict[tuple[str, str], dict[str, str]] = {}
        facts = []
        for shard in shards:
            home = tables_folder(study.out, shard)
            for key, rows in _read(home / "measurements.tsv").groupby(_KEY, sort=False):
                texts[str(key[0]), str(key[1])] = rows.to_csv(sep="\t", index=False, na_rep="n/a", lineterminator="\n")
            for row in _read(home / "failures.tsv").to_dict(orient="records"):
                failed[str(row["participant_id"]), str(row["session_id"])] = {str(k): str(v) for k, v in row.items()}
            if (home / FACTS).is_file():
                facts.append(_read(home / FACTS))
            progress.advance(shard.label)
        measured = _together(people, texts, failed)
        measured.facts = pd.concat(facts, ignore_index=True) if facts else pd.DataFrame()
        written = write_measured(measured, study.out)
        folder.stages.append(STAGE)
        assert study.images is not None
        wanted = fingerprint(study.images.model_dump(mode="json"), code_version("imaging", "study"))
        folder.lock.record(STAGE, wanted, written)
        folder.write_lock()
        progress.finish(f"{len(shards)} shards, {len(texts):,} measured, {len(measured.failures):,} failed")
        require_some(measured, len(people))
        measured.notes += write_review(study, people, study.out, measured.facts, changed=True)
    return ScanRun(study.out, measured, {path.name: path for path in written[:3]}, len(people))


def _whole_set(out: Path) -> list[Shard]:
    """Return the shards whose tables are there; all of one division, none missing."""
    found = sorted(
        (Shard(int(name[1]), int(name[2])) for name in _names(out)), key=lambda shard: (shard.of, shard.number)
    )
    divisions = sorted({shard.of for shard in found})
    where = str(out / "shards")
    if not found:
        raise StudyFileError(
            where, "There are no shards to put together", "Run `muscle-bayes measure STUDY --shard 1/N` for each"
        )
    if len(divisions) > 1:
        raise StudyFileError(
            where,
            f"There are shards of {' and of '.join(map(str, divisions))} parts",
            "Delete the folders of the division that is no longer meant; what was measured lies under derivatives/",
        )
    missing = sorted(set(range(1, divisions[0] + 1)) - {shard.number for shard in found})
    if missing:
        raise StudyFileError(
            where,
            f"{len(missing)} of {divisions[0]} shards have no tables yet: {', '.join(map(str, missing[:10]))}",
            "Run these jobs again; they go on where they stopped",
        )
    return found


def _names(out: Path) -> list[re.Match[str]]:
    home = out / "shards"
    each = [re.fullmatch(r"(\d+)-of-(\d+)", path.name) for path in home.iterdir()] if home.is_dir() else []
    return [name for name in each if name and (home / name[0] / "failures.tsv").is_file()]


def _read(path: Path) -> pd.DataFrame:
    """Return a table with every field as the text that stands in it; empty where the file has no columns."""
    try:
        return pd.read_csv(path, sep="\t", dtype="str", keep_default_na=False)
    except pd.errors.EmptyDataError:
        return pd.DataFrame(columns=_KEY, dtype="str")


def _together(
    people: list[Person], texts: dict[tuple[str, str], str], failed: dict[tuple[str, str], dict[str, str]]
) -> Measured:
    """Put rows and failures in the order of the participants."""
    rows, failures = [], []
    for person in people:
        key = (person.participant_id, person.session_id)
        if key in texts:
            rows.append(texts[key])
        elif key in failed:
            failures.append(failed[key])
        else:
            error = StudyFileError(
                f"participant {person.participant_id}",
                "The participant is in no shard's tables: added to the table after the shards were run",
                "Run the shards again; they measure only who is new",
            )
            failures.append(failure_row(person, error))
    table = rows_from_text(rows) if rows else pd.DataFrame()
    return Measured(table, failure_table(failures), reused=len(rows))
