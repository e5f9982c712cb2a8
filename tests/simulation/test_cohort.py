"""The simulated table: marks, determinism, identities between columns, the truth that it carries."""

import json

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.stats import norm

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.simulation import simulate_cohort
from muscle_bayes.simulation.cohort_generator import generate
from muscle_bayes.simulation.cohort_parameters import load_parameters

COLUMNS = [
    *("participant_id", "session_id", "site", "sex", "age_years", "height_cm", "weight_kg", "bmi_kg_m2"),
    *("activity_met_min_week", "activity", "diabetes", "dyslipidemia", "osteoporosis", "osteoarthritis", "cbp"),
    *("pain_nrs", "simulated", "intermat_percent", "lean_cm3", "lmm_cm3_per_kg_m2"),
    *("intermat_fraction_percent", "intermat_mixture_percent"),
    *("lmm_fraction_cm3_per_kg_m2", "lmm_mixture_cm3_per_kg_m2"),
]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return simulate_cohort()


def test_default_is_the_size_of_the_analysis_set_with_the_agreed_columns(table):
    assert len(table) == 27_518
    assert list(table.columns) == COLUMNS
    assert not table.isna().any().any()
    assert table["participant_id"].is_unique


def test_every_row_and_the_table_say_that_they_are_simulated(table):
    assert (table["simulated"] == 1).all()
    assert table.attrs["simulated"] is True
    assert table.attrs["seed"] == 1
    assert "simulated" in table.attrs["note"].lower()
    assert table.copy().attrs["simulated"] is True  # pandas carries it on


def test_marks_survive_parquet(table, tmp_path):
    table.head(50).to_parquet(tmp_path / "cohort.parquet")
    again = pd.read_parquet(tmp_path / "cohort.parquet")
    assert again.attrs == json.loads(json.dumps(table.attrs))
    pd.testing.assert_frame_equal(again, table.head(50))


def test_seed_decides_everything(table):
    pd.testing.assert_frame_equal(simulate_cohort(seed=1), table)
    other = simulate_cohort(seed=2)
    assert np.corrcoef(other["intermat_percent"], table["intermat_percent"])[0, 1] == pytest.approx(0.0, abs=0.03)
    np.random.seed(5)  # noqa: NPY002 - the global state must play no part
    pd.testing.assert_frame_equal(simulate_cohort(n=100, seed=3), simulate_cohort(n=100, seed=3))


def test_raw_units_are_consistent(table):
    np.testing.assert_allclose(table["bmi_kg_m2"], table["weight_kg"] / (table["height_cm"] / 100) ** 2, rtol=1e-12)
    np.testing.assert_allclose(table["lean_cm3"], table["lmm_cm3_per_kg_m2"] * table["bmi_kg_m2"], rtol=1e-12)
    # The compartment is the same whatever counts as adipose.
    compartment = table["lean_cm3"] / (1 - table["intermat_percent"] / 100)
    for name in ("fraction", "mixture"):
        lean = table[f"lmm_{name}_cm3_per_kg_m2"] * table["bmi_kg_m2"]
        np.testing.assert_allclose(lean / (1 - table[f"intermat_{name}_percent"] / 100), compartment, rtol=1e-10)


def test_activity_category_follows_the_met_minutes(table):
    met = table["activity_met_min_week"]
    expected = np.select([met < 500, met > 5000], ["low", "high"], "moderate")
    assert (table["activity"] == expected).all()
    shares = table["activity"].value_counts(normalize=True)
    for category, count in {"low": 10892, "moderate": 12826, "high": 3800}.items():
        assert shares[category] == pytest.approx(count / 27518, abs=4 * 0.003)


def test_values_lie_where_they_can(table):
    assert table["age_years"].between(19, 74).all()
    assert set(table["sex"]) == {"female", "male"}
    assert set(table["pain_nrs"]) == set(range(11))
    for column in ("diabetes", "dyslipidemia", "osteoporosis", "osteoarthritis", "cbp"):
        assert set(table[column]) == {0, 1}
    assert table["intermat_percent"].between(1, 30).all()
    assert table["lmm_cm3_per_kg_m2"].between(2, 60).all()
    assert table["bmi_kg_m2"].between(12, 60).all()
    assert table["site"].nunique() == 5
    assert table["site"].value_counts(normalize=True).between(0.16, 0.24).all()
    # Fatter and less muscle in women and with age, InterMAT skewed to the right.
    by_sex = table.groupby("sex")[["lmm_cm3_per_kg_m2", "intermat_percent", "osteoporosis"]].mean()
    assert by_sex["lmm_cm3_per_kg_m2"].diff().iloc[-1] > 5
    assert by_sex["intermat_percent"].diff().iloc[-1] < 0
    assert by_sex.loc["female", "osteoporosis"] > 4 * by_sex.loc["male", "osteoporosis"]
    men = table[table["sex"] == "male"]
    assert men["age_years"].corr(men["lmm_cm3_per_kg_m2"]) < -0.1
    assert men["age_years"].corr(men["intermat_percent"]) > 0.2
    assert table["intermat_percent"].skew() > 0.5


def test_definitions_of_adipose_agree_in_rank_and_differ_in_level(table):
    assert (table["intermat_fraction_percent"] - table["intermat_percent"]).median() == pytest.approx(5.5, abs=0.3)
    assert table["intermat_percent"].corr(table["intermat_fraction_percent"]) > 0.7
    assert table["intermat_percent"].corr(table["intermat_mixture_percent"]) > 0.8


def test_pain_goes_with_chronic_back_pain(table):
    assert table.groupby("cbp")["pain_nrs"].mean().diff().iloc[-1] > 2
    assert (table["pain_nrs"] >= 4).mean() == pytest.approx(0.1845, abs=4 * 0.0024)


# --- the truth --------------------------------------------------------------------------------------------------------


def generated_design(columns: dict[str, np.ndarray], truth: dict, outcome: str) -> tuple[pd.DataFrame, pd.Series]:
    """Design matrix with the population's Z constants, and the true coefficients."""
    z = truth["standardisation"]
    source = {"intermat_z": "intermat_percent", "lmm_z": "lmm_cm3_per_kg_m2", "age_z": "age_years"}
    X = pd.DataFrame({name: (columns[raw] - z[name]["mean"]) / z[name]["sd"] for name, raw in source.items()})
    X["intermat_z:lmm_z"] = X["intermat_z"] * X["lmm_z"]
    X["sex[male]"], X["activity[low]"], X["activity[high]"] = columns["male"], columns["low"], columns["high"]
    for name in ("diabetes", "dyslipidemia", "osteoporosis", "osteoarthritis"):
        X[name] = columns[name]
    coefficients = {name: truth[outcome][name] for name in X}
    for j, (site, effect) in enumerate(truth[outcome]["1|site"].items()):
        X[site] = (columns["site"] == j).astype(float)
        coefficients[site] = truth[outcome]["Intercept"] + effect
    return X, pd.Series(coefficients)


def assert_recovers(y: np.ndarray, X: pd.DataFrame, coefficients: pd.Series) -> None:
    result = sm.GLM(y, X, family=sm.families.Binomial()).fit()
    errors = (result.params - coefficients) / result.bse
    # All coefficients together: chi-square of a Wald test at the truth, 99.9 % quantile, and none beyond 4 SE.
    wald = float((result.params - coefficients) @ np.linalg.solve(result.cov_params(), result.params - coefficients))
    assert wald < 37.7, errors  # chi-square(15) at 0.999
    assert np.abs(errors).max() < 4


@pytest.fixture(scope="module")
def crowd() -> tuple[dict[str, np.ndarray], dict]:
    truth = simulate_cohort(n=1, interaction=0.2).attrs["truth"]
    return generate(200_000, np.random.default_rng(1), load_parameters(), interaction=0.2), truth


def test_truth_of_cbp_with_interaction_is_recovered(crowd):
    columns, truth = crowd
    assert truth["cbp"]["intermat_z:lmm_z"] == 0.2
    assert_recovers(columns["cbp"], *generated_design(columns, truth, "cbp"))


@pytest.mark.parametrize("threshold", [2, 4, 7])
def test_truth_of_pain_is_a_cumulative_logit(crowd, threshold):
    columns, truth = crowd
    X, coefficients = generated_design(columns, truth, "pain_nrs >= 4")
    sites = list(truth["pain_nrs >= 4"]["1|site"])
    coefficients[sites] -= truth["pain_cuts"][threshold - 1]
    assert_recovers((columns["pain_nrs"] >= threshold).astype(float), X, coefficients)


def test_interaction_moves_neither_prevalence_nor_pain_nor_muscle(table):
    other = simulate_cohort(interaction=-0.3)
    # The same people with the same residuals; fewer than 2,000 change state, so the SE of the difference is < 0.0017.
    assert other["cbp"].mean() == pytest.approx(table["cbp"].mean(), abs=4 * 0.0017)
    assert other["cbp"].ne(table["cbp"]).any()
    unchanged = [name for name in COLUMNS if name != "cbp"]
    pd.testing.assert_frame_equal(other[unchanged], table[unchanged], check_like=True)


def test_residuals_of_cbp_and_pain_are_joined_by_the_stated_correlation(crowd):
    # Given everything else, P(no CBP and pain < 4) is a bivariate normal probability at the two logistic quantiles.
    columns, truth = crowd
    parameters = load_parameters()
    predictors = []
    for outcome in ("cbp", "pain_nrs >= 4"):
        X, coefficients = generated_design(columns, truth, outcome)
        predictors.append(X.to_numpy() @ coefficients.to_numpy())
    upper = norm.ppf(1 / (1 + np.exp(np.array(predictors))))
    rho = parameters.pain_correlation
    # Integrate one residual out by Gauss-Legendre on its uniform scale.
    nodes, weights = np.polynomial.legendre.leggauss(40)
    expected = np.zeros(len(upper[0]))
    limit = norm.cdf(upper[0])
    for node, weight in zip(nodes, weights, strict=True):
        first = norm.ppf(limit * (node + 1) / 2)
        expected += weight / 2 * limit * norm.cdf((upper[1] - rho * first) / np.sqrt(1 - rho**2))
    neither = ((columns["cbp"] == 0) & (columns["pain_nrs"] < 4)).mean()
    assert neither == pytest.approx(expected.mean(), abs=4 * np.sqrt(0.25 / 200_000))


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, -3, 2.5, "many", True])
def test_size_must_be_a_positive_integer(n):
    with pytest.raises(InvalidValueError, match=r"^n: .*integer of 1 or more"):
        simulate_cohort(n=n)


@pytest.mark.parametrize("seed", [-1, 1.5, None])
def test_seed_must_be_a_non_negative_integer(seed):
    with pytest.raises(InvalidValueError, match=r"^seed: "):
        simulate_cohort(n=10, seed=seed)


@pytest.mark.parametrize("interaction", [0.6, float("nan"), "0.1"])
def test_interaction_stays_in_the_calibrated_range(interaction):
    with pytest.raises(InvalidValueError, match=r"^interaction: .*-0.5 and 0.5"):
        simulate_cohort(n=10, interaction=interaction)


def test_numpy_integers_are_integers_and_one_person_is_a_cohort():
    assert len(simulate_cohort(n=np.int64(1), seed=np.int32(0))) == 1
