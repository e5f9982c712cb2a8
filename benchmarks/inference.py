"""Inference engines against their peers on one machine in one run: time, effective draws, divergences, memory.

    python benchmarks/inference.py [--model cbp_interaction] [--rows 27518 275180 1000000] [--engines ...] [--out FILE]

Every engine runs in a fresh process: `fresh_s` is what a user waits from starting Python (imports, reading the data, the
fit), `first_s` the fit alone, `warm_s` the same fit again (only engines that take less than `--warm-below` seconds). CPU
seconds stand beside wall seconds, since other work on the machine stretches only the latter. Data are simulated and each
fit's data are the same arrays. `laplace`, `nuts` and `ml` are the engines on arrays; `fit_laplace` is `mb.fit` on the table.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ENGINES = ("laplace", "fit_laplace", "refits", "nuts", "nuts_seeds", "ml", "glmer", "bambi_nutpie", "bambi")
RESULTS = Path(__file__).parent / "results"
GLMER = """
suppressPackageStartupMessages(library(lme4))
d <- read.csv(commandArgs(TRUE)[1]); d$site <- factor(d$site)
terms <- setdiff(names(d), c("y", "site"))
f <- as.formula(paste("y ~", paste(terms, collapse = " + "), "+ (1 | site)"))
t <- system.time(m <- glmer(f, d, binomial))
cat(sprintf("%.4f %.4f %.8f %.6f\\n", t[["elapsed"]], t[["user.self"]] + t[["sys.self"]], -2 * logLik(m),
            sqrt(unlist(VarCorr(m)))))
"""


def smallest_ess(columns: np.ndarray) -> tuple[float, float]:
    """Smallest bulk ESS and largest R-hat over parameters (chains, draws, k)."""
    from arviz_stats.base import array_stats

    each = [columns[..., k] for k in range(columns.shape[-1])]
    ess = min(float(array_stats.ess(c, chain_axis=0, draw_axis=1)) for c in each)
    return ess, max(float(array_stats.rhat(c, chain_axis=0, draw_axis=1)) for c in each)


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
    import pandas as pd

    import muscle_bayes as mb

    table = pd.read_parquet(folder / "cohort.parquet")
    model = mb.load_model((folder / "model").read_text())

    def fit() -> dict[str, Any]:
        found = mb.fit(model, table, method="laplace", seed=seed)
        return {"certified": bool(found.diagnostics.passed)}

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
        ess, rhat = smallest_ess(np.concatenate([found.beta, found.effects[0], np.log(found.sd)], axis=-1))
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
        measures = [smallest_ess(c) for c in columns]
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


def bambi_fit(folder: Path, seed: int, method: str) -> Callable[[], dict[str, Any]]:
    import pandas as pd

    import muscle_bayes as mb
    from muscle_bayes.specification.bayesian_models import to_bambi

    table = pd.read_parquet(folder / "cohort.parquet")
    model = mb.load_model((folder / "model").read_text())
    design = model.design(table)

    def fit() -> dict[str, Any]:
        tree = to_bambi(model, design).fit(
            draws=1000, tune=1000, chains=4, random_seed=seed, inference_method=method, progressbar=False
        )
        posterior = tree["posterior"]
        names = [name for name in posterior.data_vars if posterior[name].size < 1e6]
        columns = [posterior[name].values.reshape(4, 1000, -1) for name in names]
        ess, rhat = smallest_ess(np.concatenate(columns, axis=-1))
        divergences = int(tree["sample_stats"]["diverging"].values.sum())
        return {"ess": ess, "rhat": rhat, "divergences": divergences}

    return fit


def bambi(folder: Path, seed: int) -> Callable[[], dict[str, Any]]:
    return bambi_fit(folder, seed, "pymc")


def bambi_nutpie(folder: Path, seed: int) -> Callable[[], dict[str, Any]]:
    return bambi_fit(folder, seed, "nutpie")


def run_one(engine: str, folder: Path, seed: int, warm_below: float) -> dict[str, Any]:
    """One engine in this process."""
    fit = globals()[engine](folder, seed)
    result: dict[str, Any] = {"imported_s": time.time() - float(os.environ["BENCHMARK_STARTED"])}
    clock, cpu = time.perf_counter(), time.process_time()
    result |= fit()
    result["first_s"], result["first_cpu_s"] = time.perf_counter() - clock, time.process_time() - cpu
    result["fresh_s"] = time.time() - float(os.environ["BENCHMARK_STARTED"])
    result["fresh_cpu_s"] = time.process_time()
    if result["first_s"] < warm_below:
        walls, cpus = [], []
        for _ in range(3):
            clock, cpu = time.perf_counter(), time.process_time()
            fit()
            walls.append(time.perf_counter() - clock)
            cpus.append(time.process_time() - cpu)
        result["warm_s"], result["warm_cpu_s"] = min(walls), min(cpus)
    result["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return result


def run_glmer(folder: Path) -> dict[str, Any]:
    data = np.load(folder / "problem.npz")
    header = ",".join(["y", *(f"x{k}" for k in range(1, data["X"].shape[1])), "site"])
    table = np.column_stack([data["y"], data["X"][:, 1:], data["site"]])
    np.savetxt(folder / "data.csv", table, delimiter=",", header=header, comments="", fmt="%.10g")
    (folder / "glmer.R").write_text(GLMER)
    clock = time.perf_counter()
    done = subprocess.run(
        ["Rscript", str(folder / "glmer.R"), str(folder / "data.csv")], capture_output=True, text=True, check=True
    )
    elapsed, cpu, deviance, sd = (float(word) for word in done.stdout.split())
    fresh = time.perf_counter() - clock
    return {"first_s": elapsed, "first_cpu_s": cpu, "fresh_s": fresh, "deviance": deviance, "sd": sd}


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


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    from importlib.metadata import version

    cpu = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    packages = ("numpy", "scipy", "pymc", "pytensor", "bambi", "nutpie", "numba")
    return {
        "cpu": cpu[0],
        "cores": len(os.sched_getaffinity(0)),
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
    parser.add_argument("--timeout", type=float, default=3600.0)
    parser.add_argument("--out", type=Path, default=RESULTS / "inference.json")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(run_one(options.one, options.folder, options.seed, options.warm_below)))
        return
    out = json.loads(options.out.read_text()) if options.out.exists() else {}
    out["machine"] = machine()
    out["simulated"] = True
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as name:
            prepare(Path(name), options.model, rows)
            for engine in options.engines:
                found = measure(engine, Path(name), options)
                found["load_average"] = os.getloadavg()[0]
                out.setdefault(options.model, {}).setdefault(str(rows), {})[engine] = found
                print(rows, engine, json.dumps(found), flush=True)
                options.out.parent.mkdir(parents=True, exist_ok=True)
                options.out.write_text(json.dumps(out, indent=1) + "\n")


def measure(engine: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """One engine in a fresh process."""
    if engine == "glmer":
        if shutil.which("Rscript") is None:
            return {"skipped": "no R"}
        return run_glmer(folder)
    command = [sys.executable, __file__, "--one", engine, "--folder", str(folder), "--seed", str(options.seed)]
    command += ["--warm-below", str(options.warm_below)]
    environment = os.environ | {"BENCHMARK_STARTED": str(time.time())}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=options.timeout, env=environment
        )
    except subprocess.TimeoutExpired:
        return {"skipped": f"longer than {options.timeout} s"}
    except subprocess.CalledProcessError as error:
        return {"failed": error.stderr.strip().splitlines()[-1]}
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
