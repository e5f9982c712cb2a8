"""Simulated Dixon images of trunk and thighs with known muscle, known fat and known labels."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.simulation.phantom_anatomy import AIR, N_CODES, is_muscle, label_of_code
from muscle_bayes.simulation.phantom_body import MAX_INTERMAT, PaintedBody, paint_body
from muscle_bayes.simulation.phantom_grid import block_mean, majority_label
from muscle_bayes.simulation.phantom_noise import SmoothNoise
from muscle_bayes.simulation.phantom_signal import (
    GAIN,
    SCANNERS,
    Scanner,
    dixon_reconstruction,
    receive_bias,
    swap_box,
    tissue_signals,
)
from muscle_bayes.simulation.phantom_truth import truth_table

MAX_SIGNAL = 4095


@dataclass(frozen=True)
class Phantom:
    """A simulated Dixon acquisition and what is true of it.

    Attributes
    ----------
    water, fat, in_phase, opposed_phase : nibabel.Nifti1Image
        int16 magnitude images on one RAS grid, 0 to 4095.
    labels : nibabel.Nifti1Image
        uint8, ids of `muscle_bayes.imaging.labels.SCHEME`: the label that holds most of each voxel.
    truth : DataFrame
        muscle, side, compartment_cm3, adipose_cm3, intermat_percent, lean_cm3, z_min_mm, z_max_mm, from the fine grid.
        Autochthonous muscles over 150 mm above the top of the gluteals, all others over the field of view.
    region : {"trunk", "thigh"}
        What was imaged.
    seed : int
        What it was made with.
    settings : dict
        Everything else it was made with; `simulated` is True.
    """

    water: nib.Nifti1Image
    fat: nib.Nifti1Image
    in_phase: nib.Nifti1Image
    opposed_phase: nib.Nifti1Image
    labels: nib.Nifti1Image
    truth: pd.DataFrame
    region: str
    seed: int
    settings: dict[str, Any] = field(repr=False)

    def save(self, folder: str | Path) -> dict[str, Path]:
        """Write the images, the truth and the settings.

        Parameters
        ----------
        folder : path
            Made where it does not exist.

        Returns
        -------
        dict
            water, fat, labels, in, opp (.nii.gz), truth (.tsv) and phantom (.json) -> path.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        images = {
            "water": self.water,
            "fat": self.fat,
            "labels": self.labels,
            "in": self.in_phase,
            "opp": self.opposed_phase,
        }
        paths = {name: folder / f"{name}.nii.gz" for name in images}
        for name, image in images.items():
            nib.save(image, paths[name])
        paths["truth"], paths["phantom"] = folder / "truth.tsv", folder / "phantom.json"
        self.truth.to_csv(paths["truth"], sep="\t", index=False)
        content = {"simulated": True, "region": self.region, "seed": self.seed, **self.settings}
        paths["phantom"].write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        return paths


def simulate_phantom(
    region: str,
    *,
    intermat_percent: float = 7.0,
    lmm_cm3_per_kg_m2: float = 24.0,
    bmi_kg_m2: float = 26.0,
    sex: str = "male",
    site: str = "Augsburg",
    seed: int = 1,
    voxel_mm: tuple[float, float, float] = (1.4, 1.4, 3.0),
    snr: float | None = None,
    bias: bool = True,
    swap: str | None = None,
    t1_weighting: bool = False,
    mask_background: bool = False,
    muscle_fat_fraction: float = 0.04,
    supersample: tuple[int, int, int] | None = None,
) -> Phantom:
    """Simulate a Dixon acquisition of the trunk or of both thighs, with its truth.

    The body is painted on a grid finer than the image, fat streaks are grown until the adipose share is the one asked for,
    water and fat are averaged into voxels, and complex noise is added to in- and opposed-phase before water and fat are
    reconstructed. One seed gives one anatomy, whatever the voxel size.

    Parameters
    ----------
    region : {"trunk", "thigh"}
        The trunk from the gluteals to 171 mm above their top, or 150 mm of both thighs.
    intermat_percent : float
        True adipose share of the compartment (fine grid): autochthonous muscles over 150 mm above the top of the gluteals,
        or all thigh muscle. What a measurement finds falls below it where streaks are thinner than voxels.
    lmm_cm3_per_kg_m2 : float
        True lean volume over BMI of the autochthonous muscles over that extent, cm3/(kg/m2). For thighs it scales the
        muscles: their lean volume is 6 times (`THIGH_TO_BACK`) as large.
    bmi_kg_m2 : float
        Sets body size and subcutaneous fat.
    sex : {"female", "male"}
        Sets shape.
    site : str
        Scanner characteristics (invented): one of `phantom_signal.SCANNERS`; any other name takes defaults.
    seed : int
        Same seed and settings, same phantom.
    voxel_mm : (3,) tuple of float
        Voxel size, mm.
    snr : float, optional
        Muscle's in-phase signal over the noise SD per channel; the site's where left out, `math.inf` for no noise.
    bias : bool
        Whether the receive coils shade the image.
    swap : {None, "whole", "partial", "station"}
        Where water and fat change places: everywhere, on one side, in a block of slices.
    t1_weighting : bool
        Whether T1 weights the signals (fat then looks 2.4 times brighter, and fat fractions read too high).
    mask_background : bool
        Whether voxels wholly outside the body are exactly 0, as some scanners deliver them.
    muscle_fat_fraction : float
        Proton density fat fraction of lean muscle.
    supersample : (3,) tuple of int, optional
        Fine voxels per voxel; by default at least 3 in the plane, an odd number, and at most 1 mm wide.

    Returns
    -------
    Phantom

    Raises
    ------
    InvalidValueError
        Where a setting is outside what exists, or no anatomy has the lean volume asked for.
    """
    numbers = {
        "intermat_percent": (intermat_percent, 0.0, MAX_INTERMAT),
        "lmm_cm3_per_kg_m2": (lmm_cm3_per_kg_m2, 1.0, 120.0),
        "bmi_kg_m2": (bmi_kg_m2, 13.0, 65.0),
        "snr": (1.0 if snr is None else snr, 1.0, math.inf),
        "muscle_fat_fraction": (muscle_fat_fraction, 0.0, 0.3),
        **{f"voxel_mm[{i}]": (v, 0.3, 10.0) for i, v in enumerate(voxel_mm)},
    }
    for name, (value, low, high) in numbers.items():
        if not low <= value <= high:  # also refuses not-a-number
            raise InvalidValueError(
                name, f"{value!r} is outside {low:g} to {high:g}", "Choose a value within these limits"
            )
    choices: dict[str, tuple[str, tuple[str, ...]]] = {
        "region": (region, ("trunk", "thigh")),
        "sex": (sex, ("female", "male")),
        "swap": (swap or "none", ("none", "whole", "partial", "station")),
    }
    for name, (word, allowed) in choices.items():
        if word not in allowed:
            raise InvalidValueError(name, f"{word!r} is not known", f"Choose one of {', '.join(allowed)}")

    voxel_mm = (float(voxel_mm[0]), float(voxel_mm[1]), float(voxel_mm[2]))
    body_seed, image_seed = np.random.SeedSequence(seed).spawn(2)
    side_rng, bias_rng, texture_rng, swap_rng, noise_rng = (np.random.default_rng(s) for s in image_seed.spawn(5))

    scanner = SCANNERS.get(site, Scanner())
    painted = paint_body(
        region,
        intermat_percent=intermat_percent,
        lmm_cm3_per_kg_m2=lmm_cm3_per_kg_m2,
        bmi_kg_m2=bmi_kg_m2,
        sex=sex,
        seed=body_seed,
        side_rng=side_rng,
        voxel_mm=voxel_mm,
        supersample=supersample,
    )
    grid, extent, inside = painted.grid, painted.extent, painted.inside

    flip = scanner.flip_deg if t1_weighting else None
    water, fat, labels, air, counts = _voxels(painted, tissue_signals(muscle_fat_fraction, flip))
    gain = GAIN * scanner.gain
    x, y, z = (grid.centres(axis) for axis in range(3))
    shading = np.full(grid.shape, gain, dtype=np.float32)
    if bias:
        smooth = SmoothNoise(bias_rng, (130.0, 110.0, 120.0)).on(x, y)
        log_field = np.stack([smooth.at(float(h)) for h in z], axis=-1) * np.float32(scanner.bias_sd)
        shading *= receive_bias(log_field, x, y, scanner.coil)
    texture = SmoothNoise(texture_rng, (5.0, 5.0, 8.0)).on(x, y)
    for k, height in enumerate(z):
        shading[:, :, k] *= 1 + np.float32(0.02) * texture.at(float(height))
    chosen_snr = scanner.snr if snr is None else float(snr)
    sigma = gain / chosen_snr
    in_phase, opposed, water, fat = dixon_reconstruction(water * shading, fat * shading, sigma, noise_rng)
    box = swap_box(swap, grid.shape, swap_rng)
    if box is not None:
        water[box], fat[box] = fat[box].copy(), water[box].copy()

    centre = (0.0, *(grid.lower_mm[a] + grid.shape[a] * voxel_mm[a] / 2 for a in (1, 2)))
    affine = np.diag([*voxel_mm, 1.0])
    affine[:3, 3] = [grid.lower_mm[a] + voxel_mm[a] / 2 - centre[a] for a in range(3)]

    def image(values: NDArray[np.float32]) -> nib.Nifti1Image:
        if mask_background:
            values = np.where(air, np.float32(0), values)
        return _nifti(np.clip(np.rint(values), 0, MAX_SIGNAL).astype(np.int16), affine)

    z_field = (grid.lower_mm[2] - centre[2], grid.lower_mm[2] + grid.shape[2] * voxel_mm[2] - centre[2])
    truth = truth_table(
        *counts,
        extents={"autochthonous": (inside, extent[0] - centre[2], extent[1] - centre[2])},
        default=(np.ones_like(inside), *z_field),
        mm3=grid.fine_voxel_mm3,
    )
    settings: dict[str, Any] = {
        "simulated": True,
        "intermat_percent": float(intermat_percent),
        "lmm_cm3_per_kg_m2": float(lmm_cm3_per_kg_m2),
        "bmi_kg_m2": float(bmi_kg_m2),
        "sex": sex,
        "site": site,
        "voxel_mm": list(voxel_mm),
        "supersample": list(grid.fine),
        "snr": chosen_snr if math.isfinite(chosen_snr) else None,
        "noise_sd": float(sigma),
        "bias": bias,
        "swap": swap,
        "swap_box": None if box is None else [[s.start, s.stop] for s in box],
        "t1_weighting": t1_weighting,
        "mask_background": mask_background,
        "muscle_fat_fraction": float(muscle_fat_fraction),
        "muscle_scale": painted.scale,
        "scanner_note": "site characteristics are invented",
    }
    return Phantom(
        image(water), image(fat), image(in_phase), image(opposed), _nifti(labels, affine), truth, region, seed, settings
    )


def phantom_for(row: Mapping[str, Any] | pd.Series, region: str = "trunk", seed: int = 1, **options: Any) -> Phantom:
    """Simulate the phantom of one row of a cohort table.

    Parameters
    ----------
    row : mapping or Series
        With intermat_percent, lmm_cm3_per_kg_m2, bmi_kg_m2, sex and site; participant_id is kept in the settings.
    region : {"trunk", "thigh"}
        What to image.
    seed : int
        Seed of the anatomy and the noise; give each participant another.
    **options
        Further settings of `simulate_phantom`.

    Returns
    -------
    Phantom

    Raises
    ------
    InvalidValueError
        Where the row lacks a value, or no phantom can have it.
    """
    wanted = ("intermat_percent", "lmm_cm3_per_kg_m2", "bmi_kg_m2", "sex", "site")
    who = str(row.get("participant_id", "row"))
    missing = [name for name in wanted if name not in row or pd.isna(row[name])]
    if missing:
        raise InvalidValueError(
            who, f"no value for {', '.join(missing)}", "Give a row of `simulate_cohort` with these columns"
        )
    values: dict[str, Any] = {name: float(row[name]) for name in wanted[:3]} | {
        name: str(row[name]) for name in wanted[3:]
    }
    phantom = simulate_phantom(region, seed=seed, **values, **options)
    if "participant_id" in row:
        phantom.settings["participant_id"] = who
    return phantom


def _voxels(
    painted: PaintedBody,
    signals: tuple[NDArray[np.float32], NDArray[np.float32], tuple[float, float]],
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[np.bool_], tuple[NDArray[Any], NDArray[Any]]]:
    """Average the fine grid into voxels: water, fat, majority labels, where all is air, and counts by slice and label."""
    codes, score, thresholds, grid = painted.codes, painted.score, painted.thresholds, painted.grid
    water_of, fat_of, (adipose_water, adipose_fat) = signals
    to_label = label_of_code()
    sx, sy, sz = grid.fine
    water, fat = np.zeros((2, *grid.shape), dtype=np.float32)
    labels, air = np.zeros(grid.shape, dtype=np.uint8), np.ones(grid.shape, dtype=bool)
    counts = np.zeros((2, codes.shape[0], 18))
    table = np.zeros((N_CODES, 18))
    table[np.arange(N_CODES), to_label] = 1
    for k in range(grid.shape[2]):
        members = []
        for f in range(k * sz, (k + 1) * sz):
            code = codes[f]
            streak = is_muscle(code) & (score[f] > thresholds[code])
            w, a = water_of[code], fat_of[code]
            w[streak], a[streak] = adipose_water, adipose_fat
            water[:, :, k] += block_mean(w, (sx, sy)) / sz
            fat[:, :, k] += block_mean(a, (sx, sy)) / sz
            counts[0, f] = np.bincount(code.ravel(), minlength=N_CODES) @ table
            counts[1, f] = np.bincount(code[streak], minlength=N_CODES) @ table
            label = to_label[code]
            members += [label[i::sx, j::sy] for i in range(sx) for j in range(sy)]
            air[:, :, k] &= block_mean((code != AIR).astype(np.float32), (sx, sy)) == 0
        labels[:, :, k] = majority_label(np.stack(members))
    return water, fat, labels, air, (counts[0], counts[1])


def _nifti(values: NDArray[Any], affine: NDArray[np.float64]) -> nib.Nifti1Image:
    """Return a NIfTI image in scanner space that says that it is simulated."""
    image = nib.Nifti1Image(values, affine)
    image.header["descrip"] = b"simulated phantom"
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    return image
