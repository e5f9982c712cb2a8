"""Inference engines against their peers on one machine in one run: time, effective draws, divergences, memory.

    python benchmarks/inference.py [--model cbp_interaction] [--rows 27518 275180 1000000] [--engines ...] [--limit 600]

Every engine runs in a process of its own: `fresh_s` is what a user waits from starting Python or R (imports, reading the
data, the fit), `first_s` the fit alone, `warm_s` the same fit again (only engines below `--warm-below` seconds). CPU
seconds stand beside wall seconds, and the load of the machine beside both, since other work stretches wall seconds.
`peak_gb` is the largest memory of the process with its children, imports included. Data are simulated; every fit has the
same arrays and the same priors. `laplace`, `nuts` and `ml` are the engines on arrays; `fit_laplace` is what a user
does: read the table, `mb.fit`, print the odds ratios. Peers are in `peers.py`; one that takes longer than `--limit`
seconds is stopped, and the result says so. Runs add to the results that are there; `floors` compares what must hold.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peers
import psutil

OWN = ("laplace", "fit_laplace", "refits", "nuts", "nuts_seeds", "ml")
ENGINES = (*OWN, *peers.R, *peers.PYTHON)
RESULTS = Path(__file__).parent / "results"


def load_problem(folder: Path) -> Any:
    """The arrays that the parent wrote."""
    from muscle_bayes.inference.problem import GroupTerm, LogitProblem

    data = np.load(folder / "problem.npz")
    group = GroupTerm("1|site", data["site"], int(data["n_sites"]))
    return LogitProblem(data["y"], data["X"], (group,), data["prior_mean"], data["prior_sd"], data["sd_scale"])


def laplace(folder: Path, seed: int) -> Callable[[], dict[str, Any]]:
    from muscle_bayes.inference.laplace import laplace_posterior

    problem = load_problem(folder)

    def fit() -> dict[str, Any]:
        found = laplace_posterior(problem, 4000, seed)
        return {"ess": found.ess, "khat": found.khat, "certified": found.certificate.passed}

    return fit


def fit_laplace(folder: Path, seed: int) -> Callable[[], dict[str, Any]]:
    """What a user does: read the table, fit, print the odds ratios."""
    import pandas as pd

    import muscle_bayes as mb

    def fit() -> dict[str, Any]:
        table = pd.read_parquet(folder / "cohort.parquet")
        found = mb.fit((folder / "model").read_text(), table, method="laplace", seed=seed)
        print(mb.odds_ratios(found, per=2).to_string(), file=sys.stderr)
        return {"certified": bool(found.diagnostics.passed), "ess": found.weights_ess}

    return fit


def refits(folder: Path, seed: int) -> Callable[[], dict[str, Any]]:
    """A hundred refits of 1,000 draws with outcomes drawn from the fit's own mean."""
    from muscle_bayes.inference.laplace import laplace_posterior
    from muscle_bayes.inference.problem import LogitProblem

    p = load_problem(folder)
    mean = laplace_posterior(p, 1000, seed, least_ess=400)
    effects = mean.effects[0].mean(axis=0)
    probability = 1 / (1 + np.exp(-(p.X @ mean.beta.mean(axis=0) + effects[p.groups[0].index])))
    # A stream of its own: the one of `seed` drew the cohort, and its third block of numbers chose the sites.
    rng = np.random.default_rng([seed, 1])

    def fit() -> dict[str, Any]:
        certified = 0
        for k in range(100):
            y = (rng.uniform(size=p.n) < probability).astype(float)
            again = LogitProblem(y, p.X, p.groups, p.prior_mean, p.prior_sd, p.sd_scale)
            certified += laplace_posterior(again, 1000, seed + k, least_ess=400).certificate.passed
        return {"refits": 100, "certified": certified}

    return fit


def nuts(folder: Path, seed: int) -> Callable[[], dict[str, Any]]:
    import nutpie  # noqa: F401  (its import belongs to the imports, not to the fit)

    from muscle_bayes.inference.sampling import nuts_posterior

    problem = load_problem(folder)

    def fit() -> dict[str, Any]:
        found = nuts_posterior(problem, 1000, chains=4, seed=seed)
        ess, rhat = peers.smallest_ess(np.concatenate([found.beta, found.effects[0], np.log(found.sd)], axis=-1))
        steps = float(found.statistics["n_steps"].mean())
        return {"ess": ess, "rhat": rhat, "divergences": found.divergences, "steps": steps}

    return fit


def nuts_seeds(folder: Path, seed: int) -> Callable[[], dict[str, Any]]:
    """NUTS with seeds 1 to 10: R-hat below 1.01 and no divergence are asked of each."""
    from muscle_bayes.inference.sampling import nuts_posterior

    problem = load_problem(folder)

    def fit() -> dict[str, Any]:
        found = [nuts_posterior(problem, 1000, chains=4, seed=each) for each in range(1, 11)]
        columns = [np.concatenate([f.beta, f.effects[0], np.log(f.sd)], axis=-1) for f in found]
        measures = [peers.smallest_ess(c) for c in columns]
        return {
            "divergences": [f.divergences for f in found],
            "rhat": [round(rhat, 4) for _, rhat in measures],
            "ess": [round(ess) for ess, _ in measures],
        }

    return fit


def ml(folder: Path, seed: int) -> Callable[[], dict[str, Any]]:
    from muscle_bayes.inference.maximum_likelihood import maximum_likelihood

    problem = load_problem(folder)

    def fit() -> dict[str, Any]:
        found = maximum_likelihood(problem, test_sd=False)
        return {"deviance": found.deviance, "sd": float(found.sd[0]), "converged": found.converged}

    return fit


def run_one(engine: str, folder: Path, seed: int, warm_below: float) -> dict[str, Any]:
    """One Python engine in this process."""
    fit = (globals().get(engine) or getattr(peers, engine))(folder, seed)
    result: dict[str, Any] = {"imported_s": time.time() - float(os.environ["BENCHMARK_STARTED"])}
    clock, cpu = time.perf_counter(), cpu_seconds()
    result |= fit()
    result["first_s"], result["first_cpu_s"] = time.perf_counter() - clock, cpu_seconds() - cpu
    result["fresh_s"] = time.time() - float(os.environ["BENCHMARK_STARTED"])
    result["fresh_cpu_s"] = cpu_seconds()
    if result["first_s"] < warm_below:
        walls, cpus = [], []
        for _ in range(3):
            clock, cpu = time.perf_counter(), cpu_seconds()
            fit()
            walls.append(time.perf_counter() - clock)
            cpus.append(cpu_seconds() - cpu)
        result["warm_s"], result["warm_cpu_s"] = min(walls), min(cpus)
    return result


def cpu_seconds() -> float:
    """CPU seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])


def measure(engine: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """One engine in a fresh process, with the memory of all its processes."""
    lacking = "" if engine in OWN else peers.missing(engine)
    if lacking:
        return {"skipped": lacking}
    if engine in peers.R:
        command = peers.r_command(engine, folder, len(os.sched_getaffinity(0)))
    else:
        command = [sys.executable, __file__, "--one", engine, "--folder", str(folder), "--seed", str(options.seed)]
        command += ["--warm-below", str(options.warm_below)]
    started = time.time()
    environment = os.environ | {"BENCHMARK_STARTED": str(started)}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    peak = [0.0]
    watching = threading.Thread(target=watch_memory, args=(child.pid, peak), daemon=True)
    watching.start()
    try:
        output, errors = child.communicate(timeout=options.limit)
    except subprocess.TimeoutExpired:
        for process in (*psutil.Process(child.pid).children(recursive=True), child):
            process.kill()
        child.communicate()
        return {"skipped": f"longer than {options.limit:g} s", "peak_gb": peak[0]}
    if child.returncode:
        return {"failed": " / ".join(errors.strip().splitlines()[-4:])[:500]}
    result = peers.parse_r(output) if engine in peers.R else json.loads(output.splitlines()[-1])
    result.setdefault("fresh_s", time.time() - started)
    return result | {"peak_gb": peak[0]}


def watch_memory(pid: int, peak: list[float]) -> None:
    """Keep in `peak[0]` the most memory (GB): all that a process holds, and the shares of its children."""
    try:
        root = psutil.Process(pid)
        while root.is_running() and root.status() != psutil.STATUS_ZOMBIE:
            total = root.memory_info().rss
            for process in root.children(recursive=True):
                try:
                    # What a worker shares with others, libraries above all, is not counted again in full.
                    total += process.memory_full_info().pss
                except psutil.Error:
                    continue
            peak[0] = max(peak[0], total / 2**30)
            time.sleep(0.1)
    except psutil.Error:
        return


def prepare(folder: Path, model_name: str, rows: int) -> None:
    """Simulate a cohort and write it as a table and as arrays."""
    import muscle_bayes as mb
    from muscle_bayes.inference.adapters import logit_problem

    table = mb.simulate_cohort(n=rows, seed=1)
    model = mb.load_model(model_name)
    table.to_parquet(folder / "cohort.parquet")
    (folder / "model").write_text(model_name)
    problem = logit_problem(model, model.design(table))
    np.savez(
        folder / "problem.npz",
        y=problem.y,
        X=problem.X,
        site=problem.groups[0].index,
        n_sites=problem.groups[0].n_levels,
        prior_mean=problem.prior_mean,
        prior_sd=problem.prior_sd,
        sd_scale=problem.sd_scale,
    )


def floors(results: dict[str, Any], rows: str = "27518") -> list[dict[str, Any]]:
    """What the engines must reach, with what they did; a comparison whose peer did not run is left out."""
    found: list[dict[str, Any]] = []

    def of(engine: str, measure: str, size: str = rows) -> float:
        return float(results.get(size, {}).get(engine, {}).get(measure, np.nan))

    def add(name: str, value: float, *, least: float | None = None, most: float | None = None) -> None:
        if np.isnan(value):
            return
        limit = {"at_most": most} if least is None else {"at_least": least}
        holds = value <= most if least is None else value >= least  # type: ignore[operator]
        found.append({"floor": name, "value": float(f"{value:.3g}"), **limit, "holds": bool(holds)})

    for unit, what in (("s", "wall time"), ("cpu_s", "CPU time")):
        first, peer = f"first_{unit}", of("bambi_nutpie", f"first_{unit}")
        for engine in ("laplace", "fit_laplace"):
            warm = of(engine, f"warm_{unit}")
            add(f"{what}, Bambi + nutpie / {engine} warm", peer / warm, least=70)
            add(f"{what}, glmer / {engine} warm", of("glmer", first) / warm, least=8)
        add(f"{what}, Bambi + nutpie / nuts", peer / of("nuts", first), least=5)
        add(f"{what} of 100 refits, s", of("refits", first), most=60)
        add(f"{what} of a fresh process with a fit by laplace, s", of("fit_laplace", f"fresh_{unit}"), most=5)
        for small in ("27518", "275180"):
            rise = of("laplace", first, "1000000") / of("laplace", first, small) / (1e6 / int(small))
            add(f"{what} of laplace: rise from {int(small):,} to 1,000,000 rows / rise of rows", rise, most=1.3)
    ours, theirs = (of(engine, "ess") / of(engine, "first_s") for engine in ("nuts", "bambi_nutpie"))
    add("smallest ESS / s, nuts / Bambi + nutpie", ours / theirs, least=8)
    add("smallest ESS of nuts", of("nuts", "ess"), least=1000)
    add("divergences of nuts", of("nuts", "divergences"), most=0)
    add("certified of 100 refits", of("refits", "certified"), least=100)
    for size, most in (("27518", 1.2), ("1000000", 6.0)):
        used = [of(engine, "peak_gb", size) for engine in ("laplace", "fit_laplace", "nuts", "ml")]
        add(
            f"GB at {int(size):,} rows, the most of laplace, nuts and ml",
            max((gb for gb in used if gb == gb), default=np.nan),
            most=most,
        )
    return found


def beyond(results: dict[str, Any], engine: str, rows: int) -> str:
    """At which smaller size an engine was stopped already, in words; empty where it was not."""
    for size in sorted(map(int, results)):
        said = results[str(size)].get(engine, {}).get("skipped", "")
        if size < rows and said.startswith("longer than"):
            return f"{said} at {size:,} rows"
    return ""


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    from importlib.metadata import version

    cpu = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    packages = ("numpy", "scipy", "pymc", "pytensor", "bambi", "nutpie", "numba")
    return {
        "cpu": cpu[0],
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
        "versions": {name: version(name) for name in packages},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="cbp_interaction")
    parser.add_argument("--rows", type=int, nargs="+", default=[27_518])
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--warm-below", type=float, default=30.0)
    parser.add_argument("--limit", type=float, default=1200.0, help="seconds after which an engine is stopped")
    parser.add_argument("--out", type=Path, default=RESULTS / "inference.json")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(run_one(options.one, options.folder, options.seed, options.warm_below)))
        return
    out = json.loads(options.out.read_text()) if options.out.exists() else {}
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as name:
            prepare(Path(name), options.model, rows)
            for engine in options.engines:
                load = os.getloadavg()[0]
                smaller = beyond(out.get(options.model, {}), engine, rows)
                found = {"skipped": f"not tried: {smaller}"} if smaller else measure(engine, Path(name), options)
                found["load_average"] = [round(load, 2), round(os.getloadavg()[0], 2)]
                found["cores"] = len(os.sched_getaffinity(0))  # fewer than the machine's where the run was pinned
                print(rows, engine, json.dumps(found), flush=True)
                results = out.setdefault(options.model, {})
                results.setdefault(str(rows), {})[engine] = found
                out |= {"machine": machine(), "simulated": True, "floors": floors(results)}
                options.out.parent.mkdir(parents=True, exist_ok=True)
                options.out.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
