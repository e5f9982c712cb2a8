"""Whose ids they are: certain from class names in the file or from the user, refused otherwise."""

import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muscle_bayes.errors import CompartmentNotFoundError, LabelSchemeError
from muscle_bayes.imaging import quantify
from muscle_bayes.imaging.label_schemes import read_label_map
from muscle_bayes.imaging.labels import SCHEME, Structure

#: As TotalSegmentator writes it (totalsegmentator/nifti_ext_header.py): under code 0, with white space behind the root.
BEFORE = (
    '<?xml version="1.0" encoding="UTF-8"?> <CaretExtension>  <Date><![CDATA[2013-07-14T05:45:09]]></Date>   '
    '<VolumeInformation Index="0">   <LabelTable>\n'
)
AFTER = (
    "\n  </LabelTable>  <StudyMetaDataLinkSet>  </StudyMetaDataLinkSet>  <VolumeType><![CDATA[Label]]></VolumeType>   "
    "</VolumeInformation></CaretExtension>\n              "
)
TODAY = {19: "vertebrae", 46: "autochthon_left", 47: "autochthon_right", 48: "iliopsoas_left", 49: "iliopsoas_right"}
OLD = {19: "vertebrae", 44: "autochthon_left", 45: "autochthon_right", 46: "iliopsoas_left", 47: "iliopsoas_right"}


def image(ids, names=None, text=None):
    """Label map with 10 voxels an id, in the order given from left to right."""
    data = np.zeros((len(ids), 5, 2), dtype=np.uint16)
    data[:] = np.array(ids)[:, None, None]
    made = nib.Nifti1Image(data, np.eye(4))
    if names is not None:
        rows = "".join(
            f'<Label Key="{number}" Red="1.0" Green="0.0" Blue="0.0" Alpha="1"><![CDATA[{name}]]></Label>\n'
            for number, name in names.items()
        )
        text = BEFORE + rows + AFTER
    if text is not None:
        made.header.extensions.append(nib.nifti1.Nifti1Extension(0, text.encode()))
    return made


def saved(made, path):
    nib.save(made, path)
    return path


def meanings(found):
    return {number: (structure.name, structure.side) for number, structure in found.structures.items()}


def test_class_names_in_the_file_decide(tmp_path):
    path = saved(image(list(TODAY), TODAY), tmp_path / "anything.nii.gz")
    found = read_label_map(path)
    assert found.scheme == "totalsegmentator_mr@2.5"
    assert meanings(found) == {
        19: ("bone", "both"),
        46: ("autochthonous", "left"),
        47: ("autochthonous", "right"),
        48: ("iliopsoas", "left"),
        49: ("iliopsoas", "right"),
    }
    # The same ids, written by an older version: other muscles.
    older = read_label_map(saved(image(list(OLD), OLD), tmp_path / "older.nii"))
    assert older.scheme == "totalsegmentator_mr@2.2"
    assert meanings(older)[46] == ("iliopsoas", "left")
    assert meanings(older)[44] == ("autochthonous", "left")


def test_only_names_of_ids_that_occur_count(tmp_path):
    # TotalSegmentator names all its classes; with --roi_subset only those asked for.
    everything = TODAY | {50: "brain", 99: "not a class"}
    found = read_label_map(saved(image([46, 47], everything), tmp_path / "a.nii.gz"))
    assert found.scheme == "totalsegmentator_mr@2.5"


def test_renumbered_classes_are_read_by_their_names(tmp_path):
    names = {1: "autochthon_left", 2: "autochthon_right", 3: "liver"}
    found = read_label_map(saved(image([1, 2, 3], names), tmp_path / "a.nii.gz"))
    assert found.scheme == "class names in the file"
    assert meanings(found) == {
        1: ("autochthonous", "left"),
        2: ("autochthonous", "right"),
        3: ("unmeasured", "both"),
    }


def test_thigh_ids_with_names_are_not_taken_for_our_own(tmp_path):
    names = {1: "quadriceps_femoris_left", 2: "quadriceps_femoris_right"}
    found = read_label_map(saved(image([1, 2], names), tmp_path / "a.nii.gz"))
    assert found.scheme == "totalsegmentator_thigh_shoulder_mr"
    assert meanings(found) == {1: ("quadriceps", "left"), 2: ("quadriceps", "right")}


def test_a_version_is_needed_where_nothing_says_it():
    with pytest.raises(LabelSchemeError, match=r"changed the meaning.*'totalsegmentator_mr@2.5' or .*@2.2'"):
        read_label_map(image([46, 47]), "totalsegmentator_mr")
    with pytest.raises(LabelSchemeError, match=r"@1\.4' or .*@1\.2' or .*@1\.0'"):
        read_label_map(image([5101, 5102]), "musclemap_wholebody")
    # Only 1.4 has the plantaris: it is named, and still not guessed.
    with pytest.raises(LabelSchemeError, match=r"occur in 1\.4\).*scheme='musclemap_wholebody@1\.4'\.$"):
        read_label_map(image([5101, 5102, 8221]), "musclemap_wholebody")
    # 51 to 56 are of the older version only.
    with pytest.raises(LabelSchemeError, match=r"occur in 2\.2 to 2\.4\)"):
        read_label_map(image([46, 47, 55]), "totalsegmentator_mr")


def test_named_scheme_takes_its_version_from_the_names():
    assert read_label_map(image(list(OLD), OLD), "totalsegmentator_mr").scheme == "totalsegmentator_mr@2.2"
    assert read_label_map(image(list(TODAY), TODAY), "totalsegmentator_mr").scheme == "totalsegmentator_mr@2.5"


@pytest.mark.parametrize("scheme", ["totalsegmentator_mr@2.5", "totalsegmentator_thigh_shoulder_mr"])
def test_names_that_contradict_the_scheme_are_refused(scheme):
    with pytest.raises(LabelSchemeError, match="contradict the scheme"):
        read_label_map(image(list(OLD), OLD), scheme)
    # A table of one's own overrules them.
    assert read_label_map(image([46], OLD), {46: ("other", "left")}).structures == {46: Structure("other", "left")}


@pytest.mark.parametrize(
    ("scheme", "known"),
    [
        ("musclemap_wholebody@2.0", "1.4, 1.2-1.3, 1.0-1.1"),
        ("totalsegmentator_mr@2.1", "2.5-2.18"),
        ("mrsegmentator@x", "1.0-1.2"),
    ],
)
def test_unknown_versions(scheme, known):
    with pytest.raises(LabelSchemeError, match=f"are not known here.*{known}"):
        read_label_map(image([31]), scheme)


def test_unknown_scheme_lists_those_there_are(tmp_path):
    with pytest.raises(
        LabelSchemeError, match=r"muscle_bayes, totalsegmentator_mr@VERSION, .*mrsegmentator, musclemap"
    ):
        read_label_map(image([31]), "mrsegmenter")
    with pytest.raises(LabelSchemeError, match=r"none\.tsv'.* nor a file"):
        read_label_map(image([31]), tmp_path / "none.tsv")


def test_ids_outside_a_named_scheme():
    with pytest.raises(
        LabelSchemeError, match=r"ids 59, 60 are not in the label scheme mrsegmentator \(known: 40 ids from"
    ):
        read_label_map(image([59, 60]), "mrsegmentator")


def test_ids_alone_are_no_certainty_and_the_refusal_names_what_fits(tmp_path):
    with pytest.raises(
        LabelSchemeError,
        match=r"hold all ids that occur: 'totalsegmentator_mr@2\.2', 'totalsegmentator_ct', 'vibe.*'; or",
    ):
        read_label_map(image([31, 54]))
    # Only one tool has these ids, and its ending: a guess all the same.
    path = saved(image([5101, 5102, 8221]), tmp_path / "scan_dseg.nii.gz")
    with pytest.raises(LabelSchemeError, match=r"hold all ids that occur: 'musclemap_wholebody@1\.4'; or"):
        read_label_map(path)
    # The ending puts the likelier tool first.
    path = saved(image([31, 32]), tmp_path / "scan_seg.nii.gz")
    with pytest.raises(LabelSchemeError, match=r"'mrsegmentator', 'totalsegmentator_mr@2\.5', '.*_mr@2\.2'"):
        read_label_map(path)
    with pytest.raises(LabelSchemeError, match="no published scheme holds all"):
        read_label_map(image([31, 9999]))


def test_own_ids_under_a_name_of_another_tool_are_refused(tmp_path):
    path = saved(image([3, 4]), tmp_path / "scan_seg.nii.gz")
    with pytest.raises(
        LabelSchemeError, match=r"fit muscle_bayes.*MRSegmentator.*'muscle_bayes' or scheme='mrsegmentator'"
    ):
        read_label_map(path)
    assert meanings(read_label_map(path, "muscle_bayes"))[3] == ("autochthonous", "left")
    with pytest.raises(CompartmentNotFoundError, match="by the scheme mrsegmentator"):
        read_label_map(path, "mrsegmentator")
    assert read_label_map(saved(image([3, 4]), tmp_path / "scan_dseg.nii.gz")).scheme == "muscle_bayes"


@pytest.mark.parametrize(
    "text",
    [
        "no xml",
        "<LabelTable",
        BEFORE + '<Label Key="3">L1</Label><Label Key="x">autochthon_left</Label><Label Key="4"/>' + AFTER,
        '<!DOCTYPE a [<!ENTITY e "autochthon_left">]><a><LabelTable><Label Key="3">&e;</Label></LabelTable></a>',
    ],
)
def test_extensions_without_known_names_say_nothing(text):
    found = read_label_map(image([3, 4], text=text))
    assert found.scheme == "muscle_bayes"


def test_half_known_names_are_refused():
    with pytest.raises(LabelSchemeError, match=r"those of ids 5 \(spleen 2\), 6 \(no name\) are not known"):
        read_label_map(image([3, 5, 6], {3: "autochthon_left", 5: "spleen 2"}))


def test_table_file(tmp_path):
    path = tmp_path / "ours.tsv"
    path.write_text(
        "# our ward's labels\nid\tmuscle\tside\n# left first\n7\tautochthonous\tleft\n8\tunmeasured\tboth\n"
    )
    found = read_label_map(image([7, 8]), path)
    assert found.scheme == "ours.tsv"
    assert meanings(found) == {7: ("autochthonous", "left"), 8: ("unmeasured", "both")}
    assert read_label_map(image([7, 8]), str(path)).scheme == "ours.tsv"


def test_crosswise_sides_are_noted():
    scheme = {46: ("autochthonous", "left"), 47: ("autochthonous", "right")}
    assert read_label_map(image([46, 47]), scheme).notes == []
    # The voxels were flipped and the header was not: what is called left lies on the right.
    crossed = read_label_map(image([47, 46]), scheme).notes
    assert len(crossed) == 1
    assert "left and right of autochthonous lie crosswise" in crossed[0]


def test_ids_like_ours_that_lie_crosswise_are_not_ours():
    # MuscleMap's old model of the abdomen (version 0.0): 1/2 multifidus, 3/4 erector spinae, each right before left.
    abdomen = image([2, 4, 6, 5, 3, 1])
    with pytest.raises(LabelSchemeError, match=r"autochthonous, iliopsoas lie crosswise .*another tool's"):
        read_label_map(abdomen)
    found = read_label_map(abdomen, "muscle_bayes")
    assert "lie crosswise" in found.notes[0]
    theirs = {1: ("autochthonous", "right"), 2: ("autochthonous", "left"), 3: ("autochthonous", "right")}
    theirs |= {4: ("autochthonous", "left"), 5: ("iliopsoas", "right"), 6: ("iliopsoas", "left")}
    assert read_label_map(abdomen, theirs).notes == []
    # Without an orientation in the header nobody knows which side is which; nibabel then takes the first axis to run left.
    lost = nib.Nifti1Image(np.asarray(abdomen.dataobj)[::-1], None)
    assert "lie crosswise" in read_label_map(lost).notes[0]


@given(
    ids=st.lists(st.integers(1, 9000), min_size=1, max_size=8, unique=True),
    ending=st.sampled_from(["", "_seg", "_dseg"]),
)
@settings(max_examples=60, deadline=None)
def test_without_a_scheme_only_our_own_ids_are_read(ids, ending):
    with tempfile.TemporaryDirectory() as folder:
        path = saved(image(sorted(ids)), Path(folder) / f"scan{ending}.nii")
        try:
            found = read_label_map(path)
        except (LabelSchemeError, CompartmentNotFoundError):
            return
        assert found.scheme == "muscle_bayes"
        assert set(ids) <= set(SCHEME)


def test_scheme_is_kept_with_the_measurements(tmp_path):
    rng = np.random.default_rng(1)
    water, fat = (nib.Nifti1Image(v + rng.normal(0, 2, (5, 5, 2)).astype("f4"), np.eye(4)) for v in (380, 20))
    table = quantify(water, fat, image(list(TODAY), TODAY))
    assert table.attrs["label_scheme"] == "totalsegmentator_mr@2.5"
    assert table.attrs["inputs"]["labels"]["sha256"]


def test_real_output_of_totalsegmentator(shared_data):
    folder = shared_data / "trunk_mr_labelled"
    found = read_label_map(folder / "labels.nii.gz")
    assert found.scheme == "totalsegmentator_mr@2.5"
    assert found.notes == []
    assert {n: m for n, m in meanings(found).items() if m[0] not in ("unmeasured", "bone")} == {
        46: ("autochthonous", "left"),
        47: ("autochthonous", "right"),
        48: ("iliopsoas", "left"),
        49: ("iliopsoas", "right"),
    }
    assert [n for n, m in meanings(found).items() if m[0] == "bone"] == [19]
    counted = {number: int((found.volume.data == number).sum()) for number in (46, 47, 48, 49)}
    assert counted == {46: 3272, 47: 2869, 48: 97, 49: 135}  # counted in the file as published
    scan = nib.load(folder / "image.nii.gz")
    # A Dixon pair on its grid, so that volumes can be asked for: 3 mm voxels.
    rng = np.random.default_rng(1)
    water, fat = (nib.Nifti1Image((v + rng.normal(0, 2, scan.shape)).astype("f4"), scan.affine) for v in (380, 20))
    for scheme in (None, "totalsegmentator_mr", "totalsegmentator_mr@2.18.0"):
        table = quantify(water, fat, folder / "labels.nii.gz", scheme=scheme, region="field_of_view")
        volumes = table.set_index(["muscle", "side"])["compartment_cm3"]
        assert volumes["autochthonous", "left"] == pytest.approx(3272 * 0.027)
        assert volumes["autochthonous", "both"] == pytest.approx((3272 + 2869) * 0.027)
        assert volumes["iliopsoas", "right"] == pytest.approx(135 * 0.027)
        assert volumes["all", "both"] == pytest.approx((3272 + 2869 + 97 + 135) * 0.027)
    with pytest.raises(LabelSchemeError, match=r"contradict the scheme .*id 46 is autochthon_left in the file"):
        read_label_map(folder / "labels.nii.gz", "totalsegmentator_mr@2.2")
