"""Why a scan is missing: one reason in failures.tsv, one row a reason in the participant flow."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from muscle_bayes.errors import MuscleBayesError
from muscle_bayes.study.people import Person

FAILURE_COLUMNS = ("participant_id", "session_id", "error", "where", "problem", "remedy")

#: Type of error -> reason in the flow, in the order in which the flow tells them; the first that fits.
REASONS: Mapping[str, str] = {
    "DeliveryError": "images not found or not usable as delivered",
    "ArchiveError": "archive damaged or unsafe to open",
    "ConversionError": "DICOM series incomplete or not convertible",
    "StationError": "stations missing, twice or apart",
    "CorruptImageError": "image file corrupt",
    "EmptyImageError": "image without signal",
    "ImageDimensionError": "image is no three-dimensional volume",
    "ImageUnitsError": "image values are no signals",
    "GridMismatchError": "images on different grids",
    "LabelSchemeError": "label map does not follow its scheme",
    "CompartmentNotFoundError": "no muscle found",
    "MixtureNotSeparableError": "lean and fat do not separate",
    "BundleError": "segmentation failed",
    "BackendError": "segmentation failed",
    "MissingWeightsError": "segmentation failed",
    "WorkerKilledError": "process ended while it was measured",
    "DeviceMemoryError": "too large for the memory",
    "MissingDependencyError": "software missing",
    "ImageError": "images not found or not usable as delivered",
    "InvalidValueError": "values of the participant outside their range",
}
_OTHER = "unexpected error"


def failure_row(person: Person, error: Exception) -> dict[str, str]:
    """Return the row of a person who could not be measured.

    Parameters
    ----------
    person : Person
        Whose scan.
    error : Exception
        What was raised.

    Returns
    -------
    dict of str to str
        `FAILURE_COLUMNS`.
    """
    row = {"participant_id": person.participant_id, "session_id": person.session_id, "error": type(error).__name__}
    if isinstance(error, MuscleBayesError):
        return row | {"where": error.where, "problem": error.problem, "remedy": error.remedy}
    return row | {
        "where": "muscle_bayes",
        "problem": f"unexpected: {error}",
        "remedy": "Report this as a fault of muscle_bayes, with the image's header",
    }


def failure_table(rows: Sequence[Mapping[str, str]]) -> pd.DataFrame:
    """Return failures.tsv.

    Parameters
    ----------
    rows : sequence of mapping
        From `failure_row`.

    Returns
    -------
    pandas.DataFrame
        `FAILURE_COLUMNS`, all text.
    """
    return pd.DataFrame(list(rows), columns=list(FAILURE_COLUMNS), dtype="str")


def exclusion_rules(failures: pd.DataFrame) -> list[dict[str, Any]]:
    """Return who could not be measured as exclusions, one a reason.

    Parameters
    ----------
    failures : pandas.DataFrame
        From `failure_table`.

    Returns
    -------
    list of dict
        Rules of `read_cohort`, in the order of `REASONS`.
    """
    said = failures["error"].map(lambda name: REASONS.get(name, _OTHER))
    rules = []
    for reason in dict.fromkeys((*REASONS.values(), _OTHER)):
        people = failures.loc[said == reason, "participant_id"].tolist()
        if people:
            name = f"image could not be measured: {reason} (failures.tsv)"
            rules.append({"name": name, "column": "participant_id", "op": "in", "value": people})
    return rules
