"""Simulation-based calibration of the engine that `auto` takes: certified Laplace, else NUTS.

    python benchmarks/calibration.py --rows 2000 --datasets 1000

For each data set, parameters come from the priors of the model and outcomes from the parameters, on the design of a
simulated cohort; the rank of every true parameter among thinned posterior draws must be uniform (Talts et al. 2018;
Modrak et al. 2023 for the log-likelihood as a further quantity). Outcomes that are all 0 or all 1 stay in, ties are
broken at random, fits that are not certified enter through NUTS. Uniformity is judged by simultaneous bands of the
empirical distribution function (Saeilynoja, Buerkner and Vehtari 2022, Statistics and Computing 32:32), divided over
the parameters. The rank of an odds ratio per 2 Z is that of its coefficient. Runs can be interrupted: what is done is
kept and continued.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

import muscle_bayes as mb
from muscle_bayes.inference.adapters import logit_problem
from muscle_bayes.inference.density import LogitLikelihood
from muscle_bayes.inference.laplace import laplace_posterior
from muscle_bayes.inference.problem import LogitProblem
from muscle_bayes.inference.sampling import nuts_posterior

RESULTS = Path(__file__).parent / "results"
DRAWS = 2000
LEAST_ESS = 800.0
THINNED = 199  # posterior draws that a truth is ranked among: ranks 0 .. 199
FAMILY = 0.01  # probability that a right engine leaves any band


def draw_truth(problem: LogitProblem, rng: np.random.Generator) -> tuple[LogitProblem, np.ndarray, np.ndarray]:
    """Parameters from their priors and outcomes from the parameters."""
    beta = rng.normal(problem.prior_mean, problem.prior_sd)
    sd = np.abs(rng.normal(0, problem.sd_scale))
    effects = rng.normal(size=problem.n_effects) * sd[problem.effect_term]
    x = np.concatenate([beta, effects])
    eta = LogitLikelihood(problem).linear_predictor(x)
    y = (rng.uniform(size=problem.n) < 1 / (1 + np.exp(-eta))).astype(float)
    drawn = LogitProblem(y, problem.X, problem.groups, problem.prior_mean, problem.prior_sd, problem.sd_scale)
    return drawn, x, sd


def posterior(
    problem: LogitProblem, seed: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, str, list[str]]:
    """Thinned draws (THINNED, q + effects) and (THINNED, T), the engine that gave them, and why not the first."""
    found = laplace_posterior(problem, DRAWS, seed, least_ess=LEAST_ESS)
    if found.certificate.passed:
        rows = rng.choice(DRAWS, THINNED, replace=False)
        return np.hstack([found.beta, *found.effects])[rows], found.sd[rows], "laplace", []
    chains = nuts_posterior(problem, DRAWS // 4, chains=4, seed=seed)
    x = np.concatenate([chains.beta, *chains.effects], axis=-1).reshape(DRAWS, -1)
    rows = np.arange(THINNED) * (DRAWS // THINNED)
    return x[rows], chains.sd.reshape(DRAWS, -1)[rows], "nuts", list(found.certificate.failures)


def rank(truth: np.ndarray, draws: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Ranks of truths (k,) among draws (m, k), ties broken at random."""
    below, equal = (draws < truth).sum(axis=0), (draws == truth).sum(axis=0)
    return below + rng.integers(0, equal + 1)


def one_dataset(base: LogitProblem, number: int) -> dict[str, Any]:
    rng = np.random.default_rng([2025, number])
    problem, x, sd = draw_truth(base, rng)
    draws_x, draws_sd, engine, reasons = posterior(problem, number + 1, rng)
    likelihood = LogitLikelihood(problem)
    truth = np.concatenate([x, sd, likelihood.values(x[None])])
    draws = np.hstack([draws_x, draws_sd, likelihood.values(draws_x)[:, None]])
    ranks = rank(truth, draws, rng).tolist()
    return {"number": number, "engine": engine, "cases": int(problem.y.sum()), "ranks": ranks, "reasons": reasons}


def band(datasets: int, alpha: float, simulations: int = 40_000) -> tuple[np.ndarray, np.ndarray]:
    """Simultaneous limits (2, points) of the count of ranks at or below each point, and the points."""
    points = np.arange(0, THINNED, 2)
    share = (points + 1) / (THINNED + 1)
    rng = np.random.default_rng(1)
    smallest = np.empty(simulations)
    counts = np.arange(datasets + 1)
    table = [np.minimum(stats.binom.cdf(counts, datasets, s), stats.binom.sf(counts - 1, datasets, s)) for s in share]
    steps = np.diff([0, *share, 1])
    for start in range(0, simulations, 2000):
        cumulative = rng.multinomial(datasets, steps, size=2000).cumsum(axis=1)[:, :-1]
        tails = np.stack([t[c] for t, c in zip(table, cumulative.T, strict=True)])
        smallest[start : start + 2000] = 2 * tails.min(axis=0)
    gamma = np.quantile(smallest, alpha)
    return np.stack(
        [stats.binom.ppf(gamma / 2, datasets, share), stats.binom.ppf(1 - gamma / 2, datasets, share)]
    ), points


def judge(ranks: np.ndarray, names: list[str]) -> dict[str, Any]:
    """Whether every parameter's ranks (datasets, k) stay inside the bands."""
    limits, points = band(len(ranks), FAMILY / len(names))
    counts = (ranks[:, :, None] <= points).sum(axis=0)
    outside = ((counts < limits[0]) | (counts > limits[1])).any(axis=1)
    uniform = (ranks + 0.5) / (THINNED + 1)
    p_values = [float(stats.kstest(u, "uniform").pvalue) for u in uniform.T]
    return {
        "outside": [name for name, out in zip(names, outside, strict=True) if out],
        "smallest_ks_p": min(p_values),
        "family": FAMILY,
        "parameters": len(names),
    }


def draw_figure(ranks: np.ndarray, names: list[str], title: str, path: Path) -> None:
    """Difference of the empirical from the uniform distribution function, with the bands."""
    import matplotlib.pyplot as plt

    limits, points = band(len(ranks), FAMILY / len(names))
    share, n = (points + 1) / (THINNED + 1), len(ranks)
    columns = 5
    rows = -(-len(names) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(11, 1.9 * rows), sharex=True, sharey=True, squeeze=False)
    for k, axis in enumerate(axes.ravel()):
        if k >= len(names):
            axis.set_axis_off()
            continue
        axis.fill_between(share, limits[0] / n - share, limits[1] / n - share, color="0.88", step="mid")
        axis.plot(share, (ranks[:, k, None] <= points).mean(axis=0) - share, color="#1f4e79", lw=1.2)
        axis.axhline(0, color="0.5", lw=0.6)
        axis.set_title(names[k], fontsize=8)
        axis.tick_params(labelsize=7, labelbottom=k + columns >= len(names))
    figure.supxlabel("Rank of the truth among posterior draws (share)", fontsize=9)
    figure.supylabel("Empirical less uniform distribution function", fontsize=9)
    share_inside = f"grey: a right engine stays inside in all panels together with probability {1 - FAMILY:.0%}"
    figure.suptitle(f"{title}\n{share_inside}", fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="cbp_main")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--datasets", type=int, default=1000)
    parser.add_argument(
        "--seconds", type=float, default=float("inf"), help="stop after this time and keep what is done"
    )
    options = parser.parse_args()
    model = mb.load_model(options.model)
    design = model.design(mb.simulate_cohort(n=options.rows, seed=1))
    base = logit_problem(model, design)
    names = ["Intercept (centred)", *(column.label for column in design.recipe.columns)]
    names += [f"1|site[{level}]" for level in design.recipe.site_levels] + ["1|site_sigma", "log-likelihood"]
    stem = RESULTS / f"calibration_{options.model}_{options.rows}"
    path = stem.with_suffix(".json")
    kept = json.loads(path.read_text())["datasets"] if path.exists() else []
    end, clock = time.monotonic() + options.seconds, time.process_time()
    for number in range(len(kept), options.datasets):
        if time.monotonic() > end:
            break
        kept.append(one_dataset(base, number))
    ranks = np.array([data["ranks"] for data in kept])
    verdict = judge(ranks, names)
    engines = [data["engine"] for data in kept]
    cases = np.array([data["cases"] for data in kept])
    verdict |= {
        "datasets": len(kept),
        "by_nuts": engines.count("nuts"),
        "without_or_all_cases": int(((cases == 0) | (cases == base.n)).sum()),
        "cpu_s_this_run": time.process_time() - clock,
    }
    RESULTS.mkdir(exist_ok=True)
    lines = ",\n".join(json.dumps(data) for data in kept)
    head = json.dumps({"simulated": True, "model": options.model, "rows": base.n, "names": names, "verdict": verdict})
    path.write_text(head[:-1] + ', "datasets": [\n' + lines + "\n]}\n")
    title = f"Calibration of {options.model}, n = {base.n:,}, {len(kept):,} simulated data sets"
    draw_figure(ranks, names, title, stem.with_suffix(".png"))
    print(json.dumps(verdict))


if __name__ == "__main__":
    main()
