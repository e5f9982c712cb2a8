"""Whether exchanged water and fat are told, and right pairs never are."""

import nibabel as nib
import numpy as np
import pytest

from muscle_bayes.imaging import quantify
from muscle_bayes.imaging.water_fat_swap import outer_ring
from muscle_bayes.simulation import simulate_phantom


def said(table):
    return [note for note in table.attrs["notes"] if note.startswith("water and fat look swapped")]


def judge(water, fat, labels, region, *, swapped):
    """Check notes and qc of the label map, the same without subcutaneous fat, and for limbs the hull."""
    without_fat = labels.get_fdata().astype(np.uint8)
    without_fat[without_fat == 1] = 0
    for given in (labels, nib.Nifti1Image(without_fat, labels.affine)):
        table = quantify(water, fat, given)
        assert len(said(table)) == swapped
        assert not (table.qc == "pass").any() if swapped else (table.qc == "pass").any()
    if region == "thigh":
        table = quantify(water, fat, backend="hull")
        assert len(said(table)) == swapped
        assert (table.qc == ("fail" if swapped else "pass")).all()


@pytest.mark.parametrize("region", ["thigh", "trunk"])
@pytest.mark.parametrize(
    ("bmi", "intermat", "seed"), [(17.0, 25.0, 1), (17.0, 2.0, 2), (26.0, 7.0, 3), (40.0, 25.0, 4)]
)
def test_whole_swaps_are_told_and_right_pairs_are_not(region, bmi, intermat, seed):
    phantom = simulate_phantom(
        region,
        intermat_percent=intermat,
        bmi_kg_m2=bmi,
        seed=seed,
        sex=("female", "male")[seed % 2],
        voxel_mm=(3.5, 3.5, 10.0),
        mask_background=seed % 4 < 2,
    )
    judge(phantom.water, phantom.fat, phantom.labels, region, swapped=False)
    judge(phantom.fat, phantom.water, phantom.labels, region, swapped=True)


def test_whole_swap_of_the_reconstruction_is_told():
    phantom = simulate_phantom("thigh", bmi_kg_m2=22.0, seed=5, voxel_mm=(3.5, 3.5, 10.0), swap="whole")
    judge(phantom.water, phantom.fat, phantom.labels, "thigh", swapped=True)


@pytest.mark.parametrize("kind", ["station", "partial"])
def test_swaps_of_a_station_or_a_part_are_told_and_repaired_only_where_asked(kind):
    settings = {"seed": 6, "voxel_mm": (3.5, 3.5, 10.0)}
    right, swapped = (simulate_phantom("thigh", swap=swap, **settings) for swap in (None, kind))
    expected = quantify(right.water, right.fat, right.labels)
    left = quantify(swapped.water, swapped.fat, swapped.labels)
    assert len(said(left)) == 1
    assert (left.qc == "review").any()
    repaired = quantify(swapped.water, swapped.fat, swapped.labels, repair_swap=True)
    (note,) = said(repaired)
    assert note.endswith("exchanged back there before measuring")
    column = "intermat_fraction_percent"
    assert (left[column] - expected[column]).abs().max() > 5
    # Whole slices come back voxel by voxel; the outline of a part may be off by some voxels.
    assert (repaired[column] - expected[column]).abs().max() < (1e-3 if kind == "station" else 1.0)


def test_real_calf_both_ways_round(shared_data):
    water, fat = (shared_data / "calf_dixon" / f"{name}.nii.gz" for name in ("water", "fat"))
    right = quantify(water, fat, backend="hull")
    assert not said(right)
    assert (right.qc == "pass").all()
    swapped = quantify(fat, water, backend="hull")
    assert len(said(swapped)) == 1
    assert (swapped.qc == "fail").all()


def disc(ring, interior):
    """Cylinder of 60 mm radius, with 9 mm of one fraction around another; 1 mm voxels."""
    x, y = np.meshgrid(np.arange(-70, 71), np.arange(-70, 71), indexing="ij")
    radius = np.hypot(x, y)[:, :, None].repeat(3, axis=2)
    fraction = np.where(radius <= 51, interior, ring)
    return np.where(radius <= 60, fraction, np.nan)


def test_outer_ring_is_the_shell_that_was_painted():
    found = outer_ring(disc(0.9, 0.1), (1.0, 1.0, 5.0))
    # Voxel corners round the surface by up to a voxel, so a few of the interior's voxels lie in the ring.
    assert found.ring == pytest.approx(0.9, abs=0.1)
    assert found.interior == pytest.approx(0.1, abs=0.01)
    assert found.difference == pytest.approx(found.ring - found.interior)


def test_no_surface_in_view_gives_no_verdict():
    assert outer_ring(np.full((80, 80, 4), 0.2), (1.0, 1.0, 5.0)) is None


def test_fatty_muscle_inside_fat_is_no_swap():
    fraction = disc(0.9, 0.6)
    labels = np.zeros(fraction.shape, dtype=np.uint8)
    labels[40:100, 40:100] = 3
    signal = np.nan_to_num(400 * fraction), np.nan_to_num(400 * (1 - fraction))
    fat, water, label_map = (nib.Nifti1Image(data.astype(np.float32), np.eye(4)) for data in (*signal, labels))
    table = quantify(water, fat, label_map)
    assert not said(table)
    assert (table.qc == "review").all()
