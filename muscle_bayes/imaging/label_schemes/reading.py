"""Read a label map of any tool: file or folder, whatever its scheme, as ids with their muscle and side."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from scipy.ndimage import find_objects

from muscle_bayes.errors import CompartmentNotFoundError, LabelSchemeError
from muscle_bayes.imaging.images import ImageSource, Volume, label_volume, open_image
from muscle_bayes.imaging.label_schemes.class_folder import read_class_folder
from muscle_bayes.imaging.label_schemes.nifti_names import class_names
from muscle_bayes.imaging.label_schemes.recognition import OWN, Scheme, choose_scheme
from muscle_bayes.imaging.labels import Structure

#: Ids up to this are looked for all at once.
_FEW_IDS = 4096


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A label map and what its ids mean.

    Attributes
    ----------
    volume : Volume
        int32 ids in RAS order; ids that mean background are 0.
    structures : dict
        id -> Structure, for the ids that occur.
    scheme : str
        What they were read by: a published scheme with its version, a file, "mapping" or "muscle_bayes".
    notes : list of str
        What a reader of the measurements must know.
    """

    volume: Volume
    structures: dict[int, Structure]
    scheme: str
    notes: list[str] = field(default_factory=list)


def read_label_map(source: ImageSource, scheme: Scheme | str | Path | None = None) -> LabelMap:
    """Read a label map of any tool.

    Parameters
    ----------
    source : path or nibabel image
        One label map, or a folder with one mask a class as TotalSegmentator writes it.
    scheme : mapping, str or path
        id -> (muscle, side); a published scheme, with its version where ids have changed (`musclemap_wholebody@1.4`); or a
        table of ids (`read_scheme`). Without it the class names in the file decide, else the ids are those of this package.

    Returns
    -------
    LabelMap
        With the grid of the label map.

    Raises
    ------
    LabelSchemeError
        Where it is not certain what the ids mean; the message names the published schemes that hold them.
    CompartmentNotFoundError
        Where none of them is a muscle.
    ImageError
        As in `muscle_bayes.imaging.images.read_labels`.
    """
    if isinstance(source, str | Path) and Path(source).is_dir():
        if scheme is not None and not isinstance(scheme, str):
            raise LabelSchemeError(
                where=str(source),
                problem="is a folder of classes, which are told by the names of their files, and a table of ids is given",
                remedy="Leave scheme= out, or give one label map",
            )
        volume, structures, key, notes = read_class_folder(Path(source), scheme)
    else:
        image, name, sha256 = open_image(source, "labels")
        volume, notes = label_volume(image, name, sha256), []
        present = np.unique(volume.data.T)  # in the order of NIfTI voxels, without a copy
        structures, key = choose_scheme(scheme, present[present > 0].tolist(), class_names(image.header), name)
    between = [number for number, structure in structures.items() if structure.name == "background"]
    if between:
        volume = replace(volume, data=np.where(np.isin(volume.data, between), np.int32(0), volume.data))
        structures = {number: structure for number, structure in structures.items() if number not in between}
    if not any(structure.is_muscle for structure in structures.values()):
        raise CompartmentNotFoundError(
            where=volume.name,
            problem=f"none of the labels present ({', '.join(map(str, structures))}) is a muscle by the scheme {key}",
            remedy="Give the label map that holds muscles, or a scheme= that names them",
        )
    crossed = _crossed(volume.data, structures)
    if crossed:
        problem = f"left and right of {', '.join(crossed)} lie crosswise in the scanner's axes"
        if scheme is None and key == OWN and volume.orientation_known:
            # Nothing but the ids said that they are ours, and they do not look it: MuscleMap's old model of the abdomen counts
            # 1 multifidus right, 2 left, 3 erector spinae right, ...
            raise LabelSchemeError(
                where=volume.name,
                problem=f"{problem} if its ids are those of {OWN}, so they are another tool's, or the voxels were flipped "
                "without the header",
                remedy=f"Give scheme= for labels of another tool, or scheme={OWN!r} to measure all the same",
            )
        notes.append(
            f"{Path(volume.name).name}: {problem}, as after a flip of the voxels without the header; sides are not to be trusted"
        )
    return LabelMap(volume, structures, key, notes)


def _crossed(labels: np.ndarray, structures: dict[int, Structure]) -> list[str]:
    """Muscles whose left lies to the person's right of their right; the first axis grows to the right."""
    crossed, boxes = [], _boxes(labels, list(structures))
    for muscle in dict.fromkeys(structure.name for structure in structures.values() if structure.is_muscle):
        centres = {}
        for side in ("left", "right"):
            ids = [
                number for number, structure in structures.items() if (structure.name, structure.side) == (muscle, side)
            ]
            area = np.zeros(labels.shape[0], dtype=np.int64)
            for number in ids:
                box = boxes[number]
                area[box[2]] += (labels.T[box] == number).sum(axis=(0, 1))
            if ids:
                centres[side] = (area * np.arange(area.size)).sum() / area.sum()
        if len(centres) == 2 and centres["left"] > centres["right"]:
            crossed.append(muscle)
    return crossed


def _boxes(labels: np.ndarray, ids: list[int]) -> dict[int, tuple[slice, ...]]:
    """Return where each id lies, in the order of memory (z, y, x); looking there only spares passes over the whole scan."""
    whole = (slice(None),) * 3
    if max(ids, default=0) > _FEW_IDS:
        return dict.fromkeys(ids, whole)
    found = dict(enumerate(find_objects(labels.T, max(ids, default=0)), start=1))
    return {number: found.get(number) or whole for number in ids}
