"""Stated Monte Carlo errors against the spread over seeds."""

import numpy as np
import pandas as pd

import muscle_bayes as mb
from muscle_bayes.estimands.frame import summarise_draws

SEEDS = 20


def test_errors_of_medians_and_limits_are_the_spread_over_seeds(small_table: pd.DataFrame) -> None:
    runs = []
    for seed in range(1, SEEDS + 1):
        fit = mb.fit("cbp_interaction", small_table, method="laplace", seed=seed, draws=1000)
        draws = np.hstack([fit.coefficients(), fit.site_effects(), fit.site_sd()[:, None]])
        runs.append(summarise_draws(draws, fit, null=0.0))
    for value, error in (("estimate", "mcse"), ("lower", "lower_mcse"), ("upper", "upper_mcse")):
        spread = np.std([run[value] for run in runs], axis=0, ddof=1)
        stated = np.sqrt(np.mean([run[error] ** 2 for run in runs], axis=0))
        ratio = np.log(stated / spread)
        # Each ratio has a standard error of 1 / sqrt(2 (20 - 1)) = 0.16; the 18 quantities are partly dependent, so that their
        # mean has about 0.06.
        assert abs(ratio.mean()) < np.log(1.25), value
        # The SD of the sites is drawn evenly over its distribution: without that in mind its error is stated 2.6 times too large.
        assert abs(ratio[-1]) < np.log(1.8), value
