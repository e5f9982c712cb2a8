"""DICOM files of one delivery, sorted into the volumes of a Dixon scan.

Files come from folders or zip archives. Only those of water and fat (or of the one contrast that is asked for) are handed to
dcm2niix; what is no DICOM image is left out and counted.
"""

import io
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from muscle_bayes.errors import ArchiveError, CorruptImageError, DeliveryError, ImageError, StationError
from muscle_bayes.imaging.deliveries.archives import members, shown
from muscle_bayes.imaging.deliveries.contrasts import FAT, WATER, contrast_of
from muscle_bayes.imaging.deliveries.conversion import check_slices, convert_series
from muscle_bayes.imaging.deliveries.facts import grid_facts, merged_facts
from muscle_bayes.imaging.deliveries.headers import Header, HeaderReader
from muscle_bayes.imaging.images import Volume, read_volume

#: Files in one folder; a visit with every sequence has some 20,000.
MAX_FILES = 200_000
_DEEPEST = 8
_MANIFEST = re.compile(r"manifest\.c[sv][vs]$", re.IGNORECASE)


@dataclass
class Group:
    """Files of one contrast of one series.

    Attributes
    ----------
    contrast : str
        water, fat or image.
    folder : pathlib.Path
        Where they lie, under numbers for names.
    headers : list of Header
        One a file.
    """

    contrast: str
    folder: Path
    headers: list[Header] = field(default_factory=list)

    @property
    def description(self) -> str:
        """Series description, with the number of the series."""
        return f"series {self.headers[0].number} ({self.headers[0].description or 'no description'})"


def read_stations(
    sources: Sequence[Path],
    scratch: Path,
    where: str,
    *,
    settings: Mapping[str, str],
    tell: Callable[[Header, Mapping[str, str]], str | None] = contrast_of,
) -> tuple[list[dict[str, Volume]], dict[str, Any], list[str]]:
    """Read the stations of a scan from DICOM files.

    Parameters
    ----------
    sources : sequence of pathlib.Path
        Folders, zip archives or single files.
    scratch : pathlib.Path
        Empty folder for files on the way.
    where : str
        Whose, for messages.
    settings : mapping of str to str
        water, fat, image: patterns of series descriptions; repeats: "refuse" (default) or "last".
    tell : callable
        Header and the patterns -> contrast.

    Returns
    -------
    stations : list of dict of str to Volume
        Role -> volume; water and fat of one station lie on one grid. In no order.
    facts : dict
        Of the sequence.
    notes : list of str
        What was left out.

    Raises
    ------
    DeliveryError
        Where there are no DICOM images, of more than one person or study, or no pair of water and fat.
    StationError
        Where water and fat do not belong together.
    """
    names = {role: settings[role] for role in ("water", "fat", "image") if role in settings}
    wanted = ("image",) if "image" in names else (WATER, FAT)
    damaged: list[str] = []
    try:
        groups, notes = _sorted_files(sources, scratch, where, lambda header: tell(header, names), wanted, damaged)
        _check_wanted(groups, wanted, where, notes)
        for group in groups.values():
            check_slices(group.headers, f"{where}, {group.description}")
        repeats = settings.get("repeats", "refuse")
        paired = _stations(_without_repeats(list(groups.values()), repeats, where), wanted, where)
    except DeliveryError as error:
        if not damaged or isinstance(error, ArchiveError):
            raise
        # What is missing may be what could not be read, which is the reason then.
        raise CorruptImageError(
            where,
            f"{_damage(damaged)}. Without {'it' if len(damaged) == 1 else 'them'}: {error.problem}",
            "Fetch the delivery again",
        ) from error
    if damaged:
        notes.append(_damage(damaged))
    stations: list[dict[str, Volume]] = []
    for station in paired:
        volumes = {}
        for role, group in station.items():
            out = group.folder.with_name(f"{group.folder.name}-volume")
            out.mkdir()
            path = convert_series(group.folder, out, group.headers, f"{where}, {group.description}")
            read = _read(path, role, f"{where}, {group.description}")
            volumes[role] = Volume(read.data, read.affine, group.description, read.sha256, read.orientation_known)
        stations.append(volumes)
    each = [group.headers[0].facts for group in groups.values() if group.headers[0].facts]
    facts, disagreements = merged_facts(each)
    grid = next(iter(stations[0].values()))
    facts |= grid_facts(grid.affine, grid.data.shape)
    return stations, facts, notes + disagreements


def _damage(names: Sequence[str]) -> str:
    """How many files could not be read, and the first."""
    if len(names) == 1:
        return f"A DICOM file could not be read ({shown(names[0])})"
    return f"{len(names):,} DICOM files could not be read (the first is {shown(names[0])})"


def _read(path: Path, role: str, where: str) -> Volume:
    """Read a converted volume; an error names the series, not a file of ours that is gone by then."""
    try:
        return read_volume(path, role)
    except ImageError as error:
        raise type(error)(where, error.problem, error.remedy) from error


def _sorted_files(
    sources: Sequence[Path],
    scratch: Path,
    where: str,
    tell: Callable[[Header], str | None],
    wanted: Sequence[str],
    damaged: list[str],
) -> tuple[dict[tuple[str, str], Group], list[str]]:
    """Write the wanted files to one folder a series and contrast; names of broken ones are added to `damaged`."""
    groups: dict[tuple[str, str], Group] = {}
    others, ignored, nested, images = set(), 0, 0, 0
    people, studies, instances = set(), set(), set()
    headers = HeaderReader()
    for name, content in _contents(sources, where):
        nested += isinstance(content, bytes) and content[:4] == b"PK\x03\x04"
        header = headers.read(content if isinstance(content, Path) else io.BytesIO(content))
        if headers.damaged:
            damaged.append(name)
            continue
        if header is None:
            # Archives of UK Biobank have a list of their files; that is nothing to tell of everybody.
            ignored += not _MANIFEST.search(name)
            continue
        images += 1
        people.add(header.person)
        contrast = tell(header)
        if contrast is None or contrast not in wanted:
            others.add(header.description)
            continue
        # The same image twice, as in a folder that was copied into itself, is one image.
        if header.instance and (header.instance, contrast) in instances:
            continue
        instances.add((header.instance, contrast))
        studies.add(header.study)
        key = (header.series, contrast)
        if key not in groups:
            groups[key] = Group(contrast, scratch / f"{len(groups):03d}-{contrast}")
            groups[key].folder.mkdir(parents=True)
        group = groups[key]
        file = group.folder / f"{len(group.headers):06d}.dcm"
        if isinstance(content, Path):
            shutil.copyfile(content, file)
        else:
            file.write_bytes(content)
        group.headers.append(header)
    if images == 0:
        held = f"{ignored} files that are no DICOM images" if ignored else "no files"
        inside = f", {nested} of them archives, which are not opened inside another" if nested else ""
        raise DeliveryError(where, f"The delivery holds {held}{inside}", "Deliver the DICOM files of the scan")
    if len(people) > 1:
        raise DeliveryError(
            where,
            f"The delivery holds images of {len(people)} persons (patient identifiers differ)",
            "Deliver each person's images on their own",
        )
    if len(studies) > 1:
        raise DeliveryError(
            where,
            f"The delivery holds Dixon images of {len(studies)} examinations",
            "Deliver each visit on its own, with a session",
        )
    notes = ["files that are no DICOM images were left out"] if ignored else []
    if others and not groups:
        told = ", ".join(sorted(repr(name) for name in others)[:6])
        notes.append(f"series that are there: {told}")
    return groups, notes


def _contents(sources: Sequence[Path], where: str) -> Iterator[tuple[str, bytes | Path]]:
    """Name and content of each member of an archive, name and path of each file of a folder."""
    for source in sources:
        if source.is_dir():
            for path in _files_below(source, where):
                yield path.name, path
        elif source.suffix.lower() == ".zip":
            for member in members(source, where):
                yield member.name, member.content
        elif source.is_file():
            yield source.name, source
        else:
            raise DeliveryError(f"{where}, {source.name}", "There is no such file", "Deliver it again")


def _files_below(folder: Path, where: str) -> Iterator[Path]:
    """Files of a folder in order of their names; links that lead out of it are refused."""
    inside = folder.resolve()
    count = 0
    for parent, folders, names in os.walk(folder, followlinks=False):
        folders.sort()
        if len(Path(parent).relative_to(folder).parts) >= _DEEPEST:
            folders.clear()
        for name in sorted(names):
            path = Path(parent, name)
            if path.is_symlink() and not path.resolve().is_relative_to(inside):
                raise DeliveryError(
                    f"{where}, {shown(name)}",
                    "The file is a link that leads out of the participant's folder",
                    "Deliver the files themselves",
                )
            if not path.is_file() or name.startswith("._"):
                continue
            count += 1
            if count > MAX_FILES:
                raise DeliveryError(
                    where, f"The folder has more than {MAX_FILES:,} files", "Deliver one folder a visit"
                )
            yield path


def _check_wanted(
    groups: Mapping[tuple[str, str], Group], wanted: Sequence[str], where: str, notes: Sequence[str]
) -> None:
    found = {group.contrast for group in groups.values()}
    missing = [contrast for contrast in wanted if contrast not in found]
    if missing:
        there = f"; {notes[-1]}" if notes and notes[-1].startswith("series") else ""
        raise DeliveryError(
            where,
            f"No series is {' or '.join(missing)}{there}",
            "Deliver water and fat, or say which series descriptions mean them (water and fat under [images])",
        )


def _without_repeats(groups: list[Group], repeats: str, where: str) -> list[Group]:
    """Of acquisitions of one contrast at one place keep the last, where that is asked for."""
    if repeats != "last":
        return groups
    last: dict[tuple[object, ...], Group] = {}
    for group in sorted(groups, key=lambda g: (g.headers[0].time, g.headers[0].number)):
        last[(group.contrast, *_place(group))] = group
    return list(last.values())


def _place(group: Group) -> tuple[object, ...]:
    """Where a group's slices lie, for telling stations apart: to a tenth of a millimetre."""
    positions = [h.position for h in group.headers if h.position is not None]
    if not positions:
        return (group.headers[0].series,)
    return (*(round(v, 1) for v in min(positions, key=lambda p: p[::-1])), len(positions))


def _stations(groups: Sequence[Group], wanted: Sequence[str], where: str) -> list[dict[str, Group]]:
    """Pair water and fat by where they lie."""
    places: dict[tuple[object, ...], dict[str, Group]] = {}
    multi_frame = [group for group in groups if group.headers[0].frames > 1]
    if multi_frame and len(groups) == len(wanted):
        return [{group.contrast: group for group in groups}]
    for group in groups:
        station = places.setdefault(_place(group), {})
        if group.contrast in station:
            raise StationError(
                f"{where}, {group.description}",
                f"It was acquired twice at the same place (also {station[group.contrast].description})",
                'Keep one of them, or take the later one with repeats = "last" under [images.settings]',
            )
        station[group.contrast] = group
    for station in places.values():
        if len(station) != len(wanted):
            alone = next(iter(station.values()))
            missing = next(contrast for contrast in wanted if contrast not in station)
            raise StationError(
                f"{where}, {alone.description}",
                f"There is no {missing} series with the same slices",
                "Deliver water and fat of every station",
            )
    return list(places.values())
