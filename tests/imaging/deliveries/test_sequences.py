"""Whoever was scanned otherwise is named, in a plain sentence, and a change of protocol is told once."""

import numpy as np
import pandas as pd
import pytest

from muscle_bayes.errors import MissingColumnError
from muscle_bayes.imaging.deliveries import audit_sequences


def cohort(n=100):
    return pd.DataFrame(
        {
            "participant_id": [f"{100000 + k}" for k in range(n)],
            "session_id": "30",
            "site": np.resize(["Augsburg", "Berlin", "Essen", "Mannheim", "Neubrandenburg"], n),
            "repetition_time_ms": 4.36,
            "echo_times_ms": "1.23, 2.46",
            "flip_angle_deg": 9.0,
            "field_strength_t": 3.0,
            "voxel_x_mm": 1.40625,
            "voxel_z_mm": 3.0,
            "matrix": "320 x 260",
            "scanner": "Skyra",
            "software": "syngo MR D13C",
        }
    )


def test_a_cohort_that_is_all_alike_gives_an_empty_table():
    table = audit_sequences(cohort())
    assert table.empty
    assert list(table.columns) == [
        "site", "participant_id", "session_id", "parameter", "value", "usual", "scans", "of", "sentence",
    ]  # fmt: skip


def test_one_who_differs_is_named_in_a_sentence():
    facts = cohort()
    facts.loc[7, "flip_angle_deg"] = 12.0
    facts.loc[11, "voxel_z_mm"] = 6.0
    facts.loc[12, "echo_times_ms"] = None
    table = audit_sequences(facts).set_index("participant_id")
    assert table["sentence"].to_dict() == {
        "100007": "participant 100007, session 30: flip angle is 12 degrees; the usual one is 9 degrees (1 of 20 differ so)",
        "100011": "participant 100011, session 30: slice distance is 6 mm; the usual one is 3 mm (1 of 20 differ so)",
        "100012": "participant 100012, session 30: echo time is not stated; 19 of 20 scans state it",
    }
    assert table.loc["100007", "site"] == "Essen"


@pytest.mark.parametrize(("value", "differs"), [(4.36 * 1.009, False), (4.36 * 0.991, False), (4.36 * 1.02, True)])
def test_rounding_is_no_difference(value, differs):
    facts = cohort()
    facts.loc[3, "repetition_time_ms"] = value
    assert audit_sequences(facts).empty != differs


def test_a_change_of_software_is_told_once_a_site():
    facts = cohort()
    changed = (facts["site"] == "Berlin") & (facts.index >= 60)
    facts.loc[changed, "software"] = "syngo MR E11"
    table = audit_sequences(facts)
    (row,) = table.to_dict("records")
    assert (row["site"], row["participant_id"], row["scans"], row["of"]) == ("Berlin", "", 8, 20)
    assert row["sentence"] == "8 of 20 scans of site Berlin have software syngo MR E11; the usual one is syngo MR D13C"


def test_a_site_that_scans_otherwise_is_told():
    facts = cohort()
    facts.loc[facts["site"] == "Essen", "field_strength_t"] = 1.5
    (row,) = audit_sequences(facts).to_dict("records")
    assert row["sentence"] == "site Essen has field strength 1.5 T; 4 of 5 sites have 3 T"


def test_small_sites_are_held_against_everybody():
    facts = cohort(40)
    facts.loc[5, "matrix"] = "256 x 256"
    (row,) = audit_sequences(facts).to_dict("records")
    assert (row["participant_id"], row["scans"], row["of"]) == ("100005", 1, 40)


def test_without_sites_and_sessions():
    facts = cohort().drop(columns=["site", "session_id"])
    facts.loc[0, "scanner"] = "Aera"
    (row,) = audit_sequences(facts).to_dict("records")
    assert row["sentence"] == "participant 100000: scanner is Aera; the usual one is Skyra (1 of 100 differ so)"
    with pytest.raises(MissingColumnError):
        audit_sequences(facts.drop(columns="participant_id"))


def test_too_few_scans_and_cropped_images_say_nothing():
    facts = cohort(9)
    facts.loc[3, "matrix"] = "300 x 240"
    assert audit_sequences(facts).empty
    # Each image cropped to its body; the voxel size is compared all the same.
    facts = cohort(40)
    facts["matrix"] = [f"{300 + k % 13} x {240 + k % 7}" for k in range(40)]
    facts.loc[5, "voxel_x_mm"] = 1.5
    (row,) = audit_sequences(facts).to_dict("records")
    assert row["parameter"] == "voxel_x_mm"


def test_planted_differences_are_all_found_and_nobody_else_is():
    random = np.random.default_rng(1)
    facts = cohort(1000)
    # Rounding of headers in everybody, and 15 who differ truly.
    facts["repetition_time_ms"] *= 1 + random.uniform(-0.002, 0.002, len(facts))
    planted = random.choice(len(facts), 15, replace=False)
    facts.loc[planted, "repetition_time_ms"] *= 1.3
    table = audit_sequences(facts)
    assert sorted(table["participant_id"]) == sorted(facts.loc[planted, "participant_id"])
