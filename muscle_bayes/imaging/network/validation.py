"""Judge a network against readers' labels: overlap, surfaces, and agreement of InterMAT and lean muscle."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from muscle_bayes.errors import MuscleBayesError
from muscle_bayes.imaging.images import Volume, read_volume, require_same_grid
from muscle_bayes.imaging.label_schemes import read_label_map
from muscle_bayes.imaging.labels import SCHEME
from muscle_bayes.imaging.network.agreement import bland_altman, dice, intraclass_correlation, surface_agreement
from muscle_bayes.imaging.network.pairs import Pair, find_pairs, own_ids
from muscle_bayes.imaging.network.segmentation import Segmenter
from muscle_bayes.imaging.quantification import quantify

#: What is compared, by adipose definition; LMM joins where body mass indices are known.
MEASURES = ("intermat_threshold_percent", "intermat_fraction_percent", "lean_threshold_cm3", "lean_fraction_cm3")
_LMM = {"lean_threshold_cm3": "lmm_threshold_cm3_per_kg_m2", "lean_fraction_cm3": "lmm_fraction_cm3_per_kg_m2"}


@dataclass(frozen=True)
class Validation:
    """How a network agrees with reference labels.

    Attributes
    ----------
    overlap : DataFrame
        A row for each scan and structure: dice, surface_mean_mm, hausdorff_95_mm, reference_cm3, predicted_cm3.
    measurements : DataFrame
        A row for each scan and muscle: each measure with reference and with predicted labels.
    agreement : DataFrame
        A row for each muscle and measure: bias, limits of agreement, slope, ICC(2,1) with interval, ICC(3,1).
    notes : list of str
        Scans that could not be measured, and why.
    device : str
        Where it was computed.
    """

    overlap: pd.DataFrame
    measurements: pd.DataFrame
    agreement: pd.DataFrame
    notes: list[str]
    device: str

    def save(self, folder: str | Path) -> dict[str, Path]:
        """Write the three tables (.tsv) to a folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tables = {"overlap": self.overlap, "measurements": self.measurements, "agreement": self.agreement}
        paths = {name: folder / f"{name}.tsv" for name in tables}
        for name, table in tables.items():
            table.to_csv(paths[name], sep="\t", index=False, na_rep="n/a")
        return paths


def validate(
    reference: str | Path,
    *,
    bundle: str | Path | None = None,
    device: str | None = None,
    scheme: str | None = None,
    mirror: bool = True,
    trust_bundle: bool = False,
    out: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Validation:
    """Judge a bundle against readers' labels.

    Parameters
    ----------
    reference : path
        Folder of scans with labels: one folder a participant (or participant/session) that holds `water.nii.gz` and
        `fat.nii.gz`, or `image.nii.gz`, and `labels.nii.gz`; or `pairs.tsv`, where a column bmi_kg_m2 brings LMM.
    bundle, device, mirror, trust_bundle
        As in `segment`.
    scheme : str, optional
        Label scheme of the reference, as `quantify` takes it.
    out : path, optional
        Folder to write the tables to.
    progress : callable, optional
        Told what labels, and on which device, before it begins; then of each scan when it is done.

    Returns
    -------
    Validation

    Raises
    ------
    TableError, ImageError, BundleError
        As in `find_pairs` and `segment`.
    """
    pairs = find_pairs(reference)
    segmenter = Segmenter.load(bundle, device, trust_bundle=trust_bundle)
    tell = None
    if progress is not None:
        progress(segmenter.words)
        said = iter(range(1, len(pairs) + 1))

        def tell(name: str) -> None:
            progress(f"{next(said):,} of {len(pairs):,}: {name}")

    found = validate_pairs(segmenter, pairs, bmi=_bmi(Path(reference)), scheme=scheme, mirror=mirror, progress=tell)
    if out is not None:
        found.save(out)
    return found


def validate_pairs(
    segmenter: Segmenter,
    pairs: Sequence[Pair],
    *,
    bmi: dict[str, float] | None = None,
    scheme: str | None = None,
    mirror: bool = True,
    progress: Callable[[str], None] | None = None,
) -> Validation:
    """Judge loaded networks; arguments as in `validate`, `bmi` by participant."""
    overlap: list[dict[str, Any]] = []
    measured: list[dict[str, Any]] = []
    notes: list[str] = []
    device = ""
    for pair in pairs:
        first = read_volume(next(iter(pair.images.values())), next(iter(pair.images)))
        labels = read_label_map(pair.labels, scheme)
        require_same_grid(first, labels.volume)
        reference = own_ids(labels.volume.data, {k: (s.name, s.side) for k, s in labels.structures.items()}, pair.name)
        image = segmenter(pair.images, mirror=mirror)
        device = str(image.extra["device"])
        # Both label maps in RAS order on the grid of the images, as the volumes are read.
        predicted = np.asarray(nib.as_closest_canonical(image).dataobj).astype(np.uint8)
        who = {"participant_id": pair.participant_id, "session_id": pair.session_id}
        overlap += [{**who, **row} for row in compare_labels(predicted, reference, first.spacing)]
        try:
            rows = _measured(
                pair, first, {"reference": reference, "predicted": predicted}, (bmi or {}).get(pair.participant_id)
            )
        except MuscleBayesError as error:
            notes.append(f"{pair.name}: not measured: {error}")
        else:
            measured += [{**who, **row} for row in rows]
        if progress is not None:
            progress(pair.name)
    measurements = pd.DataFrame(measured)
    return Validation(pd.DataFrame(overlap), measurements, agreement_table(measurements), notes, device)


def compare_labels(
    predicted: NDArray[np.uint8], reference: NDArray[np.uint8], spacing: tuple[float, float, float]
) -> list[dict[str, Any]]:
    """Compare two label maps of one scan, structure by structure.

    Parameters
    ----------
    predicted, reference : (nx, ny, nz) uint8
        Ids of `SCHEME`.
    spacing : (3,) tuple of float
        Voxel size, mm.

    Returns
    -------
    list of dict
        For each structure that the reference holds, and for all of its muscles together.
    """
    cm3 = float(np.prod(spacing)) / 1000
    present = [number for number in np.unique(reference).tolist() if number in SCHEME]
    groups = [(SCHEME[n].name, SCHEME[n].side, predicted == n, reference == n) for n in present]
    muscles = [number for number in SCHEME if SCHEME[number].is_muscle]
    groups.append(("all muscles", "both", np.isin(predicted, muscles), np.isin(reference, muscles)))
    rows = []
    for name, side, mask, truth in groups:
        surface = surface_agreement(mask, truth, spacing)
        rows.append(
            {
                "structure": name,
                "side": side,
                "dice": dice(mask, truth),
                "surface_mean_mm": surface.mean,
                "hausdorff_95_mm": surface.hausdorff_95,
                "reference_cm3": float(truth.sum()) * cm3,
                "predicted_cm3": float(mask.sum()) * cm3,
            }
        )
    return rows


def agreement_table(measurements: pd.DataFrame) -> pd.DataFrame:
    """Summarise measurements with predicted against reference labels, by muscle and measure.

    Parameters
    ----------
    measurements : DataFrame
        muscle, measure, reference, predicted: a row for each scan.

    Returns
    -------
    DataFrame
        muscle, measure, n, bias, sd, limits, slope, ICCs.
    """
    rows: list[dict[str, Any]] = []
    if measurements.empty:
        return pd.DataFrame(rows)
    for (muscle, measure), part in measurements.groupby(["muscle", "measure"], sort=False):
        both = part[["predicted", "reference"]].dropna().to_numpy(dtype=float)
        if not len(both):
            continue
        found, icc = bland_altman(both[:, 0], both[:, 1]), intraclass_correlation(both)
        rows.append(
            {
                "muscle": muscle,
                "measure": measure,
                "n": found.n,
                "bias": found.bias,
                "bias_lower": found.bias_interval[0],
                "bias_upper": found.bias_interval[1],
                "sd": found.sd,
                "limit_lower": found.lower,
                "limit_upper": found.upper,
                "slope": found.slope,
                "icc": icc.agreement,
                "icc_lower": icc.lower,
                "icc_upper": icc.upper,
                "icc_consistency": icc.consistency,
            }
        )
    return pd.DataFrame(rows)


def _measured(
    pair: Pair, grid: Volume, labels: dict[str, NDArray[np.uint8]], bmi: float | None
) -> list[dict[str, Any]]:
    """Measure a scan with both label maps over the field of view; muscles that both hold."""
    tables = {}
    for name, ids in labels.items():
        image = nib.Nifti1Image(ids, grid.affine)
        table = quantify(
            pair.images.get("water"),
            pair.images.get("fat"),
            image,
            image=pair.images.get("image"),
            scheme="muscle_bayes",
            adipose="threshold" if "water" in pair.images else "mixture",
            region="field_of_view",
        )
        tables[name] = table[table["side"] == "both"].set_index("muscle")
    muscles = [m for m in tables["reference"].index if m in tables["predicted"].index]
    rows = []
    for muscle in muscles:
        for measure in MEASURES:
            values = {name: float(table.loc[muscle, measure]) for name, table in tables.items()}
            rows.append({"muscle": muscle, "measure": measure, **values})
            if bmi is not None and measure in _LMM:
                lmm = {name: value / bmi for name, value in values.items()}
                rows.append({"muscle": muscle, "measure": _LMM[measure], **lmm})
    return rows


def _bmi(folder: Path) -> dict[str, float]:
    table = folder / "pairs.tsv"
    if not table.is_file():
        return {}
    content = pd.read_csv(table, sep="\t", dtype={"participant_id": str})
    if "bmi_kg_m2" not in content:
        return {}
    known = content.dropna(subset=["bmi_kg_m2"])
    return dict(zip(known["participant_id"], known["bmi_kg_m2"].astype(float), strict=True))
