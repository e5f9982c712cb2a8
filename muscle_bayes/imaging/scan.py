"""One scan ready to be measured: images on one grid, muscles, fat signal fraction and intensity mixture."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from muscle_bayes.errors import GridMismatchError, ImageError, MixtureNotSeparableError
from muscle_bayes.imaging.compartment import fascia_compartment
from muscle_bayes.imaging.fat_fraction import (
    FLOOR_SHARE,
    T1Correction,
    check_dixon_units,
    check_magnitude,
    fat_signal_fraction,
    in_body_median_of_pair,
)
from muscle_bayes.imaging.hull import HULL_SCHEME, hull_compartment
from muscle_bayes.imaging.images import ImageSource, Volume, read_volumes, require_same_grid
from muscle_bayes.imaging.label_schemes import Scheme, read_label_map
from muscle_bayes.imaging.labels import Structure
from muscle_bayes.imaging.mixture import IntensityMixture, fit_mixture
from muscle_bayes.imaging.morphology import erode_slices
from muscle_bayes.imaging.quality.swap import Swap, exchange, find_swap
from muscle_bayes.imaging.quality.view import make_view
from muscle_bayes.imaging.resampling import labels_on_grid

#: Subcutaneous fat next to skin and muscle is partial volume and no example of fat.
_FAT_RIM_MM = 3.0

#: What to do about labels on another grid, which need not be an error.
_OTHER_GRID = (
    "Ask for resample_labels=True, which takes the nearest label for each voxel of the images, or give the label map that was "
    "made on them"
)


#: What to do about exchanged water and fat: where it is a part or a block, and where it is the whole scan.
_SWAP_ADVICE = {
    False: "repair_swap=True exchanges them back there before measuring",
    True: "check the series names, or exchange --water and --fat (water= and fat= in Python)",
}


@dataclass(frozen=True, eq=False)
class Scan:
    """Everything that is measured in one scan.

    Attributes
    ----------
    background : Volume
        Water image, or the single contrast: what an overlay is drawn on.
    labels : ndarray (nx, ny, nz) int
        Label map, after the fascia has been closed where that was asked for.
    scheme : dict
        id -> Structure for the ids that occur.
    fraction : ndarray (nx, ny, nz) or None
        Fat signal fraction, not-a-number where undefined; None for a single contrast.
    intensity : ndarray (nx, ny, nz)
        What the mixture is fitted to: the single contrast, else the fat signal fraction.
    mixture : IntensityMixture or None
        None where the components do not separate.
    compartment : {"labels", "fascia"}
        How muscles are bounded.
    backend : {"labelmap", "hull"}
        Where the labels come from.
    inputs : dict
        role -> name and sha256.
    notes : list of str
        What a reader of the measurements must know.
    settings : dict
        Noise floor, T1 correction, components of the mixture.
    swap_suspected : bool
        Whether water and fat look exchanged, over the whole scan, in a block of slices or in a part, and were left so.
    """

    background: Volume
    labels: np.ndarray
    scheme: dict[int, Structure]
    fraction: np.ndarray | None
    intensity: np.ndarray
    mixture: IntensityMixture | None
    compartment: str
    backend: str
    inputs: dict[str, dict[str, str]]
    notes: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    swap_suspected: bool = False


def read_scan(
    water: ImageSource | None = None,
    fat: ImageSource | None = None,
    labels: ImageSource | None = None,
    *,
    image: ImageSource | None = None,
    compartment: str = "labels",
    backend: str | None = None,
    scheme: Scheme | str | Path | None = None,
    resample_labels: bool = False,
    t1_correction: T1Correction | None = None,
    floor_share: float = FLOOR_SHARE,
    require_mixture: bool = False,
    repair_swap: bool = False,
) -> Scan:
    """Read, check and prepare the images of one scan.

    Parameters
    ----------
    water, fat, labels, image, compartment, backend, scheme, resample_labels, t1_correction, floor_share, repair_swap
        As in `muscle_bayes.imaging.quantify`.
    require_mixture : bool
        Raise where the mixture does not separate, even where a Dixon pair gives the other definitions.

    Returns
    -------
    Scan
        Arrays keep the grid of the images, in RAS order.

    Raises
    ------
    ImageError
        Any of the image errors, naming the file.
    """
    backend = _checked_backend(water, fat, labels, image, backend)
    volumes = read_volumes({k: v for k, v in (("water", water), ("fat", fat), ("image", image)) if v is not None})
    label_map = read_label_map(labels, scheme) if labels is not None else None
    first = next(iter(volumes.values()))
    for other in list(volumes.values())[1:]:
        require_same_grid(first, other)
    notes: list[str] = []
    settings: dict[str, Any] = {}
    found: dict[int, Structure] = {}
    if not first.orientation_known:
        notes.append(f"{first.name}: the header has no orientation, so left and right are a guess")
    if label_map is not None:
        volumes["labels"] = label_map.volume
        found, notes = label_map.structures, [*notes, *label_map.notes]
        settings["label_scheme"] = label_map.scheme
        try:
            require_same_grid(first, label_map.volume, _OTHER_GRID)
        except GridMismatchError:
            if not resample_labels:
                raise
            muscles = [key for key, structure in found.items() if structure.is_muscle]
            volumes["labels"] = labels_on_grid(label_map.volume, first, muscles)
            # A structure thinner than the image's voxels, or outside it, may be gone.
            left = set(np.unique(volumes["labels"].data).tolist())
            found = {key: structure for key, structure in found.items() if key in left}
            notes.append(
                f"labels were taken from {_size(label_map.volume)} mm voxels to {_size(first)} mm by the nearest neighbour"
            )

    fraction = None
    swap: Swap | None = None
    if water is not None:
        w, f = volumes["water"], volumes["fat"]
        check_dixon_units(w.data, f.data, w.name, f.name)
        # The hull's labels follow the fat fraction, so only labels of someone else testify about it.
        view = make_view(
            first.spacing, w.data, f.data, None, volumes["labels"].data if label_map is not None else None, found
        )
        swap = find_swap(view)
        if swap is not None and repair_swap and (swap.whole_slices or label_map is not None):
            water_data, fat_data = exchange(w.data, f.data, swap.where, view.factor)
            w, f = replace(w, data=water_data), replace(f, data=fat_data)
            volumes.update(water=w, fat=f)
            first = w
            notes.insert(0, f"{swap.finding.message}; they were exchanged back there before measuring")
            swap = None
        elif swap is not None:
            notes.insert(0, f"{swap.finding.message}; {_SWAP_ADVICE[swap.whole_slices and bool(swap.where.all())]}")
        floor = floor_share * in_body_median_of_pair(w.data, f.data)
        fraction = fat_signal_fraction(w.data, f.data, floor, t1_correction)
        settings["noise_floor"] = floor
        settings["t1_correction"] = None if t1_correction is None else vars(t1_correction).copy()
    if image is not None:
        check_magnitude(volumes["image"].data, volumes["image"].name)

    if label_map is not None:
        number = volumes["labels"].data
        if compartment == "fascia":
            muscles = [key for key, structure in found.items() if structure.is_muscle]
            number = fascia_compartment(number, muscles, first.spacing)
    else:
        number = hull_compartment(volumes["water"].data, volumes["fat"].data, first.spacing)
        found = {key: HULL_SCHEME[key] for key in np.unique(number).tolist() if key}
        compartment = "fascia"
        if any(structure.name == "all" and structure.side == "both" for structure in found.values()):
            notes.append("one limb in view, so its side is not known: rows have side 'both' only")

    if image is not None:
        data = volumes["image"].data
        intensity = np.where(data == 0, np.float32(np.nan), data)
        source_name = volumes["image"].name
    else:
        assert fraction is not None  # _checked_backend let no other case pass
        intensity, source_name = fraction, f"fat signal fraction of {volumes['water'].name} and {volumes['fat'].name}"
    mixture = None
    try:
        mixture = _mixture(number, found, intensity, first, source_name)
        settings["mixture"] = {**vars(mixture), "separation": mixture.separation, "fitted_to": source_name}
    except MixtureNotSeparableError as refusal:
        if fraction is None:
            raise
        if require_mixture:
            raise MixtureNotSeparableError(
                where=refusal.where,
                problem=refusal.problem,
                remedy="Choose the definition threshold or fraction, which a Dixon pair gives without a mixture",
            ) from refusal
        notes.append(f"mixture is missing, the other definitions stand: {refusal.problem}")
    return Scan(
        background=first,
        labels=number,
        scheme=found,
        fraction=fraction,
        intensity=intensity,
        mixture=mixture,
        compartment=compartment,
        backend=backend,
        inputs={role: {"name": volume.name, "sha256": volume.sha256} for role, volume in volumes.items()},
        notes=notes,
        settings=settings,
        swap_suspected=swap is not None,
    )


def _checked_backend(water: object, fat: object, labels: object, image: object, backend: str | None) -> str:
    """Raise where what is given cannot be measured together."""
    if (water is None) != (fat is None):
        missing = "fat" if fat is None else "water"
        raise ImageError(
            where=missing, problem=f"a Dixon pair needs both images and {missing} is missing", remedy=f"Give {missing}="
        )
    if water is None and image is None:
        raise ImageError(
            where="images", problem="no image is given", remedy="Give water= and fat=, or image= for a single contrast"
        )
    chosen = backend or ("labelmap" if labels is not None else None)
    if chosen is None:
        raise ImageError(
            where="labels",
            problem="without a label map nothing says where muscle is",
            remedy="Give labels (labels=, or --labels at the command line), or for limbs in a Dixon pair the backend hull "
            '(backend="hull", or --backend hull)',
        )
    if chosen == "labelmap" and labels is None:
        raise ImageError(where="labels", problem="the backend labelmap needs a label map", remedy="Give labels=")
    if chosen == "hull" and labels is not None:
        raise ImageError(
            where="labels",
            problem="the backend hull finds the compartment itself, and a label map is given as well",
            remedy='Leave out labels=, or backend="hull"',
        )
    if chosen == "hull" and water is None:
        raise ImageError(
            where="image",
            problem="the backend hull needs a Dixon pair: one contrast does not tell fat from muscle",
            remedy="Give water= and fat=, or a label map (labels=)",
        )
    return chosen


def _size(volume: Volume) -> str:
    return " x ".join(f"{step:.3g}" for step in volume.spacing)


def _mixture(
    labels: np.ndarray, scheme: Mapping[int, Structure], intensity: np.ndarray, grid: Volume, name: str
) -> IntensityMixture:
    """Fit the mixture to all muscles, with subcutaneous fat as the example of fat where it is labelled."""
    muscles = [number for number, structure in scheme.items() if structure.is_muscle]
    fats = [number for number, structure in scheme.items() if structure.name == "subcutaneous_fat"]
    subcutaneous = None
    if fats:
        core = erode_slices(np.isin(labels.T, fats).T, _FAT_RIM_MM, grid.spacing)
        subcutaneous = intensity[core]
    # Transposed, voxels are in the order of memory, and nothing is copied.
    return fit_mixture(intensity.T[np.isin(labels.T, muscles)], subcutaneous, name)
