"""What the report computes itself, against closed forms and plain counts."""

import numpy as np
import pandas as pd
import pytest

from muscle_bayes.report import quantities


def test_the_interaction_factor_is_the_ratio_of_neighbouring_odds_ratios(likelihood):
    # Exact for the maximum: OR(LMM = 1) / OR(LMM = 0) = OR(LMM = 0) / OR(LMM = -1).
    factor = quantities.interaction_factors(likelihood).iloc[0]
    levels = quantities.odds_ratios_at_levels(likelihood)
    fat = levels[levels["label"] == "InterMAT"]["estimate"].to_numpy()
    assert fat[1:] / fat[:-1] == pytest.approx([factor["estimate"]] * 2, rel=1e-10)
    index = [column.label for column in likelihood.recipe.columns].index("intermat_z:lmm_z")
    beta = likelihood.maximum.coefficients[1 + index]
    error = np.sqrt(likelihood.maximum.covariance[1 + index, 1 + index])
    assert factor["estimate"] == pytest.approx(np.exp(2 * beta))
    assert factor["upper"] == pytest.approx(np.exp(2 * (beta + 1.959964 * error)), rel=1e-6)
    assert (factor["label"], factor["other"], factor["per"]) == ("InterMAT", "LMM", 2.0)


def test_without_an_interaction_there_is_none_to_report(cohort):
    from muscle_bayes.inference import fit

    main = fit("cbp_main", cohort, method="ml")
    assert quantities.interaction_factors(main).empty
    assert quantities.odds_ratios_at_levels(main).empty


def test_the_analysis_set_by_outcome_counts_what_pandas_counts(bayes):
    frame = quantities.by_outcome(bayes).set_index(["variable", "level"])
    rows = bayes.cohort
    crossed = pd.crosstab(rows["sex"].astype("str"), rows["cbp"])
    share = 100 * crossed.loc["male", 1] / crossed[1].sum()
    assert frame.loc[("Sex", "male"), "event"] == f"{crossed.loc['male', 1]:,} ({share:.1f} %)"
    assert frame.loc[("Participants", ""), "no_event"] == f"{int((rows['cbp'] == 0).sum()):,}"
    low, middle, high = rows.loc[rows["cbp"] == 1, "intermat_percent"].quantile([0.25, 0.5, 0.75])
    assert frame.loc[("InterMAT", "median (quartiles)"), "event"] == f"{middle:.2f} ({low:.2f} to {high:.2f})"


def test_small_cells_are_not_shown(bayes):
    import dataclasses

    few = dataclasses.replace(bayes, cohort=bayes.cohort.head(40))
    shown = quantities.by_outcome(few)[["all", "event", "no_event"]].iloc[1:]
    counts = shown.melt()["value"].str.extract(r"^([\d,]+) \(")[0].dropna().str.replace(",", "").astype(int)
    assert len(counts)
    assert not counts.between(1, 4).any()
    assert (shown == "< 5").any().any()


def test_sites_and_effective_draws_of_each_method(bayes, likelihood):
    sites = quantities.site_table(bayes)
    assert list(sites["label"]) == list(bayes.recipe.site_levels)
    assert sites["n"].sum() == bayes.n
    assert sites["estimate"].to_numpy() == pytest.approx(np.exp(np.median(bayes.site_effects(), axis=0)))
    assert quantities.site_table(likelihood)["lower"].isna().all()
    assert quantities.effective_draws(bayes) == bayes.weights_ess
    assert quantities.effective_draws(likelihood) is None
