"""NAKO deliveries in the layouts that public code shows, to a row, and why one is refused."""

import nibabel as nib
import numpy as np
import pytest
from made_up_deliveries import body, ras_affine, series_bytes, zip_of
from pydicom.uid import generate_uid

from muscle_bayes.errors import DeliveryError
from muscle_bayes.imaging import label_id, quantify
from muscle_bayes.imaging.deliveries import find_deliveries, load_delivery

SHAPE = (24, 20, 18)
STATIONS = ((0, 7), (5, 12), (10, 18))
WATER, FAT = body(SHAPE)


def saved(path, volume, first=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    part = volume[::-1, ::-1, first:] if volume.ndim == 3 else volume[::-1, ::-1]
    nib.save(nib.Nifti1Image(part.astype(np.float32), ras_affine(SHAPE, z=3.0 * first)), path)


def only(found):
    assert found.problems == []
    (delivery,) = found.found
    assert (delivery.participant_id, delivery.session_id) == ("100042", "30")
    return delivery


def check(scan):
    image = {role: source if hasattr(source, "affine") else nib.load(source) for role, source in scan.images.items()}
    np.testing.assert_allclose(image["water"].affine, ras_affine(SHAPE), atol=1e-4)
    np.testing.assert_allclose(image["water"].get_fdata(), WATER[::-1, ::-1], rtol=1e-5)
    np.testing.assert_allclose(image["fat"].get_fdata(), FAT[::-1, ::-1], rtol=1e-5)


def sequence_then_person(root):
    saved(root / "3D_GRE_TRA_W_COMPOSED" / "100042_30" / "water.nii.gz", WATER)
    saved(root / "3D_GRE_TRA_W_COMPOSED" / "100042_30" / "fat.nii.gz", FAT)
    saved(root / "3D_GRE_TRA_W_COMPOSED" / "100042_30" / "in.nii.gz", WATER + FAT)


def person_then_sequence(root):
    saved(root / "100042_30" / "3D_GRE_TRA_W_COMPOSED" / "x.nii.gz", WATER)
    saved(root / "100042_30" / "3D_GRE_TRA_F_COMPOSED" / "x.nii.gz", FAT)
    saved(root / "100042_30" / "3D_GRE_TRA_opp_COMPOSED" / "x.nii.gz", FAT)


def person_visit(root):
    for name, volume in (("W", WATER), ("F", FAT), ("in", WATER + FAT)):
        saved(root / "100042" / "30" / f"3D_GRE_TRA_{name}_COMPOSED_12_s001.nii", volume)


def flat(root):
    saved(root / "100042_30_3D_GRE_TRA_W_COMPOSED.nii.gz", WATER)
    saved(root / "100042_30_3D_GRE_TRA_F_COMPOSED.nii.gz", FAT)


def stations(root):
    for name, volume in (("W", WATER), ("F", FAT)):
        for k, (first, last) in enumerate(STATIONS, 1):
            file = f"sub-100042_30_ses-20160715_sequ-{k}_mr.nii.gz"
            folder = root / f"3D_GRE_TRA_{name}" / "100042_30" / "ses-20160715"
            saved(folder / file, volume[:, :, :last], first)


@pytest.mark.parametrize("lay", [sequence_then_person, person_then_sequence, person_visit, flat, stations])
def test_layouts_of_nifti_files(tmp_path, lay):
    lay(tmp_path)
    check(load_delivery(only(find_deliveries(tmp_path, "nako")), tmp_path / "scratch"))


def test_a_tree_of_links_is_read_and_a_loop_is_not_walked(tmp_path):
    person_visit(tmp_path / "store" / "a1b2")
    (tmp_path / "links" / "100042").mkdir(parents=True)
    (tmp_path / "links" / "100042" / "30").symlink_to(tmp_path / "store" / "a1b2" / "100042" / "30")
    (tmp_path / "links" / "100042" / "loop").symlink_to(tmp_path / "links")
    check(load_delivery(only(find_deliveries(tmp_path / "links", "nako")), tmp_path / "scratch"))


def test_composed_volumes_come_before_stations(tmp_path):
    sequence_then_person(tmp_path)
    stations(tmp_path)
    delivery = only(find_deliveries(tmp_path, "nako"))
    assert [path.name for path in delivery.files["water"]] == ["water.nii.gz"]


def zipped_stations(root, study):
    """As delivered: one folder a sequence, one archive a participant with all stations."""
    for number, (name, volume) in enumerate((("W", WATER), ("F", FAT), ("in", WATER + FAT)), 1):
        members = {}
        for first, last in STATIONS:
            part = volume[:, :, first:last]
            tags = {"study": study, "z": 3.0 * first, "number": number, "description": f"3D_GRE_TRA_{name}"}
            for content in series_bytes(part, **tags):
                members[f"100042/{len(members)}.dcm"] = content
        (root / f"3D_GRE_TRA_{name}").mkdir(parents=True)
        zip_of(root / f"3D_GRE_TRA_{name}" / f"100042_30_3D_GRE_TRA_{name}.zip", members)


def composed_dicom(root, study, *, options=True):
    """The composed series, called W and holding all contrasts, which Siemens' private tag tells apart."""
    series, members = generate_uid(), {}
    for word, volume in (("DIXW", WATER), ("DIXF", FAT), ("NONE", WATER + FAT)):
        for content in series_bytes(volume, study=study, series=series, description="3D_GRE_TRA_W_COMPOSED"):
            members[f"a/b/{len(members)}.dcm"] = with_option(content, f"PFP/FS/{word}") if options else content
    (root / "3D_GRE_TRA_W_COMPOSED").mkdir(parents=True)
    zip_of(root / "3D_GRE_TRA_W_COMPOSED" / "100042_30_3D_GRE_TRA_W_COMPOSED.zip", members)


def with_option(content, option):
    import io

    import pydicom

    data = pydicom.dcmread(io.BytesIO(content))
    data.private_block(0x0051, "SIEMENS MR HEADER", create=True).add_new(0x19, "LO", option)
    out = io.BytesIO()
    data.save_as(out, enforce_file_format=True)
    return out.getvalue()


@pytest.mark.parametrize("lay", [zipped_stations, composed_dicom])
def test_archives_as_delivered(tmp_path, study, lay):
    lay(tmp_path, study)
    check(load_delivery(only(find_deliveries(tmp_path, "nako")), tmp_path / "scratch"))


def test_a_delivery_goes_to_a_row_of_measurements(tmp_path):
    sequence_then_person(tmp_path)
    muscle = ((WATER > 900) & (FAT < 400))[::-1, ::-1]
    labels = np.where(muscle, label_id("gluteals", "right"), 0).astype(np.uint8)
    (tmp_path / "labels").mkdir()
    nib.save(nib.Nifti1Image(labels, ras_affine(SHAPE)), tmp_path / "labels" / "100042_30_dseg.nii.gz")
    found = find_deliveries(tmp_path, "nako", {"labels": "labels/{participant_id}_{session_id}_dseg.nii.gz"})
    table = quantify(**load_delivery(only(found), tmp_path / "scratch").images)
    row = table[(table["muscle"] == "gluteals") & (table["side"] == "right")].iloc[0]
    assert row["compartment_cm3"] == pytest.approx(muscle.sum() * 1.5 * 1.5 * 3 / 1000)


def four_volumes(root):
    saved(root / "100042" / "30" / "3D_GRE_TRA_4" / "3D_GRE_TRA_W_COMPOSED_-12_s013.nii",
          np.stack([np.abs(WATER.astype(int) - FAT), WATER + FAT, FAT, WATER], axis=-1))  # fmt: skip


def test_a_file_of_four_volumes_is_split_only_by_a_stated_order(tmp_path):
    four_volumes(tmp_path)
    (problem,) = find_deliveries(tmp_path, "nako").problems
    assert "does not say which is which" in problem["problem"]
    assert 'composed = "opp, in, fat, water"' in problem["remedy"]
    delivery = only(find_deliveries(tmp_path, "nako", {"composed": "opp, in, fat, water"}))
    check(load_delivery(delivery, tmp_path / "scratch"))
    wrong = only(find_deliveries(tmp_path, "nako", {"composed": "water, fat"}))
    with pytest.raises(DeliveryError, match=r"24 x 20 x 18 x 4, and 2 volumes are stated"):
        load_delivery(wrong, tmp_path / "scratch")
    with pytest.raises(DeliveryError, match="is no order"):
        find_deliveries(tmp_path, "nako", {"composed": "water, water, fat"})


def test_broken_deliveries_say_why(tmp_path, study):
    saved(tmp_path / "3D_GRE_TRA_W" / "100001_30" / "x.nii.gz", WATER)
    saved(tmp_path / "3D_GRE_TRA_in" / "100001_30" / "x.nii.gz", WATER)
    for name in ("water.nii.gz", "old_water.nii.gz", "fat.nii.gz"):
        saved(tmp_path / "3D_GRE_TRA_W_COMPOSED" / "100002_60" / name, WATER)
    found = find_deliveries(tmp_path, "nako")
    assert found.found == []
    first, second = found.problems
    assert (first["participant_id"], first["session_id"]) == ("100001", "30")
    assert "no pair of water and fat (of this visit there is: in_phase, water)" in first["problem"]
    assert (second["participant_id"], second["session_id"]) == ("100002", "60")
    assert "several composed volumes of one contrast" in second["problem"]


def test_a_composed_series_that_does_not_tell_its_contrasts_is_refused(tmp_path, study):
    composed_dicom(tmp_path, study, options=False)
    with pytest.raises(DeliveryError, match="do not say which contrast they are"):
        load_delivery(only(find_deliveries(tmp_path, "nako")), tmp_path / "scratch")


def test_a_station_without_its_fat_is_refused(tmp_path):
    stations(tmp_path)
    next((tmp_path / "3D_GRE_TRA_F").rglob("*sequ-2*")).unlink()
    with pytest.raises(DeliveryError, match="3 of water, 2 of fat"):
        load_delivery(only(find_deliveries(tmp_path, "nako")), tmp_path / "scratch")


def test_composed_water_without_fat_says_that_the_fat_file_is_absent(tmp_path):
    name = "100042_30_3D_GRE_TRA_W_COMPOSED.nii.gz"
    saved(tmp_path / "100042" / name, WATER)
    (problem,) = find_deliveries(tmp_path, "nako").problems
    assert "The fat file is absent" in problem["problem"]
    assert name in problem["problem"]
