"""What a cohort's scans leave for people to look at: pages of pictures, a table of decisions, drift by site, machine and month."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from muscle_bayes.cohort import read_cohort
from muscle_bayes.cohort.drift import FEWEST, GROUPINGS, monthly_means, shifts
from muscle_bayes.cohort.files import whole_file
from muscle_bayes.errors import MuscleBayesError
from muscle_bayes.imaging.deliveries import audit_sequences
from muscle_bayes.imaging.deliveries.sequences import SMALLEST_GROUP
from muscle_bayes.imaging.quality.decisions import write_decision_template
from muscle_bayes.study.people import Person
from muscle_bayes.study.records import read_record, record_path
from muscle_bayes.study.scan_quality import DECISIONS, decisions_of
from muscle_bayes.study.settings import Study
from muscle_bayes.study.visits import participants_measured

_MEASURES = ("intermat_percent", "lean_cm3")
#: What begins where, on the charts; the scanner's own number says nothing to a reader.
_TOLD = ("scanner", "software")


def write_review(study: Study, people: Iterable[Person], out: Path, facts: pd.DataFrame, *, changed: bool) -> list[str]:
    """Write pages of pictures, the table of decisions, drift and differing sequences, each where there is something for it.

    Parameters
    ----------
    study : Study
        With [images].
    people : iterable of Person
        Whose scans.
    out : pathlib.Path
        Folder of the results.
    facts : pandas.DataFrame
        Sequence parameters, one row a scan.
    changed : bool
        Whether any scan was measured anew; where none was, pages that are there are kept.

    Returns
    -------
    list of str
        What a reader should know.
    """
    assert study.images is not None
    if study.images.quality or study.images.pictures:
        _pages(study, people, out, changed=changed)
    table = out / "qc" / "drift.tsv"
    notes = _sequences(study, out, facts)
    if changed or not table.is_file():
        why = _drift(study, out, facts, table)
        notes += [f"no drift charts: {why}"] if why else []
    excluded = sum(decision.decision == "exclude" for decision in decisions_of(out).values())
    if excluded:
        notes.append(f"{excluded} scans are left out by reviewers, qc fail in measurements.tsv: qc_decisions.tsv")
    marked = pd.read_csv(table, sep="\t")["marked"] if table.is_file() else pd.Series(dtype=bool)
    if marked.any():
        said = f"{marked.sum()} of {len(marked)} comparisons between sites, machines and months stand out"
        notes.append(f"{said}: qc/drift.tsv")
    return notes


def _sequences(study: Study, out: Path, facts: pd.DataFrame) -> list[str]:
    """Write whose sequence differs from the rest of the cohort, and return what to say of it."""
    if len(facts.columns) <= 2:  # nobody's delivery says how it was acquired
        return []
    if len(facts) < SMALLEST_GROUP:
        return [f"sequences were not compared: fewer than {SMALLEST_GROUP} scans cannot say what is usual"]
    table = participants_measured(study)
    if "site" in table:
        facts = facts.merge(
            table[["participant_id", "session_id", "site"]], on=["participant_id", "session_id"], how="left"
        )
    found = audit_sequences(facts)
    _write(found, out / "qc" / "sequences.tsv")
    if found.empty:
        return []
    scans = found.loc[found["participant_id"] != "", "participant_id"].nunique()
    sites_differ = int((found["participant_id"] == "").sum())
    parts = []
    if scans:
        parts.append(f"{scans} scan{' was' if scans == 1 else 's were'} acquired otherwise than the rest of their site")
    if sites_differ:
        parts.append(f"{sites_differ} difference{'' if sites_differ == 1 else 's'} between sites or within them")
    return [f"{' and '.join(parts)}: qc/sequences.tsv"]


def _pages(study: Study, people: Iterable[Person], out: Path, *, changed: bool) -> None:
    from muscle_bayes.report.qc_page import write_qc_page

    index, decided = out / "qc" / "index.html", out / DECISIONS
    if not changed and index.is_file() and (not decided.is_file() or decided.stat().st_mtime <= index.stat().st_mtime):
        return
    decisions = decisions_of(out)
    rows = []
    simulated = False
    for person in people:
        record = read_record(record_path(out / "derivatives" / person.folder, person))
        if not record:
            continue
        said = decisions.get((person.participant_id, person.session_id))
        picture = out / "qc" / f"{person.entities}.png"
        simulated |= person.simulated
        rows.append(
            {
                "participant_id": person.participant_id,
                "session_id": person.session_id,
                "qc": record.get("quality", {}).get("qc", "pass"),
                "findings": record.get("quality", {}).get("findings", []),
                "mosaic": picture if picture.is_file() else None,
                "decision": said.decision if said is not None else "",
                "labels_sha256": record.get("labels_sha256", ""),
            }
        )
    write_decision_template(decided, [row for row in rows if row["qc"] != "pass"])
    write_qc_page(out / "qc", rows, title=f"Quality of scans: {study.study.name}", simulated=simulated)


def _drift(study: Study, out: Path, facts: pd.DataFrame, path: Path) -> str:
    """Write tables and chart of drift, where sites or facts are known; return why there are none."""
    try:
        cohort = read_cohort(
            study.resolve(study.participants.file),
            out / "measurements.tsv",
            columns=study.participants.model_dump()["columns"],
            exposure=study.exposure.model_dump(exclude_unset=True) if study.exposure else None,
        )
    except MuscleBayesError as error:
        return f"{error.problem}. {error.remedy}"
    frame = cohort.table
    told = [name for name in GROUPINGS if name in facts and name != "site"]
    if told:
        key = ["participant_id", "session_id"]
        frame = frame.merge(facts[[*key, *told]], on=key, how="left")
    measures = [name for name in _MEASURES if name in frame and frame[name].notna().any()]
    if not measures:
        return "nobody has the exposure over its whole extent"
    known = [name for name in GROUPINGS if name in frame and frame[name].notna().any()]
    if not known:
        return "neither site nor scanner, software or month of the scans is known"
    table = shifts(frame, measures)
    if table.empty:
        return f"no site, scanner, software or month has {FEWEST} scans or more beside {FEWEST} others of its site"
    _write(table, path)
    if "acquisition_month" in frame:
        months = monthly_means(frame, measures)
        if months.empty:
            return f"no month has {FEWEST} scans of a site or more; qc/drift.tsv holds the other comparisons"
        _write(months, out / "qc" / "drift_months.tsv")
        months.attrs = {"simulated": cohort.simulated, "changes": changes(frame)}
        from muscle_bayes.plots.drift import drift

        for ending in ("png", "svg"):
            with whole_file(out / "qc" / f"drift.{ending}") as drawing:
                drift(months).savefig(drawing)
    return ""


def changes(frame: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Return when another scanner or software begins at a site.

    Parameters
    ----------
    frame : pandas.DataFrame
        acquisition_month, and perhaps site, scanner, software.

    Returns
    -------
    dict of str to dict
        Site -> month -> what begins; what was there in the first month of a site is no change.
    """
    sites = frame["site"].fillna("not stated").astype("str") if "site" in frame else pd.Series("all", index=frame.index)
    found: dict[str, dict[str, str]] = {}
    for site, scans in frame.groupby(sites):
        first = scans["acquisition_month"].min()
        for name in (name for name in _TOLD if name in scans):
            began: Mapping[Any, Any] = scans.groupby(name)["acquisition_month"].min().dropna().to_dict()
            for level, month in began.items():
                if month != first:
                    months = found.setdefault(str(site), {})
                    months[month] = ", ".join(filter(None, [months.get(month), str(level)]))
    return found


def _write(table: pd.DataFrame, path: Path) -> None:
    with whole_file(path) as temporary:
        table.to_csv(temporary, sep="\t", index=False, na_rep="n/a", lineterminator="\n")
