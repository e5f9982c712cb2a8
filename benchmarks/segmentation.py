"""From water and fat .nii.gz to a row of the table: seconds of every stage, against the plain MONAI recipe, in one run.

    python benchmarks/segmentation.py                  # on the processor: about 5 minutes on two cores
    python benchmarks/segmentation.py --quick          # a quarter of the slices, about 2 minutes; nothing is written
    python benchmarks/segmentation.py --device cuda    # unattended, under 10 minutes
    python benchmarks/segmentation.py --simulate       # scaling to more cores and cards, simulated from the measured stages

A scan has 320 x 260 x 316 voxels of 1.4 x 1.4 x 3 mm, as in NAKO: one simulated trunk, tiled upwards with every other copy
upside down and air with noise around it. It tests speed, not accuracy; every slice shows muscle, so none is skipped. Ours and
the recipe (`segmentation_plain.py` says what it does) use the same weights, one after the other, each in a process of its own
that has read its network before the clock starts; the recipe reads it for each case. On the processor every way has one
thread, so that CPU seconds and wall seconds are alike; `workers` runs two such processes at once. "Pairs" are scans.

Ours is measured with one view of each slice ("single pass") and with two ("mirrored", the default of `segment`), and with half
the bits where the device has them. On a card, `pipeline` takes many scans through reading threads, the card and measuring
processes. Results are kept for each device in `results/segmentation.json`; the page `docs/scans_at_scale.md` is made from it.
"""

import argparse
import json
import multiprocessing
import os
import platform
import resource
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import segmentation_scaling
import segmentation_ways as ways

RESULTS = Path(__file__).parent / "results" / "segmentation.json"
SHAPE, VOXEL_MM, QUICK_SLICES = (320, 260, 316), (1.4, 1.4, 3.0), 79
# --- the scan ---------------------------------------------------------------------------------------------------------


def make_scan(folder: Path, slices: int) -> None:
    """Write water, fat and labels of a tiled phantom."""
    from muscle_bayes.simulation import simulate_phantom

    phantom = simulate_phantom("trunk", seed=1, bmi_kg_m2=27.0, supersample=(1, 1, 1))
    rng = np.random.default_rng(1)
    for name in ("water", "fat", "labels"):
        part = np.asarray(getattr(phantom, name).dataobj)
        nx, ny, nz = part.shape
        shape = (*SHAPE[:2], slices)
        whole = np.zeros(shape, dtype=part.dtype)
        if name != "labels":
            corners = np.concatenate([part[:4, :4].ravel(), part[-4:, -4:].ravel()]).astype(float)
            sigma = np.sqrt((corners**2).mean() / 2)
            whole[:] = np.rint(np.hypot(*rng.normal(0, sigma, (2, *shape))))
        x, y = (SHAPE[0] - nx) // 2, (SHAPE[1] - ny) // 2
        order = np.resize(np.concatenate([np.arange(nz), np.arange(nz)[::-1]]), slices)
        whole[x : x + nx, y : y + ny] = part[:, :, order]
        nib.save(nib.Nifti1Image(whole, np.diag([*VOXEL_MM, 1.0])), folder / f"{name}.nii.gz")


def slab(folder: Path) -> None:
    """Write the six slices on which bf16 is checked when a network is loaded (`segmentation/check`)."""
    import gzip

    from muscle_bayes.simulation import simulate_phantom

    phantom = simulate_phantom("trunk", seed=1, bmi_kg_m2=27.0, supersample=(1, 1, 1), mask_background=True)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("water", "fat"):
        part = getattr(phantom, name).slicer[:, :, 5:23:3]
        (folder / f"{name}.nii.gz").write_bytes(gzip.compress(part.to_bytes(), 9, mtime=0))


# --- the run ----------------------------------------------------------------------------------------------------------


def child(options: argparse.Namespace, what: str, scans: int, number: int = 0) -> subprocess.Popen[str]:
    out = options.folder / f"out{number}"
    out.mkdir(exist_ok=True)
    command = [sys.executable, __file__, "--one", what, "--folder", str(options.folder), "--device", options.device]
    command += ["--scans", str(scans), "--out-folder", str(out)]
    environment = dict(os.environ)
    if options.device == "cpu":
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, _ = process.communicate()
    return json.loads(output.splitlines()[-1]) if process.returncode == 0 else {"failed": process.returncode}


def run_one(options: argparse.Namespace) -> dict[str, Any]:
    """What a child does."""
    what, scans = options.one, options.scans
    if options.device == "cpu":
        import torch

        torch.set_num_threads(1)
    kind, _, way = what.partition(": ")
    found = (
        ways.plain(options.folder, options.out_folder, options.device, scans)
        if kind == "plain"
        else {"ours": ways.ours, "pipeline": ways.pipeline}[kind](
            options.folder, options.out_folder, way, options.device, scans
        )
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return found | {"peak_gb": round(peak, 2)}


def against_truth(folder: Path, way: str) -> dict[str, Any]:
    """Dice of every label with the phantom's own: a changed geometry of windows is judged by the truth."""
    from muscle_bayes.imaging.labels import SCHEME
    from muscle_bayes.imaging.network.agreement import dice

    truth = np.asarray(nib.load(folder / "labels.nii.gz").dataobj)
    found = np.asarray(nib.load(folder / "out0" / f"{way}_dseg.nii.gz").dataobj)
    names = {number: f"{s.name} {s.side}" if s.side != "both" else s.name for number, s in SCHEME.items()}
    return {
        names[number]: round(float(dice(found == number, truth == number)), 4)
        for number in np.unique(truth).tolist()
        if number
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Every way on one device."""
    import torch

    cuda, scans = options.device.startswith("cuda"), 3 if options.device.startswith("cuda") else 1
    chosen = ["single pass", "mirrored"]
    if cuda or options.bf16 or "amx_bf16" in _flags() or "avx512_bf16" in _flags():
        chosen += ["single pass, bf16", "mirrored, bf16"]
    chosen += ["mirrored, uncertainty"]
    found: dict[str, Any] = {"device": _device_name(options.device), "ours": {}, "load_average": os.getloadavg()[0]}
    for way in chosen:
        found["ours"][way] = answer(child(options, f"ours: {way}", scans))
        if "failed" in found["ours"][way]:
            print(way, "failed", flush=True)
        elif way == "mirrored":
            found["dice_with_truth"] = {"ours, mirrored": against_truth(options.folder, "scan")}
        print(way, json.dumps(found["ours"][way]), flush=True)
    # The last way wrote all that a scan can have.
    found["bytes"] = sizes(options.folder)
    found["plain"] = answer(child(options, "plain", scans if cuda else 1))
    print("plain", json.dumps(found["plain"]), flush=True)
    if "failed" not in found["plain"]:
        found["dice_with_truth"]["plain"] = against_truth(options.folder, "plain")
    found["workers"] = workers(options, "single pass")
    if cuda:
        counts = {"single pass, bf16": 120, "mirrored, bf16": 60, "mirrored, uncertainty": 40}
        found["pipeline"] = {way: answer(child(options, f"pipeline: {way}", n)) for way, n in counts.items()}
    found["machine"] = machine()
    found["torch"] = torch.__version__
    return found


def workers(options: argparse.Namespace, way: str) -> dict[str, Any]:
    """One and two processes that each label and measure two scans."""
    found = {}
    for count in (1, 2):
        processes = [child(options, f"ours: {way}", 2, number) for number in range(count)]
        answers = [answer(process) for process in processes]
        if any("failed" in each for each in answers):
            return {"failed": True}
        found[str(count)] = {
            "scans_per_minute": round(sum(60 * 2 / each["scans_s"] for each in answers), 2),
            "peak_gb": round(sum(each["peak_gb"] for each in answers), 2),
        }
    return found


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of a scan's files."""
    out = folder / "out0"
    files = {
        "images": [folder / "water.nii.gz", folder / "fat.nii.gz"],
        "labels": [out / "scan_dseg.nii.gz"],
        "sidecar": [out / "scan_dseg.json"],
        "picture": [out / "scan.png"],
        "rows": [out / "scan.tsv"],
    }
    return {name: sum(path.stat().st_size for path in paths) for name, paths in files.items()}


def floors(out: dict[str, Any]) -> list[dict[str, Any]]:
    """What was asked for, with what was found; None where it has not been measured."""
    rows: list[dict[str, Any]] = []

    def add(name: str, asked: float, value: float | None) -> None:
        value = None if value is None else float(f"{value:.3g}")
        rows.append(
            {"floor": name, "at_least": asked, "value": value, "holds": None if value is None else value >= asked}
        )

    for device, asked in (("cpu", 2.0), ("cuda", 5.0)):
        part = out.get(device, {})
        reference = part.get("plain", {}).get("scan_s")
        best = ("single pass, bf16", "mirrored, bf16") if device == "cuda" else ("single pass", "mirrored")
        for way in best:
            own = part.get("ours", {}).get(way, {}).get("scan_s")
            add(f"{device}: plain recipe / ours, {way}", asked, reference / own if reference and own else None)
    rates = out.get("cuda", {}).get("pipeline", {})
    single, spread = (
        rates.get(way, {}).get("scans_per_minute") for way in ("single pass, bf16", "mirrored, uncertainty")
    )
    add("one H200: scans a minute, single pass, with picture", 120, single)
    add("one H200: scans a minute, with uncertainty and picture", 40, spread)
    return rows


def _flags() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text() if path.is_file() else ""


def _device_name(device: str) -> str:
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(torch.device(device))
    return next((line.split(":")[1].strip() for line in _flags().splitlines() if "model name" in line), "processor")


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    packages = ("muscle-bayes", "numpy", "scipy", "nibabel", "torch", "monai")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--simulate", action="store_true", help="only the simulation, from the results that are there")
    parser.add_argument("--slab", type=Path, help="only write the slices for the check of bf16 into this folder")
    parser.add_argument("--bf16", action="store_true", help="half the bits on a processor whose flags do not say bf16")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--scans", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out-folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.slab:
        slab(options.slab)
        return
    if options.one:
        print(json.dumps(run_one(options)))
        return
    out = json.loads(options.out.read_text()) if options.out.exists() else {}
    if not options.simulate:
        with tempfile.TemporaryDirectory() as name:
            options.folder = Path(name)
            make_scan(options.folder, QUICK_SLICES if options.quick else SHAPE[2])
            found = measure(options)
        out[options.device.split(":")[0]] = found | {"slices": QUICK_SLICES if options.quick else SHAPE[2]}
    out |= {
        "command": "python benchmarks/segmentation.py" + (f" --device {options.device}" * (options.device != "cpu")),
        "simulated": True,
        "scan": {"shape": list(SHAPE), "voxel_mm": list(VOXEL_MM), "made_of": "one simulated trunk, tiled"},
        "floors": floors(out),
        "scaling": segmentation_scaling.simulate(out),
    }
    print(json.dumps({"floors": out["floors"]}, indent=1))
    if not options.quick:
        options.out.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    multiprocessing.freeze_support()
    main()
