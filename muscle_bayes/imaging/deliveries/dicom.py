"""DICOM: one folder or zip archive a participant (and session), with series folders or all files mixed.

`patterns["folder"]` says where a participant's files lie, such as `{participant_id}/{session_id}`; without it every folder and
zip archive directly under the root is a participant, named by it. Which series is water and which is fat is told from the
headers (see `contrasts`), or from `patterns["water"]` and `patterns["fat"]`, patterns of series descriptions.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from muscle_bayes.errors import DeliveryError
from muscle_bayes.imaging.deliveries.assembling import scan_of_stations
from muscle_bayes.imaging.deliveries.delivery import (
    DeliveredScan,
    Delivery,
    Listing,
    Participant,
    problem_row,
    settings_of,
)
from muscle_bayes.imaging.deliveries.patterns import Folders, files_of, keys_of
from muscle_bayes.imaging.deliveries.series import read_stations


def find(root: Path, patterns: Mapping[str, str], people: Sequence[Participant] | None) -> Listing:
    """Find each participant's folder or archive.

    Parameters
    ----------
    root : pathlib.Path
        Folder that holds them.
    patterns : mapping of str to str
        folder: where they lie; water, fat, image: patterns of series descriptions; repeats: "last" for the later of repeats.
    people : sequence of Participant or None
        Not needed.

    Returns
    -------
    Listing
        Folders and archives; files are looked at when they are read.
    """
    settings = settings_of(patterns, roles=("folder", "labels"))
    listing = Listing()
    pattern = patterns.get("folder")
    if pattern is None:
        for path in sorted(root.iterdir()):
            if path.name.startswith("."):
                continue
            if path.is_dir() or path.suffix.lower() == ".zip":
                participant_id = path.name if path.is_dir() else path.stem
                listing.deliveries.append(Delivery(participant_id, "", "dicom", {"dicom": (path,)}, settings))
        return listing
    folders = Folders()
    for participant_id, session_id in keys_of(root, [pattern], folders):
        try:
            found = files_of(root, {"folder": pattern}, participant_id, session_id, folders)["folder"]
        except DeliveryError as error:
            listing.problems.append(problem_row(participant_id, session_id, error))
            continue
        listing.deliveries.append(Delivery(participant_id, session_id, "dicom", {"dicom": (found,)}, settings))
    return listing


def load(delivery: Delivery, scratch: Path) -> DeliveredScan:
    """Convert a participant's Dixon series and put stations together.

    Parameters
    ----------
    delivery : Delivery
        With a folder or archive.
    scratch : pathlib.Path
        Empty folder for files on the way.

    Returns
    -------
    DeliveredScan
        Water and fat, or the one contrast that was asked for.
    """
    stations, facts, notes = read_stations(delivery.files["dicom"], scratch, delivery.where, settings=delivery.settings)
    return scan_of_stations(delivery, stations, facts, notes)
