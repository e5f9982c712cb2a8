"""Methods text is read from the fit: change the fit, and the sentence changes."""

import dataclasses

import pandas as pd
import pytest

from muscle_bayes.inference.diagnostics import Diagnostics, Finding
from muscle_bayes.report import fit_tables, methods, tables


def test_model_paragraph_names_outcome_event_terms_and_sites(bayes):
    said = methods.model_paragraph(bayes)
    assert f"chronic back pain (cbp = 1), which {bayes.events:,} of 2,000" in said
    assert (
        "Bayesian logistic regression on InterMAT, LMM and InterMAT × LMM, adjusted for age, sex, physical activity"
        in said
    )
    assert "site (5: Augsburg, Berlin, Essen, Mannheim and Neubrandenburg)" in said


def test_the_engine_is_the_one_that_ran(bayes, likelihood):
    said = methods.engine_paragraph(bayes)
    assert "certified Laplace" in said
    assert f"4,000 draws were worth {bayes.weights_ess:,.0f} independent ones" in said
    assert "met every criterion" in said
    assert "maximised" in methods.engine_paragraph(likelihood)
    assert methods.prior_paragraph(likelihood) == "The fit is by maximum likelihood: no prior was used."
    assert methods.priors_frame(likelihood).empty


def test_chains_are_described_by_their_measures(bayes):
    measures = {"divergences": 3, "largest R-hat": 1.0241, "smallest bulk ESS": 312.4}
    failed = Diagnostics((Finding("failure", "the chains disagree"),), measures, bayes.diagnostics.parameters)
    said = methods.engine_paragraph(dataclasses.replace(bayes, method="nuts", diagnostics=failed))
    assert "4 chains of 1,000 draws" in said
    assert "largest R-hat 1.024, smallest effective sample size 312, 3 divergent transitions" in said
    assert "DID NOT PASS" in said
    assert "Laplace" not in said


def test_priors_are_those_of_the_model_and_shared_ones_share_a_row(bayes):
    frame = methods.priors_frame(bayes).set_index("term")
    # OR 0.2 to 5 per 2 with 95 %: sd = log(25) / (2 * 1.96) / 2 = 0.41.
    assert frame.loc["InterMAT, LMM", "stated"] == "OR 0.2 to 5 per 2 Z"
    assert frame.loc["InterMAT, LMM", "distribution"] == "normal(0.00, 0.41)"
    assert frame.loc["Age", "stated"] == "OR 0.1 to 10 per 1 Z"
    shared = "Sex, Physical activity, Diabetes, Dyslipidemia, Osteoporosis, Osteoarthritis"
    assert frame.loc[shared, "stated"] == "OR 0.1 to 10"
    assert frame.loc["InterMAT × LMM", "reason"] == bayes.model.priors.terms["intermat_z:lmm_z"].reason
    assert frame.loc["SD of site effects", "distribution"] == "half-normal(0.5)"
    sceptical = dataclasses.replace(bayes, model=bayes.model.with_priors("sceptical"))
    assert methods.priors_frame(sceptical).set_index("term").loc["InterMAT, LMM", "stated"] == "OR 0.667 to 1.5 per 2 Z"


def test_missing_values_are_counted(bayes):
    assert methods.missing_paragraph(bayes).startswith("No participant had a missing value")
    rows = [("read", "rows", 0, 100), ("complete cases", "missing: cbp 3, lmm_cm3_per_kg_m2 4", 5, 95)]
    flow = pd.DataFrame(rows, columns=["step", "reason", "n_removed", "n_left"])
    said = methods.missing_paragraph(dataclasses.replace(bayes, flow=flow))
    assert said.startswith("5 of 100 participants (5.0 %)")
    assert "(missing: chronic back pain 3, LMM 4;" in said


def test_z_constants_are_in_raw_units(bayes):
    z = bayes.recipe.constants["lmm_z"]
    rows = {row[0]: row for row in fit_tables.constants_table(bayes, "").rows}
    assert rows["LMM"][1:] == (
        "lmm_cm3_per_kg_m2",
        "cm³/(kg/m²)",
        f"{z.mean:.2f}",
        f"{z.sd:.2f}",
        f"2 Z = {2 * z.sd:.1f}",
    )


def test_few_sites_are_explained_with_the_prior_that_was_used(bayes):
    said = " ".join(methods.few_sites_paragraphs(bayes, "0.15 (0.07 to 0.43)"))
    # Half-normal of scale 0.5: median 0.5 * 0.6745, 95 % point 0.5 * 1.96.
    assert "half-normal prior of scale 0.5 had median 0.34 and was below 0.98" in said
    assert "0.15 (0.07 to 0.43)" in said


def test_intercept_and_site_sd_stand_beside_maximum_likelihood(bayes, likelihood):
    rows = {row[0]: row for row in fit_tables.likelihood_comparison(bayes, likelihood, "").rows}
    draws = bayes.coefficients()[:, 0]
    assert rows["Intercept"][1] == f"−{-draws.mean():.2f} ± {draws.std(ddof=1):.2f}"
    assert rows["SD of site effects"][2] == f"{likelihood.maximum.site_sd:.2f}"


@pytest.mark.parametrize(("mcse", "shown"), [(0.001, "1.22 (1.14 to 1.30)"), (0.3, "1.2 (1.14 to 1.30)")])
def test_odds_ratio_tables_round_by_the_monte_carlo_error(mcse, shown):
    row = {
        "label": "InterMAT",
        "contrast": "per 2 Z",
        "estimate": 1.2249,
        "lower": 1.1351,
        "upper": 1.3012,
        "mcse": mcse,
    }
    frame = pd.DataFrame([{**row, "interval": 0.95, "prob_gt_null": 0.99}])
    table = tables.odds_ratio_table(frame, "", method="nuts")
    assert table.headings == ("Term", "Contrast", "Odds ratio (95 % interval)", "P(OR > 1)")
    assert table.rows[0][2] == shown


def test_parameters_show_no_digit_beyond_their_monte_carlo_error(bayes):
    shown = {row[0]: row for row in fit_tables.parameters_table(bayes, "").rows}
    parameters = bayes.diagnostics.parameters
    for label, row in parameters.iterrows():
        unit = 10.0 ** -len(shown[label][1].partition(".")[2])
        # The last digit stands at the first digit of the error, or before it.
        assert 10 * unit > row["mcse_mean"]
        end = 10.0 ** -len(shown[label][3].partition(".")[2])
        assert 10 * end > 2.6 * row["mcse_mean"]
    # The quantile of a normal with 2.5 % below it: sqrt(0.025 * 0.975) / 0.0584 = 2.67 errors of the mean.
    assert shown["intermat_z"][1].removeprefix("−")[:4] == f"{abs(parameters.loc['intermat_z', 'mean']):.2f}"
