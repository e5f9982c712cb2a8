"""Twenty simulated cohorts against the published figures: seeds 1 to 20, none chosen.

The fits are statsmodels' GLM with a dummy for each site. With five sites of some 5,500 each the random intercepts of the
mixed model are estimated almost without shrinkage, and its slopes and standard errors are those of the dummies.

Tolerances are the acceptance limits of the simulation, not Monte Carlo errors; those are smaller: of a prevalence in one
cohort 0.25 points (whole), 0.36-0.39 (by sex), 0.35-0.67 (by activity), of a mean log OR over 20 seeds 0.008 to 0.012.
"""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from muscle_bayes.simulation import simulate_cohort

SEEDS = range(1, 21)
Z975 = 1.959964
PUBLISHED = {  # odds ratio per 2 Z with its 95 % interval: Ziegelmayer et al. 2025
    ("cbp", "intermat"): (1.22, 1.13, 1.30),
    ("cbp", "lmm"): (0.87, 0.79, 0.95),
    ("pain", "intermat"): (1.22, 1.13, 1.30),
    ("pain", "lmm"): (0.63, 0.57, 0.70),
}
RAW = {"intermat": "intermat_percent", "lmm": "lmm_cm3_per_kg_m2"}


def design(table: pd.DataFrame) -> pd.DataFrame:
    X = pd.DataFrame(
        {
            **{name: table[raw] for name, raw in RAW.items()},
            "age": table["age_years"],
            "male": (table["sex"] == "male").astype(float),
            **{d: table[d] for d in ("diabetes", "dyslipidemia", "osteoporosis", "osteoarthritis")},
            "low": (table["activity"] == "low").astype(float),
            "high": (table["activity"] == "high").astype(float),
        }
    )
    for name in ("intermat", "lmm", "age"):
        X[name] = (X[name] - X[name].mean()) / X[name].std(ddof=1)
    return X.join(pd.get_dummies(table["site"], dtype=float))


def r_squared(X: pd.DataFrame, name: str) -> float:
    return float(sm.OLS(X[name], X.drop(columns=name)).fit().rsquared)


def measure(seed: int) -> dict[str, float]:
    table = simulate_cohort(seed=seed)
    cases, case = 100.0 * table["cbp"], table["cbp"] == 1
    found = {"cbp": cases.mean(), "pain4": 100.0 * (table["pain_nrs"] >= 4).mean()}
    found |= {f"cbp_{name}": value for name, value in cases.groupby(table["sex"]).mean().items()}
    found |= {f"cbp_{name}": value for name, value in cases.groupby(table["activity"]).mean().items()}
    for group, members in {"all": case | True, "cbp": case, "no_cbp": ~case}.items():
        found |= {f"age_q{q}_{group}": np.percentile(table["age_years"][members], q) for q in (25, 50, 75)}
    for disease in ("osteoarthritis", "osteoporosis"):
        ill = table[table[disease] == 1]
        for name, raw in RAW.items():
            medians = ill.groupby("cbp")[raw].median()
            found[f"{disease}_{name}"] = medians[1] - medians[0]
    X = design(table)
    found |= {f"r2_{name}": r_squared(X, name) for name in RAW}
    for outcome, y in {"cbp": table["cbp"], "pain": (table["pain_nrs"] >= 4).astype(int)}.items():
        result = sm.GLM(y, X, family=sm.families.Binomial()).fit()
        for name in RAW:
            found[f"{outcome}_{name}_log_or"] = 2.0 * result.params[name]
            found[f"{outcome}_{name}_se"] = 2.0 * result.bse[name]
        found |= {f"{outcome}_{name}": result.params[name] for name in table["site"].unique()}
    return found


@pytest.fixture(scope="module")
def cohorts() -> pd.DataFrame:
    return pd.DataFrame([measure(seed) for seed in SEEDS], index=pd.Index(SEEDS, name="seed"))


@pytest.mark.parametrize(
    ("column", "published", "every", "mean"),
    [
        ("cbp", 21.8, 0.9, 0.2),
        ("cbp_female", 100 * 2999 / 12193, 1.5, 0.4),
        ("cbp_male", 100 * 3004 / 15325, 1.5, 0.4),
        ("cbp_low", 24.6, 2.7, 0.6),
        ("cbp_moderate", 19.4, 2.7, 0.6),
        ("cbp_high", 22.0, 2.7, 0.6),
    ],
)
def test_prevalence_is_the_published_in_every_cohort(cohorts, column, published, every, mean):
    assert np.abs(cohorts[column] - published).max() <= every
    assert abs(cohorts[column].mean() - published) <= mean


@pytest.mark.parametrize(
    ("group", "quartiles"), [("all", (41, 49, 57)), ("cbp", (46, 53, 60)), ("no_cbp", (39, 48, 56))]
)
def test_age_quartiles_are_the_published_in_every_cohort(cohorts, group, quartiles):
    for q, published in zip((25, 50, 75), quartiles, strict=True):
        assert np.abs(cohorts[f"age_q{q}_{group}"] - published).max() <= 1.5


@pytest.mark.parametrize(
    ("column", "published", "tolerance"),
    [
        ("osteoarthritis_lmm", -1.4, 0.5),
        ("osteoarthritis_intermat", 0.57, 0.2),
        ("osteoporosis_lmm", -0.4, 0.8),
        ("osteoporosis_intermat", 0.53, 0.25),
    ],
)
def test_subgroup_medians_differ_as_published(cohorts, column, published, tolerance):
    assert abs(cohorts[column].mean() - published) <= tolerance


@pytest.mark.parametrize(("column", "published"), [("r2_intermat", 0.33), ("r2_lmm", 0.61)])
def test_exposures_share_the_derived_variance_with_all_other_terms(cohorts, column, published):
    assert np.abs(cohorts[column] - published).max() <= 0.06


@pytest.mark.parametrize("key", list(PUBLISHED), ids="-".join)
def test_published_odds_ratios_are_recovered(cohorts, key):
    log_or, se = (cohorts[f"{key[0]}_{key[1]}_{part}"] for part in ("log_or", "se"))
    truth, lower, upper = np.log(PUBLISHED[key])
    assert abs(log_or.mean() - truth) <= 0.03
    widths = 2 * Z975 * se / (upper - lower)
    assert np.abs(widths - 1.0).max() <= 0.15
    # A 95 % interval misses in more than 4 of 20 cohorts with probability 0.0026.
    assert (np.abs(log_or - truth) <= Z975 * se).sum() >= 16


def test_pain_of_4_or_more_is_as_frequent_as_the_published_widths_suggest(cohorts):
    assert cohorts["pain4"].between(18.0 - 0.7, 22.0).all()
    assert abs(cohorts["pain4"].mean() - 18.45) <= 0.25  # MC error of the mean 0.05


@pytest.mark.parametrize(("outcome", "name"), [("cbp", "cbp"), ("pain", "pain_nrs >= 4")])
def test_site_effects_are_the_same_for_every_seed(cohorts, outcome, name):
    truth = pd.Series(simulate_cohort(n=10).attrs["truth"][name]["1|site"])
    found = cohorts[[f"{outcome}_{site}" for site in truth.index]].mean().to_numpy()
    # SE of one site's log odds in one cohort is about 0.035, of the mean of 20 cohorts 0.008.
    np.testing.assert_allclose(found - found.mean(), truth - truth.mean(), atol=4 * 0.009)
