"""UK Biobank field 20201: one zip archive a visit with the Dixon series of the neck-to-knee scan.

Known from the field's description and published pipelines: archives are named `<eid>_20201_<instance>_<array>.zip`, instance 2
being the first imaging visit and 3 the repeat; 24 series are six stations of four contrasts. Series descriptions are
`Dixon_noBH_W` and `Dixon_BH_17s_W` (free breathing and breath-hold stations) and the same with `_F`, `_in`, `_opp`; numbers of
series differ between visits, so series are told apart by description. Stations differ in slice thickness (3 to 4.5 mm) and
in rows. A manifest lies in the archive; its columns are not always in the order that its head says, so it is not used.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from muscle_bayes.errors import StationError
from muscle_bayes.imaging.deliveries.assembling import scan_of_stations
from muscle_bayes.imaging.deliveries.contrasts import contrast_of, named_contrast, stated_contrast
from muscle_bayes.imaging.deliveries.delivery import DeliveredScan, Delivery, Listing, Participant, settings_of
from muscle_bayes.imaging.deliveries.headers import Header
from muscle_bayes.imaging.deliveries.series import read_stations

_NAME = re.compile(r"(?P<eid>\d{7,})_20201_(?P<instance>\d+)_(?P<array>\d+)\.zip", re.IGNORECASE)
#: Stations of a whole visit.
STATIONS = 6


def find(root: Path, patterns: Mapping[str, str], people: Sequence[Participant] | None) -> Listing:
    """Find the archives.

    Parameters
    ----------
    root : pathlib.Path
        Folder with archives, or with folders of archives.
    patterns : mapping of str to str
        stations: how many there must be (default 6); repeats: "last" for the later of repeated stations.
    people : sequence of Participant or None
        Not needed.

    Returns
    -------
    Listing
        The participant is the eid, the session the instance (2, 3).
    """
    listing = Listing()
    settings = settings_of(patterns)
    others = 0
    for path in sorted([*root.glob("*.zip"), *root.glob("*/*.zip")]):
        match = _NAME.fullmatch(path.name)
        if match is None:
            others += 1
            continue
        listing.deliveries.append(Delivery(match["eid"], match["instance"], "ukb20201", {"dicom": (path,)}, settings))
    if others:
        listing.notes.append(
            f"{others:,} archives are not of field 20201 (eid_20201_instance_array.zip) and were left out"
        )
    return listing


def load(delivery: Delivery, scratch: Path) -> DeliveredScan:
    """Convert the stations of a visit and stitch them.

    Parameters
    ----------
    delivery : Delivery
        With one archive.
    scratch : pathlib.Path
        Empty folder for files on the way.

    Returns
    -------
    DeliveredScan
        Water and fat from neck to knee.

    Raises
    ------
    StationError
        Where there are fewer or more stations than a whole visit has.
    """
    contradictions: set[str] = set()

    def tell(header: Header, names: Mapping[str, str]) -> str | None:
        if names:
            return contrast_of(header, names)
        if "dixon" not in header.description.casefold():
            return None
        named, stated = named_contrast(header.description), stated_contrast(header)
        if {named, stated} == {"water", "fat"}:
            contradictions.add(header.description)
        return named

    stations, facts, notes = read_stations(
        delivery.files["dicom"], scratch, delivery.where, settings=delivery.settings, tell=tell
    )
    wanted = int(delivery.settings.get("stations", STATIONS))
    if len(stations) != wanted:
        raise StationError(
            delivery.where,
            f"There are {len(stations)} stations of water and fat, and a whole visit has {wanted}",
            "Fetch the archive again, or say how many there must be (stations) where fewer still hold the muscles measured",
        )
    for description in sorted(contradictions):
        notes.append(f"{description} says one contrast and its image type the other: check for swapped water and fat")
    return scan_of_stations(delivery, stations, facts, notes)
