"""The exam of the segmentation weights: 200 held-out phantoms on the NAKO grid, and real images where they are at hand.

    python benchmarks/exam.py --prepare            # simulate the scans once, into --work
    python benchmarks/exam.py --real DIR           # judge the weights, write benchmarks/results/exam.json
    python benchmarks/model_card.py                # bring its figures into the model card and the bundle's metadata

The scans are those of `segmentation/exam.toml`, frozen before the first training. Both steps go on where they stopped, so
`--seconds` cuts them into pieces. Reported: per label the median and the worst decile of Dice; bias, SD and slope of
InterMAT with predicted against true labels on the same image; each adipose definition, with true labels, against the true
adipose volume. Real images are reported as they are and were never trained or tuned on.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd

import muscle_bayes
from muscle_bayes.imaging import SCHEME, label_id, quantify
from muscle_bayes.imaging.network.agreement import bland_altman, dice
from muscle_bayes.imaging.network.segmentation import Segmenter
from muscle_bayes.resources import data_folder
from muscle_bayes.simulation import simulate_phantom
from muscle_bayes.simulation.phantom_ranges import Exam, read_exam

RESULTS = Path(__file__).parent / "results"
DEFINITIONS = ("threshold", "fraction", "mixture")
REGIONS = ("field_of_view", "above_gluteals_150mm")
TRUNK, THIGH = ("autochthonous", "iliopsoas", "gluteals"), ("quadriceps", "adductors", "hamstrings", "sartorius")


def prepare(task: tuple[int, dict[str, Any], Path]) -> int:
    """Simulate one scan of the exam into a file; a file that is there is kept."""
    seed, settings, path = task
    if not path.is_file():
        phantom = simulate_phantom(**settings)
        arrays = {name: np.asarray(getattr(phantom, name).dataobj) for name in ("water", "fat", "labels")}
        truth = phantom.truth.to_json(orient="records")
        partial = path.with_suffix(".part.npz")
        np.savez_compressed(partial, **arrays, affine=phantom.water.affine, truth=np.array(truth))
        partial.rename(path)
    return seed


def scan_of(path: Path, settings: dict[str, Any]) -> tuple[dict[str, nib.Nifti1Image], pd.DataFrame]:
    """Images and truth of a scan, prepared or simulated now."""
    if not path.is_file():
        phantom = simulate_phantom(**settings)
        return {"water": phantom.water, "fat": phantom.fat, "labels": phantom.labels}, phantom.truth
    with np.load(path) as stored:
        images = {name: nib.Nifti1Image(stored[name], stored["affine"]) for name in ("water", "fat", "labels")}
        return images, pd.DataFrame(json.loads(str(stored["truth"])))


def judge(segmenter: Segmenter, path: Path, settings: dict[str, Any], exam: Exam) -> dict[str, Any]:
    """Dice and InterMAT of one scan."""
    images, truth = scan_of(path, settings)
    clock = time.process_time()
    predicted = segmenter({"water": images["water"], "fat": images["fat"]})
    seconds = time.process_time() - clock
    true_ids, ids = (np.asarray(image.dataobj) for image in (images["labels"], predicted))
    cm3 = float(np.prod(exam.voxel_mm)) / 1000
    row: dict[str, Any] = {**settings, "segmentation_cpu_s": seconds, "dice": {}, "intermat": {}, "adipose": {}}
    for number, structure in SCHEME.items():
        if (true_ids == number).sum() * cm3 >= exam.least_cm3:
            name = structure.name if structure.side == "both" else f"{structure.name} {structure.side}"
            row["dice"][name] = dice(ids == number, true_ids == number)
    muscles = [number for number, structure in SCHEME.items() if structure.is_muscle]
    row["dice"]["all muscles"] = dice(np.isin(ids, muscles), np.isin(true_ids, muscles))
    if settings["region"] == "trunk":
        tables = {
            name: quantify(images["water"], images["fat"], labels, scheme="muscle_bayes", simulated=True)
            for name, labels in (("true", images["labels"]), ("predicted", predicted))
        }
        for region in REGIONS:
            row["intermat"][region] = {
                name: _cell(table, region, "intermat_threshold_percent") for name, table in tables.items()
            }
        row["lean_cm3"] = {
            name: _cell(table, "above_gluteals_150mm", "lean_threshold_cm3") for name, table in tables.items()
        }
        row["top_of_gluteals_mm"] = {
            name: _cell(table, "above_gluteals_150mm", "z_min_mm") for name, table in tables.items()
        }
        known = truth[(truth["muscle"] == "autochthonous") & (truth["side"] == "both")].iloc[0]
        row["adipose"]["true"] = float(known["adipose_cm3"])
        compartment = _cell(tables["true"], "above_gluteals_150mm", "compartment_cm3")
        row["adipose"]["true_compartment_cm3"] = float(known["compartment_cm3"])
        for definition in DEFINITIONS:
            share = _cell(tables["true"], "above_gluteals_150mm", f"intermat_{definition}_percent")
            row["adipose"][definition] = None if share is None or compartment is None else share * compartment / 100
    return row


def _cell(table: pd.DataFrame, region: str, column: str) -> float | None:
    part = table[(table["muscle"] == "autochthonous") & (table["side"] == "both") & (table["region"] == region)]
    value = float(part[column].iloc[0]) if len(part) else float("nan")
    return value if np.isfinite(value) else None


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures over all scans."""
    labels: dict[str, list[float]] = {}
    for row in rows:
        for name, value in row["dice"].items():
            labels.setdefault(name, []).append(value)
    out: dict[str, Any] = {
        "dice": {
            name: {
                "scans": len(values),
                "median": round(float(np.median(values)), 4),
                "worst_decile": round(float(np.quantile(values, 0.1)), 4),
            }
            for name, values in labels.items()
        }
    }
    trunks = [row for row in rows if row["region"] == "trunk"]
    out["intermat_predicted_against_true_labels"] = {
        region: _agreement([(r["intermat"][region]["predicted"], r["intermat"][region]["true"]) for r in trunks])
        for region in REGIONS
    }
    out["lean_cm3_predicted_against_true_labels"] = _agreement(
        [(r["lean_cm3"]["predicted"], r["lean_cm3"]["true"]) for r in trunks]
    )
    out["top_of_gluteals_mm_predicted_against_true_labels"] = _agreement(
        [(r["top_of_gluteals_mm"]["predicted"], r["top_of_gluteals_mm"]["true"]) for r in trunks]
    )
    out["adipose_definitions_against_truth_points_of_intermat"] = {
        words: {
            definition: _agreement([_points(r["adipose"], definition) for r in trunks if r["t1_weighting"] is weighted])
            for definition in DEFINITIONS
        }
        for words, weighted in (("proton density", False), ("T1-weighted", True))
    }
    out["segmentation_cpu_s_median"] = round(float(np.median([r["segmentation_cpu_s"] for r in rows])), 2)
    return out


def _points(adipose: dict[str, Any], definition: str) -> tuple[float | None, float | None]:
    """Measured and true adipose volume, both in percent of the true compartment."""
    scale = 100 / adipose["true_compartment_cm3"]
    measured = adipose[definition]
    return None if measured is None else scale * measured, scale * adipose["true"]


def _agreement(values: list[tuple[float | None, float | None]]) -> dict[str, Any]:
    known = np.array([pair for pair in values if None not in pair], dtype=float).reshape(-1, 2)
    found = bland_altman(known[:, 0], known[:, 1])
    figures = {"bias": round(found.bias, 3), "sd": round(found.sd, 3), "slope": round(found.slope, 4)}
    return {
        "scans": found.n,
        "not_measured": len(values) - found.n,
        **{name: value if np.isfinite(value) else None for name, value in figures.items()},
    }


def floors(found: dict[str, Any], exam: Exam, real: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What was asked for beside what was found."""

    def lowest(names: tuple[str, ...], what: str) -> float | None:
        return min((v[what] for name, v in found["dice"].items() if name.split(" ")[0] in names), default=None)

    limits = exam.floors["intermat"]
    out: dict[str, dict[str, Any]] = {}
    for kind in ("cpu", "gpu"):
        asked = exam.floors[kind]
        values = {
            "autochthonous_dice": lowest(("autochthonous",), "median"),
            "iliopsoas_dice": lowest(("iliopsoas",), "median"),
            "thigh_dice": lowest(THIGH, "median"),
            "worst_decile_dice": lowest((*TRUNK, *THIGH), "worst_decile"),
            "real_trunk_autochthonous_dice": real.get("trunk", {}).get("autochthonous"),
        }
        out[kind] = {
            name: {"asked": floor, "found": values[name], "holds": values[name] is not None and values[name] >= floor}
            for name, floor in asked.items()
        }
    for region in REGIONS:
        part = found["intermat_predicted_against_true_labels"][region]
        low, high = limits["slope"]
        for name, asked, least, most in (
            ("bias", limits["bias_points"], -limits["bias_points"], limits["bias_points"]),
            ("sd", limits["error_sd_points"], 0.0, limits["error_sd_points"]),
            ("slope", [low, high], low, high),
        ):
            value = part[name]
            holds = value is not None and least <= value <= most
            out.setdefault(f"intermat, {region}", {})[name] = {"asked": asked, "found": value, "holds": holds}
    return out


def real_images(segmenter: Segmenter, folder: Path, pictures: Path | None) -> dict[str, Any]:
    """Label the real images; Dice where they have labels."""
    out: dict[str, Any] = {}
    trunk = folder / "trunk_mr_labelled"
    if trunk.is_dir():
        labels = segmenter(trunk / "image.nii.gz")
        ids, truth = (_canonical(image) for image in (labels, nib.load(trunk / "labels.nii.gz")))
        sides = {"left": 46, "right": 47}
        own = {side: label_id("autochthonous", side) for side in sides}
        out["trunk"] = {
            "autochthonous": dice(np.isin(ids, list(own.values())), np.isin(truth, list(sides.values()))),
            **{f"autochthonous {side}": dice(ids == own[side], truth == number) for side, number in sides.items()},
            "iliopsoas": dice(np.isin(ids, [5, 6]), np.isin(truth, [48, 49])),
        }
        _picture(pictures, "trunk", nib.load(trunk / "image.nii.gz"), ids)
    thigh = folder / "thigh_labelled"
    if thigh.is_dir():
        labels = segmenter(thigh / "image.nii.gz")
        ids, truth = (_canonical(image) for image in (labels, nib.load(thigh / "labels.nii.gz")))
        muscles = [number for number, structure in SCHEME.items() if structure.is_muscle]
        out["thigh"] = {
            "union of muscles": dice(np.isin(ids, muscles), (truth >= 31) & (truth <= 66)),
            "bone": dice(ids == 2, (truth >= 101) & (truth <= 104)),
        }
        _picture(pictures, "thigh", nib.load(thigh / "image.nii.gz"), ids)
    calf = folder / "calf_dixon"
    if calf.is_dir():  # calves are not what the network knows: no labels, a look only
        labels = segmenter((calf / "water.nii.gz", calf / "fat.nii.gz"))
        ids = _canonical(labels)
        cm3 = float(np.abs(np.linalg.det(labels.affine[:3, :3]))) / 1000
        out["calf"] = {"muscle_cm3": float((ids >= 3).sum() * cm3), "note": "outside what the network was trained for"}
        _picture(pictures, "calf", nib.load(calf / "water.nii.gz"), ids)
    return json.loads(json.dumps(out), parse_float=lambda text: round(float(text), 4))


def _canonical(image: Any) -> np.ndarray:
    return np.rint(np.asarray(nib.as_closest_canonical(image).dataobj)).astype(int)


def _picture(folder: Path | None, name: str, image: Any, ids: np.ndarray) -> None:
    """Draw labels over six slices, to be looked at."""
    if folder is None:
        return
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    signal = np.asarray(nib.as_closest_canonical(image).dataobj, dtype=float)
    top = np.percentile(signal, 99.5)
    figure, axes = plt.subplots(2, 3, figsize=(15, 9))
    for axis, k in zip(axes.ravel(), np.linspace(1, signal.shape[2] - 2, 6).astype(int), strict=True):
        axis.imshow(signal[:, :, k].T, origin="lower", cmap="gray", vmin=0, vmax=top)
        shown = np.ma.masked_equal(ids[:, :, k].T, 0)
        axis.imshow(shown, origin="lower", cmap="tab20", vmin=0, vmax=19, alpha=0.45, interpolation="nearest")
        axis.set_title(f"slice {k}")
        axis.axis("off")
    figure.tight_layout()
    figure.savefig(folder / f"{name}.png", dpi=70)
    plt.close(figure)


def rows_so_far(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def pending(exam: Exam, work: Path, done: set[int]) -> Iterator[tuple[int, dict[str, Any], Path]]:
    """Yield what is left to do, regions mixed, so that a piece of the exam is like the whole."""
    whole = list(exam.settings())
    place: dict[int, float] = {}
    for region, count in exam.scans.items():
        seeds = [seed for seed, settings in whole if settings["region"] == region]
        place |= {seed: (i + 0.5) / count for i, seed in enumerate(seeds)}
    for seed, settings in sorted(whole, key=lambda item: place[item[0]]):
        if seed not in done:
            yield seed, settings, work / f"{seed}.npz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prepare", action="store_true", help="simulate the scans and stop")
    parser.add_argument("--bundle", type=Path, help="root of a bundle; the project's own where left out")
    parser.add_argument("--real", type=Path, help="folder of real images")
    parser.add_argument("--pictures", type=Path, help="where to draw labels over the real images")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "muscle-bayes-exam")
    parser.add_argument("--workers", type=int, default=1, help="processes that simulate")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after these, and go on another time")
    parser.add_argument("--part", default="0/1", help="i/n: every nth scan that is left, to share them among processes")
    parser.add_argument("--out", type=Path, default=RESULTS / "exam.json")
    parser.add_argument("--device", help="cpu or cuda")
    options = parser.parse_args()
    exam, begun = read_exam(data_folder("segmentation") / "exam.toml"), time.monotonic()
    options.work.mkdir(parents=True, exist_ok=True)
    if options.prepare:
        tasks = [(s, k, path) for s, k, path in pending(exam, options.work, set()) if not path.is_file()]
        with ProcessPoolExecutor(options.workers) as pool:
            for start in range(0, len(tasks), options.workers):
                if time.monotonic() - begun > options.seconds:
                    break
                print(*pool.map(prepare, tasks[start : start + options.workers]), flush=True)
        return
    segmenter = Segmenter.load(options.bundle, options.device)
    log = options.work / f"rows_{segmenter.hashes[0][:16]}.jsonl"
    rows = rows_so_far(log)
    part, parts = (int(word) for word in options.part.split("/"))
    left = list(pending(exam, options.work, {row["seed"] for row in rows}))
    for seed, settings, path in left[part::parts]:
        if time.monotonic() - begun > options.seconds:
            break
        rows.append(judge(segmenter, path, settings, exam))
        with log.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
        print(seed, {k: round(v, 3) for k, v in rows[-1]["dice"].items()}, flush=True)
    real = {} if options.real is None else real_images(segmenter, options.real, options.pictures)
    rows = rows_so_far(log)  # with those of other processes
    found = summary(rows)
    out = {
        "simulated": True,
        "complete": len(rows) == sum(exam.scans.values()),
        "scans": len(rows),
        "command": "python "
        + " ".join(["benchmarks/exam.py", "--real DIR"] if options.real else ["benchmarks/exam.py"]),
        "weights_sha256": segmenter.hashes,
        "device": str(segmenter.device),
        "machine": {"processor": platform.machine(), "system": platform.system(), "python": platform.python_version()},
        "versions": {
            "muscle_bayes": muscle_bayes.__version__,
            "torch": str(sys.modules["torch"].__version__),
            "numpy": np.__version__,
        },
        **found,
        # Of an exam that is not complete yet these are a first look.
        "floors": floors(found, exam, real),
        "real_images": real,
    }
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(out, indent=1) + "\n")
    print(json.dumps({key: out[key] for key in ("complete", "scans", "floors", "real_images")}, indent=1))


if __name__ == "__main__":
    main()
