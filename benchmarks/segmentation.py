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
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import segmentation_scaling

RESULTS = Path(__file__).parent / "results" / "segmentation.json"
SHAPE, VOXEL_MM, QUICK_SLICES = (320, 260, 316), (1.4, 1.4, 3.0), 79
#: Ways to label a scan: views mirrored, number type, with uncertainty.
WAYS = {
    "single pass": (False, "fp32", False),
    "mirrored": (True, "fp32", False),
    "single pass, bf16": (False, "bf16", False),
    "mirrored, bf16": (True, "bf16", False),
    "mirrored, uncertainty": (True, None, True),
}


class Clock:
    """Wall and CPU seconds of stages."""

    def __init__(self) -> None:
        self.stages: dict[str, dict[str, float]] = {}
        self.computation: dict[str, Any] = {}
        self.volumes: Any = None
        self.image: Any = None

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.stages[name] = {
            "wall_s": round(time.perf_counter() - wall, 3),
            "cpu_s": round(time.process_time() - cpu, 3),
        }

    def total(self, what: str = "wall_s") -> float:
        return round(sum(stage[what] for stage in self.stages.values()), 3)


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


# --- one way, in a process of its own ---------------------------------------------------------------------------------


def ours(folder: Path, out: Path, way: str, device: str, scans: int) -> dict[str, Any]:
    """Label and measure some scans with one loaded network."""
    import torch

    from muscle_bayes.imaging.network.segmentation import Segmenter
    from muscle_bayes.imaging.quality import assess

    mirror, precision, uncertainty = WAYS[way]
    clock = Clock()
    with clock.stage("load"):
        segmenter = Segmenter.load(device=device, precision=precision)
    runs = []
    for _ in range(scans):
        if runs:
            runs[-1].volumes = runs[-1].image = None
        runs.append(one_scan(segmenter, folder, out, mirror, uncertainty))
    # The first scan of a process warms caches and a card's kernels up.
    last = runs[-1]
    with clock.stage("quality check"):
        assess(last.volumes["water"], last.volumes["fat"], labels=last.image, simulated=True)
    return {
        "load": clock.stages["load"],
        # Beside the comparison: the recipe has nothing like it.
        "quality_check": clock.stages["quality check"],
        "first_s": runs[0].total(),
        "stages": last.stages,
        "scan_s": last.total(),
        "scan_cpu_s": last.total("cpu_s"),
        "scans_s": round(sum(run.total() for run in runs), 3),
        "precision": segmenter.precision.recorded,
        "computation": last.computation,
        "gpu_peak_gb": round(torch.cuda.max_memory_allocated() / 2**30, 2) if device.startswith("cuda") else None,
        "gpu_utilisation_percent": None,
    }


def one_scan(segmenter: Any, folder: Path, out: Path, mirror: bool, uncertainty: bool) -> Clock:
    """The way from files to a row, stage by stage, as `muscle-bayes measure` goes it."""
    from muscle_bayes.imaging.scan_input import images_by_role, read_images

    clock = Clock()
    with clock.stage("decode"):
        volumes = read_images(images_by_role({role: folder / f"{role}.nii.gz" for role in ("water", "fat")}))
    with clock.stage("network"):
        image = segmenter(volumes, mirror=mirror, uncertainty=uncertainty)
    clock.volumes, clock.image = volumes, image
    clock.computation = dict(image.extra["computation"])
    parts = clock.computation["seconds"]
    finish_scan(clock, volumes, image, out, "scan")
    rest = clock.stages["network"]["wall_s"] - sum(parts.values())
    clock.computation["network_wall_s"] = {**parts, "spread, checks and grid": round(rest, 3)}
    return clock


def finish_scan(clock: Clock, volumes: Any, image: Any, out: Path, name: str) -> None:
    """Measure, draw and write."""
    from muscle_bayes.imaging import quantify
    from muscle_bayes.imaging.backends.segmenting import save_labels
    from muscle_bayes.imaging.quality.mosaic import draw_mosaic

    with clock.stage("quantify"):
        table = quantify(volumes["water"], volumes["fat"], image, bmi=27.0, simulated=True)
    with clock.stage("picture"):
        draw_mosaic(volumes["water"], volumes["fat"], image, out / f"{name}.png", title=name, simulated=True)
    with clock.stage("write"):
        save_labels(image, out / f"{name}_dseg.nii.gz")
        table.to_csv(out / f"{name}.tsv", sep="\t", index=False)


def plain(folder: Path, out: Path, device: str, scans: int) -> dict[str, Any]:
    """The plain recipe, one case after the other."""
    import segmentation_plain
    import torch

    from muscle_bayes.imaging import quantify
    from muscle_bayes.imaging.quality.mosaic import draw_mosaic

    chosen = torch.device(device)
    water, fat = folder / "water.nii.gz", folder / "fat.nii.gz"
    clock = Clock()
    for number in range(scans):
        clock, home = Clock(), out / f"plain{number}"
        home.mkdir(exist_ok=True)
        labels = segmentation_plain.plain_case(water, fat, home, chosen, clock)
        with clock.stage("quantify"):
            table = quantify(water, fat, labels, bmi=27.0, simulated=True)
        with clock.stage("picture"):
            draw_mosaic(water, fat, labels, out / "plain.png", title="plain", simulated=True)
        with clock.stage("write table"):
            table.to_csv(out / "plain.tsv", sep="\t", index=False)
        shutil.copy(labels, out / "plain_dseg.nii.gz")
    return {"stages": clock.stages, "scan_s": clock.total(), "scan_cpu_s": clock.total("cpu_s")}


# --- many scans through one card --------------------------------------------------------------------------------------


def read_task(task: tuple[Path, Path, int]) -> Any:
    from muscle_bayes.imaging.scan_input import images_by_role, read_images

    return read_images(images_by_role({role: task[0] / f"{role}.nii.gz" for role in ("water", "fat")}))


def finish_task(task: tuple[Path, Path, int], volumes: Any, labels: tuple[Any, dict[str, Any]]) -> dict[str, Any]:
    image, extra = labels
    image.extra.update(extra)  # which a pickled image leaves behind
    clock = Clock()
    finish_scan(clock, volumes, image, task[1], f"scan{task[2]}")
    return clock.stages


def pipeline(folder: Path, out: Path, way: str, device: str, scans: int) -> dict[str, Any]:
    """Scans a minute with reading, network and measuring side by side."""
    from muscle_bayes.imaging.network.pipeline import run_pipeline
    from muscle_bayes.imaging.network.segmentation import Segmenter

    mirror, precision, uncertainty = WAYS[way]
    segmenter = Segmenter.load(device=device, precision=precision)

    def label(volumes: Any) -> tuple[Any, dict[str, Any]]:
        image = segmenter(volumes, mirror=mirror, uncertainty=uncertainty)
        return image, dict(image.extra)

    cores = len(os.sched_getaffinity(0))
    workers = {"readers": max(1, cores // 4), "labellers": 2, "finishers": max(1, cores // 2)}
    tasks = [(folder, out, number) for number in range(scans)]
    # The workers' processes start and the card warms up before the clock does.
    warm, ended, seconds = 2 * workers["finishers"] + 2, [], {}
    with Utilisation(device) as card:
        for answer in run_pipeline(
            [*[(folder, out, -1 - n) for n in range(warm)], *tasks], read_task, label, finish_task, **workers
        ):
            if answer.error is not None:
                raise answer.error
            ended.append(time.perf_counter())
            for name, value in answer.seconds.items():
                seconds.setdefault(name, []).append(value)
    took = ended[-1] - ended[warm - 1]
    return {
        "scans": scans,
        "scans_per_minute": round(60 * scans / took, 1),
        "workers": workers,
        "median_s": {name: round(float(np.median(values[warm:])), 3) for name, values in seconds.items()},
        "gpu_utilisation_percent": card.mean,
    }


class Utilisation:
    """Mean share of time that a card computed, from its own tool; None where there is no card."""

    def __init__(self, device: str) -> None:
        self.wanted = device.startswith("cuda") and shutil.which("nvidia-smi") is not None
        self.seen: list[float] = []
        self._stop = threading.Event()

    @property
    def mean(self) -> float | None:
        return round(float(np.mean(self.seen)), 1) if self.seen else None

    def __enter__(self) -> "Utilisation":
        if self.wanted:
            threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()

    def _watch(self) -> None:
        command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        while not self._stop.wait(0.5):
            found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
            self.seen += [float(word) for word in found[:1] if word.isdigit()]


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
        plain(options.folder, options.out_folder, options.device, scans)
        if kind == "plain"
        else {"ours": ours, "pipeline": pipeline}[kind](options.folder, options.out_folder, way, options.device, scans)
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
    ways = ["single pass", "mirrored"]
    if cuda or options.bf16 or "amx_bf16" in _flags() or "avx512_bf16" in _flags():
        ways += ["single pass, bf16", "mirrored, bf16"]
    ways += ["mirrored, uncertainty"]
    found: dict[str, Any] = {"device": _device_name(options.device), "ours": {}, "load_average": os.getloadavg()[0]}
    for way in ways:
        found["ours"][way] = answer(child(options, f"ours: {way}", scans))
        if "failed" in found["ours"][way]:
            print(way, "failed", flush=True)
        elif way == "mirrored":
            found["dice_with_truth"] = {"ours, mirrored": against_truth(options.folder, "scan")}
            found["bytes"] = sizes(options.folder)
        print(way, json.dumps(found["ours"][way]), flush=True)
    found["plain"] = answer(child(options, "plain", scans if cuda else 1))
    print("plain", json.dumps(found["plain"]), flush=True)
    if "failed" not in found["plain"]:
        found["dice_with_truth"]["plain"] = against_truth(options.folder, "plain")
    found["workers"] = workers(options, "single pass")
    if cuda:
        chosen = {"single pass, bf16": 120, "mirrored, bf16": 60, "mirrored, uncertainty": 40}
        found["pipeline"] = {way: answer(child(options, f"pipeline: {way}", n)) for way, n in chosen.items()}
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
