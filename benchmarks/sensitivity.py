"""A sensitivity analysis of the full cohort: how long 100 and more certified specifications take.

    python benchmarks/sensitivity.py [--model cbp_interaction] [--rows 27518] [--workers 2] [--out FILE]

Each specification is a refit with 1,000 draws, followed in odds ratios and risk differences of both exposures and RERI: priors x
scales of the site SD x sites left out x adipose definitions, and all that `mb.sensitivity` has ready for reviewers. Seconds are
those of the call, processes and their imports included; CPU seconds stand beside them, since other work on the machine
stretches only the former. `--parts 2` interrupts the sweep half-way, pauses and resumes it; seconds are then the sum of both
calls. With `--killed` the same sweep is killed (SIGKILL to all its processes) after some seconds and resumed, and must give
the same numbers. The cohort is simulated.
"""

import argparse
import json
import os
import platform
import resource
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import muscle_bayes as mb

RESULTS = Path(__file__).parent / "results"
NUMBERS = ["estimate", "lower", "upper", "mcse", "prob_gt_null"]


def cpu_seconds() -> float:
    """CPU time of this process and of those it has waited for."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    names = ("muscle-bayes", "numpy", "scipy", "pandas", "formulae")
    processor = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), processor)
    return {
        "cpu": processor, "cores": len(os.sched_getaffinity(0)), "python": platform.python_version(),
        "load_average": os.getloadavg()[0], "versions": {name: version(name) for name in names},
    }  # fmt: skip


class PartDoneError(Exception):
    """The sweep was stopped on purpose."""


def run(
    model: str, rows: int, workers: int | None, results: Path | None = None, parts: int = 1, pause: float = 0.0
) -> tuple[Any, dict[str, Any]]:
    """The sweep and what it took."""
    table = mb.simulate_cohort(n=rows, seed=1)
    took: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        file = results or (Path(folder) / "sweep.jsonl" if parts > 1 else None)
        for part in range(1, parts + 1):

            def stop(done: int, whole: int, part: int = part) -> None:
                if part < parts and done >= whole * part / parts:
                    raise PartDoneError

            if part > 1:
                time.sleep(pause)
            began, cpu = time.perf_counter(), cpu_seconds()
            with suppress(PartDoneError):
                frame = mb.sensitivity(model, table, workers=workers, results=file, progress=stop)
            took.append({"seconds": time.perf_counter() - began, "cpu_seconds": cpu_seconds() - cpu})
    total: dict[str, Any] = {name: sum(one[name] for one in took) for name in ("seconds", "cpu_seconds")}
    return frame, total if parts == 1 else {**total, "parts": took}


def described(frame: Any) -> dict[str, Any]:
    """Counts, reasons of what is not certified, and how far each estimand moves over the specifications."""
    one = frame.drop_duplicates("specification")
    failed = one[~one["certified"].astype(bool)]
    choices = frame.attrs["choices"]
    moves = {}
    for (estimand, term), part in frame.groupby(["estimand", "term"], sort=False):
        standing = part[part["reference"]].iloc[0]
        low, high = part.loc[part["estimate"].idxmin()], part.loc[part["estimate"].idxmax()]
        moves[f"{estimand} of {term}"] = {
            "standing": [round(float(standing[k]), 4) for k in ("estimate", "lower", "upper")],
            "lowest": {"estimate": round(float(low["estimate"]), 4), **changed(low, standing, choices)},
            "highest": {"estimate": round(float(high["estimate"]), 4), **changed(high, standing, choices)},
        }
    return {
        "specifications": len(one),
        "certified": int(one["certified"].sum()),
        "not_certified": {str(row["specification"]): row["note"] for _, row in failed.iterrows()},
        "estimates": int(frame["estimate"].notna().sum()),
        "smallest_ess": float(one["ess"].min()),
        "largest_khat": float(one["khat"].max()),
        "n": int(one["n"].max()),
        "draws": frame.attrs["refit_draws"],
        "moves": moves,
    }


def computing(results: Path) -> dict[str, Any]:
    """What the specifications of a results file took in the processes that computed them, imports left out."""
    each = [json.loads(line) for line in results.read_text().splitlines()]
    seconds = {name: [one[name] for one in each if one[name]] for name in ("seconds", "cpu_seconds")}
    return {
        "computing": {
            name: {
                "sum": sum(values),
                "median": float(np.median(values)),
                "smallest": min(values),
                "largest": max(values),
            }
            for name, values in seconds.items()
        }
    }


def changed(row: Any, standing: Any, choices: list[str]) -> dict[str, Any]:
    """The choices in which a specification differs from the model as it stands."""
    return {
        name: None if row[name] != row[name] else row[name]
        for name in choices
        if str(row[name]) != str(standing[name])
    }  # fmt: skip


def killed_and_resumed(arguments: argparse.Namespace, whole: Any) -> dict[str, Any]:
    """Kill the same sweep on its way, resume it, and compare the numbers."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sweep.jsonl"
        code = "from pathlib import Path; from sensitivity import run; run({!r}, {!r}, None, Path({!r}))"
        code = code.format(arguments.model, arguments.rows, str(file))
        child = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parent, start_new_session=True)
        time.sleep(arguments.killed)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        left = len(file.read_text().splitlines()) if file.exists() else 0
        frame, took = run(arguments.model, arguments.rows, arguments.workers, file)
    same = np.array_equal(frame[NUMBERS].to_numpy(float), whole[NUMBERS].to_numpy(float), equal_nan=True)
    return {"killed_after_seconds": arguments.killed, "lines_left": left, "reused": frame.attrs["reused"],
            "same_numbers": bool(same), **took}  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="cbp_interaction")
    parser.add_argument("--rows", type=int, default=27_518)
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--results", type=Path, help="results file to resume from and to append to")
    parser.add_argument("--parts", type=int, default=1, help="interrupt and resume the sweep in this many parts")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between parts")
    parser.add_argument("--killed", type=float, default=0.0, help="also kill a sweep after these seconds and resume it")
    parser.add_argument("--out", type=Path, default=RESULTS / "sensitivity.json")
    given = parser.parse_args()
    state = machine()
    whole, took = run(given.model, given.rows, given.workers, given.results, given.parts, given.pause)
    report = {
        "command": " ".join(["python benchmarks/sensitivity.py", *(Path(word).name for word in sys.argv[1:])]),
        "machine": state, "simulated": True,
        "model": given.model, "workers": given.workers or state["cores"], **took, **described(whole),
        **(computing(given.results) if given.results else {}), "reused_from_an_earlier_run": whole.attrs["reused"],
        "load_average_after": os.getloadavg()[0],
    }  # fmt: skip
    if given.killed:
        report["resumed"] = killed_and_resumed(given, whole)
    given.out.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    print(json.dumps(report, indent=1, ensure_ascii=False))
