"""One person, two visits, five formats of delivery: the same rows, sides and all, and a table that joins the study."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from made_up_deliveries import body, ras_affine, series_bytes, zip_of
from pydicom.uid import generate_uid

from muscle_bayes.cohort import read_cohort
from muscle_bayes.imaging import label_id
from muscle_bayes.study.scanning import measure

SHAPE = (24, 20, 39)
STATIONS = ((0, 8), (6, 14), (12, 20), (18, 27), (25, 33), (31, 39))
LABELS = 'labels = "../labels/{participant_id}_{session_id}.nii.gz"\n'
STUDY = """\
[study]
name = "One person"

[participants]
file = "participants.csv"

[images]
root = "delivery"
sessions = "all"
quality = false
"""
EXPOSURE = '[exposure]\nregion = "field_of_view"\nsession = "{session}"\n\n[[fits]]\nmodel = "cbp_main"\n'


def visit(number):
    """Water and fat as the scanner counts, with more fat on the left; and labels of both sides."""
    water, fat = body(SHAPE, seed=number)
    muscle = (water > 900) & (fat < 400)
    # As the scanner counts, x runs to the person's left.
    left = np.arange(SHAPE[0])[:, None, None] >= SHAPE[0] // 2
    fatty = muscle & left & (np.random.default_rng(number).random(SHAPE) < 0.1 * number)
    water[fatty], fat[fatty] = fat[fatty], water[fatty]
    names = np.where(left, label_id("autochthonous", "left"), label_id("autochthonous", "right"))
    return water, fat, np.where(muscle, names, 0).astype(np.uint8)


VISITS = {number: visit(number) for number in (1, 2)}


def saved(path, volume, codes="RAS", dtype=np.int16):
    """Write a volume (as the scanner counts) in some storage order; its affine says which."""
    image = nib.Nifti1Image(volume[::-1, ::-1].astype(dtype), ras_affine(SHAPE))
    order = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(tuple(codes))
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image.as_reoriented(order), path)


def nifti(root, person, session, water, fat, study):
    for role, volume in (("water", water), ("fat", fat)):
        saved(root / f"{person}_{session}_{role}.nii.gz", volume)


def bids(root, person, session, water, fat, study):
    for role, volume in (("water", water), ("fat", fat)):
        name = f"sub-{person}_ses-{session}_acq-{role}_VIBE.nii.gz"
        saved(root / f"sub-{person}" / f"ses-{session}" / "anat" / name, volume, "LAS", np.float32)


def nako(root, person, session, water, fat, study):
    for contrast, volume in (("W", water), ("F", fat)):
        name = f"3D_GRE_TRA_{contrast}_COMPOSED"
        saved(root / name / f"{person}_{session}" / f"{person}_{session}_{name}.nii.gz", volume, "PSR")


def ukb20201(root, person, session, water, fat, study):
    members, number = {}, 0
    for place, (first, last) in enumerate(reversed(STATIONS)):
        for contrast, volume in (("W", water), ("F", fat)):
            number += 1
            tags = {"description": f"Dixon_noBH_{contrast}", "number": number, "AcquisitionTime": f"1010{place:02d}"}
            part = series_bytes(volume[:, :, first:last], z=3.0 * first, study=study, **tags)
            members |= {f"1.3.12.{number}.{k}.dcm": content for k, content in enumerate(part)}
    root.mkdir(exist_ok=True)
    zip_of(root / f"{person}_20201_{session}_0.zip", members)


def dicom(root, person, session, water, fat, study):
    folder = root / person / session
    folder.mkdir(parents=True)
    for number, (contrast, volume) in enumerate((("W", water), ("F", fat)), 1):
        for k, content in enumerate(series_bytes(volume, study=study, description=f"dixon_{contrast}", number=number)):
            (folder / f"{number}-{k:03d}").write_bytes(content)


#: Writer, identifier, visits, and what the study says of the format.
FORMATS = {
    "nifti": (nifti, "P-1", ("a", "b"), 'water = "{participant_id}_{session_id}_water.nii.gz"\n'
              'fat = "{participant_id}_{session_id}_fat.nii.gz"\n'),
    "bids": (bids, "01", ("a", "b"), ""),
    "nako": (nako, "100042", ("30", "60"), ""),
    "ukb20201": (ukb20201, "1234567", ("2", "3"), ""),
    "dicom": (dicom, "P1", ("a", "b"), '[images.settings]\nfolder = "{participant_id}/{session_id}"\n'),
}  # fmt: skip


def measured(home, name):
    """Deliver both visits, measure them by one study, and return rows and exposure of the second."""
    write, person, sessions, told = FORMATS[name]
    home.mkdir()
    for session, (water, fat, labels) in zip(sessions, VISITS.values(), strict=True):
        write(home / "delivery", person, session, water, fat, generate_uid())
        saved(home / "labels" / f"{person}_{session}.nii.gz", labels, dtype=np.uint8)
    people = pd.DataFrame({"participant_id": person, "session_id": sessions, "bmi_kg_m2": 25.0, "simulated": 1})
    people.to_csv(home / "participants.csv", index=False)
    text = STUDY + f'format = "{name}"\n' + LABELS + told + EXPOSURE.format(session=sessions[1])
    (home / "study.toml").write_text(text)
    made = measure(home)
    assert made.exit_code == 0, made.measured.failures.to_dict("records")
    table = pd.read_csv(made.files["measurements.tsv"], sep="\t", dtype={"session_id": "str"})
    assert set(table["participant_id"].astype("str").str.zfill(2)) == {person}
    table["visit"] = table["session_id"].map(dict(zip(sessions, (1, 2), strict=True)))
    exposure = {"region": "field_of_view", "session": sessions[1]}
    cohort = read_cohort(home / "participants.csv", made.files["measurements.tsv"], exposure=exposure)
    columns = ["intermat_percent", "lean_cm3", "lmm_cm3_per_kg_m2"]
    return table.set_index(["visit", "muscle", "side", "region"]), cohort.table.iloc[0][columns].astype(float)


def test_every_format_gives_the_same_rows(tmp_path):
    tables, exposures = {}, {}
    for name in FORMATS:
        tables[name], exposures[name] = measured(tmp_path / name, name)
    rows = tables["nifti"]
    assert len(rows) == len(set(rows.index)) == len(tables["dicom"])
    for number, (water, fat, labels) in VISITS.items():
        for side in ("left", "right"):
            mask = labels == label_id("autochthonous", side)
            row = rows.loc[(number, "autochthonous", side, "field_of_view")]
            share = fat[mask] / (water[mask].astype(float) + fat[mask])
            assert row["compartment_cm3"] == pytest.approx(mask.sum() * 1.5 * 1.5 * 3 / 1000)
            assert row["intermat_threshold_percent"] == pytest.approx(100 * (share >= 0.5).mean())
            assert row["intermat_fraction_percent"] == pytest.approx(100 * share.mean(), rel=1e-5)
    numeric = rows.select_dtypes("number").columns
    for name, table in tables.items():
        # Stations are blended in single precision; everything else is the same arithmetic on the same integers.
        pd.testing.assert_frame_equal(table.loc[rows.index, numeric], rows[numeric], rtol=1e-5, check_dtype=False)
        pd.testing.assert_series_equal(exposures[name], exposures["nifti"], rtol=1e-5, check_names=False)
        lean = rows.loc[(2, "autochthonous", "both", "field_of_view"), "lean_threshold_cm3"]
        assert exposures[name]["lmm_cm3_per_kg_m2"] == pytest.approx(lean / 25.0, rel=1e-5)
