"""Model files: what is written is what is fitted, and a slip is named."""

from pathlib import Path

import pytest

from muscle_bayes.errors import FormulaError, ModelFileError
from muscle_bayes.specification import ExposureTerm, Model, list_models, load_model, read_model

CATALOGUE = Path(__file__).resolve().parents[2] / "models"


def test_every_model_of_the_catalogue_loads_and_says_what_it_is() -> None:
    assert list_models() == sorted(path.stem for path in CATALOGUE.glob("*.toml"))
    for name in list_models():
        model = load_model(name)
        assert model.title
        assert model.question.endswith("?")
        assert model.references
        for exposure, term in model.exposures.items():
            if exposure in model.levels:
                assert (term.contrast, term.adverse) == (1, None)
            elif term.levels:
                assert (term.contrast, term.adverse) == (2, None)
            else:
                assert (term.contrast, term.adverse) == (2, {"intermat_z": "high", "lmm_z": "low"}[exposure])


def test_what_must_certify_is_in_the_catalogue() -> None:
    assert {"cbp_main", "cbp_interaction", "cbp_sex", "cbp_activity", "cbp_unadjusted", "pain_nrs4"} <= set(
        list_models()
    )


def test_contrast_of_an_exposure_follows_its_kind() -> None:
    model = Model(
        formula="y ~ a_z + b + c",
        standardise={"a_z": {"from": "a"}},
        levels={"c": ["no", "some", "much"]},
        exposures={"a_z": {}, "b": ExposureTerm(adverse="low"), "c": {}},
    )
    assert {name: (term.contrast, term.adverse) for name, term in model.exposures.items()} == {
        "a_z": (2, "high"),
        "b": (1, "low"),
        "c": (1, None),
    }
    assert Model.model_validate(model.model_dump(mode="json", by_alias=True)) == model
    assert "per level against the reference" in model.normal_priors()["c"].stated


@pytest.mark.parametrize("slip", [{"contrast": 2}, {"adverse": "high"}, {"contrast": 1, "adverse": "low"}])
def test_a_categorical_exposure_has_neither_contrast_nor_adverse(slip: dict) -> None:
    content = {"formula": "y ~ x", "levels": {"x": ["a", "b"]}, "exposures": {"x": slip}}
    with pytest.raises(ModelFileError, match="x is categorical"):
        read_model(content, name="slip", where="slip.toml")


def test_the_main_model_adjusts_for_what_the_paper_adjusts_for() -> None:
    model = load_model("cbp_main")
    assert {model.standardise[name].source if name in model.standardise else name for name in model.parsed.names} == {
        "intermat_percent",
        "lmm_cm3_per_kg_m2",
        "age_years",
        "sex",
        "activity",
        "diabetes",
        "dyslipidemia",
        "osteoporosis",
        "osteoarthritis",
    }
    assert [group.factor for group in model.parsed.groups] == ["site"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"formulla": "y ~ x"}, "formulla"),
        ({"family": "gamma"}, "family"),
        ({"levels": {"z": ["a", "b"]}}, "'z'"),
        ({"levels": {"x": ["a"]}}, "two or more"),
        ({"standardise": {"w": {"from": "x"}}}, "'w'"),
        ({"standardise": {"x": {"from": "x", "over": "x"}}}, "over"),
        ({"exposures": {"q": {"contrast": 2}}}, "'q'"),
        ({"exposures": {"x": {"contrast": 0}}}, "contrast"),
        ({"priors": {"q": {"or_95": [0.5, 2], "reason": "r"}}}, "'q'"),
        ({"priors": {"x": {"or_95": [2, 0.5], "reason": "r"}}}, "or_95"),
        ({"priors": {"x": {"or_95": [0.5, 2]}}}, "reason"),
        ({"priors": {"set": "flat"}}, "set"),
        ({"event": "y = 1"}, "event"),
        ({"formula": "y ~ x:z"}, "main effects"),
    ],
)
def test_a_slip_in_a_model_file_is_named(change: dict, named: str) -> None:
    with pytest.raises(ModelFileError, match=named) as caught:
        read_model({"formula": "y ~ x", **change}, name="slip", where="slip.toml")
    assert "slip" in str(caught.value)


def test_a_hostile_formula_in_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hostile.toml"
    path.write_text("formula = 'y ~ x + pd.io.common.os.system(\"id\")'")
    with pytest.raises(FormulaError, match="hostile"):
        load_model(path)


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="cbp_main"):
        load_model("cbp_mian")
    with pytest.raises(ModelFileError, match="no such file"):
        load_model(tmp_path / "none.toml")
    (tmp_path / "broken.toml").write_text("formula = ")
    with pytest.raises(ModelFileError, match="not a TOML file"):
        load_model(tmp_path / "broken.toml")


def test_roles() -> None:
    model = Model(formula="y ~ x * z + w", exposures={"x": {"contrast": 1}})
    assert [model.role(term) for term in model.parsed.terms] == ["exposure", "adjustment", "adjustment", "exposure"]
