"""How well the quality checks find planted faults, how often they speak about clean scans, and what swap repair does to both.

    python benchmarks/quality.py --reference            # make the reference scans' distribution; --part as below
    python benchmarks/quality.py --part 1/2             # judge; parts may run side by side and go on where they stopped
    python benchmarks/quality.py --part 2/2
    python benchmarks/quality.py --summary              # write benchmarks/results/quality.json and .md

Every scan is a simulated phantom with settings drawn from the ranges of `segmentation/exam.toml`, on a grid of 2.8 x 2.8 x 6 mm
painted twice as fine in plane: the checks average finer images to about this size before they look. Limits of the checks were
set on development seeds (1 to 999, 30,001 to 30,600, and 20,001 to 20,800 for the reference, trunks and thighs in turn). Judged
are 400 clean scans (seeds 510,001 to 510,400), and 60 scans of each fault, planted one at a time into 60 other clean scans
(610,001 to 610,060; a fault of trunks takes seeds 611,001 and up in place of thighs; `quality_faults.py` says how severe). Swap
repair is tried on 3,000 more clean scans: 1,000 anatomies (700,001 to 701,000, on 4 x 4 x 10 mm), each as it is, with half the
signal-to-noise ratio, and over 60 % of its length. No seed was chosen. A first judgement, on seeds 500,001, 600,001 and 601,001
and up, found 50 of 60 metal voids and let 386 of 400 clean scans through (`results/quality_first.json`); the checks were mended
after it, and its seeds count as development seeds since.

Sensitivity is the share of scans on which a review or fail names the planted fault. Joint specificity is the share of clean
scans about which nothing of review or fail is said at all. Intervals are Wilson's, 95 %.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from quality_faults import FAULTS, Scan
from quality_words import in_words

import muscle_bayes
from muscle_bayes.imaging import SCHEME
from muscle_bayes.imaging.quality import Quality, assess_arrays, fit_reference, repair_arrays
from muscle_bayes.imaging.quality.reference import body_group, scan_features
from muscle_bayes.imaging.quality.swap import find_swap
from muscle_bayes.imaging.quality.view import make_view
from muscle_bayes.resources import data_folder
from muscle_bayes.simulation import simulate_phantom
from muscle_bayes.simulation.phantom_ranges import read_exam

RESULTS = Path(__file__).parent / "results"
REFERENCE = Path(muscle_bayes.__file__).parent / "imaging" / "quality" / "reference.json"
REFERENCE_SEEDS = range(20_001, 20_801)
CLEAN_SEEDS = range(510_001, 510_401)
FAULT_SEEDS, TRUNK_SEEDS = range(610_001, 610_061), range(611_001, 611_061)
REPAIR_SEEDS = range(700_001, 701_001)
#: Results of blocks of seeds that were judged before; checks were mended after each.
EARLIER = ("quality_first.json",)
VOXEL_MM, REPAIR_VOXEL_MM = (2.8, 2.8, 6.0), (4.0, 4.0, 10.0)


def scan_of(seed: int, region: str | None = None, voxel_mm: tuple[float, float, float] = VOXEL_MM) -> Scan:
    """Simulate the clean scan of a seed; seven of ten are trunks where the region is left open."""
    exam = read_exam(data_folder("segmentation") / "exam.toml")
    settings = exam.ranges.draw(seed)
    if region is None:
        region = "trunk" if seed % 10 < 7 else "thigh"
    fine = (2, 2, 1) if voxel_mm == VOXEL_MM else (1, 1, 1)
    phantom = simulate_phantom(region, seed=seed, voxel_mm=voxel_mm, supersample=fine, **settings)
    water, fat, labels = (np.asarray(image.dataobj) for image in (phantom.water, phantom.fat, phantom.labels))
    return Scan(water.astype(np.float32), fat.astype(np.float32), labels.astype(np.int32), voxel_mm, region)


def judged(scan: Scan, *, labels: bool = True) -> Quality:
    """Judge a scan, with its labels or without."""
    drawn = scan.labels if labels else None
    return assess_arrays(
        scan.spacing, scan.water, scan.fat, None, drawn, structures=SCHEME if labels else None, simulated=True
    )


def kinds(quality: Quality) -> list[str]:
    """Kinds of findings that ask for review or fail."""
    return sorted({finding.kind for finding in quality.findings if finding.severity != "note"})


def wrong_share(scan: Scan, clean: Scan, quality: Quality) -> float:
    """Share of the body's voxels in which water and fat are exchanged after repair."""
    water, _ = repair_arrays(scan.water, scan.fat, quality)
    body = clean.body & (clean.water != clean.fat)
    return float((water != clean.water)[body].mean())


def clean_row(number: int) -> dict[str, Any]:
    """What is said about one clean scan."""
    scan = scan_of(CLEAN_SEEDS[number])
    clock = time.process_time()
    said = kinds(judged(scan))
    seconds = time.process_time() - clock
    return {"kinds": said, "assess_cpu_s": seconds, "kinds_without_labels": kinds(judged(scan, labels=False))}


def fault_row(number: int) -> dict[str, Any]:
    """What is said about one scan with each fault planted into it."""
    base = scan_of(FAULT_SEEDS[number])
    row: dict[str, Any] = {}
    for i, (name, (plant, named, regions)) in enumerate(FAULTS.items()):
        clean = base if base.region in regions else scan_of(TRUNK_SEEDS[number], region=regions[0])
        scan = plant(clean, np.random.default_rng([FAULT_SEEDS[number], i]))
        quality = judged(scan)
        found: dict[str, Any] = {"region": clean.region, "kinds": kinds(quality)}
        found["named"] = bool(set(named) & set(found["kinds"]))
        if name.startswith("swap"):
            found["wrong_after_repair"] = wrong_share(scan, clean, quality) if quality.repair else None
            found["named_without_labels"] = bool(set(named) & set(kinds(judged(scan, labels=False))))
        row[name] = found
    return row


def repair_row(number: int) -> dict[str, Any]:
    """Whether swap repair would change clean scans of one anatomy."""
    scan = scan_of(REPAIR_SEEDS[number], voxel_mm=REPAIR_VOXEL_MM)
    rng = np.random.default_rng(REPAIR_SEEDS[number])
    snr = read_exam(data_folder("segmentation") / "exam.toml").ranges.draw(REPAIR_SEEDS[number])["snr"]
    # Water and fat have about 0.7 of a channel's noise; three times its variance more halves the signal-to-noise ratio.
    sigma = 3**0.5 * 0.7 * float(np.median((scan.water + scan.fat)[scan.labels > 2])) / snr
    noisy = [np.abs(data + rng.normal(0, sigma, data.shape)).astype(np.float32) for data in (scan.water, scan.fat)]
    nz = scan.water.shape[2]
    first = int(rng.integers(0, nz - round(0.6 * nz) + 1))
    part = slice(first, first + round(0.6 * nz))
    short = [data[:, :, part] for data in (scan.water, scan.fat, scan.labels)]
    variants = {
        "as it is": (scan.water, scan.fat, scan.labels),
        "noisy": (*noisy, scan.labels),
        "short": short,
    }
    harmed: dict[str, list[str]] = {"with labels": [], "without labels": []}
    for words, (water, fat, labels) in variants.items():
        for how, drawn in (("with labels", labels), ("without labels", None)):
            view = make_view(scan.spacing, water, fat, None, drawn, SCHEME if drawn is not None else None)
            swap = find_swap(view)
            # A part is repaired only with labels.
            if swap is not None and (swap.whole_slices or drawn is not None):
                harmed[how].append(words)
    return {"harmed": harmed, "scans": len(variants)}


TASKS: dict[str, tuple[Callable[[int], dict[str, Any]], int]] = {
    "clean": (clean_row, len(CLEAN_SEEDS)),
    "faults": (fault_row, len(FAULT_SEEDS)),
    "repair": (repair_row, len(REPAIR_SEEDS)),
}


def make_reference(work: Path, part: int, of: int) -> None:
    """Write the simulated reference of the package once all its parts are there; goes on where it stopped."""
    rows = {row["seed"]: row["features"] for path in work.glob("reference_*.jsonl") for row in _lines(path)}
    with (work / f"reference_{part}_of_{of}.jsonl").open("a", encoding="utf-8") as file:
        for seed in REFERENCE_SEEDS[part - 1 :: of]:
            if seed in rows:
                continue
            scan = scan_of(seed, region=("trunk", "thigh")[seed % 2])
            view = make_view(scan.spacing, scan.water, scan.fat, None, scan.labels, SCHEME)
            rows[seed] = {"group": body_group(view), **scan_features(view)}
            file.write(json.dumps({"seed": seed, "features": rows[seed]}) + "\n")
            file.flush()
    if len(rows) < len(REFERENCE_SEEDS):
        print(f"{len(rows)} of {len(REFERENCE_SEEDS)} scans; the reference is written when all are there")
        return
    made_by = f"python benchmarks/quality.py --reference: simulated scans, seeds {REFERENCE_SEEDS[0]} to {REFERENCE_SEEDS[-1]}"
    table = pd.DataFrame([rows[seed] for seed in REFERENCE_SEEDS])
    fit_reference(table, simulated=True, made_by=made_by).save(REFERENCE)


def wilson(hits: int, of: int) -> dict[str, Any]:
    """Share with Wilson's 95 % interval (1927)."""
    z2 = 1.959964**2
    share = hits / of
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = np.sqrt(z2 * (share * (1 - share) / of + z2 / (4 * of * of))) / (1 + z2 / of)
    lower, upper = max(middle - half, 0.0), min(middle + half, 1.0)
    return {"hits": hits, "of": of, "share": round(share, 4), "lower": round(lower, 4), "upper": round(upper, 5)}


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures over all judged scans."""
    by: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by.setdefault(row["task"], []).append(row)
    out: dict[str, Any] = {"simulated": True, "sensitivity": {}, "swap_repair": {}}
    for name, (plant, _, _) in FAULTS.items():
        part = [row[name] for row in by.get("faults", [])]
        if not part:
            continue
        entry = wilson(sum(row["named"] for row in part), len(part))
        entry["severity"] = " ".join(str(plant.__doc__).split())
        entry["anything_said"] = sum(bool(row["kinds"]) for row in part)
        if name.startswith("swap"):
            entry["named_without_labels"] = sum(row["named_without_labels"] for row in part)
            left = [row["wrong_after_repair"] for row in part if row["wrong_after_repair"] is not None]
            out["swap_repair"][name] = {
                "repaired": len(left),
                "of": len(part),
                "body_voxels_wrong_median": round(float(np.median(left)), 4) if left else None,
                "body_voxels_wrong_worst": round(float(np.max(left)), 4) if left else None,
            }
        out["sensitivity"][name] = entry
    clean = by.get("clean", [])
    if clean:
        quiet = sum(not row["kinds"] for row in clean)
        out["joint_specificity"] = wilson(quiet, len(clean))
        alarms = [kind for row in clean for kind in row["kinds"]]
        out["false_alarms"] = {kind: alarms.count(kind) for kind in sorted(set(alarms))}
        out["joint_specificity_without_labels"] = wilson(
            sum(not row["kinds_without_labels"] for row in clean), len(clean)
        )
        out["assess_cpu_s_median"] = round(float(np.median([row["assess_cpu_s"] for row in clean])), 3)
    tried = by.get("repair", [])
    if tried:
        for words in ("with labels", "without labels"):
            out["swap_repair"][f"clean_harmed_{words.replace(' ', '_')}"] = wilson(
                sum(len(row["harmed"][words]) for row in tried), sum(row["scans"] for row in tried)
            )
    return out


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", action="store_true")
    parser.add_argument("--part", metavar="I/N", default=None)
    parser.add_argument("--summary", action="store_true")
    parser.add_argument("--quick", action="store_true", help="6 scans of each fault, 40 clean, 40 repairs")
    parser.add_argument("--work", type=Path, default=Path("quality-study"), help="folder of the rows judged so far")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    part, of = (int(word) for word in (arguments.part or "1/1").split("/"))
    if arguments.reference:
        make_reference(arguments.work, part, of)
        return
    if not arguments.summary:
        path = arguments.work / f"rows_{part}_of_{of}.jsonl"
        done = {(row["task"], row["number"]) for row in _rows(arguments.work)}
        with path.open("a", encoding="utf-8") as file:
            every = [(name, number) for name, (_, count) in TASKS.items() for number in range(count)]
            for name, number in every[part - 1 :: of]:
                few = {"clean": 40, "faults": 6, "repair": 40}[name]
                if (name, number) in done or (arguments.quick and number >= few):
                    continue
                clock = time.process_time()
                row = {"task": name, "number": number, **TASKS[name][0](number)}
                row["cpu_s"] = time.process_time() - clock
                file.write(json.dumps(row) + "\n")
                file.flush()
    if arguments.summary or arguments.part is None:
        rows = _rows(arguments.work)
        out = summary(rows)
        out["cpu_s"] = round(sum(row["cpu_s"] for row in rows))
        out["seeds"] = {
            "limits set on": "1 to 999, 30001 to 30600, and those judged before",
            "reference": [REFERENCE_SEEDS[0], REFERENCE_SEEDS[-1]],
            "clean": [CLEAN_SEEDS[0], CLEAN_SEEDS[-1]],
            "faults": [FAULT_SEEDS[0], FAULT_SEEDS[-1], TRUNK_SEEDS[0], TRUNK_SEEDS[-1]],
            "repair": [REPAIR_SEEDS[0], REPAIR_SEEDS[-1]],
        }
        out["judged_before"] = [_judged_before(RESULTS / name) for name in EARLIER]
        out["voxel_mm"] = {"judged": VOXEL_MM, "repair": REPAIR_VOXEL_MM}
        out["machine"] = {"python": platform.python_version(), "machine": platform.machine(), "numpy": np.__version__}
        out["muscle_bayes"] = muscle_bayes.__version__
        text = json.dumps(out, indent=2) + "\n"
        if not arguments.quick:
            (RESULTS / "quality.json").write_text(text, encoding="utf-8")
            (RESULTS / "quality.md").write_text(in_words(out), encoding="utf-8")
        print(text)


def _judged_before(path: Path) -> dict[str, Any]:
    """What an earlier judgement found, in short."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return {
        "results": path.name,
        "seeds": {name: found["seeds"][name] for name in ("clean", "faults")},
        "sensitivity": {name: entry["hits"] for name, entry in found["sensitivity"].items()},
        "of": {name: entry["of"] for name, entry in found["sensitivity"].items()},
        "joint_specificity": {name: found["joint_specificity"][name] for name in ("hits", "of")},
    }


def _rows(folder: Path) -> list[dict[str, Any]]:
    """Rows judged so far."""
    return [row for path in sorted(folder.glob("rows_*.jsonl")) for row in _lines(path)]


def _lines(path: Path) -> list[dict[str, Any]]:
    """Rows of a file; a line cut short by a kill is left out."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


if __name__ == "__main__":
    main()
