"""Which definition of adipose tissue recovers the true adipose volume, by resolution, noise, T1 weighting and receive bias.

    python benchmarks/definitions.py [--out benchmarks/results/definitions.json]

Trunk phantoms (simulated) with true labels and a known adipose share of the autochthonous muscles; one setting at a time is
moved away from the base: 1.4 x 1.4 x 3 mm, SNR 30, no T1 weighting, lean muscle with 4 % fat fraction, a coil's usual
shading. Labels are the true ones throughout, so that what is left is the definition's own error. Each setting has phantoms of
four adipose shares, seeds 1 to 4 in their order, the same bodies in every setting. Draws `definitions.png` beside the
JSON. A run goes on where it stopped.
"""

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import muscle_bayes as mb
from muscle_bayes.imaging.fat_fraction import T1Correction
from muscle_bayes.imaging.regions import ABOVE_GLUTEALS
from muscle_bayes.simulation import phantom as phantom_module
from muscle_bayes.simulation.phantom_anatomy import FIRST_MUSCLE, TISSUES
from muscle_bayes.simulation.phantom_signal import REPETITION_TIME_MS, SCANNERS, T1_FAT_MS, Scanner

PATH = Path(__file__).parent / "results" / "definitions.json"
TRUTHS = (3.0, 7.0, 13.0, 20.0)
DEFINITIONS = ("threshold", "fraction", "mixture")
BASE: dict[str, Any] = {"voxel_mm": (1.4, 1.4, 3.0), "snr": 30.0, "site": "usual", "t1_weighting": False}
#: Receive fields: SD of the log of the smooth shading, and how much brighter the surface is.
FIELDS = {"none": (0.0, 0.0), "usual": (0.10, 0.20), "strong": (0.40, 0.60)}
#: Panel -> setting's label -> what is different from the base.
PANELS: dict[str, dict[str, dict[str, Any]]] = {
    "Voxel, mm": {
        "1 x 1 x 3": {"voxel_mm": (1.0, 1.0, 3.0)},
        "1.4 x 1.4 x 3": {},
        "2 x 2 x 3": {"voxel_mm": (2.0, 2.0, 3.0)},
        "3 x 3 x 6": {"voxel_mm": (3.0, 3.0, 6.0)},
    },
    "SNR": {"10": {"snr": 10.0}, "20": {"snr": 20.0}, "30": {}, "60": {"snr": 60.0}},
    "T1 weighting": {
        "none": {},
        "9 degrees": {"t1_weighting": True},
        "9 degrees, corrected": {"t1_weighting": True, "correct": True},
    },
    "Receive bias": {"none": {"site": "none"}, "usual": {}, "strong": {"site": "strong"}},
    "Fat fraction of lean muscle": {
        "2 %": {"muscle_fat_fraction": 0.02},
        "4 %": {},
        "8 %": {"muscle_fat_fraction": 0.08},
    },
}


def scanners() -> dict[str, Scanner]:
    """The project's scanners, and those of this study, which differ in their receive field alone."""
    return {**SCANNERS, **{name: Scanner(bias_sd=sd, coil=coil) for name, (sd, coil) in FIELDS.items()}}


def correction() -> T1Correction:
    """What undoes the phantoms' T1 weighting."""
    return T1Correction(REPETITION_TIME_MS, Scanner().flip_deg, TISSUES[FIRST_MUSCLE].t1_water_ms, T1_FAT_MS)


def measure(setting: dict[str, Any], truth: float, seed: int) -> dict[str, float]:
    """One phantom's adipose share by each definition, beside the true one, %."""
    options = {**BASE, **setting}
    corrected = options.pop("correct", False)
    with mock.patch.object(phantom_module, "SCANNERS", scanners()):
        phantom = mb.simulate_phantom("trunk", intermat_percent=truth, seed=seed, **options)
    rows = mb.quantify(
        phantom.water, phantom.fat, phantom.labels, bmi=26.0, t1_correction=correction() if corrected else None
    )
    both = rows[(rows["muscle"] == "autochthonous") & (rows["side"] == "both")]
    row = both[both["region"] == ABOVE_GLUTEALS].iloc[0]  # the extent that the truth is stated over
    true = phantom.truth.set_index(["muscle", "side"]).loc[("autochthonous", "both"), "intermat_percent"]
    return {"true": float(true), **{name: float(row[f"intermat_{name}_percent"]) for name in DEFINITIONS}}


def tasks() -> Iterator[tuple[str, dict[str, Any], float, int]]:
    """Settings that differ, each once, with every true share."""
    seen: set[str] = set()
    for panel in PANELS.values():
        for setting in panel.values():
            if key_of(setting) not in seen:
                seen.add(key_of(setting))
                yield from ((key_of(setting), setting, truth, seed) for seed, truth in enumerate(TRUTHS, start=1))


def key_of(setting: dict[str, Any]) -> str:
    return json.dumps(setting, sort_keys=True)


def summary(found: dict[str, Any]) -> dict[str, Any]:
    """Mean error of each definition in each setting, points, and the largest in size."""
    out: dict[str, Any] = {}
    for panel, settings in PANELS.items():
        for label, setting in settings.items():
            rows = [found[f"{key_of(setting)} {seed}"] for seed in range(1, len(TRUTHS) + 1)]
            for name in DEFINITIONS:
                errors = [row[name] - row["true"] for row in rows]
                kept = [e for e in errors if np.isfinite(e)]
                out.setdefault(panel, {}).setdefault(label, {})[name] = {
                    "mean_error_points": float(np.mean(kept)) if kept else None,
                    "largest_error_points": float(max(kept, key=abs)) if kept else None,
                    "undefined": len(errors) - len(kept),
                }
    return out


def draw(found: dict[str, Any], path: Path) -> None:
    """Measured against true shares, a row a definition, a column what is varied."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    from muscle_bayes.plots.style import house_style

    colours = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
    with house_style():
        figure, axes = plt.subplots(
            len(DEFINITIONS), len(PANELS), figsize=(10.4, 6.4), sharex=True, sharey="row", layout="constrained"
        )
        for j, (panel, settings) in enumerate(PANELS.items()):
            for i, name in enumerate(DEFINITIONS):
                ax = axes[i, j]
                ax.plot([0, 22], [0, 22], color="0.6", lw=0.8, zorder=0)
                for (label, setting), colour in zip(settings.items(), colours, strict=False):
                    rows = [found[f"{key_of(setting)} {seed}"] for seed in range(1, len(TRUTHS) + 1)]
                    x, y = [row["true"] for row in rows], [row[name] for row in rows]
                    ax.plot(x, y, "o-", color=colour, ms=3, lw=1, label=label.replace(" x ", " × "))
                if i == 0:
                    ax.set_title(panel, loc="left")
                    ax.legend(frameon=False, fontsize=7, loc="upper left", handlelength=1.2)
                if j == 0:
                    ax.set_ylim(-1.5, 33)
                    ax.set_ylabel(f'"{name}", %')
                if i == len(DEFINITIONS) - 1:
                    ax.set_xlabel("True adipose share, %")
        figure.suptitle(
            "Measured and true adipose share of the autochthonous muscles, true labels (simulated phantoms)",
            x=0.005, ha="left", fontweight="bold",
        )  # fmt: skip
        figure.savefig(path, dpi=150)
        plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=PATH)
    options = parser.parse_args()
    out = json.loads(options.out.read_text()) if options.out.exists() else {}
    found = out.get("phantoms", {})
    for key, setting, truth, seed in tasks():
        name = f"{key} {seed}"
        if name not in found:
            found[name] = measure(setting, truth, seed)
            print(name, {k: round(v, 2) for k, v in found[name].items()}, flush=True)
            options.out.write_text(json.dumps({"simulated": True, "phantoms": found}, indent=1) + "\n")
    out = {
        "simulated": True,
        "command": "python benchmarks/definitions.py",
        "cores": os.cpu_count(),
        "settings": {"base": BASE, "true_percent": TRUTHS, "receive_fields": FIELDS},
        "summary": summary(found),
        "phantoms": found,
    }
    options.out.write_text(json.dumps(out, indent=1) + "\n")
    draw(found, options.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
