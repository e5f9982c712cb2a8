"""Running a study: stage after stage, each only where its inputs, settings or code have changed."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from muscle_bayes.cohort import Cohort, read_cohort
from muscle_bayes.cohort.files import file_sha256, whole_file
from muscle_bayes.errors import TableError
from muscle_bayes.report.results import Phantoms, StudyResults
from muscle_bayes.study.across import Across, across_fits
from muscle_bayes.study.fitting import MadeFit, make_fit
from muscle_bayes.study.folder import StudyFolder, StudyRun
from muscle_bayes.study.lock import code_version, fingerprint
from muscle_bayes.study.measuring import Measured
from muscle_bayes.study.missing_scans import exclusion_rules, failure_table
from muscle_bayes.study.panel import STAGE as PANEL
from muscle_bayes.study.panel import panel_of_scans
from muscle_bayes.study.progress import Progress
from muscle_bayes.study.scan_quality import DECISIONS, decisions_of
from muscle_bayes.study.scanning import measure_images
from muscle_bayes.study.settings import FitSection, Study, load_study
from muscle_bayes.study.simulating import read_truth
from muscle_bayes.study.visits import require_one_session
from muscle_bayes.study.withdrawn import Withdrawn
from muscle_bayes.study.writing import single_writer

if TYPE_CHECKING:
    from muscle_bayes.specification import Model

_NO_MEASUREMENTS = (
    "Check the path; where the participants' table has intermat_percent and lmm_cm3_per_kg_m2 itself, "
    "delete [measurements] from study.toml"
)
#: Makes the phantoms of a demonstration from the cohort, in the study's folder.
PhantomStage = Callable[[Cohort, StudyFolder], Phantoms]


def run(
    study: Study | Path | str, *, progress: Progress | None = None, phantoms: PhantomStage | None = None
) -> StudyRun:
    """Run a study from its tables or images to its report, going on where an earlier run stopped.

    A stage is done where the hashes of its inputs, its settings and the code that runs it are those in study.lock.json and
    its files are still what it wrote; whatever changed is made again, with what depends on it.

    Parameters
    ----------
    study : Study or path
        study.toml, its folder, or what `load_study` returned.
    progress : Progress, optional
        Told what happens; silent by default.
    phantoms : callable, optional
        Makes the phantoms of a demonstration.

    Returns
    -------
    StudyRun
        Report, failures, and which stages were run.

    Raises
    ------
    StudyFileError
        Where study.toml breaks a rule.
    MuscleBayesError
        Where a table, a model or all images cannot be used. One bad participant is a row of failures.tsv instead.
    """
    study = study if isinstance(study, Study) else load_study(study)
    models = [(section, _model(study, section)) for section in study.fits]
    progress = progress or Progress()
    with single_writer(study.out, progress):
        return _run_stages(StudyFolder(study, progress), models, phantoms)


def _run_stages(
    folder: StudyFolder, models: list[tuple[FitSection, "Model"]], phantoms: PhantomStage | None
) -> StudyRun:
    """Run one stage after the other in a folder that nobody else writes into."""
    study = folder.study
    for section, _ in models:
        source = study.model_source(section)
        if isinstance(source, Path):
            folder.input_hash(source)

    measured = None
    if study.images is not None:
        require_one_session(study)
        measured = measure_images(folder)[0]
    cohort, failures = _cohort(folder, measured)
    shown = phantoms(cohort, folder) if phantoms is not None else _kept_phantoms(folder)
    fits = [make_fit(folder, cohort, section, model, study.sensitivity_of(section)) for section, model in models]
    across = across_fits(folder, fits)
    panel = panel_of_scans(folder, cohort, measured)
    report = _report(folder, cohort, fits, failures, shown, across, panel)

    folder.lock.keep_only(folder.stages)
    folder.write_lock()
    ungated = {made.section.label: made.gate for made in fits if made.gate}
    told = measured.failures if measured is not None else failures
    return StudyRun(study, report, told, ungated, folder.made, folder.kept, tuple(cohort.notes))


def _kept_phantoms(folder: StudyFolder) -> Phantoms | None:
    """Return the phantoms of an earlier demonstration in this folder, so that a plain run does not lose them."""
    if not folder.lock.is_whole("phantoms"):
        return None
    from muscle_bayes.study.phantoms import recorded_phantoms

    folder.stages.append("phantoms")
    folder.kept.append("phantoms")
    return recorded_phantoms(folder)


def _model(study: Study, section: FitSection) -> "Model":
    """Return the model of a fit with its priors, so that a wrong name is told before hours of work."""
    from muscle_bayes.specification import load_model

    return load_model(study.model_source(section)).with_priors(section.priors)


def _columns(study: Study) -> dict[str, Any]:
    return study.participants.model_dump()["columns"]


def _cohort(folder: StudyFolder, measured: Measured | None) -> tuple[Cohort, pd.DataFrame]:
    """Join, validate and exclude; who could not be measured is an exclusion with a count."""
    study, out = folder.study, folder.out
    participants = study.resolve(study.participants.file)
    measurements: Path | None = None
    if study.measurements is not None:
        measurements = study.resolve(study.measurements.file)
        if not measurements.is_file():
            raise TableError(str(measurements), "There is no such file", _NO_MEASUREMENTS)
    elif measured is not None:
        measurements = out / "measurements.tsv"
    failures = _of_session(study, measured.failures) if measured is not None else failure_table([])
    rules = [exclusion.rule() for exclusion in study.exclusions]
    rules = [*_withdrawn(folder), *exclusion_rules(failures), *_reviewed(folder), *rules]
    hashes = [folder.input_hash(participants)]
    if measurements is not None:
        hashes.append(folder.input_hash(measurements) if measured is None else file_sha256(measurements))
    settings = {"columns": _columns(study), "exclusions": rules, "exposure": _exposure_settings(study)}
    wanted = fingerprint(hashes, settings, code_version("cohort"))
    if not folder.needs("cohort", wanted):
        return Cohort.load(out), failures
    folder.progress.start("cohort")
    cohort = read_cohort(
        participants,
        measurements,
        columns=_columns(study),
        exposure=_exposure_settings(study),
        exclusions=rules,
    )
    cohort.save(out)
    summary = out / "tables" / "cohort.csv"
    with whole_file(summary) as path:
        cohort.summary().to_csv(path, index=False)
    folder.done("cohort", wanted, [out / "cohort.parquet", out / "cohort.json", out / "flow.csv", summary])
    folder.progress.finish(f"{len(cohort):,} participants")
    # Read back what was written, so that a first and a resumed run go on from the same bytes.
    return Cohort.load(out), failures


def _of_session(study: Study, failures: pd.DataFrame) -> pd.DataFrame:
    """Return the failures of the session that is analysed; that of another visit leaves nobody out."""
    chosen = study.exposure.session if study.exposure else None
    return failures if chosen is None else failures[failures["session_id"].isin(["", chosen])]


def _withdrawn(folder: StudyFolder) -> list[dict[str, Any]]:
    """Return the exclusion of whoever withdrew; nothing where nobody did."""
    withdrawn = Withdrawn(folder.out)
    if not len(withdrawn):
        return []
    study = folder.study
    table = read_cohort(
        study.resolve(study.participants.file),
        columns=_columns(study),
        exposure={"session": study.exposure.session} if study.exposure else None,
    ).table
    people = withdrawn.among(table["participant_id"], table["session_id"])
    return [{"name": "withdrawn", "column": "participant_id", "op": "in", "value": people}] if people else []


def _reviewed(folder: StudyFolder) -> list[dict[str, Any]]:
    """Return the exclusion of scans that a reviewer left out; a decision about another session concerns nobody here."""
    chosen = folder.study.exposure.session if folder.study.exposure else None
    people = [
        decision.participant_id
        for decision in decisions_of(folder.out).values()
        if decision.decision == "exclude" and (chosen is None or decision.session_id in ("", chosen))
    ]
    name = f"left out by a reviewer ({DECISIONS})"
    return [{"name": name, "column": "participant_id", "op": "in", "value": people}] if people else []


def _exposure_settings(study: Study) -> dict[str, Any] | None:
    """Return what [exposure] says, and only that: a definition that nobody stated must not be reported as stated."""
    return study.exposure.model_dump(exclude_unset=True) if study.exposure else None


def _report(
    folder: StudyFolder,
    cohort: Cohort,
    fits: list[MadeFit],
    failures: pd.DataFrame,
    phantoms: Phantoms | None,
    across: Across,
    panel: dict[str, Path],
) -> Path:
    """Write the report where anything in it has changed."""
    study, out = folder.study, folder.out
    path = out / "report.html"
    truth = read_truth(study.resolve(study.participants.file)) if cohort.simulated else None
    parts = [
        study.study.model_dump(mode="json"),
        folder.lock.outputs("cohort"),
        [[made.files, made.problems] for made in fits],
        across.files,
        failures.to_dict(orient="records"),
        folder.lock.outputs("phantoms") if phantoms is not None else None,
        folder.lock.outputs(PANEL) if panel else None,
        truth,
    ]
    wanted = fingerprint(*parts, code_version("report", "estimands"))
    if not folder.needs("report", wanted):
        return path
    from muscle_bayes.report import write_reading_tables, write_report

    folder.progress.start("report")
    results = StudyResults(
        name=study.study.name,
        seed=study.study.seed,
        out=out,
        simulated=cohort.simulated,
        flow=cohort.flow,
        dictionary=cohort.dictionary,
        summary=cohort.summary(),
        fits=tuple(made.results() for made in fits),
        failures=failures,
        notes=cohort.notes,
        phantoms=phantoms,
        truth=truth,
        exposure=cohort.exposure,
        tables=across.tables,
        figures={**across.figures, **panel},
    )
    written = write_report(results)
    readable = write_reading_tables(results)
    folder.done("report", wanted, [written, *readable])
    folder.progress.finish(written.name)
    return written
