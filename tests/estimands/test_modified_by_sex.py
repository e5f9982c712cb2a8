"""A model whose exposures are modified by sex: every estimand speaks of women and of men."""

import numpy as np
import pandas as pd
import pytest

import muscle_bayes as mb


@pytest.fixture(scope="module")
def fits(small_table: pd.DataFrame) -> dict[str, mb.Fit]:
    """The model of the catalogue, and the same with men as the reference."""
    model = mb.load_model("cbp_sex")
    turned = model.model_copy(update={"levels": {**model.levels, "sex": ["male", "female"]}})
    return {name: mb.fit(one, small_table, method="ml") for name, one in (("women", model), ("men", turned))}


def test_odds_ratios_are_stated_for_each_sex(fits: dict[str, mb.Fit]) -> None:
    frame = mb.odds_ratios(fits["women"])
    for term in ("intermat_z", "lmm_z"):
        own = frame[frame["term"] == term].set_index("at")
        assert list(own.index) == ["Sex = female", "Sex = male"]
        assert all(at in contrast for at, contrast in own["contrast"].items())
        # Of men it is the main effect where men are the reference: another parametrisation of the same likelihood.
        other = fits["men"].maximum.coefficients[1:]
        column = [c.label for c in fits["men"].recipe.columns].index(term)
        assert own.loc["Sex = male", "estimate"] == pytest.approx(np.exp(2 * other[column]), rel=1e-4)
    assert (frame["term"] == "sex[male]").sum() == 1
    one = mb.odds_ratios(fits["women"], at={"sex": "male"}, terms=["lmm_z"])
    assert list(one["at"]) == ["Sex = male"]


def test_interaction_takes_the_exposure_and_the_sex_that_modifies_it(fits: dict[str, mb.Fit]) -> None:
    frame = mb.interaction(fits["women"])
    assert set(frame["term"]) == {"intermat_z × sex"}
    assert set(frame["role"]) == {"exposure"}
    again = mb.interaction(fits["men"])
    # Which sex is the reference of the model is of no matter: the one with the higher odds is called exposed.
    assert list(frame["contrast"]) == list(again["contrast"])
    np.testing.assert_allclose(frame["estimate"], again["estimate"], rtol=2e-3, atol=2e-3)


def test_nomogram_has_an_axis_of_each_exposure_for_each_sex(fits: dict[str, mb.Fit]) -> None:
    nomogram = mb.nomogram(fits["women"])
    axes = nomogram.points.groupby("axis", sort=False)[["variable", "held"]].first()
    for name in ("intermat_z", "lmm_z"):
        assert list(axes.loc[axes["variable"] == name, "held"]) == ["Sex = female", "Sex = male"]
    fit, system = fits["women"], nomogram.system
    columns = np.concatenate([s.columns for s in system.sets])
    assert sorted(columns) == list(range(len(fit.recipe.columns)))  # each term in one set only
    X = fit.recipe.matrix(fit.cohort)
    np.testing.assert_allclose(system.linear_predictor(system.total(X)), system.intercept + X @ system.beta, atol=1e-12)


def test_narrow_forest_says_at_what_once(fits: dict[str, mb.Fit]) -> None:
    figure = mb.plots.forest(mb.odds_ratios(fits["women"]), width_mm=85)
    figure.canvas.draw()
    words = [t.get_text().replace("\n", " ") for t in figure.axes[0].get_yticklabels()]
    sex = next(text for text in words if text.startswith("Sex"))
    assert sex == "Sex male against female at InterMAT = 0 Z, LMM = 0 Z"
    assert "InterMAT per 2 Z at Sex = male" in words
