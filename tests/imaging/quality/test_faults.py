"""Each planted fault is named, with the slices that it was planted into; a clean scan is let through."""

import numpy as np
import pytest

from muscle_bayes.imaging import SCHEME, label_id
from muscle_bayes.imaging.quality import repair_arrays
from muscle_bayes.imaging.quality.slices import irregular_positions


def only(quality, kind):
    """Return the one finding of a kind."""
    (finding,) = [finding for finding in quality.findings if finding.kind == kind]
    return finding


def test_clean_scan_passes(clean, judge, said):
    quality = judge(*clean)
    assert said(quality) == set()
    assert quality.qc == "pass"
    assert quality.repair is None


def test_whole_swap_is_named_and_repaired_to_the_voxel(clean, judge, said):
    water, fat, labels = clean
    quality = judge(fat, water, labels)
    assert said(quality) == {"swap_whole"}
    assert quality.repair == "swap whole"
    again = repair_arrays(fat, water, quality)
    assert np.array_equal(again[0], water)
    assert np.array_equal(again[1], fat)


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("block", [slice(0, 14), slice(10, 24), slice(20, 36)])
def test_station_swap_is_named_with_its_slices(clean, judge, block, labelled):
    water, fat, labels = (array.copy() for array in clean)
    water[:, :, block], fat[:, :, block] = clean[1][:, :, block], clean[0][:, :, block]
    quality = judge(water, fat, labels if labelled else None)
    finding = only(quality, "swap_station")
    assert list(finding.slices) == list(range(36))[block]
    again = repair_arrays(water, fat, quality)
    assert np.array_equal(again[0], clean[0])
    assert np.array_equal(again[1], clean[1])


def test_partial_swap_is_named_and_mostly_repaired(clean, judge):
    water, fat, labels = (array.copy() for array in clean)
    half = slice(0, water.shape[0] // 2)
    water[half], fat[half] = clean[1][half], clean[0][half]
    quality = judge(water, fat, labels)
    assert only(quality, "swap_partial").severity == "review"
    assert quality.repair == "swap partial"
    body = clean[0] + clean[1] > 400
    before, after = (np.mean((data != clean[0])[body]) for data in (water, repair_arrays(water, fat, quality)[0]))
    assert before > 0.45
    assert after < 0.06


def test_without_labels_a_part_is_never_repaired(clean, judge):
    water, fat, _ = (array.copy() for array in clean)
    half = slice(0, water.shape[0] // 2)
    water[half], fat[half] = clean[1][half], clean[0][half]
    assert judge(water, fat, None).repair is None


def test_zero_slices_are_named(clean, judge, said):
    water, fat, labels = (array.copy() for array in clean)
    water[:, :, 11:13] = fat[:, :, 11:13] = 0
    quality = judge(water, fat, labels)
    assert "zero_slices" in said(quality)
    assert only(quality, "zero_slices").slices == (11, 12)
    assert "slices 12-13" in only(quality, "zero_slices").message


def test_zero_slices_at_the_ends_are_padding(clean, judge, said):
    padded = [np.concatenate([np.zeros_like(a[:, :, :2]), a, np.zeros_like(a[:, :, :2])], axis=2) for a in clean]
    assert "zero_slices" not in said(judge(*padded))


@pytest.mark.parametrize("contrast", [0, 1])
def test_one_empty_contrast_is_named(clean, judge, contrast):
    arrays = [array.copy() for array in clean]
    arrays[contrast][:, :, 20] = 0
    finding = only(judge(*arrays), "one_contrast_empty")
    assert finding.slices == (20,)
    assert ("water", "fat")[contrast] in finding.message


def test_empty_block_is_named_with_its_volume(clean, judge):
    water, fat, labels = (array.copy() for array in clean)
    middle = tuple(size // 2 for size in water.shape[:2])
    box = (slice(middle[0] - 15, middle[0] + 15), slice(middle[1] - 12, middle[1] + 12), slice(10, 15))
    water[box] = fat[box] = 0
    finding = only(judge(water, fat, labels), "zero_block")
    assert finding.slices == tuple(range(10, 15))
    assert finding.value == pytest.approx(30 * 24 * 5 * 2.8 * 2.8 * 6 / 1000, rel=0.02)


def test_body_cut_by_the_edge_is_named_and_cut_muscle_fails(clean, judge):
    water, fat, labels = clean
    outermost = int(np.flatnonzero((labels == label_id("other")).any(axis=(1, 2)))[0])
    cropped = [array[outermost + 2 :] for array in (water, fat, labels)]
    quality = judge(*cropped)
    findings = [finding for finding in quality.findings if finding.kind == "cut_in_plane"]
    assert {finding.severity for finding in findings} == {"review", "fail"}
    assert quality.verdict("other") == "fail"
    # Another muscle that lies inside is looked at again, and not failed.
    assert quality.verdict("iliopsoas") == "review"


def test_stack_that_ends_below_150_mm_is_named_for_the_back_muscles_only(clean, judge):
    water, fat, labels = clean
    gluteals = np.isin(labels, [label_id("gluteals", "left"), label_id("gluteals", "right")])
    top = int(np.flatnonzero(gluteals.sum(axis=(0, 1)) * 2.8 * 2.8 >= 100)[-1]) + 1
    quality = judge(*(array[:, :, : top + 15] for array in (water, fat, labels)))
    finding = only(quality, "cut_extent")
    assert finding.value == pytest.approx(90)
    assert finding.muscles == ("autochthonous",)
    assert quality.verdict("iliopsoas") == "pass"


def test_missing_and_repeated_slices_are_named(clean, judge):
    kept = np.r_[0:15, 19:36]
    assert only(judge(*(array[:, :, kept] for array in clean)), "missing_slices").slices == (14,)
    order = np.r_[0:20, 19, 21:36]
    assert only(judge(*(array[:, :, order] for array in clean)), "repeated_slices").slices == (20,)


def test_irregular_positions_are_named():
    positions = list(np.arange(20) * 3.0)
    assert irregular_positions(positions) == []
    (finding,) = irregular_positions(positions[:8] + positions[9:])
    assert finding.value == pytest.approx(6.0)
    assert finding.limit == pytest.approx(3.0)
    assert finding.slices == (7,)


def test_void_in_back_muscle_is_named_as_metal_and_bowel_gas_is_not(clean, judge, said):
    water, fat, labels = (array.copy() for array in clean)
    places = np.argwhere(labels == label_id("autochthonous", "left"))
    centre = np.median(places[np.abs(places[:, 2] - 18) < 3], axis=0)
    distance = np.linalg.norm((np.indices(water.shape).T - centre) * (2.8, 2.8, 6.0), axis=-1).T
    rng = np.random.default_rng(1)
    void = distance < 22
    water[void], fat[void] = rng.uniform(0, 20, (2, int(void.sum())))
    labels[void] = 0
    quality = judge(water, fat, labels)
    findings = [finding for finding in quality.findings if finding.kind == "metal"]
    assert len(findings) == 1
    assert set(range(16, 20)) <= set(findings[0].slices)
    assert "autochthonous" in findings[0].muscles


def test_implausible_and_one_sided_muscles_are_named_for_that_muscle(clean, judge):
    water, fat, labels = (array.copy() for array in clean)
    number = label_id("iliopsoas", "left")
    labels[:, :, 6:][labels[:, :, 6:] == number] = 0
    quality = judge(water, fat, labels)
    finding = only(quality, "asymmetry")
    cm3 = 2.8 * 2.8 * 6 / 1000
    left, right = ((labels == label_id("iliopsoas", side)).sum() * cm3 for side in ("left", "right"))
    assert finding.value == pytest.approx(right / left, rel=0.01)
    assert finding.muscles == ("iliopsoas",)

    shrunk = clean[2].copy()
    back = np.isin(shrunk, [label_id("autochthonous", side) for side in ("left", "right")])
    shrunk[back & (np.indices(shrunk.shape).sum(axis=0) % 20 != 0)] = 0
    finding = only(judge(water, fat, shrunk), "volume")
    assert finding.muscles == ("autochthonous",)
    assert finding.value < finding.limit


def test_exchanged_sides_fail(clean, judge, said):
    table = np.arange(18)
    for key, item in SCHEME.items():
        if item.side != "both":
            table[key] = label_id(item.name, "left" if item.side == "right" else "right")
    quality = judge(clean[0], clean[1], table[clean[2]])
    assert "sides_exchanged" in said(quality)
    assert quality.qc == "fail"
    unknown = judge(clean[0], clean[1], table[clean[2]], orientation_known=False)
    assert "sides_exchanged" not in said(unknown)
