"""Images to measurement rows: how much fat and how much lean tissue each muscle holds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from muscle_bayes.errors import CompartmentNotFoundError, InvalidValueError
from muscle_bayes.imaging.adipose import ADIPOSE_DEFINITIONS, Burden, Tally, burden, tally
from muscle_bayes.imaging.fat_fraction import FLOOR_SHARE, T1Correction
from muscle_bayes.imaging.images import ImageSource, Volume, says_simulated
from muscle_bayes.imaging.label_schemes import Scheme
from muscle_bayes.imaging.regions import (
    ABOVE_GLUTEALS,
    EXTENT_MM,
    FIELD_OF_VIEW,
    REGIONS,
    WHOLE,
    Extent,
    above_gluteals,
    occupied,
    reaches_through,
    touches_edge_in_plane,
)
from muscle_bayes.imaging.scan import Scan, read_scan
from muscle_bayes.imaging.spread import RowSpread, carried_spread, label_origin

#: Lean muscle volume is missing where more of the compartment than this has no signal.
UNDEFINED_LIMIT_PERCENT = 5.0
#: More fat than this by the threshold and the first thing to think of is that water and fat are swapped.
SWAP_SUSPECT_PERCENT = 50.0

MEASUREMENT_COLUMNS = (
    "participant_id",
    "session_id",
    "muscle",
    "side",
    "region",
    "compartment",
    "backend",
    "weights_sha256",
    "compartment_cm3",
    "undefined_percent",
    "z_min_mm",
    "z_max_mm",
    "voxel_mm3",
    "truncated",
    *(f"intermat_{definition}_percent" for definition in ADIPOSE_DEFINITIONS),
    *(f"lean_{definition}_cm3" for definition in ADIPOSE_DEFINITIONS),
    "intermat_sd_percent",
    "lean_sd_cm3",
    "intermat_lean_cov",
    "qc",
    "simulated",
)


def quantify(
    water: ImageSource | None = None,
    fat: ImageSource | None = None,
    labels: ImageSource | None = None,
    *,
    image: ImageSource | None = None,
    bmi: float | None = None,
    adipose: str = "threshold",
    compartment: str = "labels",
    backend: str | None = None,
    participant_id: str = "",
    session_id: str = "",
    region: str | None = None,
    scheme: Scheme | str | Path | None = None,
    resample_labels: bool = False,
    t1_correction: T1Correction | None = None,
    floor_share: float = FLOOR_SHARE,
    repair_swap: bool = False,
    simulated: bool = False,
    test_retest_sd: tuple[float, float] | None = None,
    overlay: str | Path | None = None,
) -> pd.DataFrame:
    """Measure InterMAT and lean muscle in one scan.

    Parameters
    ----------
    water, fat : path or nibabel image
        Dixon magnitude images on one grid.
    labels : path or nibabel image
        Label map on the same grid, or a folder with one mask a class as TotalSegmentator writes it. Class names in the file
        say what its ids mean; without them they are those of `muscle_bayes.imaging.SCHEME`, unless `scheme` says otherwise.
    image : path or nibabel image
        A single contrast in which fat is bright. Alone it gives the adipose definition "mixture" only; beside a Dixon
        pair the mixture is fitted to it instead of the fat signal fraction.
    bmi : float
        Body mass index, kg/m2. Without it the lmm columns are missing.
    adipose : {"threshold", "fraction", "mixture"}
        The definition that is the exposure, kept in `attrs`; all that can be had are written.
    compartment : {"labels", "fascia"}
        Muscles as labelled, or each closed slice by slice by 12 mm. The hull backend is always "fascia".
    backend : {"labelmap", "hull"}
        Where the compartment comes from; `hull` finds that of limbs without labels. Default: labelmap with labels.
    participant_id, session_id : str
        Written to every row.
    region : {"field_of_view", "whole", "above_gluteals_150mm"}
        Keep the rows of one region; see `muscle_bayes.imaging.regions`.
    scheme : str, mapping or path
        For labels of another tool: its name (`totalsegmentator_mr`, `totalsegmentator_thigh_shoulder_mr`,
        `totalsegmentator_ct`, `vibesegmentator`, `mrsegmentator`, `musclemap_wholebody@1.4`; @ and a version where ids have
        changed), id -> (muscle, side), or a file of them (`read_scheme`). Several ids may name one muscle.
    resample_labels : bool
        Bring labels on another grid onto that of the images, by the nearest neighbour; they are refused otherwise.
    t1_correction : T1Correction
        Undo T1 weighting of the fat signal fraction.
    floor_share : float
        Noise floor of W + F as a share of its in-body median.
    repair_swap : bool
        Exchange water and fat back where they look exchanged (everywhere, in a block of slices or, with labels, in a part);
        a note says so. Otherwise the note says what was found and `qc` asks for review.
    simulated : bool
        Whether the images are phantoms; written to every row. The header of this project's phantoms says it too, and is believed.
    test_retest_sd : (float, float), optional
        SDs between two scans of one person, of InterMAT (points) and lean volume (cm3) of the autochthonous muscles: added to
        those that labels of `segment` carry, or alone where labels carry none. Stated in `attrs["uncertainty"]`.
    overlay : path
        Where to draw the compartment and adipose voxels on slices (PNG, SVG, PDF).

    Returns
    -------
    DataFrame
        `MEASUREMENT_COLUMNS` and lmm_{definition}_cm3_per_kg_m2, one row a muscle, side and region, with side "both" and
        muscle "all" (every labelled muscle) as sums. SDs and covariance are those of the autochthonous muscles by the definition
        threshold, where the labels come from `segment` with a calibrated network; missing elsewhere.
        `attrs` hold inputs with hashes, the label scheme, the noise floor, the mixture's components and `notes`.

    Raises
    ------
    ImageError
        `GridMismatchError`, `EmptyImageError`, `CorruptImageError`, `ImageUnitsError`, `LabelSchemeError`,
        `CompartmentNotFoundError` or `MixtureNotSeparableError`, each naming file, fault and remedy.
    InvalidValueError
        Where `bmi` is not a body mass index.
    """
    for name, value, allowed in (
        ("adipose", adipose, ADIPOSE_DEFINITIONS),
        ("compartment", compartment, ("labels", "fascia")),
        ("backend", backend, (None, "labelmap", "hull")),
        ("region", region, (None, *REGIONS)),
    ):
        if value not in allowed:
            raise InvalidValueError(
                where=name,
                problem=f"{value!r} is not known",
                remedy=f"Choose from {', '.join(str(choice) for choice in allowed if choice)}",
            )
    if bmi is not None and not 10 <= bmi <= 100:
        raise InvalidValueError(
            where=f"bmi of participant {participant_id!r}" if participant_id else "bmi",
            problem=f"{bmi} is not a body mass index in kg/m2 (10 to 100)",
            remedy="Give weight in kg / (height in m) squared, or leave it out",
        )
    scan = read_scan(
        water,
        fat,
        labels,
        image=image,
        compartment=compartment,
        backend=backend,
        scheme=scheme,
        resample_labels=resample_labels,
        t1_correction=t1_correction,
        floor_share=floor_share,
        require_mixture=adipose == "mixture",
        repair_swap=repair_swap,
    )
    simulated = simulated or any(says_simulated(each) for each in (water, fat, image) if each is not None)
    spread = RowSpread(scan, carried_spread(labels), test_retest_sd)
    table = measure(
        scan, bmi=bmi, participant_id=participant_id, session_id=session_id, simulated=simulated, spread=spread
    )
    table = table.assign(**label_origin(labels, scan))
    if region is not None:
        table = _only_region(table, region, scan)
    if scan.fraction is None and adipose != "mixture":
        table.attrs["notes"].append(f"one contrast gives the definition mixture only; {adipose} is missing")
        adipose = "mixture"
    table.attrs["adipose"] = adipose
    if overlay is not None:
        from muscle_bayes.imaging.overlay import save_overlay

        save_overlay(scan, overlay, title=participant_id or None, simulated=simulated)
    return table


def measure(
    scan: Scan,
    *,
    bmi: float | None = None,
    participant_id: str = "",
    session_id: str = "",
    simulated: bool = False,
    spread: RowSpread | None = None,
) -> pd.DataFrame:
    """Measurement rows of a prepared scan.

    Parameters
    ----------
    scan : Scan
        From `read_scan`.
    bmi, participant_id, session_id, simulated
        As in `quantify`.
    spread : RowSpread, optional
        Gives SDs and covariances; missing where left out.

    Returns
    -------
    DataFrame
        As in `quantify`.
    """
    grid = scan.background
    ids = [number for number, structure in scan.scheme.items() if structure.is_muscle]
    lookup = np.zeros(int(scan.labels.max()) + 1, dtype=np.int32)
    lookup[ids] = np.arange(1, len(ids) + 1)
    # In the order of memory that the labels have, which is that of the images.
    structure = lookup[scan.labels.T].T
    counts = tally(structure, len(ids), scan.fraction, scan.intensity, scan.mixture)
    cut_in_plane = touches_edge_in_plane(structure, len(ids))
    owners = [(scan.scheme[number].name, scan.scheme[number].side) for number in ids]

    spread = RowSpread(scan, None) if spread is None else spread
    rows: list[dict[str, Any]] = []
    for muscle, side, members in _groups(owners):
        voxels = counts.voxels[members].sum(axis=0)
        cut = bool(cut_in_plane[members].any())
        in_stack = occupied(voxels)
        regions = [(FIELD_OF_VIEW, in_stack, cut)]
        if scan.backend != "hull":
            regions.append((WHOLE, in_stack, cut or not in_stack.in_view))
        extent = _extent_above_gluteals(counts, owners, grid) if muscle == "autochthonous" else None
        if extent is not None:
            # Both sides must reach through: the sum of a whole left and half a right side is neither.
            whole = all(reaches_through(counts.voxels[member], extent) for member in members)
            regions.append((ABOVE_GLUTEALS, extent, cut or not (extent.in_view and whole)))
        for region, reach, truncated in regions:
            found = burden(counts, members, reach.weight, grid.voxel_mm3)
            parts = [burden(counts, member, reach.weight, grid.voxel_mm3) for member in members[:, None]]
            rows.append(
                {
                    "muscle": muscle,
                    "side": side,
                    "region": region,
                    **_figures(found, truncated),
                    **spread.columns(muscle, side, region, reach.weight, found, truncated=truncated),
                    "z_min_mm": _face_mm(grid, reach.first),
                    "z_max_mm": _face_mm(grid, reach.last),
                    "truncated": int(truncated),
                    # A stack that ends within a muscle is how trunks are scanned: `truncated` says it, nobody need look.
                    "qc": _qc(found, parts, cut, truncated and region != WHOLE, scan),
                }
            )
    table = pd.DataFrame(rows).assign(
        participant_id=participant_id,
        session_id=session_id,
        compartment=scan.compartment,
        backend=scan.backend,
        weights_sha256="",
        voxel_mm3=grid.voxel_mm3,
        simulated=int(simulated),
    )
    table = table.loc[:, list(MEASUREMENT_COLUMNS)]
    table.loc[table["lean_threshold_cm3"].isna(), ["lean_sd_cm3", "intermat_lean_cov"]] = np.nan
    notes = [*scan.notes, *spread.notes]
    for definition in ADIPOSE_DEFINITIONS:
        table[f"lmm_{definition}_cm3_per_kg_m2"] = table[f"lean_{definition}_cm3"] / (
            bmi if bmi is not None else np.nan
        )
    if bmi is None:
        notes.append("no BMI was given, so lmm_*_cm3_per_kg_m2 is missing")
    attrs: dict[str, Any] = {
        "simulated": bool(simulated),
        "bmi_kg_m2": bmi,
        "inputs": scan.inputs,
        "fat_fraction": "fat_signal_fraction",
        "notes": notes,
        **scan.settings,
        **({"uncertainty": spread.settings} if spread.settings else {}),
    }
    table.attrs.update(attrs)
    return table


def _only_region(table: pd.DataFrame, region: str, scan: Scan) -> pd.DataFrame:
    kept = table[table["region"] == region].reset_index(drop=True)
    if kept.empty:
        needs = {
            ABOVE_GLUTEALS: "it needs labels of the gluteals and of the autochthonous muscles",
            WHOLE: "the hull backend measures what the stack shows of a limb, never a whole muscle",
        }
        name = scan.inputs.get("labels", {"name": "hull"})["name"]
        raise CompartmentNotFoundError(
            where=name,
            problem=f"nothing can be measured over the region {region}: {needs.get(region, 'no muscle is there')}",
            remedy=f"Choose from {', '.join(table['region'].unique())}, or leave region= out",
        )
    return kept


def _groups(owners: list[tuple[str, str]]) -> Iterator[tuple[str, str, np.ndarray]]:
    """Muscle, side and the structures that make it up; sums over sides and over muscles come last."""
    names = list(dict.fromkeys(name for name, _ in owners if name != "all"))
    for name in names:
        sides = {side for muscle, side in owners if muscle == name}
        for side in ("left", "right"):
            if side in sides:
                yield name, side, np.flatnonzero([owner == (name, side) for owner in owners])
        # One side alone has no sum: a muscle that is labelled on the left only is not a small muscle.
        if sides >= {"left", "right"} or "both" in sides:
            yield name, "both", np.flatnonzero([muscle == name for muscle, _ in owners])
    for side in ("left", "right"):
        members = np.flatnonzero([owner_side == side for _, owner_side in owners])
        if members.size:
            yield "all", side, members
    yield "all", "both", np.arange(len(owners))


def _extent_above_gluteals(counts: Tally, owners: list[tuple[str, str]], grid: Volume) -> Extent | None:
    gluteals = [name == "gluteals" for name, _ in owners]
    if not any(gluteals):
        return None
    height_mm = grid.spacing[2]
    # The volume of a voxel over its height is its area, and stays so on a sheared grid.
    return above_gluteals(counts.voxels[gluteals].sum(axis=0), grid.voxel_mm3 / height_mm, height_mm, EXTENT_MM)


def _figures(found: Burden, truncated: bool) -> dict[str, float]:
    """Columns of one row; what cannot be had is missing, not small."""
    figures = {"compartment_cm3": found.compartment_cm3, "undefined_percent": found.undefined_percent}
    lean_known = not truncated and found.undefined_percent <= UNDEFINED_LIMIT_PERCENT
    for definition in ADIPOSE_DEFINITIONS:
        figures[f"intermat_{definition}_percent"] = np.nan if truncated else found.intermat_percent[definition]
        figures[f"lean_{definition}_cm3"] = found.lean_cm3[definition] if lean_known else np.nan
    return figures


def _qc(found: Burden, parts: list[Burden], cut_in_plane: bool, truncated: bool, scan: Scan) -> str:
    """Fail what cannot be measured; ask for a look where figures are missing or water and fat may be swapped."""
    if cut_in_plane or not found.undefined_percent <= UNDEFINED_LIMIT_PERCENT:
        return "fail"
    if scan.swap_suspected:
        # Labels were drawn by someone else; the hull was found in the swapped pair, so it is the wrong tissue.
        return "fail" if scan.backend == "hull" else "review"
    swapped = any(part.intermat_percent["threshold"] >= SWAP_SUSPECT_PERCENT for part in parts)
    return "review" if swapped or truncated else "pass"


def _face_mm(grid: Volume, face: float) -> float:
    """Height of the lower face of slice `face` above the scanner's origin, in the middle of the slice."""
    nx, ny, _ = grid.data.shape
    return float(grid.affine[2] @ [(nx - 1) / 2, (ny - 1) / 2, face - 0.5, 1.0])
