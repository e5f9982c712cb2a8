"""Z-scores within groups: each group by its own mean and SD, for the analysis set and for everyone after."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import muscle_bayes as mb
from muscle_bayes.errors import EstimandError, InvalidValueError, MissingColumnError
from muscle_bayes.report.fit_tables import constants_table
from muscle_bayes.report.methods import standardisation_paragraph


def _model(over: str = "sex", formula: str = "cbp ~ lmm_z + age_z + sex + (1|site)") -> mb.Model:
    return mb.Model(
        formula=formula,
        levels={"sex": ["female", "male"]},
        standardise={"lmm_z": {"from": "lmm_cm3_per_kg_m2", "over": over}, "age_z": {"from": "age_years"}},
        exposures={"lmm_z": {"adverse": "low"}, "age_z": {}},
    )


@pytest.fixture(scope="module")
def fit(small_table: pd.DataFrame) -> mb.Fit:
    return mb.fit(_model(), small_table, method="laplace")


@pytest.mark.parametrize("over", ["sex", "site", "diabetes", "activity"])
def test_scores_are_those_of_pandas(over: str, small_table: pd.DataFrame) -> None:
    design = _model(over).design(small_table)
    raw = small_table["lmm_cm3_per_kg_m2"]
    group = raw.groupby(small_table[over].astype(str))
    expected = (raw - group.transform("mean")) / group.transform("std", ddof=1)
    np.testing.assert_allclose(design.frame["lmm_z"], expected, atol=1e-12)
    z = design.recipe.constants["lmm_z"]
    for name, (mean, sd) in z.groups.items():
        assert mean == pytest.approx(group.mean()[name], rel=1e-13)
        assert sd == pytest.approx(group.std(ddof=1)[name], rel=1e-13)
    freedom = group.size() - 1
    assert z.sd == pytest.approx(np.sqrt((freedom * group.var(ddof=1)).sum() / freedom.sum()), rel=1e-13)
    assert z.mean == pytest.approx(raw.mean())
    assert design.recipe.constants["age_z"].groups == {}


def test_a_new_person_gets_the_constants_of_their_group(fit: mb.Fit, small_table: pd.DataFrame) -> None:
    recipe = fit.recipe
    assert recipe.raw_columns == ("lmm_cm3_per_kg_m2", "sex", "age_years")
    np.testing.assert_allclose(recipe.matrix(small_table.head(40)), recipe.matrix(fit.cohort.head(40)), atol=1e-12)
    person = pd.DataFrame({"lmm_cm3_per_kg_m2": [22.0, 22.0], "sex": ["female", "male"], "age_years": [50, 50]})
    groups = recipe.constants["lmm_z"].groups
    z = recipe.standardise(person)["lmm_z"]
    np.testing.assert_allclose(z, [(22 - groups[sex][0]) / groups[sex][1] for sex in ("female", "male")])
    assert z[0] - z[1] > 0.5, "22 is a lot for a woman and little for a man"
    by_z = person.drop(columns="lmm_cm3_per_kg_m2").assign(lmm_z=1.5)
    np.testing.assert_array_equal(recipe.standardise(by_z)["lmm_z"], 1.5)
    with pytest.raises(InvalidValueError, match=r"within female, male, not 'divers'"):
        recipe.standardise(person.assign(sex="divers"))
    with pytest.raises(MissingColumnError, match="'sex'"):
        recipe.standardise(person.drop(columns="sex"))
    with pytest.raises(InvalidValueError, match="missing"):
        recipe.matrix(person.assign(sex=["female", None]))


def test_coefficients_are_those_of_scores_made_by_hand(small_table: pd.DataFrame) -> None:
    import statsmodels.formula.api as smf

    z = lambda column: (column - column.mean()) / column.std(ddof=1)  # noqa: E731
    frame = small_table.assign(
        lmm_z=small_table.groupby("sex")["lmm_cm3_per_kg_m2"].transform(z), age_z=z(small_table["age_years"])
    )
    theirs = smf.logit("cbp ~ lmm_z + age_z + sex", frame).fit(disp=0)
    ours = mb.fit(_model(formula="cbp ~ lmm_z + age_z + sex"), small_table, method="ml").maximum
    np.testing.assert_allclose(ours.coefficients[1:3], theirs.params[["lmm_z", "age_z"]], rtol=1e-6)


def test_persons_without_a_group_are_no_complete_cases(small_table: pd.DataFrame) -> None:
    table = small_table.assign(region=["north", "south"] * 1000)
    table.loc[:9, "region"] = None
    design = _model("region").design(table)
    assert len(design.y) == 1990
    assert "region 10" in design.flow["reason"].iloc[-1]


def test_small_and_constant_groups_are_refused(small_table: pd.DataFrame) -> None:
    few = small_table.assign(region=["north"] * 19 + ["south"] * 1981)
    with pytest.raises(InvalidValueError, match=r"of region 'north'.*19 participants are too few"):
        _model("region").design(few)
    same = few.assign(
        region=["north"] * 30 + ["south"] * 1970,
        lmm_cm3_per_kg_m2=few["lmm_cm3_per_kg_m2"].where(np.arange(2000) >= 30, 20.0),
    )
    with pytest.raises(InvalidValueError, match=r"of region 'north'.*same for everyone"):
        _model("region").design(same)


def test_a_saved_fit_keeps_the_groups(fit: mb.Fit, small_table: pd.DataFrame, tmp_path: Path) -> None:
    loaded = mb.load_fit(fit.save(tmp_path / "fit.nc"))
    assert loaded.recipe.constants == fit.recipe.constants
    assert loaded.model == fit.model
    np.testing.assert_array_equal(loaded.recipe.matrix(small_table), fit.recipe.matrix(small_table))
    assert mb.load_fit(tmp_path / "fit.nc", cohort=small_table).n == fit.n


def test_groups_that_are_no_predictor(small_table: pd.DataFrame, tmp_path: Path) -> None:
    table = small_table.assign(scanner=np.where(np.arange(2000) % 3, "Aera", "Skyra"))
    fit = mb.fit(_model("scanner"), table, method="laplace")
    assert fit.support.counts["scanner"].sum() == 2000
    loaded = mb.load_fit(fit.save(tmp_path / "fit.nc"), cohort=table)
    np.testing.assert_allclose(loaded.recipe.matrix(table), fit.recipe.matrix(fit.cohort), atol=1e-12)


def test_odds_ratios_are_per_z_and_raw_units_are_refused(fit: mb.Fit) -> None:
    row = mb.odds_ratios(fit).iloc[0]
    assert row["estimate"] == pytest.approx(np.exp(2 * np.median(fit.coefficients()[:, 1])))
    assert row["contrast"].startswith("per 2 Z (2 SD within sex = ")
    assert mb.risks(fit, terms=["lmm_z"])["estimate"].notna().all()
    two = mb.fit(_model(formula="cbp ~ lmm_z * age_z + sex"), fit.cohort.drop(columns=["lmm_z", "age_z"]), method="ml")
    for refused in (
        lambda: mb.nomogram(fit),
        lambda: mb.odds_ratio_surface(two, "lmm_z", "age_z"),
        lambda: mb.odds_ratios(two, at={"lmm_cm3_per_kg_m2": 20}),
    ):
        with pytest.raises(EstimandError, match="within sex"):
            refused()


def test_the_report_says_so(fit: mb.Fit) -> None:
    assert "Those of LMM were made within sex" in standardisation_paragraph(fit)
    assert [row[0] for row in constants_table(fit, "").rows] == ["LMM, female", "LMM, male", "Age"]


def test_published_odds_ratios_are_per_z_of_everyone(small_table: pd.DataFrame) -> None:
    main = mb.load_model("cbp_main").model_dump(by_alias=True)
    within = {name: rule | {"over": "sex"} for name, rule in main["standardise"].items()}
    with pytest.raises(mb.errors.PriorError, match="per Z of the whole sample"):
        mb.Model.model_validate(main | {"standardise": within}).with_priors("published")
