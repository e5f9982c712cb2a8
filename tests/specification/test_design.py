"""The analysis set: complete cases, then Z-scores over them, then the matrix that any formula engine would make."""

import numpy as np
import pandas as pd
import pytest
from formulae import design_matrices

from muscle_bayes.errors import EmptyTableError, InvalidValueError, MissingColumnError
from muscle_bayes.specification import Model

MODEL = Model(
    formula="cbp ~ fat_z * lean_z + sex + activity + fat_z:sex + diabetes + (1|site)",
    standardise={"fat_z": {"from": "fat"}, "lean_z": {"from": "lean"}},
    exposures={"fat_z": {}, "lean_z": {}},
    levels={"sex": ["female", "male"], "activity": ["moderate", "low", "high"]},
)


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    n = 200
    return pd.DataFrame(
        {
            "fat": rng.lognormal(2, 0.3, n),
            "lean": rng.normal(24, 4, n),
            "sex": rng.choice(["male", "female"], n),
            "activity": rng.choice(["low", "moderate", "high"], n),
            "diabetes": rng.integers(0, 2, n),
            "site": rng.choice(["Essen", "Berlin"], n),
            "cbp": rng.integers(0, 2, n),
        }
    )


def test_matrix_equals_formulae_on_hand_made_columns(table: pd.DataFrame) -> None:
    by_hand = table.assign(
        fat_z=(table["fat"] - table["fat"].mean()) / table["fat"].std(ddof=1),
        lean_z=(table["lean"] - table["lean"].mean()) / table["lean"].std(ddof=1),
        male=(table["sex"] == "male").astype(float),
        low=(table["activity"] == "low").astype(float),
        high=(table["activity"] == "high").astype(float),
    )
    expected = design_matrices(
        "fat_z + lean_z + male + low + high + diabetes + fat_z:lean_z + fat_z:male", by_hand
    ).common.design_matrix
    design = MODEL.design(table)
    np.testing.assert_allclose(design.X + design.recipe.centre, expected[:, 1:], atol=1e-12)
    np.testing.assert_allclose(design.X.mean(axis=0), 0, atol=1e-12)
    assert [column.label for column in design.recipe.columns] == [
        "fat_z",
        "lean_z",
        "sex[male]",
        "activity[low]",
        "activity[high]",
        "diabetes",
        "fat_z:lean_z",
        "fat_z:sex[male]",
    ]


def test_complete_cases_come_before_z_scores(table: pd.DataFrame) -> None:
    table.loc[:9, "diabetes"] = None
    table.loc[5:14, "cbp"] = None
    kept = table.iloc[15:]
    design = MODEL.design(table)
    assert design.recipe.constants["fat_z"].mean == pytest.approx(kept["fat"].mean(), rel=1e-14)
    assert design.recipe.constants["fat_z"].sd == pytest.approx(kept["fat"].std(ddof=1), rel=1e-14)
    assert design.flow["n_removed"].tolist() == [0, 15]
    assert design.flow["n_left"].tolist() == [200, 185]
    assert "cbp 10" in design.flow["reason"].iloc[-1]


def test_new_persons_get_the_constants_of_the_analysis_set(table: pd.DataFrame) -> None:
    design = MODEL.design(table)
    one = table.iloc[[7]]
    np.testing.assert_allclose(design.recipe.matrix(one), design.X[[7]] + design.recipe.centre, atol=1e-12)
    z = design.recipe.constants["fat_z"]
    by_z = one.drop(columns="fat").assign(fat_z=(one["fat"] - z.mean) / z.sd)
    np.testing.assert_allclose(design.recipe.matrix(by_z), design.recipe.matrix(one), atol=1e-12)
    assert design.recipe.site_levels == ("Berlin", "Essen")
    np.testing.assert_array_equal(design.site, (table["site"] == "Essen").astype(int))


def test_wrong_column_name_is_named_with_the_nearest(table: pd.DataFrame) -> None:
    with pytest.raises(MissingColumnError, match=r"'lean'.*'lean_mass'"):
        MODEL.design(table.rename(columns={"lean": "lean_mass"}))


def test_all_missing_columns_are_named_and_no_other_variable_is_offered(table: pd.DataFrame) -> None:
    model = Model(formula="osteoporosis ~ lmm_z + dyslipidemia", standardise={"lmm_z": {"from": "lmm_cm3_per_kg_m2"}})
    other = table.assign(osteoarthritis=1, lmm_fraction_cm3_per_kg_m2=24.0)
    with pytest.raises(MissingColumnError, match="'osteoporosis', 'lmm_cm3_per_kg_m2', 'dyslipidemia'") as caught:
        model.design(other)
    assert "did you mean" not in str(caught.value)
    assert "lmm_fraction" not in str(caught.value)
    assert "[participants.columns]" in str(caught.value)


def test_bad_tables(table: pd.DataFrame) -> None:
    with pytest.raises(EmptyTableError, match="complete"):
        MODEL.design(table.assign(lean=np.nan))
    with pytest.raises(EmptyTableError):
        MODEL.design(table.iloc[:0])
    with pytest.raises(InvalidValueError, match="same for everyone"):
        MODEL.design(table.assign(lean=24.0))
    with pytest.raises(InvalidValueError, match=r"'sex'.*'divers'"):
        MODEL.design(table.assign(sex=["divers", *table["sex"].iloc[1:]]))
    with pytest.raises(InvalidValueError, match="level 'high'"):
        MODEL.design(table[table["activity"] != "high"])
    with pytest.raises(InvalidValueError, match=r"'lean'.*text"):
        MODEL.design(table.assign(lean="heavy"))
    with pytest.raises(InvalidValueError, match="no site 'Ulm'"):
        MODEL.design(table).recipe.site_index(pd.DataFrame({"site": ["Ulm"]}))


def test_an_unlisted_text_column_takes_its_levels_in_sorted_order(table: pd.DataFrame) -> None:
    model = Model(formula="cbp ~ sex")
    assert model.design(table).recipe.levels == {"sex": ("female", "male")}


def test_a_text_exposure_needs_a_stated_reference(table: pd.DataFrame) -> None:
    with pytest.raises(InvalidValueError, match=r"'activity'.*exposure.*\[levels\]"):
        Model(formula="cbp ~ activity", exposures={"activity": {}}).design(table)


def test_simulated_data_say_so(table: pd.DataFrame) -> None:
    assert not MODEL.design(table).simulated
    assert MODEL.design(table.assign(simulated=1)).simulated
    table.attrs["simulated"] = True
    assert MODEL.design(table).simulated
