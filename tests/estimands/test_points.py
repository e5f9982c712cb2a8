"""The points system against rms::nomogram, and its own algebra."""

import json
from pathlib import Path

import numpy as np
import pytest

from muscle_bayes.estimands.points import points_system, predictor_sets, pretty
from muscle_bayes.estimands.variables import variables_of

RMS = json.loads((Path(__file__).parents[1] / "fixtures" / "rms" / "nomogram_points.json").read_text(encoding="utf-8"))
CONSTANTS = {"intermat_percent": (7.2, 2.4), "lmm_cm3_per_kg_m2": (24.0, 5.0), "age_years": (48.0, 11.0)}


def from_raw(raw: dict[str, float]) -> tuple[float, dict[str, float]]:
    """Rewrite coefficients of raw units (R's) for Z-scores (ours): the same model in another parametrisation."""
    (ma, sa), (mb, sb), (mc, sc) = CONSTANTS.values()
    a, b, c = raw["intermat_percent"], raw["lmm_cm3_per_kg_m2"], raw["age_years"]
    ab = raw.get("intermat_percent * lmm_cm3_per_kg_m2", 0.0)
    slopes = {
        "intermat_z": sa * (a + ab * mb), "lmm_z": sb * (b + ab * ma), "age_z": sc * c, "sex[male]": raw["sex=male"],
        "activity[low]": raw["activity=low"], "activity[high]": raw["activity=high"], "diabetes": raw["diabetes"],
        "intermat_z:lmm_z": sa * sb * ab,
    }  # fmt: skip
    return raw["Intercept"] + a * ma + b * mb + c * mc + ab * ma * mb, slopes


@pytest.fixture(params=["main", "interaction"])
def pair(request, make_fit):
    theirs = RMS[request.param]
    fit = make_fit(interaction=request.param == "interaction")
    intercept, slopes = from_raw(theirs["coefficients"])
    beta = np.array([slopes[column.label] for column in fit.recipe.columns])
    system = points_system(
        fit,
        variables_of(fit),
        intercept,
        beta,
        ticks={"intermat_percent": RMS["intermat"], "lmm_cm3_per_kg_m2": RMS["lmm"], "age_years": RMS["age"]},
        interact={"lmm_cm3_per_kg_m2": RMS["lmm"]} if request.param == "interaction" else None,
    )
    return theirs, system


def test_points_of_every_axis_equal_rms(pair) -> None:
    theirs, system = pair
    table = system.table()
    assert table["axis"].nunique() == len(theirs["axes"])
    for (name, axis), (_, ours) in zip(theirs["axes"].items(), table.groupby("axis"), strict=True):
        np.testing.assert_allclose(ours["points"], axis["points"], atol=1e-9, err_msg=name)
        if ours["value"].notna().all():
            np.testing.assert_allclose(ours["value"], axis["values"])
        elif name != "diabetes":  # 0 and 1 there, no and yes here
            assert list(ours["level"]) == axis["values"]
        if axis["other"]:
            assert ours["held"].unique().tolist() == [f"LMM = {axis['other']['lmm_cm3_per_kg_m2']} cm³/(kg/m²)"]


def test_total_points_of_a_linear_predictor_equal_rms(pair) -> None:
    theirs, system = pair
    np.testing.assert_allclose(
        system.linear_predictor(np.array(theirs["lp"]["total_points"])), theirs["lp"]["lp"], atol=1e-9
    )


def test_points_of_a_person_lead_back_to_their_linear_predictor(fit) -> None:
    beta = fit.mean[1:]
    system = points_system(fit, variables_of(fit), fit.mean[0], beta)
    rows = fit.recipe.matrix(fit.cohort)
    np.testing.assert_allclose(system.linear_predictor(system.total(rows)), fit.mean[0] + rows @ beta, atol=1e-12)


def test_widest_predictor_has_100_points_and_every_set_starts_at_zero(fit) -> None:
    table = points_system(fit, variables_of(fit), fit.mean[0], fit.mean[1:]).table()
    ends = table.groupby("predictor")["points"].agg(["min", "max"])
    np.testing.assert_allclose(ends["min"], 0, atol=1e-12)
    assert ends["max"].max() == pytest.approx(100)
    assert table.loc[table["predictor"] == "intermat_z × lmm_z", "role"].eq("exposure").all()
    assert table.loc[table["variable"] == "age_z", "role"].eq("adjustment").all()


def test_interacting_predictors_share_axes_and_the_asked_one_is_held(fit, make_fit) -> None:
    variables = variables_of(fit)
    assert predictor_sets(variables, held=set())[0] == ("intermat_z", "lmm_z")
    assert predictor_sets(variables, held={"intermat_percent"})[0] == ("lmm_z", "intermat_z")
    assert all(len(names) == 1 for names in predictor_sets(variables_of(make_fit(interaction=False)), held=set()))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(1.3, 14.2, np.arange(0, 17, 2)), (20, 74, np.arange(20, 76, 5)), (0.01, 0.09, np.arange(0.01, 0.1, 0.01))],
)
def test_ticks_are_round_and_cover_the_range(low: float, high: float, expected: np.ndarray) -> None:
    np.testing.assert_allclose(pretty(low, high), expected)
