"""A folder with one mask a class gives what the multi-label file gives."""

import nibabel as nib
import numpy as np
import pytest

from muscle_bayes.errors import CompartmentNotFoundError, CorruptImageError, GridMismatchError, LabelSchemeError
from muscle_bayes.imaging import quantify
from muscle_bayes.imaging.label_schemes import PUBLISHED, read_label_map

AFFINE = np.diag([2.0, 2.0, 5.0, 1.0])
TOTAL_MR = PUBLISHED[0]
SHAPE = (12, 10, 8)


def labelled():
    """Part of total_mr: organs, bone and muscles; every other class is not in view."""
    data = np.zeros(SHAPE, dtype=np.uint8)
    for x, number in enumerate((5, 19, 40, 42, 46, 48, 49, 47, 43, 41)):
        data[x + 1, 1 : 3 + x // 2, 1:7] = number
    return data


def write(folder, data, names=TOTAL_MR.names, affine=AFFINE):
    folder.mkdir(exist_ok=True)
    for number, name in names.items():
        nib.save(nib.Nifti1Image((data == number).astype(np.uint8), affine), folder / f"{name}.nii.gz")
    return folder


def dixon(shape=SHAPE):
    rng = np.random.default_rng(1)
    return [nib.Nifti1Image((v + rng.normal(0, 2, shape)).astype(np.float32), AFFINE) for v in (380, 20)]


@pytest.mark.parametrize("compartment", ["labels", "fascia"])
def test_folder_and_multilabel_file_agree(tmp_path, compartment):
    data = labelled()
    folder = write(tmp_path / "classes", data)
    (folder / "statistics.json").write_text("{}")
    whole = quantify(*dixon(), nib.Nifti1Image(data, AFFINE), scheme="totalsegmentator_mr@2.5", compartment=compartment)
    parts = quantify(*dixon(), folder, compartment=compartment)
    keys = ["muscle", "side", "region"]
    columns = [*keys, "compartment_cm3", "intermat_fraction_percent", "z_min_mm", "z_max_mm"]
    a, b = (table[columns].sort_values(keys, ignore_index=True) for table in (whole, parts))
    assert a.equals(b)
    assert parts.attrs["label_scheme"] == "totalsegmentator_mr@2.5"
    assert not [note for note in parts.attrs["notes"] if "classes" in note]


def test_two_tasks_in_one_folder(tmp_path):
    data = labelled()
    folder = write(tmp_path / "classes", data)
    thigh = np.zeros(SHAPE, dtype=np.uint8)
    thigh[1:5, 7, 1:7], thigh[6:10, 7, 1:7] = 1, 2
    thigh[6, 2, 3] = 1  # one voxel of its border lies in the iliopsoas, which keeps it
    write(folder, thigh, {1: "quadriceps_femoris_left", 2: "quadriceps_femoris_right"})
    assert data[6, 2, 3] == 48
    (folder / "body.nii.gz").write_bytes((folder / "liver.nii.gz").read_bytes())
    found = read_label_map(folder)
    assert found.scheme == "totalsegmentator_mr@2.5 + totalsegmentator_thigh_shoulder_mr"
    counts = {}
    for number, structure in found.structures.items():
        key = structure.name, structure.side
        counts[key] = counts.get(key, 0) + int((found.volume.data == number).sum())
    assert counts["quadriceps", "left"] == 4 * 6
    assert counts["quadriceps", "right"] == 4 * 6
    assert counts["iliopsoas", "left"] == int((data == 48).sum())
    assert any("1 voxels lie in two classes" in note for note in found.notes)
    assert any("left out (body)" in note for note in found.notes)


def test_masks_of_different_runs_are_refused(tmp_path):
    data = labelled()
    folder = write(tmp_path / "classes", data)
    moved = np.roll(data, 1, axis=0)
    write(folder, moved, {46: "autochthon_left"})
    with pytest.raises(LabelSchemeError, match=r"iliopsoas_left and autochthon_left share 100 % of the smaller"):
        read_label_map(folder)


def test_folder_without_classes(tmp_path):
    (tmp_path / "water.nii.gz").write_bytes(b"")
    with pytest.raises(
        LabelSchemeError, match=r"none of its 1 images is named like a muscle of totalsegmentator_mr@2\.5"
    ):
        read_label_map(tmp_path)


def test_folder_of_empty_masks(tmp_path):
    folder = write(tmp_path / "classes", np.zeros(SHAPE, dtype=np.uint8))
    with pytest.raises(LabelSchemeError, match="no voxel is labelled in any mask"):
        read_label_map(folder)
    organs = np.where(labelled() == 5, np.uint8(5), np.uint8(0))
    with pytest.raises(CompartmentNotFoundError):
        read_label_map(write(folder, organs))


def test_masks_must_be_masks_of_one_grid(tmp_path):
    folder = write(tmp_path / "classes", labelled())
    nib.save(nib.Nifti1Image(labelled(), AFFINE), folder / "liver.nii.gz")
    with pytest.raises(LabelSchemeError, match=r"liver\.nii\.gz.*no mask of one class"):
        read_label_map(folder)
    nib.save(nib.Nifti1Image(np.ones((3, 3, 3), dtype=np.uint8), AFFINE), folder / "liver.nii.gz")
    with pytest.raises(GridMismatchError, match=r"liver\.nii\.gz"):
        read_label_map(folder)
    (folder / "liver.nii.gz").write_bytes(b"broken")
    with pytest.raises(CorruptImageError, match=r"liver\.nii\.gz"):
        read_label_map(folder)


def test_two_files_of_one_class(tmp_path):
    folder = write(tmp_path / "classes", labelled())
    nib.save(nib.load(folder / "liver.nii.gz"), folder / "liver.nii")
    with pytest.raises(LabelSchemeError, match="two files of liver"):
        read_label_map(folder)


def test_scheme_of_a_folder(tmp_path):
    folder = write(tmp_path / "classes", labelled())
    assert read_label_map(folder, "totalsegmentator_mr").scheme == "totalsegmentator_mr@2.5"
    with pytest.raises(LabelSchemeError, match="named like a muscle of totalsegmentator_thigh_shoulder_mr"):
        read_label_map(folder, "totalsegmentator_thigh_shoulder_mr")
    with pytest.raises(LabelSchemeError, match="mrsegmentator does not name files of one class"):
        read_label_map(folder, "mrsegmentator")
    with pytest.raises(LabelSchemeError, match="table of ids is given"):
        read_label_map(folder, {1: ("other", "left")})


def test_hash_follows_every_mask(tmp_path):
    folder = write(tmp_path / "classes", labelled())
    before = read_label_map(folder).volume.sha256
    assert read_label_map(folder).volume.sha256 == before
    changed = labelled()
    changed[8, 9, 7] = 47
    write(folder, changed, {47: "autochthon_right"})
    assert read_label_map(folder).volume.sha256 != before
