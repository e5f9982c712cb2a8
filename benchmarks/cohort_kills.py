"""Kill study of the cohort run: kill -9 at random moments, then the same command again, until it is done.

    python benchmarks/cohort_kills.py            # 20 moments (seeds 1 to 20), 40 participants, 2 workers
    python benchmarks/cohort_kills.py --quick    # 3 moments, 12 participants

Small simulated scans with their labels. By turns the whole process group of the run is killed, single workers are, or first
a worker and then the group; the moment is drawn as a number of finished scans and a delay. After each kill every file that is
there must be whole. Then the run is started again until it ends well; the final measurements.tsv must be, byte for byte, that
of a run that nobody disturbed, with every participant once. Results go to benchmarks/results/cohort_kills.json.
"""

import argparse
import gzip
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import psutil

import muscle_bayes

RESULTS = Path(__file__).parent / "results" / "cohort_kills.json"
COMMAND = [sys.executable, "-c", "from muscle_bayes.cli import main; main()", "measure"]
STUDY = """\
[study]
name = "Kill study"
seed = 5

[participants]
file = "participants.csv"

[images]
root = "images"
water = "sub-{participant_id}/*_water.nii.gz"
fat = "sub-{participant_id}/*_fat.nii.gz"
labels = "sub-{participant_id}/*_dseg.nii.gz"
quality = false

[exposure]
adipose = "fraction"
region = "field_of_view"

[[fits]]
model = "cbp_main"
"""


def write_study(folder: Path, participants: int, shape: tuple[int, int, int] = (48, 32, 16)) -> None:
    """Write simulated scans of two muscles whose fat differs between participants."""
    names = [f"K{number:03d}" for number in range(participants)]
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame({"participant_id": names, "bmi_kg_m2": 25.0, "simulated": 1}).to_csv(
        folder / "participants.csv", index=False
    )
    (folder / "study.toml").write_text(STUDY)
    nx, ny, nz = shape
    labels = np.zeros(shape, dtype=np.uint8)
    for label, first in ((3, nx // 8), (4, nx // 2 + nx // 8)):
        labels[first : first + nx // 4, ny // 6 : -(ny // 6), 1 : nz - 1] = label
    affine = np.diag([2.0, 2.0, 5.0, 1.0])
    for number, name in enumerate(names):
        rng = np.random.default_rng([1, number])
        share = rng.beta(1.0 + number % 7, 9.0, shape)
        total = rng.uniform(1500, 2500, shape)
        home = folder / "images" / f"sub-{name}"
        home.mkdir(parents=True, exist_ok=True)
        for role, data in (("water", total * (1 - share)), ("fat", total * share)):
            nib.save(nib.Nifti1Image(data.astype(np.int16), affine), home / f"x_{role}.nii.gz")
        nib.save(nib.Nifti1Image(labels, affine), home / "x_dseg.nii.gz")


def environment(code: Path | None) -> dict[str, str]:
    """Return variables of a run; `code` is a copy of the package, which nobody edits while the study goes on."""
    first = [str(code)] if code is not None else []
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*first, *filter(None, [os.environ.get("PYTHONPATH")])])}


def start(study: Path, workers: int, code: Path | None = None) -> "subprocess.Popen[bytes]":
    """Start a run in a process group of its own."""
    with (study / "stderr.txt").open("ab") as said:
        return subprocess.Popen(
            [*COMMAND, str(study), "--workers", str(workers)],
            env=environment(code),
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        )


def records(study: Path) -> list[Path]:
    """Return the records of finished scans."""
    return sorted((study / "results" / "derivatives").glob("sub-*/anat/*_measurements.json"))


def wait_for(study: Path, running: "subprocess.Popen[bytes]", finished: int, limit_s: float = 600.0) -> bool:
    """Wait until so many scans are finished; False where the run ended before."""
    until = time.monotonic() + limit_s
    while running.poll() is None and time.monotonic() < until:
        if len(records(study)) >= finished:
            return True
        time.sleep(0.005)
    return False


def kill_group(running: "subprocess.Popen[bytes]") -> None:
    """Kill -9 the run and all that it started."""
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def kill_worker(running: "subprocess.Popen[bytes]", rng: np.random.Generator) -> bool:
    """Kill -9 one worker; False where there is none."""
    try:
        children = psutil.Process(running.pid).children(recursive=True)
        workers = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
        if not workers:
            return False
        workers[int(rng.integers(len(workers)))].kill()
    except psutil.NoSuchProcess:
        return False
    return True


def faults(study: Path, *, done: bool) -> list[str]:
    """Return what is not whole: files that do not parse, records whose outputs differ, and at the end what is left over."""
    out, found = study / "results", []
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        if path.name.startswith(".") or path.name.endswith(".lock"):
            found += [f"left over: {path.name}"] if done else []
            continue
        try:
            if path.suffix == ".json":
                json.loads(path.read_text())
            elif path.suffix == ".tsv" and path.stat().st_size > 1:
                pd.read_csv(path, sep="\t")
            elif path.name.endswith(".nii.gz"):
                gzip.decompress(path.read_bytes())
        except (ValueError, OSError, EOFError) as error:
            found.append(f"torn: {path.relative_to(out)} ({error})")
    for path in records(study):
        for name, digest in json.loads(path.read_text())["outputs"].items():
            if not (out / name).is_file() or sha256((out / name).read_bytes()).hexdigest() != digest:
                found.append(f"not what its record says: {name}")
    return found


def judge(study: Path, reference: bytes, participants: int) -> list[str]:
    """Return what is wrong with a finished run."""
    found = faults(study, done=True)
    table_file = study / "results" / "measurements.tsv"
    if table_file.read_bytes() != reference:
        found.append("the final table differs from that of an undisturbed run")
    table = pd.read_csv(table_file, sep="\t")
    each = table.groupby("participant_id").size()
    if len(each) != participants or each.min() != each.max():
        found.append(f"{len(each)} participants of {participants}, {each.min()} to {each.max()} rows each")
    if len(pd.read_csv(study / "results" / "failures.tsv", sep="\t")):
        found.append("a healthy participant is among the failures")
    return found


def one_moment(study: Path, seed: int, reference: bytes, participants: int, code: Path | None) -> dict[str, Any]:
    """Disturb a run at random moments, resume it until it ends well, and judge it."""
    rng = np.random.default_rng(seed)
    what = ("group", "worker", "worker, then group")[seed % 3]
    shutil.rmtree(study / "results", ignore_errors=True)
    moments = np.sort(rng.integers(0, participants, size=2 if "then" in what else 1)).tolist()
    wanted = ["worker", "group"] if "then" in what else [what]
    running, kills, seen = start(study, 2, code), [], []
    for finished, kind in zip(moments, wanted, strict=True):
        if not wait_for(study, running, finished):
            break
        time.sleep(float(rng.uniform(0.0, 0.3)))
        if running.poll() is not None:
            break
        if kind == "group":
            kill_group(running)
        elif not kill_worker(running, rng):
            continue
        kills.append({"kind": kind, "finished_scans": len(records(study))})
        seen += faults(study, done=False)
    code_of_first = running.wait()
    resumed, runs = code_of_first, 1
    while resumed != 0 and runs < 5:
        resumed = start(study, 2, code).wait()
        runs += 1
    return {
        "seed": seed,
        "what": what,
        "kills": kills,
        "runs": runs,
        "faults_after_kill": seen,
        "faults_at_end": judge(study, reference, participants) if resumed == 0 else [f"exit code {resumed}"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--participants", type=int, default=40)
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    participants, moments = (12, 3) if asked.quick else (asked.participants, asked.moments)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kill-study-") as scratch:
        study, code = Path(scratch) / "study", Path(scratch) / "code"
        # A copy: records name the code that measured, and an edit in the checkout would have everybody measured again.
        package = Path(muscle_bayes.__file__).parent
        shutil.copytree(package, code / package.name, ignore=shutil.ignore_patterns("__pycache__"))
        write_study(study, participants)
        undisturbed = time.monotonic()
        if start(study, 2, code).wait() != 0:
            raise SystemExit((study / "stderr.txt").read_text()[-2000:])
        undisturbed = time.monotonic() - undisturbed
        reference = (study / "results" / "measurements.tsv").read_bytes()
        wrong = judge(study, reference, participants)
        rows: list[dict[str, Any]] = []
        for seed in range(1, moments + 1):
            rows.append(one_moment(study, seed, reference, participants, code))
            print(json.dumps(rows[-1]), flush=True)
            result = summary(rows, participants, undisturbed, wrong, time.monotonic() - began)
            # After each moment, so that a study that is stopped has said what it found.
            asked.out.parent.mkdir(parents=True, exist_ok=True)
            asked.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{result['moments']} moments, {result['kills']} kills, faults at {result['moments_with_faults'] or 'none'}")
    raise SystemExit(1 if result["moments_with_faults"] or wrong else 0)


def summary(
    rows: list[dict[str, Any]], participants: int, undisturbed_s: float, undisturbed_faults: list[str], wall_s: float
) -> dict[str, Any]:
    """Return what the study found so far."""
    failed = [row["seed"] for row in rows if row["faults_after_kill"] or row["faults_at_end"]]
    return {
        "participants": participants,
        "workers": 2,
        "scans": "simulated, with labels",
        "undisturbed_run_s": round(undisturbed_s, 1),
        "undisturbed_faults": undisturbed_faults,
        "moments": len(rows),
        "moments_with_a_kill": sum(bool(row["kills"]) for row in rows),
        "kills": sum(len(row["kills"]) for row in rows),
        "moments_with_faults": failed,
        "identical_tables": sum(not row["faults_at_end"] for row in rows),
        "each": rows,
        "wall_s": round(wall_s, 1),
        "machine": {"python": platform.python_version(), "system": platform.system(), "cores": os.cpu_count()},
        "muscle_bayes": muscle_bayes.__version__,
    }


if __name__ == "__main__":
    main()
