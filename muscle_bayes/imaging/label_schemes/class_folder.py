"""A folder with one mask a class, as TotalSegmentator writes it: the name of a file is the name of its class."""

import hashlib
from pathlib import Path

import numpy as np

from muscle_bayes.errors import LabelSchemeError
from muscle_bayes.imaging.images import Volume, label_volume, open_image, require_same_grid
from muscle_bayes.imaging.label_schemes.published import PUBLISHED, PublishedScheme, published
from muscle_bayes.imaging.labels import Structure

#: Masks of two tasks may share some voxels at their border; more than this is not a border.
OVERLAP_LIMIT = 0.05


def read_class_folder(folder: Path, scheme: str | None = None) -> tuple[Volume, dict[int, Structure], str, list[str]]:
    """Put the masks of a folder into one label map.

    Parameters
    ----------
    folder : pathlib.Path
        With files such as `autochthon_left.nii.gz`, of one task or several; other files are left alone.
    scheme : str, optional
        A published scheme of a tool that writes folders; by default the classes of all of them are known.

    Returns
    -------
    volume : Volume
        Label map; its hash is that of the names and files that were read.
    structures : dict
        id -> Structure for the classes that are in view; ids are running numbers.
    key : str
        What the classes were read by.
    notes : list of str
        Images that were left out, and voxels that two classes claimed.

    Raises
    ------
    LabelSchemeError
        Where no file is named like a class, a file is no mask, or masks lie upon one another.
    ImageError
        Where a mask cannot be read, or lies on another grid.
    """
    tables = _tables(folder, scheme)
    classes = {name: table.structures[number] for table in tables for number, name in table.names.items()}
    images = {path: path.name.removesuffix(".gz").removesuffix(".nii") for path in _images(folder)}
    masks = {path: name for path, name in images.items() if name in classes}
    if not any(classes[name].is_muscle for name in masks.values()):
        raise LabelSchemeError(
            where=str(folder),
            problem=f"none of its {len(images)} images is named like a muscle of {' or '.join(_keys(tables))}",
            remedy="Give the folder that holds files such as autochthon_left.nii.gz, or one label map with scheme=",
        )
    twice = [name for name in masks.values() if list(masks.values()).count(name) > 1]
    if twice:
        raise LabelSchemeError(str(folder), f"there are two files of {twice[0]}", "Keep one of them")

    first: Volume | None = None
    digest = hashlib.sha256()
    labels = np.zeros(0, dtype=np.int32)
    structures: dict[int, Structure] = {}
    owners: dict[int, str] = {}
    claimed = 0
    for number, (path, name) in enumerate(masks.items(), start=1):
        mask = label_volume(*open_image(path, name), name, empty=True)
        digest.update(f"{path.name}:{mask.sha256};".encode())
        if first is None:
            first, labels = mask, np.zeros(mask.data.shape, dtype=np.int32)
        require_same_grid(first, mask, "Write all classes of a scan with one call, which puts them on one grid")
        inside = mask.data > 0
        if mask.data.max() > 1 and np.unique(mask.data[inside]).size > 1:
            raise LabelSchemeError(str(path), "holds several labels and is no mask of one class", "Give it as labels=")
        shared = inside & (labels > 0)
        if shared.any():
            other = int(np.bincount(labels[shared]).argmax())
            size = min(int(inside.sum()), int((labels == other).sum()))
            if shared.sum() > OVERLAP_LIMIT * size:
                raise LabelSchemeError(
                    where=str(folder),
                    problem=f"{name} and {owners[other]} share {100 * shared.sum() / size:.0f} % of the smaller one, so they do "
                    "not belong to one segmentation",
                    remedy="Keep the masks of one run in the folder",
                )
            claimed += int(shared.sum())
        labels[inside & ~shared] = number
        owners[number] = name
        if (inside & ~shared).any():
            structures[number] = classes[name]
    assert first is not None  # there is a muscle among the masks
    if not structures:
        raise LabelSchemeError(
            where=str(folder), problem="no voxel is labelled in any mask", remedy="Give the folder of this scan"
        )
    notes = []
    if claimed:
        notes.append(f"{folder.name}: {claimed} voxels lie in two classes and count to the first by name")
    left = [name for name in images.values() if name not in classes]
    if left:
        shown = ", ".join(left[:5]) + (f" and {len(left) - 5} more" if len(left) > 5 else "")
        notes.append(f"{folder.name}: images that are no known class were left out ({shown})")
    volume = Volume(labels, first.affine, str(folder), digest.hexdigest(), first.orientation_known)
    return volume, structures, " + ".join(_keys(_used(tables, set(owners.values())))), notes


def _tables(folder: Path, scheme: str | None) -> list[PublishedScheme]:
    """Return the published schemes whose classes a folder may hold."""
    if scheme is None:
        return [table for table in PUBLISHED if table.names_in_file]
    name, _, version = scheme.partition("@")
    tables = [table for table in published(name, version) if table.names_in_file]
    if not tables:
        raise LabelSchemeError(
            where=str(folder),
            problem=f"is a folder, and {scheme} does not name files of one class each",
            remedy="Give one label map, or a folder of TotalSegmentator's classes without scheme=",
        )
    return tables


def _used(tables: list[PublishedScheme], classes: set[str]) -> list[PublishedScheme]:
    """Return the tables that name all classes, those of most classes first; of equals the newest."""
    used: list[PublishedScheme] = []
    while classes:
        best = max(tables, key=lambda table: len(classes & set(table.names.values())))
        used.append(best)
        classes = classes - set(best.names.values())
    return used


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.endswith((".nii", ".nii.gz")) and path.is_file())


def _keys(tables: list[PublishedScheme]) -> list[str]:
    return [table.key for table in tables]
