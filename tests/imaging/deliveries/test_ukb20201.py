"""UK Biobank field 20201: from a zip archive of 24 series to a row, and why an archive is refused."""

import nibabel as nib
import numpy as np
import pytest
from made_up_deliveries import body, ras_affine, series_bytes, zip_of

from muscle_bayes.errors import DeliveryError, StationError
from muscle_bayes.imaging import label_id, quantify
from muscle_bayes.imaging.deliveries import find_deliveries, load_delivery

#: Slices of the made-up scan, and of its six stations, from the lowest up.
TALL = (24, 20, 39)
STATIONS = ((0, 8), (6, 14), (12, 20), (18, 27), (25, 33), (31, 39))


def archive(path, study, *, stations=STATIONS, change=None, contrasts=("in", "opp", "F", "W")):
    """24 series as the scanner numbers them: station by station from the neck down, four contrasts each."""
    water, fat = body(TALL)
    images = {"W": water, "F": fat, "in": water + fat, "opp": np.abs(water.astype(int) - fat)}
    series = []
    for place, (first, last) in enumerate(reversed(stations)):
        protocol = "Dixon_BH_17s" if place in (1, 2, 3) else "Dixon_noBH"
        for contrast in contrasts:
            part = images[contrast][:, :, first:last]
            name = f"{protocol}_{contrast}"
            tags = {"description": name, "number": 3 + len(series), "AcquisitionTime": f"1010{place:02d}"}
            series.append({"volume": part, "z": 3.0 * first, **tags})
    series = change(series) if change else series
    members = {"manifest.csv": b"filename,patientid\n"}
    for k, one in enumerate(series):
        one = dict(one)
        for n, content in enumerate(series_bytes(one.pop("volume"), study=study, **one)):
            members[f"1.3.12.{k}.{n}.dcm"] = content
    return zip_of(path, members)


def only(found):
    assert found.problems == []
    (delivery,) = found.found
    return delivery


def test_an_archive_goes_to_a_row_of_measurements(tmp_path, study):
    archive(tmp_path / "1234567_20201_2_0.zip", study)
    water, fat = (volume[::-1, ::-1].astype(float) for volume in body(TALL))
    muscle = (water > 900) & (fat < 400)
    muscle[:, :, :5] = muscle[:, :, -5:] = False
    labels = np.where(muscle, label_id("autochthonous", "left"), 0).astype(np.uint8)
    (tmp_path / "labels").mkdir()
    nib.save(nib.Nifti1Image(labels, ras_affine(TALL)), tmp_path / "labels" / "1234567_2.nii.gz")
    found = find_deliveries(tmp_path, "ukb20201", {"labels": "labels/{participant_id}_{session_id}.nii.gz"})
    delivery = only(found)
    assert (delivery.participant_id, delivery.session_id) == ("1234567", "2")
    scan = load_delivery(delivery, tmp_path / "scratch")
    np.testing.assert_allclose(scan.images["water"].affine, ras_affine(TALL), atol=1e-5)
    np.testing.assert_allclose(scan.images["water"].get_fdata(), water, rtol=1e-5)
    np.testing.assert_allclose(scan.images["fat"].get_fdata(), fat, rtol=1e-5)
    assert scan.facts["stations"] == 6
    assert scan.facts["station_gains"] == "1, 1, 1, 1, 1, 1"
    assert scan.notes == ["stations were stitched"]
    table = quantify(**scan.images, participant_id="1234567", session_id="2")
    row = table[(table["muscle"] == "autochthonous") & (table["side"] == "left")].iloc[0]
    assert row["compartment_cm3"] == pytest.approx(muscle.sum() * 1.5 * 1.5 * 3 / 1000)
    expected = 100 * (fat[muscle] / (water + fat)[muscle]).mean()
    assert row["intermat_fraction_percent"] == pytest.approx(expected, rel=1e-5)


def drop(*names):
    return lambda series: [one for one in series if one["description"] not in names]


def without_place(place, *contrasts):
    return lambda series: [
        one
        for one in series
        if one["AcquisitionTime"] != f"1010{place:02d}" or one["description"].rsplit("_", 1)[1] not in contrasts
    ]


def twice(series):
    return [*series, *({**one, "AcquisitionTime": "111111"} for one in series if one["AcquisitionTime"] == "101002")]


BROKEN = {
    "no fat": (drop("Dixon_noBH_F", "Dixon_BH_17s_F"), DeliveryError, "No series is fat"),
    "lowest station missing": (
        without_place(5, "W", "F", "in", "opp"),
        StationError,
        "5 stations .* a whole visit has 6",
    ),
    "a station without fat": (without_place(2, "F"), StationError, "no fat series with the same slices"),
    "a station twice": (twice, StationError, "acquired twice at the same place"),
    "localizer only": (
        lambda series: [{**series[0], "description": "localizer"}],
        DeliveryError,
        "No series is water or fat; series that are there: 'localizer'",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_archives_say_why(tmp_path, study, kind):
    change, error, said = BROKEN[kind]
    archive(tmp_path / "1234567_20201_3_0.zip", study, change=change)
    with pytest.raises(error, match=said) as refused:
        load_delivery(only(find_deliveries(tmp_path, "ukb20201")), tmp_path / "scratch")
    assert "participant 1234567, session 3" in refused.value.where


def test_a_gap_between_stations_is_named(tmp_path, study):
    moved = ((0, 8), (6, 14), (12, 20), (23, 29), (27, 33), (31, 39))
    archive(tmp_path / "1234567_20201_2_0.zip", study, stations=moved, contrasts=("F", "W"))
    with pytest.raises(StationError, match=r"gap of 9 mm between two stations"):
        load_delivery(only(find_deliveries(tmp_path, "ukb20201")), tmp_path / "scratch")


def test_fewer_stations_and_repeats_on_request(tmp_path, study):
    archive(
        tmp_path / "1234567_20201_2_0.zip",
        study,
        contrasts=("F", "W"),
        change=lambda series: twice(without_place(5, "W", "F")(series)),
    )
    delivery = only(find_deliveries(tmp_path, "ukb20201", {"stations": "5", "repeats": "last"}))
    scan = load_delivery(delivery, tmp_path / "scratch")
    water = body(TALL)[0][::-1, ::-1, STATIONS[1][0] :]
    np.testing.assert_allclose(scan.images["water"].get_fdata(), water, rtol=1e-5)


def test_visits_are_sessions_and_two_archives_of_one_visit_a_problem(tmp_path):
    for name in (
        "1234567_20201_2_0.zip",
        "1234567_20201_3_0.zip",
        "7654321_20201_2_0.zip",
        "7654321_20201_2_1.zip",
        "1234567_20204_2_0.zip",
        "bulk.zip",
    ):
        (tmp_path / name).write_bytes(b"")
    found = find_deliveries(tmp_path, "ukb20201")
    assert [(d.participant_id, d.session_id) for d in found.found] == [("1234567", "2"), ("1234567", "3")]
    (problem,) = found.problems
    assert (problem["participant_id"], problem["session_id"], problem["error"]) == ("7654321", "2", "DeliveryError")
    assert "2 deliveries of it (7654321_20201_2_0.zip, 7654321_20201_2_1.zip)" in problem["problem"]
    assert found.notes == ["2 archives are not of field 20201 (eid_20201_instance_array.zip) and were left out"]
