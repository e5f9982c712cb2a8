"""Uncertainty per participant: fitted on simulated scans, judged on others, against true labels on the same image.

    python benchmarks/uncertainty.py --fit --write      # measure the fitting scans, fit, write the bundle's metadata
    python benchmarks/uncertainty.py --judge            # measure the judging scans, write benchmarks/results/uncertainty.json
    python benchmarks/uncertainty.py --quick            # 24 + 12 scans, printed and not written: does it run?

Truth is InterMAT (threshold) and lean volume of the autochthonous muscles with the true labels of the same image, over 150 mm
above the true top of the gluteals. So the error is that of the network's labels alone: what the threshold, the voxel size or T1
weighting do to everybody is in both, and where the region begins is known. Scans are trunks of the exam's ranges on 1.4 mm pixels,
a slice every 9 mm, which is the network's own distance to the neighbours; seeds are those of neither training nor exam, and
other ones for fitting and for judging. Both steps go on where they stopped (--work), and several processes may share them (--part).
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

import muscle_bayes
from muscle_bayes.imaging.adipose import burden, tally
from muscle_bayes.imaging.labels import label_id
from muscle_bayes.imaging.network.segmentation import Segmenter
from muscle_bayes.imaging.network.spread import views_of
from muscle_bayes.imaging.scan import read_scan
from muscle_bayes.imaging.scan_input import read_images
from muscle_bayes.imaging.spread import CarriedSpread, RowSpread
from muscle_bayes.imaging.uncertainty import Calibration, RawSpread, label_fingerprint
from muscle_bayes.imaging.uncertainty_calibration import fit_calibration
from muscle_bayes.resources import data_folder
from muscle_bayes.simulation import simulate_phantom
from muscle_bayes.simulation.phantom_ranges import read_exam

RESULTS = Path(__file__).parent / "results"
#: Training stays below the exam's 900,001, the exam ends at 900,200.
FIRST_SEED = {"fit": 950_001, "judge": 960_001}
VOXEL_MM, FINE = (1.4, 1.4, 9.0), (2, 2, 1)
SIDES = ("left", "right", "both")
IDS = {side: [label_id("autochthonous", s) for s in SIDES[:2] if side in (s, "both")] for side in SIDES}
STRATA = {
    "snr": [(12, 20), (20, 30), (30, 40.01)],
    "bmi_kg_m2": [(18, 25), (25, 30), (30, 40.01)],
    "intermat_percent": [(2, 8), (8, 16), (16, 25.01)],
}


def measured(segmenter: Segmenter, seed: int) -> dict[str, Any]:
    """Truth, estimate and raw spread of one scan, as plain data."""
    exam = read_exam(data_folder("segmentation") / "exam.toml")
    settings = {"region": "trunk", "seed": seed, "voxel_mm": VOXEL_MM, "supersample": FINE, **exam.ranges.draw(seed)}
    clock = time.process_time()
    phantom = simulate_phantom(**settings)
    known = phantom.truth[(phantom.truth["muscle"] == "autochthonous") & (phantom.truth["side"] == "both")].iloc[0]
    row: dict[str, Any] = {"seed": seed, **{name: settings[name] for name in STRATA}, "t1": settings["t1_weighting"]}
    row["simulation_cpu_s"] = time.process_time() - clock
    clock = time.process_time()
    found = segmenter((phantom.water, phantom.fat), uncertainty=False)
    row["segmentation_cpu_s"] = time.process_time() - clock
    clock = time.process_time()
    volumes = read_images({"water": phantom.water, "fat": phantom.fat})
    water, fat = volumes["water"], volumes["fat"]
    ids = np.asarray(found.dataobj)  # phantoms are stored in RAS order
    views = views_of(segmenter, water.data, fat.data, ids, water.spacing)
    row["views_cpu_s"] = time.process_time() - clock
    # Slices of the true region, the last one in part.
    low, high = float(known["z_min_mm"]), float(known["z_max_mm"])
    face = water.affine[2, 3] + (np.arange(ids.shape[2] + 1) - 0.5) * water.spacing[2]
    weight = np.clip((np.minimum(face[1:], high) - np.maximum(face[:-1], low)) / water.spacing[2], 0, 1)
    scan = read_scan(phantom.water, phantom.fat, found, scheme="muscle_bayes")
    truth = np.asarray(phantom.labels.dataobj)
    assert scan.fraction is not None
    row["sides"] = {}
    if views is None:
        return row
    unscaled = Calibration(1, 1, 1, 0, 0)
    rows = RowSpread(scan, CarriedSpread(views, unscaled, label_fingerprint(ids)))
    for side, numbers in IDS.items():
        figures = {}
        for name, labels in (("true", truth), ("found", ids)):
            structure = np.isin(labels, numbers).astype(np.int32)
            counts = tally(structure, 1, scan.fraction, None, None)
            figures[name] = burden(counts, np.array([0]), weight, water.voxel_mm3)
        raw = rows.raw(side, weight, figures["found"])
        if raw is None:
            continue
        row["sides"][side] = {
            **{
                name: [part.intermat_percent["threshold"], part.lean_cm3["threshold"]] for name, part in figures.items()
            },
            "raw": {
                "views": raw.views.tolist(),
                "shared": raw.shared.tolist(),
                "local": raw.local.tolist(),
                "lean_cm3": raw.lean_cm3,
            },
        }
    return row


def raw_of(row: dict[str, Any], side: str) -> RawSpread:
    raw = row["sides"][side]["raw"]
    return RawSpread(*(np.array(raw[name]) for name in ("views", "shared", "local")), raw["lean_cm3"])


def errors_of(rows: list[dict[str, Any]], side: str) -> np.ndarray:
    return np.array([np.subtract(row["sides"][side]["found"], row["sides"][side]["true"]) for row in rows])


def judged(rows: list[dict[str, Any]], calibration: Calibration, side: str) -> dict[str, Any]:
    """Coverage of nominal 95 % intervals and rank correlation of SD and error, with their Monte Carlo errors."""
    known = [row for row in rows if side in row["sides"]]
    error = errors_of(known, side)
    covariance = np.array([raw_of(row, side).covariance(calibration) for row in known])
    sd = np.sqrt(covariance[:, [0, 1], [0, 1]])
    z = float(stats.norm.ppf(0.975))
    out: dict[str, Any] = {"scans": len(known), "not_labelled": len(rows) - len(known)}
    for k, name in enumerate(("intermat_percent", "lean_cm3")):
        inside = np.abs(error[:, k]) <= z * sd[:, k]
        rank = float(stats.spearmanr(sd[:, k], np.abs(error[:, k])).statistic)
        part: dict[str, Any] = {
            "coverage": _share(inside),
            "spearman_sd_error": {
                "value": round(rank, 3),
                "mcse": round(float((1 - rank**2) / np.sqrt(len(known) - 2)), 3),
            },
            "error_mean": round(float(error[:, k].mean()), 3),
            "error_sd": round(float(error[:, k].std(ddof=1)), 3),
            "sd_median": round(float(np.median(sd[:, k])), 3),
            "strata": {},
        }
        for stratum, limits in STRATA.items():
            value = np.array([row[stratum] for row in known])
            for low, high in limits:
                chosen = (value >= low) & (value < high)
                part["strata"][f"{stratum} {low:g} to {high:g}"] = {
                    "scans": int(chosen.sum()),
                    **_share(inside[chosen]),
                }
        lowest = min(cell["value"] for cell in part["strata"].values() if cell["value"] is not None)
        part["holds"] = {
            "coverage 0.90 to 0.98": 0.90 <= part["coverage"]["value"] <= 0.98,
            "every stratum >= 0.85": lowest >= 0.85,
            "spearman >= 0.3": rank >= 0.3,
        }
        out[name] = part
    distance = np.einsum("ni,nij,nj->n", error, np.linalg.inv(covariance), error)
    out["joint_coverage"] = _share(distance <= stats.chi2.ppf(0.95, 2))
    return out


def _share(inside: np.ndarray) -> dict[str, Any]:
    if not inside.size:
        return {"value": None, "mcse": None}
    share = float(inside.mean())
    return {"value": round(share, 4), "mcse": round(float(np.sqrt(max(share * (1 - share), 0.01) / inside.size)), 4)}


def rows_so_far(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def gathered(
    segmenter: Segmenter, kind: str, count: int, work: Path, part: tuple[int, int], seconds: float
) -> list[dict[str, Any]]:
    """Measure what is left of one kind of scans; return all that is there."""
    log, begun = work / f"{kind}_{segmenter.hashes[0][:16]}.jsonl", time.monotonic()
    done = {row["seed"] for row in rows_so_far(log)}
    seeds = [FIRST_SEED[kind] + number for number in range(count)]
    for seed in [seed for seed in seeds if seed not in done][part[0] :: part[1]]:
        if time.monotonic() - begun > seconds:
            break
        row = measured(segmenter, seed)
        with log.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(kind, seed, flush=True)
    rows = {row["seed"]: row for row in rows_so_far(log) if row["seed"] in seeds}
    return [rows[seed] for seed in sorted(rows)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", action="store_true", help="measure the fitting scans and fit")
    parser.add_argument(
        "--judge", action="store_true", help="measure the judging scans and judge the bundle's calibration"
    )
    parser.add_argument("--quick", action="store_true", help="few scans; nothing is written but --work")
    parser.add_argument(
        "--write", action="store_true", help="with --fit: write the calibration into the bundle's metadata"
    )
    parser.add_argument("--scans", type=int, nargs=2, default=(120, 120), metavar=("FIT", "JUDGE"))
    parser.add_argument("--bundle", type=Path, help="root of a bundle; the project's own where left out")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "muscle-bayes-uncertainty")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after these, and go on another time")
    parser.add_argument("--part", default="0/1", help="i/n: every nth scan that is left, to share them among processes")
    parser.add_argument("--out", type=Path, default=RESULTS / "uncertainty.json")
    parser.add_argument("--device", help="cpu or cuda")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    segmenter = Segmenter.load(options.bundle, options.device)
    part, parts = (int(word) for word in options.part.split("/"))
    counts = (24, 12) if options.quick else options.scans

    def gather(kind: str, count: int) -> list[dict[str, Any]]:
        return gathered(segmenter, kind, count, options.work, (part, parts), options.seconds)

    calibration = segmenter.bundle.calibration
    if options.fit or options.quick:
        rows = [row for row in gather("fit", counts[0]) if "both" in row["sides"]]
        if len(rows) < min(counts[0], 20) or (not options.quick and len(rows) < 0.9 * counts[0]):
            print(f"{len(rows)} of {counts[0]} scans are there: not fitted yet")
            return
        made = fit_calibration([raw_of(row, "both") for row in rows], errors_of(rows, "both"))
        calibration = Calibration.from_json(
            {
                **made.to_json(),
                "weights_sha256": segmenter.hashes,
                "fitted_on": {
                    "simulated": True,
                    "scans": len(rows),
                    "seeds": [rows[0]["seed"], rows[-1]["seed"]],
                    "ranges": "segmentation/exam.toml, trunks",
                    "voxel_mm": VOXEL_MM,
                    "truth": "InterMAT (threshold) and lean volume with the true labels of the same image, 150 mm above the true "
                    "top of the gluteals",
                    "command": "python benchmarks/uncertainty.py --fit --write",
                },
            }
        )
        print(json.dumps(calibration.to_json(), indent=1))
        if options.write and not options.quick:
            path = segmenter.bundle.folder / "configs" / "metadata.json"
            content = json.loads(path.read_text(encoding="utf-8"))
            content["uncertainty"] = calibration.to_json()
            path.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")
            print(f"written to {path}")
    if not (options.judge or options.quick):
        return
    rows = gather("judge", counts[1])
    if calibration is None or list(calibration.weights_sha256) != segmenter.hashes:
        print("the bundle holds no calibration of these weights yet: --fit --write first")
        return
    cpu = {
        name: round(float(np.median([row[f"{name}_cpu_s"] for row in rows])), 2) for name in ("segmentation", "views")
    }
    out = {
        "simulated": True,
        "complete": len(rows) == counts[1],
        "command": "python benchmarks/uncertainty.py --judge",
        "truth": calibration.fitted_on.get("truth"),
        "seeds": {kind: FIRST_SEED[kind] for kind in FIRST_SEED},
        "weights_sha256": segmenter.hashes,
        "calibration": calibration.to_json(),
        "cpu_s_median": cpu,
        **{side: judged(rows, calibration, side) for side in ("both", "left", "right")},
        "machine": {"processor": platform.machine(), "system": platform.system(), "python": platform.python_version()},
        "versions": {
            "muscle_bayes": muscle_bayes.__version__,
            "torch": str(sys.modules["torch"].__version__),
            "numpy": np.__version__,
        },
    }
    print(json.dumps({"cpu_s_median": cpu, "both": out["both"]}, indent=1))
    if not options.quick:
        options.out.parent.mkdir(exist_ok=True)
        options.out.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
