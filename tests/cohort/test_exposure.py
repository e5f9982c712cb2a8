"""The exposure: pooled by hand, and nothing is pooled that is not comparable."""

import numpy as np
import pandas as pd
import pytest

from muscle_bayes.cohort import Exposure, read_cohort
from muscle_bayes.errors import DuplicateKeyError, InvalidValueError, MissingColumnError


def person(cohort: object, name: str = "0012") -> pd.Series:
    table = cohort.table  # type: ignore[attr-defined]
    return table.set_index("participant_id").loc[name]


def test_sides_are_pooled_by_volume(participants: pd.DataFrame, measurements: pd.DataFrame) -> None:
    row = person(read_cohort(participants, measurements))
    left, right = 310 * 0.98, 200 * 0.98
    assert row["intermat_percent"] == pytest.approx(100 * (0.08 * left + 0.03 * right) / (left + right))
    assert row["lean_cm3"] == pytest.approx(0.92 * left + 0.97 * right)
    bmi = 81 / 1.80**2
    assert row["bmi_kg_m2"] == pytest.approx(bmi)
    assert row["lmm_cm3_per_kg_m2"] == pytest.approx((0.92 * left + 0.97 * right) / bmi)
    assert row["intermat_fraction_percent"] == pytest.approx(100 * (0.16 * left + 0.06 * right) / (left + right))
    assert row["lmm_fraction_cm3_per_kg_m2"] == pytest.approx((0.84 * left + 0.94 * right) / bmi)
    assert "intermat_threshold_percent" not in row.index


def test_another_definition_becomes_the_exposure(participants: pd.DataFrame, measurements: pd.DataFrame) -> None:
    default = person(read_cohort(participants, measurements))
    row = person(read_cohort(participants, measurements, exposure={"adipose": "fraction"}))
    assert row["intermat_percent"] == default["intermat_fraction_percent"]
    assert row["lmm_threshold_cm3_per_kg_m2"] == default["lmm_cm3_per_kg_m2"]
    with pytest.raises(MissingColumnError, match="intermat_mixture_percent"):
        read_cohort(participants, measurements, exposure=Exposure(adipose="mixture"))


def test_a_row_of_both_sides_counts_once(participants: pd.DataFrame, measurements: pd.DataFrame) -> None:
    both = measurements[measurements["side"] == "left"].assign(side="both", compartment_cm3=999.0)
    with_both = read_cohort(participants, pd.concat([measurements, both])).table
    pd.testing.assert_frame_equal(with_both, read_cohort(participants, measurements).table)
    alone = read_cohort(participants, both).table
    assert alone["lean_cm3"].tolist() == pytest.approx(both["lean_threshold_cm3"].tolist())


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"truncated": 1}, "truncated"), ({"qc": "fail"}, "qc fail")],
)
def test_unusable_measurements_are_missing_not_small(
    participants: pd.DataFrame, measurements: pd.DataFrame, change: dict[str, object], reason: str
) -> None:
    for column, value in change.items():
        measurements.loc[2, column] = value  # the left side of 0012
    cohort = read_cohort(participants, measurements)
    assert person(cohort)[["intermat_percent", "lean_cm3", "lmm_cm3_per_kg_m2"]].isna().all()
    assert cohort.table["intermat_percent"].notna().sum() == 3
    assert f"{reason}, kept with missing exposures (1)" in cohort.flow["reason"].tolist()
    assert len(cohort) == 4


def test_lean_volume_is_missing_above_five_percent_undefined(
    participants: pd.DataFrame, measurements: pd.DataFrame
) -> None:
    # 310 cm3 at u and 200 at 2 %: pooled share (310 u + 400) / 510 crosses 5 % at u = 6.935 %.
    for u, missing in ((6.9, False), (7.0, True)):
        measurements.loc[2, "undefined_percent"] = u
        row = person(read_cohort(participants, measurements))
        assert np.isnan(row["lean_cm3"]) == missing
        assert not np.isnan(row["intermat_percent"])


def test_one_side_is_not_the_whole_muscle(participants: pd.DataFrame, measurements: pd.DataFrame) -> None:
    cohort = read_cohort(participants, measurements.drop(index=3))
    assert np.isnan(person(cohort)["lean_cm3"])
    assert "one side only, kept with missing exposures (1)" in cohort.flow["reason"].tolist()


def test_participants_without_measurement_stay_and_are_counted(
    participants: pd.DataFrame, measurements: pd.DataFrame
) -> None:
    cohort = read_cohort(participants, measurements.iloc[:4])
    assert len(cohort) == 4
    assert cohort.table["lmm_cm3_per_kg_m2"].isna().sum() == 2
    assert "no autochthonous measurement, kept with missing exposures (2)" in cohort.flow["reason"].tolist()
    assert cohort.flow["n_left"].tolist() == [4, 4]


@pytest.mark.parametrize("column", ["backend", "weights_sha256", "region"])
def test_rows_that_are_not_comparable_are_not_pooled(
    participants: pd.DataFrame, measurements: pd.DataFrame, column: str
) -> None:
    measurements.loc[4:, column] = "another"
    with pytest.raises(InvalidValueError) as caught:
        read_cohort(participants, measurements)
    text = str(caught.value)
    assert column in text
    assert "'another' (4 rows)" in text
    assert f"Exposure({column}=" in text
    chosen = read_cohort(participants, measurements, exposure={column: "another"})
    assert chosen.table["lean_cm3"].notna().tolist() == [False, False, True, True]
    if column != "region":
        assert (
            read_cohort(participants, measurements, exposure=Exposure(pool=(column,))).table["lean_cm3"].notna().all()
        )


def test_the_compartment_is_chosen(participants: pd.DataFrame, measurements: pd.DataFrame) -> None:
    fascia = measurements.assign(compartment="fascia", compartment_cm3=measurements["compartment_cm3"] + 50)
    two = pd.concat([measurements, fascia])
    labels = read_cohort(participants, two)
    pd.testing.assert_frame_equal(labels.table, read_cohort(participants, measurements).table)
    with pytest.raises(InvalidValueError, match=r"No measurement row has compartment 'fascia' \(there is labels\)"):
        read_cohort(participants, measurements, exposure=Exposure(compartment="fascia"))


def test_duplicate_measurement(participants: pd.DataFrame, measurements: pd.DataFrame) -> None:
    with pytest.raises(DuplicateKeyError, match="0012 1 left"):
        read_cohort(participants, pd.concat([measurements, measurements.iloc[[2]]]))


def test_identifiers_that_do_not_meet_say_why(participants: pd.DataFrame, measurements: pd.DataFrame) -> None:
    lost = measurements.assign(participant_id=measurements["participant_id"].astype(int))
    with pytest.raises(InvalidValueError, match="Leading zeros were lost"):
        read_cohort(participants, lost)
    prefixed = measurements.assign(participant_id="sub-" + measurements["participant_id"])
    with pytest.raises(InvalidValueError, match="writes sub- before"):
        read_cohort(participants, prefixed)


def test_sessions(participants: pd.DataFrame, measurements: pd.DataFrame) -> None:
    later = measurements.assign(session_id="2", compartment_cm3=measurements["compartment_cm3"] + 100)
    both = pd.concat([measurements, later])
    two_visits = pd.concat([participants, participants.assign(session_id="2", age_years=participants["age_years"] + 5)])
    with pytest.raises(DuplicateKeyError, match=r"Exposure\(session='1'\)"):
        read_cohort(two_visits, both)
    second = read_cohort(two_visits, both, exposure={"session": "2"})
    assert second.table["age_years"].tolist() == [39, 56, 67, 75]
    assert second.flow.loc[1, ["n_removed", "n_left"]].tolist() == [4, 4]
    without = participants.drop(columns="session_id")
    pd.testing.assert_series_equal(
        read_cohort(without, measurements).table["lean_cm3"], read_cohort(participants, measurements).table["lean_cm3"]
    )
    with pytest.raises(DuplicateKeyError, match="participant 0007 was measured in '1', '2'"):
        read_cohort(without, both)


def test_exposures_are_not_overwritten(participants: pd.DataFrame, measurements: pd.DataFrame) -> None:
    with pytest.raises(InvalidValueError, match="already carry the exposure"):
        read_cohort(participants.assign(intermat_percent=5.0), measurements)


def test_a_table_that_carries_its_exposures_can_switch_definition(participants: pd.DataFrame) -> None:
    carries = participants.assign(
        intermat_percent=5.0, lmm_cm3_per_kg_m2=20.0, intermat_fraction_percent=9.0, lmm_fraction_cm3_per_kg_m2=18.0
    )
    assert read_cohort(carries).table["intermat_percent"].eq(5).all()
    switched = read_cohort(carries, exposure={"adipose": "fraction"}).table
    assert switched["intermat_percent"].eq(9).all()
    assert switched["intermat_threshold_percent"].eq(5).all()
    assert switched["lmm_cm3_per_kg_m2"].eq(18).all()


def test_exposure_refuses_what_it_does_not_know(participants: pd.DataFrame) -> None:
    with pytest.raises(InvalidValueError, match="Perhaps you meant 'autochthonous'"):
        Exposure(muscle="autochthon")
    with pytest.raises(InvalidValueError, match="Perhaps you meant 'compartment'"):
        read_cohort(participants, exposure={"compartement": "labels"})


def test_the_stated_extent_above_the_gluteals_is_the_default(
    participants: pd.DataFrame, measurements: pd.DataFrame
) -> None:
    stated = measurements.assign(region="above_gluteals_150mm")
    whole_stack = measurements.assign(region="field_of_view", compartment_cm3=measurements["compartment_cm3"] + 80)
    cohort = read_cohort(participants, pd.concat([whole_stack, stated]))
    assert cohort.exposure.region == "above_gluteals_150mm"
    pd.testing.assert_frame_equal(cohort.table, read_cohort(participants, stated).table)
    psoas = pd.concat([whole_stack, measurements.assign(region="whole")]).assign(muscle="iliopsoas")
    with pytest.raises(InvalidValueError, match="differ in region"):
        read_cohort(participants, psoas, exposure=Exposure(muscle="iliopsoas"))


def test_the_rows_of_quantify_pool_to_its_own_sum_of_both_sides(participants: pd.DataFrame) -> None:
    import nibabel as nib

    from muscle_bayes.imaging.quantification import quantify

    rng = np.random.default_rng(1)
    labels = np.zeros((24, 12, 10), dtype=np.uint8)
    labels[3:9, 3:9, 1:9], labels[13:21, 3:9, 1:9] = 3, 4
    total = rng.uniform(1500, 2500, labels.shape).astype(np.float32)
    fat = total * rng.uniform(0, 1, labels.shape).astype(np.float32)
    affine = np.diag([2.0, 2.0, 5.0, 1.0])
    measured = quantify(
        nib.Nifti1Image(total - fat, affine),
        nib.Nifti1Image(fat, affine),
        nib.Nifti1Image(labels, affine),
        participant_id="0012",
        session_id="1",
    )
    both = measured[(measured["side"] == "both") & (measured["muscle"] == "autochthonous")]
    both = both.set_index("region").loc["field_of_view"]
    row = person(read_cohort(participants, measured, exposure={"region": "field_of_view"}))
    assert row["intermat_percent"] == pytest.approx(both["intermat_threshold_percent"])
    assert row["lean_cm3"] == pytest.approx(both["lean_threshold_cm3"])
    assert row["intermat_fraction_percent"] == pytest.approx(both["intermat_fraction_percent"])


def test_different_voxel_sizes_are_noted(participants: pd.DataFrame, measurements: pd.DataFrame) -> None:
    assert read_cohort(participants, measurements.assign(voxel_mm3=5.88)).notes == ()
    measurements["voxel_mm3"] = [5.88] * 6 + [14.85] * 2
    (note,) = read_cohort(participants, measurements).notes
    assert "5.88 to 14.8" in note
