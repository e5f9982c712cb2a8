"""Verification run: the Laplace engine with 100,000 draws against long NUTS on the catalogue's models.

    python benchmarks/agreement.py [--models cbp_main ...] [--rows 27518]

Asked for: means within 0.05 posterior SD, SDs within 3 %, quantiles 2.5, 50 and 97.5 % of the site SD within 5 % (or
their distribution function within 0.005, which is the fair measure near 0), against a NUTS reference of ESS 20,000 or
more.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from arviz_stats.base import array_stats

import muscle_bayes as mb
from muscle_bayes.inference.adapters import logit_problem
from muscle_bayes.inference.laplace import laplace_posterior
from muscle_bayes.inference.psis import weighted_moments, weighted_quantile
from muscle_bayes.inference.sampling import nuts_posterior

RESULTS = Path(__file__).parent / "results"
MODELS = ["cbp_main", "cbp_interaction", "cbp_sex", "cbp_activity", "cbp_unadjusted", "pain_nrs4"]
PROBABILITIES = (0.025, 0.5, 0.975)


def compare(model_name: str, rows: int, draws: int, chain_draws: int) -> dict[str, Any]:
    """One model: both engines on the same simulated cohort, and how far apart they are."""
    model = mb.load_model(model_name)
    problem = logit_problem(model, model.design(mb.simulate_cohort(n=rows, seed=1)))
    clock = time.process_time()
    ours = laplace_posterior(problem, draws, seed=1, least_ess=20_000)
    laplace_s, clock = time.process_time() - clock, time.process_time()
    chains = nuts_posterior(problem, chain_draws, chains=4, seed=1)
    nuts_s = time.process_time() - clock
    reference = np.concatenate([chains.beta, *chains.effects, chains.sd], axis=-1)
    raw = np.hstack([ours.raw_beta, *ours.raw_effects, ours.raw_sd])
    weights = ours.smoothed_log_weights
    mean, _, sd, _ = weighted_moments(raw, weights)
    flat = reference.reshape(-1, reference.shape[-1])
    ess = [float(array_stats.ess(c, chain_axis=0, draw_axis=1)) for c in np.moveaxis(reference, -1, 0)]
    site = flat[:, -1]
    quantiles = [(weighted_quantile(raw[:, -1], weights, p)[0], float(np.quantile(site, p))) for p in PROBABILITIES]
    distribution = [
        float(np.exp(weights[raw[:, -1] <= theirs]).sum()) - p
        for (_, theirs), p in zip(quantiles, PROBABILITIES, strict=True)
    ]
    found = {
        "certified": ours.certificate.passed,
        "failures": ours.certificate.failures,
        "laplace_ess": ours.ess,
        "khat": ours.khat,
        "nuts_smallest_ess": min(ess),
        "nuts_divergences": chains.divergences,
        "largest_mean_difference_in_sd": float(np.abs((mean - flat.mean(axis=0)) / flat.std(axis=0)).max()),
        "largest_sd_difference": float(np.abs(sd / flat.std(axis=0) - 1).max()),
        "site_sd_quantile_differences": [ours_q / theirs - 1 for ours_q, theirs in quantiles],
        "site_sd_distribution_differences": distribution,
        "laplace_cpu_s": laplace_s,
        "nuts_cpu_s": nuts_s,
    }
    site_agrees = all(
        abs(q) < 0.05 or abs(d) < 0.005
        for q, d in zip(found["site_sd_quantile_differences"], distribution, strict=True)
    )
    found["agrees"] = bool(
        found["certified"]
        and found["largest_mean_difference_in_sd"] < 0.05
        and found["largest_sd_difference"] < 0.03
        and site_agrees
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--rows", type=int, default=27_518)
    parser.add_argument("--draws", type=int, default=100_000)
    parser.add_argument("--chain-draws", type=int, default=6000)
    options = parser.parse_args()
    path = RESULTS / "agreement.json"
    out = json.loads(path.read_text()) if path.exists() else {"simulated": True}
    for name in options.models:
        out[f"{name}, n = {options.rows}"] = found = compare(name, options.rows, options.draws, options.chain_draws)
        print(name, json.dumps(found), flush=True)
        RESULTS.mkdir(exist_ok=True)
        path.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
