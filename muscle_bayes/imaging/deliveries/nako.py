"""NAKO (German National Cohort): Dixon images of the whole-body scan, by contrast and participant.

Known from public code that reads these deliveries:

- Sequences are named `3D_GRE_TRA_W`, `3D_GRE_TRA_F`, `3D_GRE_TRA_in` and `3D_GRE_TRA_opp` (four stations each), and
  `3D_GRE_TRA_W_COMPOSED` for stations that the scanner put together (320 x 260 x 316 voxels of 1.40625 x 1.40625 x 3 mm). Despite
  its name the composed series holds all four contrasts.
- Deliveries are one folder a sequence with one zip archive (or unpacked folder) a participant, `<id>_<visit>_<sequence>.zip`, with
  a six-digit id; visit 30 is the baseline examination, 60 the next one.
- Siemens' private tag (0051,1019) of a composed series says DIXW or DIXF.
- After conversion people keep `<sequence>/<id>_<visit>/...nii.gz`, `<id>/<visit>/...`, or `water.nii.gz` and `fat.nii.gz` in the
  composed folder; or one file with four volumes in the order opposed phase, in phase, fat, water.

Assumed: identifiers have six digits and visits two; folders may stand in either order (sequence, then participant, or the other
way round); where the composed volume and stations are both there, the composed one is meant. No NAKO delivery was at hand when
this was written. A file with four volumes is only split where `patterns["composed"]` states their order, because its header
does not, and exchanged water and fat would not be seen.
"""

import os
import re
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError

from muscle_bayes.errors import DeliveryError
from muscle_bayes.imaging.deliveries.assembling import nifti_image, scan_of_files, scan_of_stations
from muscle_bayes.imaging.deliveries.contrasts import contrast_of, stated_contrast
from muscle_bayes.imaging.deliveries.delivery import (
    DeliveredScan,
    Delivery,
    Listing,
    Participant,
    problem_row,
    settings_of,
    where_of,
)
from muscle_bayes.imaging.deliveries.facts import sidecar_facts, sidecar_of
from muscle_bayes.imaging.deliveries.headers import Header
from muscle_bayes.imaging.deliveries.series import read_stations
from muscle_bayes.imaging.images import Volume, open_image, read_volume

_SEQUENCE = re.compile(
    r"3D_GRE_TRA(?:_\d+)?_(?P<contrast>W|F|in|opp)(?P<composed>_COMPOSED)?(?![A-Za-z])", re.IGNORECASE
)
_PERSON = re.compile(r"(?:^|sub-)(?P<id>\d{6})(?:_(?P<visit>\d{2}))?(?=$|[_.-])")
_VISIT = re.compile(r"(?:ses-)?(\d{2})")
_ROLES = {"w": "water", "f": "fat", "in": "in_phase", "opp": "opposed_phase"}
_FILE_ROLE = re.compile(r"(?:^|[_-])(?P<role>water|fat|in|opp|w|f)(?:_mr)?$", re.IGNORECASE)
_DEEPEST = 6
#: Names of the volumes of a composed file, for `patterns["composed"]`.
_ORDERS = {"water", "fat", "in", "opp"}


@dataclass(frozen=True)
class _Place:
    """What the path so far says."""

    participant_id: str = ""
    session_id: str = ""
    contrast: str = ""
    composed: bool = False

    def after(self, name: str) -> "_Place":
        """Return what is known with one name more."""
        place = self
        person, sequence, visit = _PERSON.search(name), _SEQUENCE.search(name), _VISIT.fullmatch(name)
        if person and not place.participant_id:
            place = replace(place, participant_id=person["id"], session_id=person["visit"] or place.session_id)
        if sequence:
            place = replace(
                place, contrast=_ROLES[sequence["contrast"].lower()], composed=sequence["composed"] is not None
            )
        if visit and place.participant_id and not place.session_id:
            place = replace(place, session_id=visit[1])
        return place


@dataclass
class _Files:
    """Files of one visit: (composed, role) -> NIfTI files, and folders or archives of DICOM files."""

    nifti: dict[tuple[bool, str], list[Path]] = field(default_factory=lambda: defaultdict(list))
    dicom: dict[tuple[bool, str], list[Path]] = field(default_factory=lambda: defaultdict(list))


def find(root: Path, patterns: Mapping[str, str], people: Sequence[Participant] | None) -> Listing:
    """Find each visit's Dixon images.

    Parameters
    ----------
    root : pathlib.Path
        Folder with folders of sequences, or of participants.
    patterns : mapping of str to str
        composed: order of the volumes of a composed file, such as "opp, in, fat, water"; repeats: "last" for the later of
        repeated stations.
    people : sequence of Participant or None
        Not needed.

    Returns
    -------
    Listing
        One delivery a participant and visit.

    Raises
    ------
    DeliveryError
        Where the stated order of a composed file is none.
    """
    settings = settings_of(patterns)
    order = [name.strip() for name in settings.get("composed", "").split(",") if name.strip()]
    if order and (set(order) - _ORDERS or not {"water", "fat"} <= set(order) or len(set(order)) < len(order)):
        raise DeliveryError(
            "composed",
            f"{settings['composed']!r} is no order of the volumes of a composed file",
            'State all of them, such as "opp, in, fat, water"',
        )
    visits: dict[tuple[str, str], _Files] = defaultdict(_Files)
    _search(root, _Place(), visits, 0)
    listing = Listing()
    for (participant_id, session_id), files in sorted(visits.items()):
        try:
            chosen = _chosen(files, bool(order), where_of(participant_id, session_id))
        except DeliveryError as error:
            listing.problems.append(problem_row(participant_id, session_id, error))
            continue
        listing.deliveries.append(Delivery(participant_id, session_id, "nako", chosen, settings))
    return listing


def load(delivery: Delivery, scratch: Path) -> DeliveredScan:
    """Read the composed volumes, or stitch the stations.

    Parameters
    ----------
    delivery : Delivery
        With NIfTI files of water and fat, one composed file, or DICOM folders and archives.
    scratch : pathlib.Path
        Empty folder for files on the way.

    Returns
    -------
    DeliveredScan
        Water and fat of the trunk and thighs.
    """
    if "dicom" in delivery.files:
        alone = len(delivery.files["dicom"]) == 1

        def tell(header: Header, names: Mapping[str, str]) -> str | None:
            # A composed series is called _W and holds all contrasts, so its name says nothing of a single image.
            if alone and not names and "COMPOSED" in header.description.upper():
                return stated_contrast(header)
            return contrast_of(header, names)

        try:
            stations, facts, notes = read_stations(
                delivery.files["dicom"], scratch, delivery.where, settings=delivery.settings, tell=tell
            )
        except DeliveryError as error:
            if not (alone and error.problem.startswith("No series is") and "_COMPOSED" in error.problem):
                raise
            raise DeliveryError(
                error.where,
                "There is one composed series and no other of fat, and its images do not say which contrast they are, in the image "
                "type or Siemens' tag (0051,1019)",
                "Fetch the whole composed series with its original headers, or 3D_GRE_TRA_F_COMPOSED as well",
            ) from error
        return scan_of_stations(delivery, stations, facts, notes)
    if "composed" in delivery.files:
        return _split(delivery)
    return scan_of_files(delivery)


def _search(folder: Path, place: _Place, visits: dict[tuple[str, str], _Files], depth: int) -> None:
    """Walk down; names of folders and files together say whose and which contrast."""
    loose = False
    try:
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except PermissionError:
        # One folder that may not be read stops nobody else: its participant is missing, and told so.
        return
    for entry in listed:
        if entry.name.startswith("."):
            continue
        path = Path(entry.path)
        here = place.after(entry.name)
        if entry.is_dir():
            # Folders of links to the data are usual; a link to a folder above would be walked again and again.
            if depth < _DEEPEST and not (entry.is_symlink() and folder.resolve().is_relative_to(path.resolve())):
                _search(path, here, visits, depth + 1)
        elif here.participant_id:
            key = (here.participant_id, here.session_id)
            stem = re.sub(r"\.nii(\.gz)?$", "", entry.name)
            if stem != entry.name:
                # A name that only repeats its sequence says no more than the folder does.
                said = None if _SEQUENCE.search(stem) else _FILE_ROLE.search(stem)
                role = _ROLES.get(said["role"].lower(), said["role"].lower()) if said else here.contrast
                if role:
                    visits[key].nifti[here.composed, role].append(path)
            elif path.suffix.lower() == ".zip":
                if here.contrast:
                    visits[key].dicom[here.composed, here.contrast].append(path)
            elif here.contrast and path.suffix.lower() != ".json":
                loose = True
    if loose and place.contrast:
        visits[place.participant_id, place.session_id].dicom[place.composed, place.contrast].append(folder)


def _chosen(files: _Files, order_known: bool, where: str) -> dict[str, tuple[Path, ...]]:
    """Files that are meant: composed before stations, NIfTI before DICOM."""
    for composed in (True, False):
        pair = {role: files.nifti.get((composed, role), []) for role in ("water", "fat")}
        if all(pair.values()):
            if composed and any(len(paths) > 1 for paths in pair.values()):
                raise DeliveryError(
                    where,
                    "There are several composed volumes of one contrast "
                    f"({', '.join(path.name for paths in pair.values() for path in paths[:2])})",
                    "Keep the one that is meant",
                )
            return {role: tuple(paths) for role, paths in pair.items()}
        if composed and pair["water"]:
            if len(pair["water"]) == 1 and order_known:
                return {"composed": (pair["water"][0],)}
            if all(_is_single_volume(path) for path in pair["water"]):
                held = ", ".join(path.name for path in pair["water"][:3])
                raise DeliveryError(
                    where,
                    f"The fat file is absent: of the composed series there is only {held}, a single volume",
                    "Deliver the composed file of fat as well, such as 3D_GRE_TRA_F_COMPOSED",
                )
            raise DeliveryError(
                where,
                f"There is one composed file ({pair['water'][0].name}) and none of fat; a file of four volumes does not say "
                "which is which",
                'State their order under [images.settings], such as composed = "opp, in, fat, water", or give one file a contrast',
            )
        dicom = {role: files.dicom.get((composed, role), []) for role in ("water", "fat")}
        if all(dicom.values()) or (composed and dicom["water"]):
            return {"dicom": tuple(path for paths in dicom.values() for path in paths)}
    there = sorted({role for _, role in (*files.nifti, *files.dicom)})
    raise DeliveryError(
        where,
        f"There is no pair of water and fat (of this visit there is: {', '.join(there) or 'nothing of the Dixon scan'})",
        "Deliver 3D_GRE_TRA_W and 3D_GRE_TRA_F, or the composed series",
    )


def _is_single_volume(path: Path) -> bool:
    """Tell whether a file holds one volume; of a file that cannot be read it is not known."""
    try:
        # The header alone: the whole of every participant's file would be read where none has fat.
        shape = nib.load(path).shape  # type: ignore[attr-defined]
    except (ImageFileError, OSError, EOFError, ValueError, zlib.error):
        return False
    return len(shape) == 3 or set(shape[3:]) == {1}


def _split(delivery: Delivery) -> DeliveredScan:
    """Water and fat of a composed file, by the stated order of its volumes."""
    path = delivery.files["composed"][0]
    order = [name.strip() for name in delivery.settings["composed"].split(",") if name.strip()]
    image, name, sha256 = open_image(path, "composed")
    if image.ndim != 4 or image.shape[3] != len(order):
        raise DeliveryError(
            f"{delivery.where}, {path.name}",
            f"It has the shape {' x '.join(map(str, image.shape))}, and {len(order)} volumes are stated ({', '.join(order)})",
            "State the order of all its volumes under [images.settings] (composed), or give one file a contrast",
        )
    data = np.asanyarray(image.dataobj)
    station: dict[str, Volume] = {}
    for role in ("water", "fat"):
        volume = read_volume(nifti_image(data[..., order.index(role)], image.affine), role)
        station[role] = replace(volume, name=name, sha256=sha256)
    same = replace(delivery, files={**delivery.files, "water": (path,), "fat": (path,)})
    return scan_of_stations(same, [station], sidecar_facts(sidecar_of(path), delivery.where), [])
