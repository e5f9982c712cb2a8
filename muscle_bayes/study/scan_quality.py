"""Quality of one scan on its way: exchanged water and fat put right before labelling, verdicts into the rows, a reviewer's word."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from muscle_bayes.imaging.images import ImageSource, Volume
from muscle_bayes.imaging.label_schemes import Scheme
from muscle_bayes.imaging.quality import Quality, assess, repair_arrays
from muscle_bayes.imaging.quality.decisions import Decision, corrected_labels, read_decisions

DECISIONS = "qc_decisions.tsv"
_VERDICTS = ("pass", "review", "fail")


def repaired(volumes: Mapping[str, Volume], quality: Quality) -> dict[str, Volume]:
    """Exchange water and fat back where they were found exchanged.

    Parameters
    ----------
    volumes : mapping of str to Volume
        With water and fat.
    quality : Quality
        Of these volumes.

    Returns
    -------
    dict of str to Volume
        New arrays; the names and hashes stay those of the files that they were made from.
    """
    water, fat = repair_arrays(volumes["water"].data, volumes["fat"].data, quality)
    return {**volumes, "water": replace(volumes["water"], data=water), "fat": replace(volumes["fat"], data=fat)}


def assessed(
    volumes: Mapping[str, Volume],
    labels: ImageSource | None,
    scheme: Scheme | str | Path | None,
    facts: Mapping[str, Any],
    *,
    simulated: bool,
    table: pd.DataFrame | None = None,
) -> Quality:
    """Check a scan.

    Parameters
    ----------
    volumes : mapping of str to Volume
        water and fat, or image.
    labels : path or nibabel image, optional
        On their grid.
    scheme : str or path, optional
        What label ids mean.
    facts : mapping
        Sequence parameters.
    simulated : bool
        Whether it is a phantom.
    table : pandas.DataFrame, optional
        Its measurements.

    Returns
    -------
    Quality
    """
    return assess(
        volumes.get("water"),
        volumes.get("fat"),
        volumes.get("image"),
        labels,
        scheme=str(scheme) if isinstance(scheme, Path) else scheme,
        facts=facts,
        simulated=simulated,
        measurements=table,
    )


def with_verdicts(table: pd.DataFrame, quality: Quality | None, decision: Decision | None) -> pd.DataFrame:
    """Put the verdict of the checks, and over it that of a reviewer, into the rows.

    Parameters
    ----------
    table : pandas.DataFrame
        Of `quantify`, with its own verdicts.
    quality : Quality or None
        Of the scan.
    decision : Decision or None
        Of a reviewer.

    Returns
    -------
    pandas.DataFrame
        `qc` is the worse of the two verdicts; "pass" where a reviewer has seen the scan and takes it.
    """
    if decision is not None:
        # What could not be measured stays missing whatever a reviewer says.
        return table.assign(qc="fail" if decision.decision == "exclude" else "pass")
    if quality is None:
        return table
    said = {muscle: quality.verdict(muscle) for muscle in table["muscle"].unique()}
    worse = [
        max(own, said[muscle], key=_VERDICTS.index) for own, muscle in zip(table["qc"], table["muscle"], strict=True)
    ]
    return table.assign(qc=worse)


def decisions_of(out: Path) -> dict[tuple[str, str], Decision]:
    """Return the reviewers' decisions of a study; nothing where there are none yet.

    Parameters
    ----------
    out : pathlib.Path
        Folder of the results.

    Returns
    -------
    dict of (participant_id, session_id) to Decision
    """
    path = out / DECISIONS
    return read_decisions(path) if path.is_file() else {}


def superseding(decision: Decision | None, labels_sha256: str) -> Path | None:
    """Return the mask of a reviewer that supersedes labels, or None."""
    if decision is None or decision.decision != "corrected":
        return None
    return corrected_labels(decision, labels_sha256)
