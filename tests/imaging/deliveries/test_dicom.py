"""DICOM folders and archives: converted by dcm2niix as pydicom and nibabel say, and refused with a reason where broken."""

import io
import json

import nibabel as nib
import numpy as np
import pydicom
import pytest
from made_up_deliveries import AXIAL, BIRTH, NAME, body, dicom_bytes, ras_affine, series_bytes, zip_of
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from muscle_bayes.errors import ConversionError, CorruptImageError, DeliveryError, StationError
from muscle_bayes.imaging import label_id, quantify
from muscle_bayes.imaging.deliveries import find_deliveries, load_delivery
from muscle_bayes.imaging.deliveries.contrasts import contrast_of, named_contrast
from muscle_bayes.imaging.deliveries.headers import HeaderReader

SHAPE = (40, 30, 8)


def pair(study, shape=SHAPE, names=("t1_vibe_dixon_W", "t1_vibe_dixon_F"), **tags):
    water, fat = body(shape)
    return [
        content
        for number, (volume, name) in enumerate(zip((water, fat), names, strict=True), 1)
        for content in series_bytes(volume, study=study, description=name, number=number, **tags)
    ]


def written(folder, contents):
    folder.mkdir(parents=True, exist_ok=True)
    for k, content in enumerate(contents):
        (folder / f"IM{k:04d}").write_bytes(content)
    return folder


def only(found):
    assert found.problems == []
    (delivery,) = found.found
    return delivery


def test_a_folder_of_mixed_series_becomes_the_volumes_that_the_standard_describes(tmp_path, study):
    contents = pair(study, z=7.5) + series_bytes(
        body(SHAPE, 3)[0], study=study, description="t1_vibe_dixon_opp", number=3
    )
    order = np.random.default_rng(1).permutation(len(contents))
    written(tmp_path / "P1" / "A", [contents[k] for k in order])
    delivery = only(find_deliveries(tmp_path, "dicom"))
    assert (delivery.participant_id, delivery.session_id) == ("P1", "")
    scan = load_delivery(delivery, tmp_path / "scratch")
    image = scan.images["water"]
    for data in (pydicom.dcmread(io.BytesIO(content)) for content in contents[: SHAPE[2]]):
        cosines = np.array(data.ImageOrientationPatient)
        for row, column in ((0, 0), (4, 31), (29, 39), (13, 7)):
            # DICOM PS3.3 C.7.6.2.1.1: the place of a pixel in the patient, whose x and y run to the left and back.
            place = np.array(data.ImagePositionPatient)
            place += cosines[:3] * data.PixelSpacing[1] * column + cosines[3:] * data.PixelSpacing[0] * row
            x, y, z = np.rint(nib.affines.apply_affine(np.linalg.inv(image.affine), place * [-1, -1, 1])).astype(int)
            assert image.get_fdata()[x, y, z] == data.pixel_array[row, column]
    np.testing.assert_allclose(image.affine, ras_affine(SHAPE, z=7.5), atol=1e-5)
    np.testing.assert_array_equal(scan.images["fat"].get_fdata(), body(SHAPE)[1][::-1, ::-1])


def test_a_dicom_archive_goes_to_a_row_of_measurements(tmp_path, study):
    water, fat = body(SHAPE)
    zip_of(
        tmp_path / "P1.zip", {f"x/{k}.dcm": content for k, content in enumerate(pair(study))} | {"note.txt": b"hello"}
    )
    muscle = ((water > 900) & (fat < 400))[::-1, ::-1]
    muscle[: SHAPE[0] // 2] = False
    labels = np.where(muscle, label_id("quadriceps", "left"), 0).astype(np.uint8)
    (tmp_path / "labels").mkdir()
    nib.save(nib.Nifti1Image(labels, ras_affine(SHAPE)), tmp_path / "labels" / "P1_dseg.nii.gz")
    found = find_deliveries(
        tmp_path, "dicom", {"folder": "{participant_id}.zip", "labels": "labels/{participant_id}_dseg.nii.gz"}
    )
    scan = load_delivery(only(found), tmp_path / "scratch")
    table = quantify(**scan.images, participant_id="P1")
    row = table[(table["muscle"] == "quadriceps") & (table["side"] == "left")].iloc[0]
    assert row["compartment_cm3"] == pytest.approx(muscle.sum() * 1.5 * 1.5 * 3 / 1000)
    w, f = (volume[::-1, ::-1][muscle].astype(float) for volume in (water, fat))
    expected = 100 * (f / (w + f)).mean()
    assert row["intermat_fraction_percent"] == pytest.approx(expected, rel=1e-5)
    assert scan.notes == ["files that are no DICOM images were left out"]
    assert scan.inputs["water"]["name"] == "P1.zip"


def test_facts_are_those_of_the_header_and_nothing_of_the_person_is_kept(tmp_path, study):
    written(tmp_path / "P1", pair(study))
    scratch = tmp_path / "scratch"
    scan = load_delivery(only(find_deliveries(tmp_path, "dicom")), scratch)
    assert scan.facts["repetition_time_ms"] == 6.69
    assert scan.facts["echo_times_ms"] == "2.39"
    assert scan.facts["flip_angle_deg"] == 10
    assert scan.facts["field_strength_t"] == 1.5
    assert (scan.facts["manufacturer"], scan.facts["scanner"]) == ("SIEMENS", "Aera")
    assert scan.facts["acquisition_month"] == "2016-05"
    assert (scan.facts["voxel_x_mm"], scan.facts["voxel_z_mm"], scan.facts["matrix"]) == (1.5, 3.0, "40 x 30")
    kept = json.dumps([scan.facts, scan.inputs, scan.notes]) + "".join(
        str(image.header) + str(image.extra) for image in scan.images.values()
    )
    for private in (NAME, "Mustermann", BIRTH, "made-up", "4711", "20160517", "101112", study):
        assert private not in kept
    assert list(scratch.iterdir()) == [], "copies of DICOM files are taken away"


@pytest.mark.parametrize(
    ("description", "contrast"),
    [
        ("Dixon_noBH_F3D_W", "water"),
        ("Dixon_BH_17s_F", "fat"),
        ("Dixon_noBH_in", "in_phase"),
        ("Dixon_noBH_opp", "opposed_phase"),
        ("3D_GRE_TRA_F_COMPOSED", "fat"),
        ("WATER: Ax LAVA-Flex", "water"),
        ("FAT: Ax LAVA-Flex", "fat"),
        ("InPhase: Ax LAVA-Flex", "in_phase"),
        ("OutPhase: Ax LAVA-Flex", "opposed_phase"),
        ("t1_vibe_dixon_tra_W_ND", "water"),
        ("ME_vibe_fatquant_pre_Output_FP", None),
        ("FatFrac: Ax IDEAL IQ", None),
        ("t2_tse_sag_FS", None),
        ("localizer", None),
        ("", None),
    ],
)
def test_names_of_manufacturers(description, contrast):
    assert named_contrast(description) == contrast


@pytest.mark.parametrize(
    ("tags", "contrast"),
    [
        ({"ImageType": ["DERIVED", "PRIMARY", "DIXON", "WATER"]}, "water"),
        ({"ImageType": ["DERIVED", "PRIMARY", "F", "F", "DERIVED"]}, "fat"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "IP", "IP", "DERIVED"]}, "in_phase"),
        ({"ImageType": ["DERIVED", "PRIMARY", "DIXON", "FAT_FRACTION"], "description": "mdixon_F"}, "other"),
        ({"ImageType": ["DERIVED", "PRIMARY", "DIXON", "FAT"], "description": "dixon_W_COMPOSED"}, "fat"),
    ],
)
def test_image_types_come_before_names(tags, contrast, study):
    content = dicom_bytes(np.ones((4, 4)), (0, 0, 0), series="1.2", study=study, **tags)
    assert contrast_of(HeaderReader().read(io.BytesIO(content)), {}) == contrast


def test_a_series_with_all_contrasts_is_taken_apart(tmp_path, study):
    series = generate_uid()
    water, fat = body(SHAPE)
    contents = []
    for volume, word in ((water, "W"), (fat, "F"), (water + fat, "IP")):
        kind = ["DERIVED", "PRIMARY", word, word, "DERIVED"]
        contents += series_bytes(volume, study=study, series=series, description="mDIXON-All", ImageType=kind)
    written(tmp_path / "P1", contents)
    scan = load_delivery(only(find_deliveries(tmp_path, "dicom")), tmp_path / "scratch")
    np.testing.assert_array_equal(scan.images["water"].get_fdata(), water[::-1, ::-1])
    np.testing.assert_array_equal(scan.images["fat"].get_fdata(), fat[::-1, ::-1])


def multi_frame(volume, word, study):
    """A volume as one file of the enhanced kind, whose frames hold their places."""
    content = dicom_bytes(
        np.ones(volume.shape[1::-1]),
        (0, 0, 0),
        series=generate_uid(),
        study=study,
        ImageType=["DERIVED", "PRIMARY", "DIXON", word],
    )
    data = pydicom.dcmread(io.BytesIO(content))
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = pydicom.uid.EnhancedMRImageStorage
    for tag in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(data, tag)
    orientation, measures, shared = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = list(AXIAL)
    measures.PixelSpacing, measures.SliceThickness, measures.SpacingBetweenSlices = [1.5, 1.5], 3.0, 3.0
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    frames = []
    for k in range(volume.shape[2]):
        place, number, frame = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [-20.0, -15.0, 3.0 * k]
        number.StackID, number.InStackPositionNumber, number.DimensionIndexValues = "1", k + 1, [1, k + 1]
        frame.PlanePositionSequence, frame.FrameContentSequence = [place], [number]
        frames.append(frame)
    data.SharedFunctionalGroupsSequence, data.PerFrameFunctionalGroupsSequence = [shared], frames
    data.NumberOfFrames, data.PixelData = (
        volume.shape[2],
        np.ascontiguousarray(volume.transpose(2, 1, 0), "<u2").tobytes(),
    )
    out = io.BytesIO()
    data.save_as(out, enforce_file_format=True)
    return out.getvalue()


def test_multi_frame_files(tmp_path, study):
    volumes = dict(zip(("WATER", "FAT"), body(SHAPE), strict=True))
    written(tmp_path / "P1", [multi_frame(volume, word, study) for word, volume in volumes.items()])
    scan = load_delivery(only(find_deliveries(tmp_path, "dicom")), tmp_path / "scratch")
    np.testing.assert_allclose(scan.images["fat"].affine, ras_affine(SHAPE), atol=1e-5)
    for role, image in scan.images.items():
        np.testing.assert_array_equal(image.get_fdata(), volumes[role.upper()][::-1, ::-1])


def test_a_mapping_of_the_user_comes_before_everything(tmp_path, study):
    # A site that calls water "Fett": only the user can know.
    written(tmp_path / "v1" / "P1", pair(study, names=("leg Fett", "leg Wasser")))
    patterns = {"folder": "{session_id}/{participant_id}", "water": "leg fett", "fat": "*Wasser"}
    delivery = only(find_deliveries(tmp_path, "dicom", patterns))
    assert (delivery.participant_id, delivery.session_id) == ("P1", "v1")
    scan = load_delivery(delivery, tmp_path / "scratch")
    np.testing.assert_array_equal(scan.images["water"].get_fdata(), body(SHAPE)[0][::-1, ::-1])


def test_one_contrast_without_dixon(tmp_path, study):
    volume = body(SHAPE)[0]
    written(tmp_path / "P1", series_bytes(volume, study=study, description="t1_tse_tra"))
    scan = load_delivery(only(find_deliveries(tmp_path, "dicom", {"image": "t1_tse*"})), tmp_path / "scratch")
    assert list(scan.images) == ["image"]
    np.testing.assert_array_equal(scan.images["image"].get_fdata(), volume[::-1, ::-1])


def without(contents, *gone):
    return [content for k, content in enumerate(contents) if k not in gone]


BROKEN = {
    "no DICOM at all": (lambda study: [b"hello", b"PK\x03\x04"], DeliveryError, "2 files that are no DICOM images"),
    "no file": (lambda study: [], DeliveryError, "no files"),
    "no fat": (lambda study: pair(study)[:8], DeliveryError, "No series is fat"),
    "no Dixon": (
        lambda study: pair(study, names=("localizer", "t2_haste")),
        DeliveryError,
        "No series is water or fat; series that are there: 'localizer', 't2_haste'",
    ),
    "slice missing": (lambda study: without(pair(study), 3), ConversionError, r"6.0 mm between two slices"),
    "last slice missing in fat": (lambda study: pair(study)[:-1], StationError, "no fat series with the same slices"),
    "two persons": (
        lambda study: pair(study)[:8] + pair(study, PatientID="somebody else")[8:],
        DeliveryError,
        "images of 2 persons",
    ),
    "two examinations": (
        lambda study: pair(study)[:8] + pair(generate_uid())[8:],
        DeliveryError,
        "Dixon images of 2 examinations",
    ),
    "acquired twice": (lambda study: pair(study) + pair(study), StationError, "acquired twice at the same place"),
    "contrasts in one series": (
        lambda study: [c for n in (1, 2) for c in pair(study, names=("a_W", "b_W"), series="1.2.3")[:16]],
        DeliveryError,
        "No series is fat",
    ),
    "one slice": (lambda study: pair(study, shape=(40, 30, 1)), ConversionError, "one slice"),
    "sizes differ": (
        lambda study: (
            [
                *pair(study, series="1.9")[:7],
                dicom_bytes(np.ones((8, 8)), (-20, -15, 21), series="1.9", study=study, description="x_W"),
                *pair(study, series="1.8")[8:],
            ]
        ),
        ConversionError,
        "different sizes",
    ),
    "huge headers": (
        lambda study: pair(study, Rows=65535, Columns=65535),
        ConversionError,
        r"declare \d+\.\d GiB of pixels",
    ),
    "pixels missing": (lambda study: pair(study, PixelData=b""), ConversionError, "dcm2niix"),
    "no position": (
        lambda study: pair(study, ImagePositionPatient=None),
        ConversionError,
        "does not say where it lies",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_deliveries_say_why(tmp_path, study, kind):
    make, error, said = BROKEN[kind]
    written(tmp_path / "P1", make(study))
    delivery = only(find_deliveries(tmp_path, "dicom"))
    with pytest.raises(error, match=said) as refused:
        load_delivery(delivery, tmp_path / "scratch")
    assert "participant P1" in refused.value.where
    assert "Mustermann" not in str(refused.value)
    assert str(tmp_path) not in str(refused.value)


def test_the_later_of_two_acquisitions_is_taken_where_that_is_asked_for(tmp_path, study):
    water, fat = body(SHAPE, 1)
    later_water, later_fat = body(SHAPE, 2)
    contents = []
    for volumes, time in (((later_water, later_fat), "111111"), ((water, fat), "101010")):
        for volume, name in zip(volumes, ("dixon_W", "dixon_F"), strict=True):
            contents += series_bytes(volume, study=study, description=name, AcquisitionTime=time)
    written(tmp_path / "P1", contents)
    scan = load_delivery(only(find_deliveries(tmp_path, "dicom", {"repeats": "last"})), tmp_path / "scratch")
    np.testing.assert_array_equal(scan.images["fat"].get_fdata(), later_fat[::-1, ::-1])


def test_links_that_lead_out_are_refused(tmp_path, study):
    written(tmp_path / "root" / "P1", pair(study))
    outside = written(tmp_path / "elsewhere", pair(study)) / "IM0000"
    (tmp_path / "root" / "P1" / "link").symlink_to(outside)
    with pytest.raises(DeliveryError, match="link that leads out"):
        load_delivery(only(find_deliveries(tmp_path / "root", "dicom")), tmp_path / "scratch")


def test_a_conversion_that_hangs_is_stopped(tmp_path, study, monkeypatch):
    from muscle_bayes.imaging.deliveries import conversion

    program = tmp_path / "dcm2niix"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(conversion, "dcm2niix_path", lambda: str(program))
    contents = pair(study)[:8]
    headers = [HeaderReader().read(io.BytesIO(content)) for content in contents]
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(ConversionError, match=r"within 0\.2 s"):
        conversion.convert_series(written(tmp_path / "in", contents), out, headers, "participant 1", timeout_s=0.2)


def test_a_settings_file_of_the_user_changes_nothing(tmp_path, study, monkeypatch):
    # dcm2niix reads ~/.dcm2nii.ini: here it would gzip, and the volume would not be found.
    home = tmp_path / "home"
    home.mkdir()
    (home / ".dcm2nii.ini").write_text("isGZ=1\nfilename=%n\nisCreateBIDS=1\n")
    monkeypatch.setenv("HOME", str(home))
    written(tmp_path / "root" / "P1", pair(study))
    scan = load_delivery(only(find_deliveries(tmp_path / "root", "dicom")), tmp_path / "scratch")
    assert scan.images["water"].shape == SHAPE


def test_without_pydicom_one_clear_error(tmp_path, study, monkeypatch):
    import sys

    from muscle_bayes.errors import MissingDependencyError

    written(tmp_path / "P1", pair(study)[:1])
    delivery = only(find_deliveries(tmp_path, "dicom"))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(MissingDependencyError, match=r"muscle-bayes\[scans\]"):
        load_delivery(delivery, tmp_path / "scratch")


@pytest.mark.parametrize("at", [SHAPE[2], 3], ids=["first of fat", "middle of water"])
@pytest.mark.parametrize("kept", [0.4, 0.6, 0.8])
def test_a_file_that_is_cut_off_is_named_as_the_reason(tmp_path, study, at, kept):
    contents = pair(study)
    # The pixels stand last, so this cuts within the header.
    start = contents[at].index(b"\xe0\x7f\x10\x00")
    contents[at] = contents[at][: int(kept * start)]
    written(tmp_path / "P1", contents)
    with pytest.raises(CorruptImageError, match=rf"A DICOM file could not be read \(IM{at:04d}\)"):
        load_delivery(only(find_deliveries(tmp_path, "dicom")), tmp_path / "scratch")
