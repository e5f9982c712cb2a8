"""`init`: a study.toml that explains itself, with simulated example tables that `run` completes at once."""

from pathlib import Path

import numpy as np
import pandas as pd

from muscle_bayes.cohort.dictionary import ADIPOSE_DEFINITIONS
from muscle_bayes.cohort.files import whole_file
from muscle_bayes.errors import StudyFileError

EXAMPLE_IMAGED = 2_500
EXAMPLE_SEED = 1

_TEMPLATE = """\
# A study of muscle_bayes. `muscle-bayes run study.toml` does all of it and goes on where it stopped.
# Paths start from the folder of this file. The two tables beside it are SIMULATED examples: put your own in their place.

[study]
name = "NAME"
seed = 1                  # of every random number
out = "results"           # everything that is written
overlaps_nako = false     # true where participants are also in the NAKO study of 2025 (its results must not be priors then)

[participants]            # one row a participant; csv (comma or semicolon), tsv or parquet
file = "participants.csv"

[participants.columns]    # your names = the canonical ones; leave out what is canonical already
ID = "participant_id"
age = "age_years"
# With codes: canonical name = { column = your name, values = { your code = canonical value } }; "" makes a code missing.
sex = { column = "gender", values = { f = "female", m = "male" } }
# The canonical names: participant_id, session_id, site, sex {female, male}, age_years, height_cm, weight_kg, bmi_kg_m2,
# activity_met_min_week, activity {moderate, low, high}, diabetes, dyslipidemia, osteoporosis, osteoarthritis, cbp {0, 1},
# pain_nrs (0 to 10), simulated {0, 1}; and of a finished table intermat_percent (0 to 100, not 0 to 1), lean_cm3 (left and
# right summed), lmm_cm3_per_kg_m2. A model needs only its own columns; other columns stay as they are.

# Where the muscle comes from: your participants' table itself, where it has intermat_percent and lmm_cm3_per_kg_m2 (or
# lean_cm3 and BMI): then delete [measurements], and [exposure] too, or leave in it only what is true of your table.
# Or a measurement table ...
[measurements]            # one row a participant, session, muscle and side, as `muscle-bayes quantify` writes them
file = "measurements.tsv"

# ... or images, in place of [measurements]. Each pattern must meet exactly one file for each participant.
# [images]
# root = "images"
# water = "sub-{participant_id}/ses-{session_id}/anat/*_water.nii.gz"
# fat = "sub-{participant_id}/ses-{session_id}/anat/*_fat.nii.gz"
# labels = "sub-{participant_id}/ses-{session_id}/anat/*_dseg.nii.gz"
# scheme = "mrsegmentator"  # labels of another tool: its name, or a file (table with id, muscle, side; ITK-SNAP labels)
# resample_labels = true  # where labels lie on another grid than the images
# backend = "labelmap"    # "labelmap" reads labels; "hull" finds the muscles of limbs without labels; "bundle", "nnunet" and
# "totalsegmentator" segment: then leave labels out (with "hull": also set muscle = "all", compartment = "fascia" under [exposure])
# weights = "weights"     # folder of a bundle or model; the project's own for "bundle" where left out
# format = "nifti"        # or bids, nako, ukb20201, dicom: these find water and fat themselves, without patterns
# sessions = "all"        # repeat visits too; without it only the session of [exposure]
# workers = 4             # processes that measure at the same time
# pictures = true         # a picture of every scan in qc/
# repair_swap = true      # put exchanged water and fat right where the checks can
# quality = false         # no checks of scans

[exposure]                # which measurements are InterMAT and lean muscle in the models
muscle = "autochthonous"  # left and right together
adipose = "threshold"     # threshold, fraction or mixture
compartment = "labels"    # labels (as segmented) or fascia (fat inside the fascia included)
# region = "above_gluteals_150mm"
# session = "baseline"    # where participants have several

[[exclusions]]            # as many as you like, in this order; a missing value excludes nobody (is_missing does)
name = "Fat-water swap not repaired"
column = "fat_water_swap"
op = "=="                 # == != < <= > >= in not_in is_missing
value = 1

[missing]
policy = "complete_cases" # of each model's own columns, counted in the flow

[[fits]]                  # as many as you like
model = "cbp_interaction" # a name of the catalogue (`muscle-bayes models`), or a model file
method = "auto"           # auto, nuts, laplace or ml
# priors = "sceptical"    # another prior set than the model's
# name = "sceptical"      # needed where one model is fitted twice
# estimates = ["odds_ratios", "risks"]  # fewer than all: odds_ratios, risks, interaction, surface, curve, nomogram,
# subgroups, distributions, proportionality, prior_predictive, posterior_predictive, residuals, calibration,
# discrimination, leave_one_site_out, loo; and optimism, which takes minutes and is made where it is named

# [sensitivity]           # refits under other priors, sites left out, definitions, covariates: some minutes; off without it
# fits = ["cbp_interaction"]  # by default the first fit; further keys as in mb.sensitivity: priors, site_sd,
# leave_out_sites, adipose, adjustment, estimands, draws
"""


def start_study(folder: Path | str) -> list[Path]:
    """Write a commented study.toml with simulated example tables.

    Parameters
    ----------
    folder : path
        Made where it does not exist.

    Returns
    -------
    list of pathlib.Path
        study.toml, participants.csv, measurements.tsv.

    Raises
    ------
    StudyFileError
        Where one of the files is already there: nothing is overwritten.
    """
    from muscle_bayes.simulation import simulate_cohort

    folder = Path(folder).resolve()
    paths = [folder / name for name in ("study.toml", "participants.csv", "measurements.tsv")]
    there = [path.name for path in paths if path.exists()]
    if there:
        raise StudyFileError(
            str(folder / there[0]), "This file is already there", "Choose another folder, or move the file"
        )
    name = folder.name.replace("\\", "").replace('"', "") or "study"
    cohort = simulate_cohort(n=EXAMPLE_IMAGED, seed=EXAMPLE_SEED, complete=False)
    with whole_file(paths[1]) as path:
        example_participants(cohort).to_csv(path, index=False)
    with whole_file(paths[2]) as path:
        example_measurements(cohort).to_csv(path, sep="\t", index=False, na_rep="n/a")
    with whole_file(paths[0]) as path:
        path.write_text(_TEMPLATE.replace("NAME", name, 1), encoding="utf-8")
    return paths


def example_participants(cohort: pd.DataFrame) -> pd.DataFrame:
    """Return the participant table of a simulated cohort, with a few names and codes as studies have them.

    Parameters
    ----------
    cohort : pandas.DataFrame
        Of `simulate_cohort(complete=False)`.

    Returns
    -------
    pandas.DataFrame
        Without muscle: that is in the measurements.
    """
    measured = [c for c in cohort.columns if c.startswith(("intermat_", "lean_", "lmm_"))]
    table = cohort.drop(columns=[*measured, "qc", "truncated"])
    table["sex"] = table["sex"].map({"female": "f", "male": "m"})
    return table.rename(columns={"participant_id": "ID", "age_years": "age", "sex": "gender"})


def example_measurements(cohort: pd.DataFrame) -> pd.DataFrame:
    """Return measurement rows of left and right that pool to the muscle of a simulated cohort.

    Parameters
    ----------
    cohort : pandas.DataFrame
        Of `simulate_cohort`.

    Returns
    -------
    pandas.DataFrame
        Two rows a participant who has muscle figures.
    """
    compartment = cohort["lean_cm3"] / (1.0 - cohort["intermat_percent"] / 100.0)
    shares = {"threshold": cohort["intermat_percent"]}
    shares |= {d: cohort[f"intermat_{d}_percent"] for d in ADIPOSE_DEFINITIONS if d != "threshold"}
    sides = []
    for side, part in (("left", 0.49), ("right", 0.51)):
        rows = pd.DataFrame(
            {
                "participant_id": cohort["participant_id"],
                "session_id": cohort["session_id"],
                "muscle": "autochthonous",
                "side": side,
                "region": "above_gluteals_150mm",
                "compartment": "labels",
                "backend": "labelmap",
                "weights_sha256": "",
                "compartment_cm3": part * compartment,
                "undefined_percent": 0.0,
                "truncated": cohort.get("truncated", 0),
            }
        )
        for name, share in shares.items():
            rows[f"intermat_{name}_percent"] = share
            rows[f"lean_{name}_cm3"] = part * compartment * (1.0 - share / 100.0)
        sides.append(rows.assign(qc=cohort.get("qc", "pass"), simulated=1))
    table = pd.concat(sides).sort_values(["participant_id", "side"], kind="stable", ignore_index=True)
    numeric = table.select_dtypes("number").columns
    return table.assign(**{name: np.round(table[name], 6) for name in numeric})
