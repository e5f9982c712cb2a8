"""Uncertainty per participant: fitted on simulated scans, judged on others, against true labels on the same image.

    python benchmarks/uncertainty.py --fit --write      # measure the fitting scans, fit, write the bundle's metadata
    python benchmarks/uncertainty.py --judge            # measure the judging scans, write benchmarks/results/uncertainty.json
    python benchmarks/uncertainty.py --quick            # 24 + 12 other scans, printed and not written: does it run?
    python benchmarks/uncertainty_page.py               # write the figures into docs/uncertainty.md

Truth is InterMAT (threshold) and lean volume of the autochthonous muscles with the true labels of the same image, over 150 mm
above the true top of the gluteals, and over the whole field of view beside it. So the error is that of the network's labels alone:
what the threshold, the voxel size or T1 weighting do to everybody is in both, and where the region begins is known. Scans are
trunks of the exam's ranges on 1.4 mm pixels, a slice every 9 mm, which is the network's own distance to the neighbours; seeds are
those of neither training nor exam, and other ones for fitting and for judging. Both steps go on where they stopped (--work), and
several processes may share them (--part). What an earlier calibration was judged to be stays in the results.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
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
from muscle_bayes.imaging.uncertainty import SIDES, Calibration, RawSpread, Scale, label_fingerprint
from muscle_bayes.imaging.uncertainty_calibration import fit_calibration
from muscle_bayes.resources import data_folder
from muscle_bayes.simulation import simulate_phantom
from muscle_bayes.simulation.phantom_ranges import read_exam

RESULTS = Path(__file__).parent / "results"
#: Training stays below the exam's 900,001, the exam ends at 900,200. A first calibration, with other signs, was fitted on 950,001
#: to 950,100 and judged on 960,001 to 960,060; since then these are used up and serve to fit.
SEEDS = {
    "fit": (*range(950_001, 950_201), *range(960_001, 960_061)),
    "judge": tuple(range(970_001, 970_301)),
    "quick": (*range(940_001, 940_025), *range(940_101, 940_113)),
}
QUICK_FIT = 24
VOXEL_MM, FINE = (1.4, 1.4, 9.0), (2, 2, 1)
IDS = {side: [label_id("autochthonous", s) for s in SIDES[:2] if side in (s, "both")] for side in SIDES}
#: Calibrations are fitted on the first.
REGIONS = ("above_gluteals_150mm", "field_of_view")
MEASURES = ("intermat_percent", "lean_cm3")
STRATA = {
    "snr": [(12, 20), (20, 30), (30, 40.01)],
    "bmi_kg_m2": [(18, 25), (25, 30), (30, 40.01)],
    "intermat_percent": [(2, 8), (8, 16), (16, 25.01)],
}
#: Is replaced by the fitted one.
UNFITTED = Calibration(Scale(0.0, (0.0,) * 4), Scale(0.0, (0.0,) * 4))


def measured(segmenter: Segmenter, seed: int) -> dict[str, Any]:
    """Truth, estimate and raw spread of one scan, as plain data."""
    exam = read_exam(data_folder("segmentation") / "exam.toml")
    settings = {"region": "trunk", "seed": seed, "voxel_mm": VOXEL_MM, "supersample": FINE, **exam.ranges.draw(seed)}
    clock = time.process_time()
    phantom = simulate_phantom(**settings)
    known = phantom.truth[(phantom.truth["muscle"] == "autochthonous") & (phantom.truth["side"] == "both")].iloc[0]
    row: dict[str, Any] = {"seed": seed, **{name: settings[name] for name in STRATA}}
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
    row |= {region: {} for region in REGIONS}
    if views is None:
        return row
    rows = RowSpread(scan, CarriedSpread(views, UNFITTED, label_fingerprint(ids)))
    for region, share in zip(REGIONS, (weight, np.ones_like(weight)), strict=True):
        for side, numbers in IDS.items():
            figures = {}
            for name, labels in (("true", truth), ("found", ids)):
                structure = np.isin(labels, numbers).astype(np.int32)
                counts = tally(structure, 1, scan.fraction, None, None)
                one = burden(counts, np.array([0]), share, water.voxel_mm3)
                figures[name] = one, [one.intermat_percent["threshold"], one.lean_cm3["threshold"]]
            raw = rows.raw(side, share, figures["found"][0])
            if raw is not None:
                row[region][side] = {
                    **{name: plain for name, (_, plain) in figures.items()},
                    "border": raw.border.tolist(),
                    "views": raw.views.tolist(),
                }
    return row


def raw_of(one: dict[str, Any], side: str) -> RawSpread:
    return RawSpread(side, np.array(one["border"]), np.array(one["views"]), *one["found"])


def errors_of(rows: list[dict[str, Any]], region: str, side: str) -> np.ndarray:
    return np.array([np.subtract(row[region][side]["found"], row[region][side]["true"]) for row in rows])


def fitted(rows: list[dict[str, Any]]) -> Calibration:
    """Fit on the three sides of the first region; the second is judged and never fitted."""
    cells = [(row["seed"], side, one) for row in rows for side, one in row[REGIONS[0]].items()]
    return fit_calibration(
        [raw_of(one, side) for _, side, one in cells],
        np.array([np.subtract(one["found"], one["true"]) for *_, one in cells]),
        scan=[seed for seed, *_ in cells],
    )


def judged(rows: list[dict[str, Any]], calibration: Calibration, region: str, side: str) -> dict[str, Any]:
    """Coverage of nominal 95 % intervals and rank correlation of SD and error, with their Monte Carlo errors."""
    known = [row for row in rows if side in row[region]]
    error = errors_of(known, region, side)
    covariance = np.array([raw_of(row[region][side], side).covariance(calibration) for row in known])
    sd = np.sqrt(covariance[:, [0, 1], [0, 1]])
    z = float(stats.norm.ppf(0.975))
    out: dict[str, Any] = {"scans": len(known), "not_labelled": len(rows) - len(known)}
    for k, name in enumerate(MEASURES):
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
    segmenter: Segmenter, kind: str, work: Path, part: tuple[int, int], seconds: float
) -> list[dict[str, Any]]:
    """Measure what is left of one kind of scans; return all that is there."""
    log, begun = work / f"{kind}_{segmenter.hashes[0][:16]}.jsonl", time.monotonic()
    done = {row["seed"] for row in rows_so_far(log)}
    for seed in [seed for seed in SEEDS[kind] if seed not in done][part[0] :: part[1]]:
        if time.monotonic() - begun > seconds:
            break
        row = measured(segmenter, seed)
        with log.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(kind, seed, flush=True)
    rows = {row["seed"]: row for row in rows_so_far(log) if row["seed"] in SEEDS[kind]}
    return [rows[seed] for seed in sorted(rows)]


def blocks(seeds: Sequence[int]) -> list[list[int]]:
    """First and last seed of each run of seeds."""
    cuts = np.flatnonzero(np.diff(seeds) > 1)
    return [[int(run[0]), int(run[-1])] for run in np.split(np.asarray(seeds), cuts + 1)]


def with_origin(made: Calibration, rows: list[dict[str, Any]], hashes: Sequence[str]) -> Calibration:
    """Add to a calibration what it belongs to and where it comes from."""
    origin = {
        "simulated": True,
        "scans": len(rows),
        "seeds": blocks([row["seed"] for row in rows]),
        "ranges": "segmentation/exam.toml, trunks",
        "voxel_mm": list(VOXEL_MM),
        "truth": "InterMAT (threshold) and lean volume with the true labels of the same image, 150 mm above the true "
        "top of the gluteals",
        "command": "python benchmarks/uncertainty.py --fit --write",
    }
    # Over a longer muscle what a network draws too small adds up: the second region's intervals of lean volume cover less.
    return replace(made, lean_regions=REGIONS[:1], weights_sha256=tuple(hashes), fitted_on=origin)


def earlier(path: Path, seeds: list[list[int]]) -> list[dict[str, Any]]:
    """What earlier calibrations were judged to be, on other seeds; kept, so that nobody sees the last attempt only."""
    if not path.is_file():
        return []
    content = json.loads(path.read_text())
    known: list[dict[str, Any]] = content.get("earlier", [])
    if content["seeds"]["judge"] == seeds:
        return known
    both = {
        name: {key: content["both"][name][key] for key in ("coverage", "spearman_sd_error", "strata", "holds")}
        for name in MEASURES
    }
    about = {"seeds": content["seeds"], "scans": content["both"]["scans"], "calibration": content["calibration"]}
    return [*known, {**about, "both": both}]


def judgement(rows: list[dict[str, Any]], calibration: Calibration, path: Path) -> dict[str, Any]:
    """Everything that is written."""
    cpu = {
        name: round(float(np.median([row[f"{name}_cpu_s"] for row in rows])), 2)
        for name in ("simulation", "segmentation", "views")
    }
    seeds = {kind: blocks(SEEDS[kind]) for kind in ("fit", "judge")}
    regions = {region: {side: judged(rows, calibration, region, side) for side in SIDES} for region in REGIONS}
    return {
        "simulated": True,
        "complete": len(rows) == len(SEEDS["judge"]),
        "command": "python benchmarks/uncertainty.py --judge",
        "truth": calibration.fitted_on.get("truth"),
        "seeds": seeds,
        "calibration": calibration.to_json(),
        "cpu_s_median": cpu,
        **regions[REGIONS[0]],
        REGIONS[1]: regions[REGIONS[1]],
        "earlier": earlier(path, seeds["judge"]),
        "machine": {"processor": platform.machine(), "system": platform.system(), "python": platform.python_version()},
        "versions": {
            "muscle_bayes": muscle_bayes.__version__,
            "torch": str(sys.modules["torch"].__version__),
            "numpy": np.__version__,
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    todo = parser.add_mutually_exclusive_group(required=True)
    todo.add_argument("--fit", action="store_true", help="measure the fitting scans and fit")
    todo.add_argument("--judge", action="store_true", help="measure the judging scans, judge the bundle's calibration")
    todo.add_argument("--quick", action="store_true", help="few scans of their own; nothing is written but --work")
    parser.add_argument("--write", action="store_true", help="with --fit: write into the bundle's metadata")
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
    kind = "quick" if options.quick else "fit" if options.fit else "judge"
    stated = segmenter.bundle.calibration if options.judge else None
    if options.judge and (stated is None or list(stated.weights_sha256) != segmenter.hashes):
        print("the bundle holds no calibration of these weights yet: --fit --write first")
        return
    rows = gathered(segmenter, kind, options.work, (part, parts), options.seconds)
    if len(rows) < len(SEEDS[kind]):
        print(f"{len(rows)} of {len(SEEDS[kind])} scans are there")
        return
    if not options.judge:
        known = [row for row in (rows[:QUICK_FIT] if options.quick else rows) if "both" in row[REGIONS[0]]]
        stated = with_origin(fitted(known), known, segmenter.hashes)
        print(json.dumps(stated.to_json(), indent=1))
    assert stated is not None  # judged or just fitted
    if options.fit and options.write:
        path = segmenter.bundle.folder / "configs" / "metadata.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        content["uncertainty"] = stated.to_json()
        path.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")
        print(f"written to {path}")
    if not options.fit:
        out = judgement(rows[QUICK_FIT:] if options.quick else rows, stated, options.out)
        print(json.dumps({"cpu_s_median": out["cpu_s_median"], "both": out["both"]}, indent=1))
    if options.judge:
        options.out.parent.mkdir(exist_ok=True)
        options.out.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
