"""Known answers for the label scheme of every tool, from the ids and names that the tool publishes."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from muscle_bayes.imaging import label_schemes, quantify
from muscle_bayes.imaging.label_schemes import PUBLISHED, read_label_map
from muscle_bayes.imaging.labels import MUSCLES, TISSUES

VOXEL_CM3 = 2.0 * 2.0 * 5.0 / 1000
AFFINE = np.diag([2.0, 2.0, 5.0, 1.0])


def pairs(**first_left):
    """Structures whose right id follows the left one."""
    return {
        (muscle, side): tuple(number + shift for number in numbers)
        for muscle, numbers in first_left.items()
        for side, shift in (("left", 0), ("right", 1))
    }


#: Ids as the tools list them, copied by hand; `everything` is all ids of the tool.
TOTAL_MR = pairs(gluteals=(40, 42, 44), autochthonous=(46,), iliopsoas=(48,))
TOTAL_MR_OLD = pairs(
    gluteals=(38, 40, 42),
    autochthonous=(44,),
    iliopsoas=(46,),
    quadriceps=(48,),
    adductors=(50,),
    hamstrings=(52,),
    sartorius=(54,),
)
TOTAL_CT = pairs(gluteals=(80, 82, 84), autochthonous=(86,), iliopsoas=(88,))
THIGH = pairs(quadriceps=(1,), adductors=(3,), hamstrings=(5,), sartorius=(7,)) | {("other", "both"): range(9, 19)}
VIBE = pairs(gluteals=(53, 55, 57), autochthonous=(59,), iliopsoas=(61,)) | {("other", "both"): (66,)}
MRSEG = pairs(autochthonous=(31,), iliopsoas=(33,), gluteals=(35, 37, 39))
MUSCLEMAP_TRUNK_AND_THIGH = {
    "autochthonous": (1111, 1121, 1131, 5101, 5111),
    "iliopsoas": (5121, 6141),
    "gluteals": (6101, 6111, 6121),
    "quadriceps": (7101, 7111, 7121, 7131),
    "sartorius": (7141,),
    "adductors": (7151, 7201, 7211, 7221),
    "hamstrings": (7161, 7171, 7181, 7191),
}
HIP_SINCE_1_2 = {"adductors": (*MUSCLEMAP_TRUNK_AND_THIGH["adductors"], 6191)}
OTHERS = (1101, 1141, 1151, 1161, 2101, 2111, 2121, 2141, 4101, 5131, 5141, 6131)
MUSCLEMAP = {
    "1.0": pairs(**MUSCLEMAP_TRUNK_AND_THIGH, other=(*OTHERS, *range(8101, 8142, 10))),
    "1.3": pairs(
        **MUSCLEMAP_TRUNK_AND_THIGH | HIP_SINCE_1_2,
        other=(*OTHERS, 6181, 6201, 6211, 6221, *range(8101, 8142, 10)),
    ),
    "1.4": pairs(
        **MUSCLEMAP_TRUNK_AND_THIGH | HIP_SINCE_1_2,
        other=(*OTHERS, 6181, 6201, 6211, 6221, *range(8101, 8152, 10), *range(8181, 8222, 10)),
    ),
}
MUSCLEMAP_BONES = {
    "1.0": (6151, 6152, 6160, 6171, 6172, 8151, 8152, 8161, 8162),
    "1.3": (6151, 6152, 6160, 6171, 6172, 8151, 8152, 8161, 8162),
    "1.4": (6151, 6152, 6160, 6171, 6172, 7231, 7232, 8161, 8162, 8171, 8172),
}
CASES = [
    pytest.param("totalsegmentator_mr@2.18.0", "segmentation.nii.gz", range(1, 51), TOTAL_MR, id="total_mr"),
    pytest.param("totalsegmentator_mr@2.4.0", "segmentation.nii.gz", range(1, 57), TOTAL_MR_OLD, id="total_mr_2.4"),
    pytest.param("totalsegmentator_thigh_shoulder_mr", "thigh.nii.gz", range(1, 19), THIGH, id="thigh_shoulder"),
    pytest.param("totalsegmentator_ct", "segmentation.nii.gz", range(1, 118), TOTAL_CT, id="total"),
    pytest.param("vibesegmentator", "seg1.nii.gz", range(1, 73), VIBE, id="vibe"),
    pytest.param("totalvibesegmentator", "seg1.nii.gz", range(1, 73), VIBE, id="totalvibe"),
    pytest.param("mrsegmentator", "scan_seg.nii.gz", range(1, 41), MRSEG, id="mrsegmentator"),
    *(
        pytest.param(
            f"musclemap_wholebody@{version}",
            "scan_dseg.nii.gz",
            [*(number for numbers in muscles.values() for number in numbers), *MUSCLEMAP_BONES[version]],
            muscles,
            id=f"musclemap_{version}",
        )
        for version, muscles in MUSCLEMAP.items()
    ),
]


def voxels(number):
    """Another count for each id, so that no exchange of two ids goes unseen."""
    return number % 89 + 7


def label_map(numbers):
    """Columns of voxels, one an id; left ones at low x as in the scanner's axes."""
    data = np.zeros((len(numbers) + 2, 6, 24), dtype=np.int16)
    for i, number in enumerate(numbers, start=1):
        column = np.zeros((4, 24), dtype=np.int16)
        column.flat[: voxels(number)] = number
        data[i, 1:5] = column
    return data


def dixon(shape):
    rng = np.random.default_rng(1)
    water, fat = 380 + rng.normal(0, 2, shape), 20 + rng.normal(0, 2, shape)
    return [nib.Nifti1Image(image.astype(np.float32), AFFINE) for image in (water, fat)]


@pytest.mark.parametrize(("scheme", "file", "numbers", "muscles"), CASES)
def test_muscles_are_the_published_ids(tmp_path, scheme, file, numbers, muscles):
    ids = list(numbers)
    assert len(set(ids)) == len(ids)
    data = label_map(ids)
    nib.save(nib.Nifti1Image(data, AFFINE), tmp_path / file)
    table = quantify(*dixon(data.shape), tmp_path / file, scheme=scheme)
    found = table[(table["region"] == "field_of_view") & (table["muscle"] != "all")]
    found = found.set_index(["muscle", "side"])["compartment_cm3"]
    for (muscle, side), expected in muscles.items():
        assert found[muscle, side] == pytest.approx(VOXEL_CM3 * sum(map(voxels, expected))), (muscle, side)
    assert {muscle for muscle, _ in found.index} == {muscle for muscle, _ in muscles}
    everything = table[(table["region"] == "field_of_view") & (table["muscle"] == "all") & (table["side"] == "both")]
    counted = sum(voxels(number) for expected in muscles.values() for number in expected)
    assert everything["compartment_cm3"].item() == pytest.approx(VOXEL_CM3 * counted)


def structures(scheme, numbers):
    image = nib.Nifti1Image(label_map(list(numbers)), AFFINE)
    return read_label_map(image, scheme).structures


@pytest.mark.parametrize(
    ("scheme", "numbers", "bones"),
    [
        ("totalsegmentator_mr@2.5", range(1, 51), (18, 19, *range(30, 40))),
        ("totalsegmentator_mr@2.2", range(1, 57), (18, 19, *range(30, 38))),
        ("totalsegmentator_ct", range(1, 118), (*range(25, 51), *range(69, 79), *range(91, 117))),
        ("vibesegmentator", range(1, 73), (23, *range(42, 52), 63, 69, 70, 72)),
        ("mrsegmentator", range(1, 41), range(25, 31)),
        *((f"musclemap@{v}", [*bones, 5101], bones) for v, bones in MUSCLEMAP_BONES.items()),
    ],
)
def test_bones(scheme, numbers, bones):
    found = structures(scheme, numbers)
    assert {number for number, structure in found.items() if structure.name == "bone"} == set(bones)


def test_fat_of_vibesegmentator():
    found = read_label_map(nib.Nifti1Image(label_map(range(1, 73)), AFFINE), "vibesegmentator")
    assert [number for number, structure in found.structures.items() if structure.name == "subcutaneous_fat"] == [65]
    # Fat that lies between muscles too must not keep a fascia from closing over it.
    assert 67 not in found.structures
    assert 67 not in found.volume.data
    assert 66 in found.volume.data


def test_leg_labels_of_musclemap_changed_meaning():
    old, new = (structures(f"musclemap_wholebody@{version}", (8151, 8161, 5101)) for version in ("1.3", "1.4"))
    assert (old[8151].name, new[8151].name) == ("bone", "other")  # tibia; lateral gastrocnemius
    assert old[8161].name == new[8161].name == "bone"  # fibula; tibia


def test_last_digit_is_the_side_in_musclemap():
    side = {0: "both", 1: "left", 2: "right"}
    for table in PUBLISHED:
        if table.name == "musclemap_wholebody":
            assert len(table.structures) == {"1.0": 89, "1.2": 99, "1.4": 113}[table.versions[0]]
            assert all(structure.side == side[number % 10] for number, structure in table.structures.items())


@pytest.mark.parametrize("table", PUBLISHED, ids=lambda table: table.key)
def test_tables(table):
    for number, structure in table.structures.items():
        words = table.names[number].lower().replace("_", " ").split()
        assert structure.name in (*MUSCLES, "other", *TISSUES)
        assert structure.is_muscle == (structure.name not in TISSUES)
        if structure.name in ("unmeasured", "background"):
            continue
        # The names say the side as well, and were read from the tool apart from this column.
        assert structure.side == next((side for side in ("left", "right") if side in words), "both")
    head = (Path(label_schemes.__file__).parent / "tables" / table.table).read_text(encoding="utf-8")
    assert "# Ids and names: github.com/" in head


def test_one_class_name_means_one_structure():
    meanings = {}
    for table in PUBLISHED:
        if table.names_in_file:
            for number, name in table.names.items():
                assert meanings.setdefault(name, table.structures[number]) == table.structures[number]
