"""Estimands of smooth terms: contrasts between stated levels, curves, and surfaces side by side."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import muscle_bayes as mb
from muscle_bayes.errors import EstimandError

ACTIVITY = mb.Model(
    formula="cbp ~ ns(sqrt(activity_met_min_week), df=4, bend=1) + ns(age_z, df=4) + sex + (1|site)",
    levels={"sex": ["female", "male"]},
    standardise={"age_z": {"from": "age_years"}},
    exposures={"activity_met_min_week": {"levels": [2000, 250, 7000]}},
)


@pytest.fixture(scope="module")
def surface_fit(simulated_table: pd.DataFrame) -> mb.Fit:
    return mb.fit("cbp_surface", simulated_table, method="laplace", seed=1)


@pytest.fixture(scope="module")
def activity_ml(small_table: pd.DataFrame) -> mb.Fit:
    return mb.fit(ACTIVITY, small_table, method="ml")


def test_odds_ratios_compare_stated_levels_and_say_so(surface_fit: mb.Fit) -> None:
    frame = mb.odds_ratios(surface_fit).set_index("term")
    row = frame.loc["intermat_z"]
    assert row["contrast"].startswith("+1 Z against \N{MINUS SIGN}1 Z (2 SD = ")
    assert row["contrast"].endswith("at LMM = 0 Z")
    assert frame.loc["age_z", "contrast"].startswith("per 2 Z")
    smooth = surface_fit.recipe.smooths[0]
    at = smooth.columns(np.array([1.0, -1.0]), np.zeros(2))
    draws = surface_fit.coefficients()[:, 1:16] @ (at[0] - at[1])
    expected = np.exp(np.quantile(draws, [0.5, 0.025, 0.975]))
    np.testing.assert_allclose(row[["estimate", "lower", "upper"]].astype(float), expected, rtol=1e-6)


def test_a_smooth_surface_of_a_linear_truth_agrees_and_costs_what_it_must(
    surface_fit: mb.Fit, interaction_fit: mb.Fit
) -> None:
    """The simulated log odds are linear in both exposures.

    The two posterior means of one contrast differ by a normal quantity whose variance is the difference of their variances
    (Hausman 1978, Econometrica 46, 1251-1271): 3.3 of its SDs is exceeded once in 1,000. Both SDs are those of the
    information in the data and the prior, which neither engine's importance weights change by more than a few percent.
    """
    stated = {}
    for name, fit in (("smooth", surface_fit), ("linear", interaction_fit)):
        persons = fit.cohort
        rows = [
            fit.recipe.matrix(persons.head(1).assign(intermat_z=z, lmm_z=0.0, sex="female"))[0] for z in (1.0, -1.0)
        ]
        contrast = np.r_[0.0, rows[0] - rows[1]]
        draws = fit.coefficients() @ contrast
        X = np.column_stack([np.ones(len(persons)), fit.recipe.matrix(persons)])
        sites = np.eye(len(fit.recipe.site_levels))[fit.recipe.site_index(persons)]
        whole = np.column_stack([X[:, :1], X[:, 1:] - fit.recipe.centre, sites])
        p = expit(X @ fit.coefficients().mean(axis=0) + sites @ fit.site_effects().mean(axis=0))
        priors = fit.model.normal_priors()
        sd = [
            priors["intercept"].sd,
            *(priors[column.term].sd for column in fit.recipe.columns),
            *[fit.site_sd().mean()] * 5,
        ]
        information = (whole.T * (p * (1 - p))) @ whole + np.diag(1 / np.square(sd))
        padded = np.r_[contrast, np.zeros(5)]
        stated[name] = draws.mean(), draws.std(), np.sqrt(padded @ np.linalg.solve(information, padded))
    for _, found, expected in stated.values():
        assert found == pytest.approx(expected, rel=0.06)
    (smooth, wide, _), (linear, narrow, _) = stated["smooth"], stated["linear"]
    assert 1.2 < wide / narrow < 3
    assert abs(smooth - linear) < 3.3 * np.sqrt(wide**2 - narrow**2)


def test_surfaces_side_by_side_share_grid_and_cells(surface_fit: mb.Fit, interaction_fit: mb.Fit) -> None:
    both = mb.odds_ratio_surface([interaction_fit, surface_fit], grid=0.5)
    assert both.attrs["models"] == ["Linear with interaction", "Smooth"]
    parts = {name: part.reset_index(drop=True) for name, part in both.groupby("model")}
    linear, smooth = parts["Linear with interaction"], parts["Smooth"]
    shared = ["intermat_z", "lmm_z", "intermat_percent", "supported", "supported_female", "supported_male"]
    pd.testing.assert_frame_equal(linear[shared], smooth[shared])
    alone = mb.odds_ratio_surface(surface_fit, grid=0.5)
    np.testing.assert_allclose(smooth["estimate"], alone["estimate"], rtol=1e-12)
    at = (smooth["intermat_z"] == 1) & (smooth["lmm_z"] == -1)
    columns = surface_fit.recipe.smooths[0].columns(np.array([1.0, 0.0]), np.array([-1.0, 0.0]))
    expected = np.exp(np.median(surface_fit.coefficients()[:, 1:16] @ (columns[0] - columns[1])))
    assert float(smooth.loc[at, "estimate"].iloc[0]) == pytest.approx(expected, rel=1e-9)
    named = mb.odds_ratio_surface({"Plane": interaction_fit, "Any shape": surface_fit}, grid=1.0)
    assert named.attrs["models"] == ["Plane", "Any shape"]


def test_surfaces_of_other_z_scores_are_not_put_side_by_side(interaction_fit: mb.Fit, small_fit: mb.Fit) -> None:
    with pytest.raises(EstimandError, match="other means and SDs"):
        mb.odds_ratio_surface([interaction_fit, small_fit], grid=1.0)


def test_curve_of_a_straight_term_is_its_straight_line(interaction_fit: mb.Fit) -> None:
    frame = mb.odds_ratio_curve(interaction_fit, "age_years", reference=40, grid=[30, 40, 65])
    at = next(i for i, column in enumerate(interaction_fit.recipe.columns, 1) if column.term == "age_z")
    per_year = interaction_fit.coefficients()[:, at] / interaction_fit.recipe.constants["age_z"].sd
    for value, row in zip([-10, 0, 25], frame.to_dict("records"), strict=True):
        expected = np.exp(np.quantile(value * per_year, [0.5, 0.025, 0.975]))
        np.testing.assert_allclose([row["estimate"], row["lower"], row["upper"]], expected, rtol=1e-5)
    assert frame["prob_gt_null"].isna().tolist() == [False, True, False]
    assert set(frame["role"]) == {"adjustment"}


def test_curve_of_a_smooth_and_the_distribution_beside_it(activity_ml: mb.Fit, small_table: pd.DataFrame) -> None:
    frame = mb.odds_ratio_curve(activity_ml, "activity_met_min_week")
    assert frame.attrs["reference"] == 2000
    assert (frame.attrs["axis"], frame.attrs["unit"]) == ("sqrt", "MET-min/week")
    smooth = next(smooth for smooth in activity_ml.recipe.smooths if "activity" in str(smooth.call))
    columns = smooth.columns(np.sqrt(np.r_[2000.0, frame["value"]]))
    at = [i for i, column in enumerate(activity_ml.recipe.columns, 1) if column.term == str(smooth.call)]
    beta, covariance = activity_ml.maximum.coefficients[at], activity_ml.maximum.covariance[np.ix_(at, at)]
    difference = columns[1:] - columns[0]
    np.testing.assert_allclose(np.log(frame["estimate"]), difference @ beta, rtol=1e-8, atol=1e-10)
    error = np.sqrt(np.einsum("kp,pq,kq->k", difference, covariance, difference))
    np.testing.assert_allclose(np.log(frame["upper"]), difference @ beta + 1.959963984540054 * error, atol=1e-8)
    found = frame.attrs["distribution"]
    edges, density = np.array(found["edges"]), np.array(found["density"])
    counts = density * np.diff(edges) * len(small_table)
    expected = np.histogram(small_table["activity_met_min_week"], edges)[0]
    np.testing.assert_allclose(counts, np.where(expected < 5, 0, expected), atol=1e-6)


def test_a_loaded_fit_draws_the_distribution_from_its_quantiles(activity_ml: mb.Fit, tmp_path) -> None:
    loaded = mb.load_fit(activity_ml.save(tmp_path / "fit.nc"))
    found = mb.odds_ratio_curve(loaded, "age_z").attrs["distribution"]
    assert np.sum(np.array(found["density"]) * np.diff(found["edges"])) == pytest.approx(0.98, abs=1e-9)


@pytest.mark.parametrize(("name", "match"), [("sex", "it has levels"), ("height_cm", "no such predictor")])
def test_a_curve_needs_a_numeric_predictor(activity_ml: mb.Fit, name: str, match: str) -> None:
    with pytest.raises(EstimandError, match=match):
        mb.odds_ratio_curve(activity_ml, name)


def test_levels_of_a_curved_exposure_are_compared_with_the_first(activity_ml: mb.Fit) -> None:
    frame = mb.odds_ratios(activity_ml)
    assert frame["term"].tolist()[:2] == ["activity_met_min_week[250]", "activity_met_min_week[7000]"]
    assert frame["contrast"].iloc[0] == "250 MET-min/week against 2000 MET-min/week"
    curve = mb.odds_ratio_curve(activity_ml, "activity_met_min_week", grid=[250, 7000])
    np.testing.assert_allclose(frame["estimate"].iloc[:2], curve["estimate"], rtol=1e-12)


def test_risks_and_interaction_average_the_curve_over_persons(activity_ml: mb.Fit) -> None:
    """At the maximum of the likelihood, by hand: everyone's probability at 250 and at 2000 MET-min a week."""
    frame = mb.risks(activity_ml)
    persons, beta = activity_ml.cohort, activity_ml.maximum.coefficients
    effects = activity_ml.site_effects()[0][activity_ml.recipe.site_index(persons)]

    def risk(**given: object) -> float:
        rows = activity_ml.recipe.matrix(persons.assign(**given))
        return float(expit(beta[0] + rows @ beta[1:] + effects).mean())

    difference = frame[frame["estimand"] == "risk difference"]["estimate"].to_numpy()
    base = risk(activity_met_min_week=2000.0)
    expected = [risk(activity_met_min_week=float(level)) - base for level in (250, 7000)]
    np.testing.assert_allclose(difference, expected, atol=2e-6)
    levels = {"activity_met_min_week": (2000, 250), "age_z": (-1, 1)}
    cells = mb.interaction(activity_ml, "activity_met_min_week", "age_z", levels=levels)
    both = cells[(cells["estimand"] == "risk") & (cells["cell"] == "11")]["estimate"].iloc[0]
    assert both == pytest.approx(risk(activity_met_min_week=250.0, age_z=1.0), abs=2e-6)


def test_a_step_along_a_raw_curve_is_refused(small_table: pd.DataFrame) -> None:
    model = ACTIVITY.model_copy(update={"exposures": {"activity_met_min_week": mb.Model.model_validate(
        {"formula": "y ~ x", "exposures": {"x": {}}}).exposures["x"]}})  # fmt: skip
    fit = mb.fit(model, small_table, method="ml")
    with pytest.raises(EstimandError, match="curve of a raw column"):
        mb.risks(fit)
    row = mb.odds_ratios(fit).iloc[0]
    assert row["contrast"].startswith("third quartile (")


def test_nomogram_of_a_curve_reads_points_that_add_up(activity_ml: mb.Fit) -> None:
    made = mb.nomogram(activity_ml)
    persons = activity_ml.cohort.head(40)
    beta = activity_ml.maximum.coefficients
    log_odds = beta[0] + activity_ml.recipe.matrix(persons) @ beta[1:]
    total = made.predict(persons)["total_points"].to_numpy()
    np.testing.assert_allclose(made.system.linear_predictor(total), log_odds, atol=1e-9)
    ticks = made.points[made.points["variable"] == "activity_met_min_week"]
    curve = mb.odds_ratio_curve(
        activity_ml, "activity_met_min_week", reference=ticks["value"].iloc[0], grid=ticks["value"]
    )
    steps = (ticks["points"] - ticks["points"].iloc[0]) / made.system.per_log_odds
    np.testing.assert_allclose(steps, np.log(curve["estimate"]), atol=1e-9)
    assert (np.diff(ticks["points"]) < 0).any()
    assert (np.diff(ticks["points"]) > 0).any()


def test_a_spline_of_age_adjusts_everywhere(small_table: pd.DataFrame) -> None:
    model = mb.load_model("cbp_main")
    spline = model.model_copy(update={"formula": model.formula.replace("age_z", "ns(age_z, df=4)")})
    fit = mb.fit(spline, small_table, method="laplace", draws=1000, seed=1)
    assert fit.diagnostics.passed
    frame = mb.odds_ratios(fit).set_index("term")
    assert frame.loc["age_z", "role"] == "adjustment"
    assert frame.loc["intermat_z", "contrast"].startswith("per 2 Z")
    assert mb.nomogram(fit).points["variable"].isin(["age_z"]).any()
    assert mb.prior_predictive(spline, small_table, draws=200)["variable"].isin(["age_z"]).any()
