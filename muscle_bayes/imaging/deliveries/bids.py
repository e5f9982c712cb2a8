"""BIDS-like trees: `sub-X[/ses-Y]/anat/` with water and fat told apart by an entity or a suffix.

BIDS 1.11 has no rule for Dixon images, so people write `_acq-water`, `_part-water`, `_rec-water`, `_desc-water`, `_water` as a
suffix, or W and F for these; stations as `_chunk-1`. All of these are read. What is left of the name (without series
numbers, `_sequ-`) must be the same for water and fat; that is how the two of one acquisition are known.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from muscle_bayes.errors import DeliveryError
from muscle_bayes.imaging.deliveries.delivery import (
    Delivery,
    Listing,
    Participant,
    problem_row,
    settings_of,
    where_of,
)

#: Entities that may say water or fat.
_CONTRAST_ENTITIES = ("acq", "part", "rec", "desc", "ce")
#: W and F alone, or behind the name of a Dixon sequence; T1w is no water image.
_SEQUENCE = r"(?:(?:t1|t2|m|me|gre)?(?:dixon|vibe|megre))?"
_CONTRASTS = {
    "water": re.compile(rf"{_SEQUENCE}(?:water|wat|w)", re.IGNORECASE),
    "fat": re.compile(rf"{_SEQUENCE}(?:fat|f)", re.IGNORECASE),
}
#: Entities that differ between the images of one acquisition: number of the series, of the station.
_NOT_SHARED = ("sequ", "chunk")


@dataclass(frozen=True)
class _Named:
    """A file name, taken apart."""

    path: Path
    entities: tuple[tuple[str, str], ...]
    suffix: str
    contrast: str | None
    acquisition: tuple[str, ...]


def find(root: Path, patterns: Mapping[str, str], people: Sequence[Participant] | None) -> Listing:
    """Find everybody's images.

    Parameters
    ----------
    root : pathlib.Path
        Folder with the `sub-` folders.
    patterns : mapping of str to str
        water, fat: patterns of file names that narrow the choice, such as `*_run-1_*`. Others are not used here.
    people : sequence of Participant or None
        How identifiers are spelt: where these write `sub-01` and `ses-1`, as a BIDS participants.tsv does, so does the listing.

    Returns
    -------
    Listing
        One delivery a participant and session with exactly one pair.
    """
    listing = Listing()
    written = {name for person in people or () for name in (person.participant_id, person.session_id)}
    for subject in sorted(root.glob("sub-*")):
        if not subject.is_dir():
            continue
        sessions = [path for path in sorted(subject.glob("ses-*")) if path.is_dir()]
        for folder in [*sessions, *([] if sessions and not _has_images(subject) else [subject])]:
            participant_id = subject.name if subject.name in written else subject.name.removeprefix("sub-")
            session_id = ""
            if folder is not subject:
                session_id = folder.name if folder.name in written else folder.name.removeprefix("ses-")
            try:
                files = _pair(folder, patterns, where_of(participant_id, session_id))
            except DeliveryError as error:
                listing.problems.append(problem_row(participant_id, session_id, error))
                continue
            listing.deliveries.append(
                Delivery(
                    participant_id, session_id, "bids", files, settings_of(patterns, roles=("water", "fat", "labels"))
                )
            )
    return listing


def _has_images(subject: Path) -> bool:
    """Whether a subject with sessions has images outside of them as well."""
    return any(True for name in ("*.nii*", "[!s]*/*.nii*") for _ in subject.glob(name))


def _pair(folder: Path, patterns: Mapping[str, str], where: str) -> dict[str, tuple[Path, ...]]:
    """Water and fat of the one acquisition of a session."""
    paths = [p for pattern in ("*.nii", "*.nii.gz", "*/*.nii", "*/*.nii.gz") for p in folder.glob(pattern)]
    named = [
        _taken_apart(path)
        for path in sorted(paths)
        if not path.name.startswith("._") and not path.relative_to(folder).parts[0].startswith("ses-")
    ]
    narrowed = [
        name
        for name in named
        if name.contrast is None
        or name.contrast not in patterns
        or fnmatchcase(name.path.name, _bare(patterns[name.contrast]))
    ]
    acquisitions: dict[tuple[str, ...], dict[str, list[_Named]]] = defaultdict(lambda: defaultdict(list))
    for name in narrowed:
        if name.contrast is not None:
            acquisitions[name.acquisition][name.contrast].append(name)
    whole = {key: each for key, each in acquisitions.items() if len(each) == 2}
    if not whole:
        there = ", ".join(name.path.name for name in named[:4]) or "no image"
        alone = sorted({contrast for each in acquisitions.values() for contrast in each})
        problem, remedy = "No pair of water and fat", ""
        if len(alone) == 1:
            other = "fat" if alone[0] == "water" else "water"
            problem = f"There is {alone[0]} and no {other}"
            remedy = f"Deliver the {other} image; if it is there, name the two"
        raise DeliveryError(
            where,
            f"{problem} under {folder.name} ({there})",
            f"{remedy or 'Name them'} alike but for acq-, part-, rec-, desc- or the suffix (water, fat), or use the format nifti "
            "with patterns",
        )
    if len(whole) > 1:
        names = ", ".join(each["water"][0].path.name for each in whole.values())
        raise DeliveryError(
            where,
            f"There are {len(whole)} pairs of water and fat ({names})",
            "Say which with patterns of file names (water and fat), such as *_run-1_*",
        )
    ((_, chosen),) = whole.items()
    files = {role: tuple(name.path for name in chosen[role]) for role in ("water", "fat")}
    for role, several in chosen.items():
        chunks = [dict(name.entities).get("chunk") for name in several]
        if len(several) > 1 and (None in chunks or len(set(chunks)) < len(chunks)):
            raise DeliveryError(
                where,
                f"There are {len(several)} images of {role} ({', '.join(name.path.name for name in several[:3])})",
                "Keep one, or number stations with chunk-",
            )
    labels = [name.path for name in named if name.suffix == "dseg" and "probseg" not in name.path.name]
    return files | ({"labels": (labels[0],)} if len(labels) == 1 else {})


def _bare(pattern: str) -> str:
    """Last part of a pattern, with the placeholders as wildcards."""
    return re.sub(r"\{\w+\}", "*", pattern.rsplit("/", 1)[-1])


def _taken_apart(path: Path) -> _Named:
    """Take a file name apart into entities and suffix."""
    *parts, suffix = re.sub(r"\.nii(\.gz)?$", "", path.name).split("_")
    entities = tuple((key, value) for key, sign, value in (part.partition("-") for part in parts) if sign)
    contrast = None
    acquisition = [path.parent.name]
    for key, value in entities:
        said = _contrast(value) if key in _CONTRAST_ENTITIES else None
        if said is not None:
            contrast = said
        elif key not in _NOT_SHARED:
            acquisition.append(f"{key}-{value}")
    said = _contrast(suffix)
    if said is not None:
        contrast = said
    else:
        acquisition.append(suffix)
    if suffix in {"dseg", "probseg", "mask"}:
        contrast = None
    return _Named(path, entities, suffix, contrast, tuple(acquisition))


def _contrast(word: str) -> str | None:
    return next((contrast for contrast, expression in _CONTRASTS.items() if expression.fullmatch(word)), None)
