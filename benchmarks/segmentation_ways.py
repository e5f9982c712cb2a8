"""One way from files to rows, in a process of its own: what `segmentation.py` runs, once for every way."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

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

    def carve(self, name: str, whole: str, wall: float) -> None:
        """Take a stage out of another one that held it; its CPU seconds are the same share as its wall seconds."""
        part = self.stages[whole]
        cpu = part["cpu_s"] * wall / max(part["wall_s"], 1e-9)
        self.stages[name] = {"wall_s": round(wall, 3), "cpu_s": round(cpu, 3)}
        self.stages[whole] = {"wall_s": round(part["wall_s"] - wall, 3), "cpu_s": round(part["cpu_s"] - cpu, 3)}

    def total(self, what: str = "wall_s") -> float:
        return round(sum(stage[what] for stage in self.stages.values()), 3)


def ours(folder: Path, out: Path, way: str, device: str, scans: int) -> dict[str, Any]:
    """Label and measure some scans with one loaded network."""
    import torch

    from muscle_bayes.errors import MuscleBayesError
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
    try:
        with clock.stage("quality check"):
            assess(last.volumes["water"], last.volumes["fat"], labels=last.image, simulated=True)
    except MuscleBayesError as error:
        print(f"no quality check: {error}", file=sys.stderr)
    return {
        "load": clock.stages["load"],
        # Beside the comparison: the recipe has nothing like it.
        "quality_check": clock.stages.get("quality check"),
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
    rest = clock.stages["network"]["wall_s"] - sum(parts.values())
    clock.computation["network_wall_s"] = {**parts, "checks and grid": round(rest, 3)}
    for name in ("transfer", "uncertainty"):
        clock.carve(name, "network", parts.get(name, 0.0))
    finish_scan(clock, volumes, image, out, "scan")
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
