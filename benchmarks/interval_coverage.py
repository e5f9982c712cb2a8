"""Coverage of 95 % intervals of odds ratios, risk differences and RERI over simulated cohorts with a known truth.

    python benchmarks/interval_coverage.py [--cohorts 2000] [--rows 5000] [--processes 2] [--seconds 600]

Each cohort has its own persons, outcomes and site effects; the coefficients are the same for all. The truth comes from
the generator in raw units, not from the estimator: odds ratios in closed form, risks as averages of the generator's
probabilities. Two targets are judged against the same interval:

- `persons`: the cohort's own persons, sites and Z-scores, which is what the estimands say that they are about; its
  coverage must lie between 93.5 and 96.5 %.
- `population`: 50,000 other persons at the same sites, with the population's Z-scores; the interval is not made for
  this target, since it takes the cohort's persons as given. It is reported to show how little that matters here.

Seeds are 1 to N. The fit is certified Laplace with 1,000 draws; a cohort that is not certified is fitted again by `auto`
with 4,000 and stays in. A run can be interrupted: what is done is kept, and the same command goes on.

(The file is not called coverage.py, since Numba imports a module of that name where it finds one.)
"""

import argparse
import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

import muscle_bayes as mb
from muscle_bayes.simulation.cohort_generator import Columns, cbp_predictor, covariates, draw_noise, exposures, generate
from muscle_bayes.simulation.cohort_parameters import CohortParameters, load_parameters

PATH = Path(__file__).parent / "results" / "coverage.json"
MODEL = "cbp_interaction"
INTERACTION = -0.1  # of population Z-scores: less lean muscle, more harm of fat, so that RERI is above 0
SITE_SD = 0.2
DRAWS = 1000
POPULATION = 50_000
BAND = (0.935, 0.965)
FAT, LEAN = "intermat_percent", "lmm_cm3_per_kg_m2"
QUANTITIES = ("OR InterMAT", "OR LMM", "ratio of ORs", "RD InterMAT", "RD LMM", "RERI")
JUDGED = ("OR InterMAT", "OR LMM", "RD InterMAT", "RD LMM", "RERI")


def table_of(columns: Columns, parameters: CohortParameters) -> pd.DataFrame:
    """The columns that the model needs, as a user's table has them."""
    kept = {name: columns[name] for name in ("age_years", FAT, LEAN)}
    kept |= {
        name: columns[name].astype(int)
        for name in ("diabetes", "dyslipidemia", "osteoporosis", "osteoarthritis", "cbp")
    }
    activity = np.select([columns["low"] == 1, columns["high"] == 1], ["low", "high"], "moderate")
    site = np.asarray(parameters.sites["names"])[columns["site"].astype(int)]
    sex = np.where(columns["male"] == 1, "male", "female")
    return pd.DataFrame(kept | {"activity": activity, "site": site, "sex": sex, "simulated": 1})


def truths(
    columns: Columns, scale: Mapping[str, Mapping[str, float]], parameters: CohortParameters
) -> dict[str, float]:
    """What every quantity is for these persons, from the generator.

    Parameters
    ----------
    columns : dict of str to (n,) float64
        The persons to average over, in raw units.
    scale : mapping
        Mean and SD in raw units that make the Z-scores of the contrasts.
    parameters : CohortParameters
        With the site effects of this cohort.
    """
    z = parameters.standardisation
    slope = {
        FAT: parameters.cbp["intermat_z"] / z["intermat_z"]["sd"],
        LEAN: parameters.cbp["lmm_z"] / z["lmm_z"]["sd"],
    }
    product = INTERACTION / (z["intermat_z"]["sd"] * z["lmm_z"]["sd"])
    fat, lean = scale[FAT], scale[LEAN]
    log_or_fat = 2 * fat["sd"] * (slope[FAT] + product * (lean["mean"] - z["lmm_z"]["mean"]))
    log_or_lean = 2 * lean["sd"] * (slope[LEAN] + product * (fat["mean"] - z["intermat_z"]["mean"]))

    def risk(**changed: Any) -> float:
        return float(expit(cbp_predictor(columns | changed, parameters, INTERACTION)).mean())

    def difference(name: str) -> float:
        half = scale[name]["sd"]
        return risk(**{name: columns[name] + half}) - risk(**{name: columns[name] - half})

    n = len(columns["male"])
    at = {
        (a, b): risk(
            **{
                FAT: np.full(n, fat["mean"] + (fat["sd"] if a else -fat["sd"])),
                LEAN: np.full(n, lean["mean"] - (lean["sd"] if b else -lean["sd"])),
            }
        )
        for a in (0, 1)
        for b in (0, 1)
    }
    return {
        "OR InterMAT": float(np.exp(log_or_fat)),
        "OR LMM": float(np.exp(log_or_lean)),
        # From neither exposed to both: LMM goes down by 2 SD where InterMAT goes up by 2.
        "ratio of ORs": float(np.exp(-4 * product * fat["sd"] * lean["sd"])),
        "RD InterMAT": difference(FAT),
        "RD LMM": difference(LEAN),
        "RERI": (at[1, 1] - at[1, 0] - at[0, 1]) / at[0, 0] + 1,
    }


def intervals(fit: mb.Fit) -> dict[str, tuple[float, float, float]]:
    """Estimate and limits of every quantity as a user gets them."""
    odds, risks, both = mb.odds_ratios(fit, per=2), mb.risks(fit, per=2), mb.interaction(fit)

    def one(frame: pd.DataFrame, **keys: str) -> tuple[float, float, float]:
        row = frame.loc[np.logical_and.reduce([frame[key] == value for key, value in keys.items()])]
        if len(row) != 1:
            raise LookupError(f"{keys}: {len(row)} rows in place of one")
        estimate, lower, upper = row[["estimate", "lower", "upper"]].to_numpy(dtype=float)[0]
        return estimate, lower, upper

    return {
        "OR InterMAT": one(odds, term="intermat_z"),
        "OR LMM": one(odds, term="lmm_z"),
        "ratio of ORs": one(both, estimand="ratio of odds ratios"),
        "RD InterMAT": one(risks, term="intermat_z", estimand="risk difference"),
        "RD LMM": one(risks, term="lmm_z", estimand="risk difference"),
        "RERI": one(both, estimand="RERI"),
    }


@lru_cache(maxsize=1)
def population() -> Columns:
    """Persons of the large sample behind the population's truth."""
    noise, parameters = draw_noise(POPULATION, np.random.default_rng(0)), load_parameters()
    columns = covariates(noise, parameters)
    return columns | exposures(columns, noise, parameters)


def one_cohort(job: tuple[int, int]) -> dict[str, Any]:
    """Simulate, fit, and compare with both truths."""
    seed, rows = job
    rng = np.random.default_rng([seed, 1])  # a stream of its own: the fit's random numbers are not the cohort's
    parameters = load_parameters()
    effects = rng.normal(0, SITE_SD, len(parameters.sites["names"])).tolist()
    parameters = replace(parameters, sites={**parameters.sites, "cbp": effects})
    columns = generate(rows, rng, parameters, INTERACTION)
    table = table_of(columns, parameters)
    fit, engine = mb.fit(MODEL, table, method="laplace", seed=seed, draws=DRAWS), "laplace 1000"
    if not fit.diagnostics.passed:
        fit = mb.fit(MODEL, table, method="auto", seed=seed, draws=4000)
        engine = f"{fit.method} 4000"
    own = {name: {"mean": float(columns[name].mean()), "sd": float(columns[name].std(ddof=1))} for name in (FAT, LEAN)}
    z = parameters.standardisation
    persons = truths(columns, own, parameters)
    everyone = truths(population(), {FAT: z["intermat_z"], LEAN: z["lmm_z"]}, parameters)
    outcome = []
    for name, (estimate, lower, upper) in intervals(fit).items():
        miss = [int(truth > upper) - int(truth < lower) for truth in (persons[name], everyone[name])]
        outcome.append([*miss, round(float((estimate - persons[name]) / (upper - lower)), 4)])
    return {"seed": seed, "engine": engine, "events": fit.events, "of": outcome}


def judge(cohorts: list[dict[str, Any]]) -> dict[str, Any]:
    """Coverage by quantity, with its Monte Carlo standard error."""
    verdict: dict[str, Any] = {}
    for k, name in enumerate(QUANTITIES):
        values = np.array([cohort["of"][k] for cohort in cohorts])
        covered = float((values[:, 0] == 0).mean())
        verdict[name] = {
            "coverage": round(covered, 4),
            "mcse": round(float(np.sqrt(covered * (1 - covered) / len(values))), 4),
            "truth_above": round(float((values[:, 0] == 1).mean()), 4),
            "truth_below": round(float((values[:, 0] == -1).mean()), 4),
            "population_coverage": round(float((values[:, 1] == 0).mean()), 4),
            "mean_error_in_widths": round(float(values[:, 2].mean()), 4),
            "judged": name in JUDGED,
        }
    verdict["passed"] = all(BAND[0] <= verdict[name]["coverage"] <= BAND[1] for name in JUDGED)
    return verdict


def write(cohorts: list[dict[str, Any]], rows: int) -> dict[str, Any]:
    """Put the verdict and what is done into the result file."""
    parameters = load_parameters()
    engines = [cohort["engine"] for cohort in cohorts]
    head = {
        "simulated": True,
        "model": MODEL,
        "rows": rows,
        "cohorts": len(cohorts),
        "truth": {
            "intermat_z": parameters.cbp["intermat_z"],
            "lmm_z": parameters.cbp["lmm_z"],
            "intermat_z:lmm_z": INTERACTION,
            "site_sd": SITE_SD,
        },
        "engines": {engine: engines.count(engine) for engine in sorted(set(engines))},
        "asked": list(BAND),
        "each_holds": "by quantity: truth above (1) or below (-1) for persons, for population; error in widths",
        "verdict": judge(cohorts),
    }
    lines = ",\n".join(json.dumps(cohort) for cohort in cohorts)
    PATH.parent.mkdir(exist_ok=True)
    partial = PATH.with_suffix(".partial")
    partial.write_text(json.dumps(head)[:-1] + ', "each": [\n' + lines + "\n]}\n")
    os.replace(partial, PATH)
    return head


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohorts", type=int, default=2000)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after this time, keep what is done")
    options = parser.parse_args()
    kept: list[dict[str, Any]] = []
    if PATH.exists():
        before = json.loads(PATH.read_text())
        kept = before["each"] if before["rows"] == options.rows else []
    done = {cohort["seed"] for cohort in kept}
    jobs = [(seed, options.rows) for seed in range(1, options.cohorts + 1) if seed not in done]
    end = time.monotonic() + options.seconds
    with get_context("spawn").Pool(options.processes) as pool:
        for count, cohort in enumerate(pool.imap(one_cohort, jobs), start=1):
            kept.append(cohort)
            if count % 100 == 0:
                write(kept, options.rows)
            if time.monotonic() > end:
                break
    kept.sort(key=lambda cohort: cohort["seed"])
    print(json.dumps(write(kept, options.rows), indent=1))


if __name__ == "__main__":
    main()
