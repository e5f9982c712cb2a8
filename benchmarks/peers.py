"""Other software on the same model, the same data and, where it has priors, the same priors.

Python peers are functions that return the fit to be timed; R peers are scripts that print one line of JSON. What is not
installed says so in the results. For brms, rstan and a C++ compiler are needed.
"""

import json
import shutil
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

PYTHON = {
    "bambi": ("bambi",),
    "bambi_nutpie": ("bambi", "nutpie"),
    "nutpie_alone": ("bambi", "nutpie"),
    "bambi_numpyro": ("bambi", "numpyro", "jax"),
}
R = {"glmer": ("lme4",), "glmmTMB": ("glmmTMB",), "brms": ("brms", "rstan", "posterior", "jsonlite")}
CHAINS, DRAWS = 4, 1000

_READ = """
d <- read.csv(commandArgs(TRUE)[1]); d$site <- factor(d$site)
priors <- read.csv(commandArgs(TRUE)[2])
terms <- setdiff(names(d), c("y", "site"))
f <- as.formula(paste("y ~", paste(terms, collapse = " + "), "+ (1 | site)"))
out <- function(...) cat("\\n", jsonlite::toJSON(list(...), auto_unbox = TRUE, digits = 8), "\\n", sep = "")
cpu <- function(t) sum(t[c("user.self", "sys.self", "user.child", "sys.child")])
"""
_SCRIPTS = {
    "glmer": """
suppressPackageStartupMessages(library(lme4))
t <- system.time(m <- glmer(f, d, binomial))
out(first_s = t[["elapsed"]], first_cpu_s = cpu(t), deviance = -2 * as.numeric(logLik(m)),
    sd = unname(sqrt(unlist(VarCorr(m)))))
""",
    "glmmTMB": """
suppressWarnings(suppressPackageStartupMessages(library(glmmTMB)))
t <- system.time(m <- glmmTMB(f, d, binomial))
out(first_s = t[["elapsed"]], first_cpu_s = cpu(t), deviance = -2 * as.numeric(logLik(m)),
    sd = unname(attr(VarCorr(m)$cond$site, "stddev")))
""",
    # Compiled first and sampled after, so that both can be told apart.
    "brms": """
suppressPackageStartupMessages(library(brms))
normal <- function(k) sprintf("normal(%.10g, %.10g)", priors$mean[k], priors$sd[k])
p <- set_prior(normal(1), class = "Intercept")
for (k in seq_along(terms)) p <- p + set_prior(normal(k + 1), class = "b", coef = terms[k])
p <- p + set_prior(sprintf("normal(0, %.10g)", priors$site_sd[1]), class = "sd")
built <- system.time(m <- brm(f, d, bernoulli(), prior = p, chains = 0, refresh = 0))
t <- system.time(m <- update(m, chains = CHAINS, iter = 2 * DRAWS, warmup = DRAWS, cores = CORES, seed = 1,
                             recompile = FALSE, refresh = 0))
s <- posterior::summarise_draws(posterior::as_draws_array(m), "rhat", "ess_bulk")
s <- s[!s$variable %in% c("lprior", "lp__"), ]
np <- nuts_params(m)
out(first_s = built[["elapsed"]] + t[["elapsed"]], compile_s = built[["elapsed"]], sampling_s = t[["elapsed"]],
    ess = min(s$ess_bulk), rhat = max(s$rhat), divergences = sum(np$Value[np$Parameter == "divergent__"]))
""",
}


def missing(engine: str) -> str:
    """What a peer lacks here, in words; empty where it can run."""
    if engine in PYTHON:
        absent = [name for name in PYTHON[engine] if find_spec(name) is None]
    elif shutil.which("Rscript") is None:
        absent = ["R"]
    else:
        code = f"cat(Filter(function(p) !requireNamespace(p, quietly = TRUE), c({', '.join(map(repr, R[engine]))})))"
        absent = subprocess.run(["Rscript", "-e", code], capture_output=True, text=True, check=True).stdout.split()
    return f"not installed: {', '.join(absent)}" if absent else ""


def r_command(engine: str, folder: Path, cores: int) -> list[str]:
    """Write script and data of an R peer and return the command that runs it."""
    data = np.load(folder / "problem.npz")
    if not (folder / "data.csv").exists():
        header = ",".join(["y", *(f"x{k}" for k in range(1, data["X"].shape[1])), "site"])
        table = np.column_stack([data["y"], data["X"][:, 1:], data["site"]])
        np.savetxt(folder / "data.csv", table, delimiter=",", header=header, comments="", fmt="%.10g")
    priors = np.column_stack(
        [data["prior_mean"], data["prior_sd"], np.full(len(data["prior_sd"]), data["sd_scale"][0])]
    )
    np.savetxt(folder / "priors.csv", priors, delimiter=",", header="mean,sd,site_sd", comments="", fmt="%.10g")
    script = folder / f"{engine}.R"
    settings = f"CHAINS <- {CHAINS}; DRAWS <- {DRAWS}; CORES <- {cores}\n"
    script.write_text(settings + _READ + _SCRIPTS[engine])
    return ["Rscript", str(script), str(folder / "data.csv"), str(folder / "priors.csv")]


def smallest_ess(columns: np.ndarray) -> tuple[float, float]:
    """Smallest bulk ESS and largest R-hat over parameters (chains, draws, k)."""
    from arviz_stats.base import array_stats

    each = [columns[..., k] for k in range(columns.shape[-1])]
    ess = min(float(array_stats.ess(c, chain_axis=0, draw_axis=1)) for c in each)
    return ess, max(float(array_stats.rhat(c, chain_axis=0, draw_axis=1)) for c in each)


def _described(tree: Any) -> dict[str, Any]:
    posterior = tree["posterior"]
    columns = [posterior[name].values.reshape(CHAINS, DRAWS, -1) for name in posterior.data_vars]
    ess, rhat = smallest_ess(np.concatenate([c for c in columns if c.shape[-1] < 1000], axis=-1))
    return {"ess": ess, "rhat": rhat, "divergences": int(tree["sample_stats"]["diverging"].values.sum())}


def _bambi_model(folder: Path) -> Callable[[], Any]:
    import pandas as pd

    import muscle_bayes as mb

    table = pd.read_parquet(folder / "cohort.parquet")
    model = mb.load_model((folder / "model").read_text())
    return lambda: model.to_bambi(table)


def bambi_fit(folder: Path, seed: int, method: str) -> Callable[[], dict[str, Any]]:
    """Bambi with one of its samplers, as a user calls it."""
    make = _bambi_model(folder)
    settings = {"draws": DRAWS, "tune": DRAWS, "chains": CHAINS, "random_seed": seed, "progressbar": False}
    return lambda: _described(make().fit(inference_method=method, **settings))


def bambi(folder: Path, seed: int) -> Callable[[], dict[str, Any]]:
    return bambi_fit(folder, seed, "pymc")


def bambi_nutpie(folder: Path, seed: int) -> Callable[[], dict[str, Any]]:
    return bambi_fit(folder, seed, "nutpie")


def bambi_numpyro(folder: Path, seed: int) -> Callable[[], dict[str, Any]]:
    return bambi_fit(folder, seed, "numpyro")


def nutpie_alone(folder: Path, seed: int) -> Callable[[], dict[str, Any]]:
    """Nutpie on Bambi's model, sampling timed without compilation, and without storing the probabilities."""
    import time

    import nutpie

    model = _bambi_model(folder)()
    model.build()
    inner = model.backend.model
    clock = time.perf_counter()
    compiled = nutpie.compile_pymc_model(inner, var_names=[v.name for v in inner.free_RVs])
    compile_s = time.perf_counter() - clock

    def fit() -> dict[str, Any]:
        clock = time.perf_counter()
        tree = nutpie.sample(
            compiled, draws=DRAWS, tune=DRAWS, chains=CHAINS, seed=seed, progress_bar=False, save_warmup=False
        )
        return {"compile_s": compile_s, "sampling_s": time.perf_counter() - clock} | _described(tree)

    return fit


def parse_r(output: str) -> dict[str, Any]:
    """The line of JSON that an R peer prints last."""
    return json.loads(output.strip().splitlines()[-1])
