# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: -all
#     formats: ipynb,py:percent
#     notebook_metadata_filter: kernelspec,jupytext,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From images to measurements
#
# Where do InterMAT and LMM come from, what can go wrong on the way, and how do you bring your own label maps? This
# notebook measures phantoms whose truth is known.
#
# **The images here are simulated phantoms.** They are crude; they serve to see what a definition does, not what people
# look like.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import muscle_bayes as mb

pd.options.display.float_format = "{:.2f}".format
pd.options.display.max_colwidth = None
pd.options.display.max_columns = None


def back(measured: pd.DataFrame) -> pd.Series:
    """The row of the exposure: autochthonous muscles, both sides, 150 mm upward from the gluteals."""
    return measured.query("muscle == 'autochthonous' and side == 'both' and region == 'above_gluteals_150mm'").iloc[0]


# %% [markdown]
# ## 1. One phantom
#
# A phantom is asked for by its truth: so much fat in the muscle, so much lean muscle.

# %%
phantom = mb.simulate_phantom(
    "trunk",
    intermat_percent=8.0,
    lmm_cm3_per_kg_m2=24.0,
    bmi_kg_m2=26.0,
    sex="female",
    site="Augsburg",
    seed=1,
    voxel_mm=(2.0, 2.0, 4.0),
)
water, fat, labels = (np.asarray(image.dataobj) for image in (phantom.water, phantom.fat, phantom.labels))
level = int(np.isin(labels, [3, 4]).sum(axis=(0, 1)).argmax())

figure, panels = plt.subplots(1, 3, figsize=(11, 3), layout="constrained")
for panel, (title, volume) in zip(panels, {"Water": water, "Fat": fat, "Labels": labels}.items(), strict=True):
    panel.imshow(
        volume[::-1, :, level].T,
        cmap="nipy_spectral" if title == "Labels" else "gray",
        origin="lower",
        interpolation="none",
    )
    panel.set(title=title, xticks=[], yticks=[])
figure.suptitle("Simulated phantom, one slice seen from below", fontsize=11)
plt.show()

# %% [markdown]
# ## 2. Measure it
#
# `quantify` takes water, fat and labels (paths or nibabel images) and returns one row for each muscle and side.

# %%
measured = mb.quantify(phantom.water, phantom.fat, phantom.labels, bmi=26.0, simulated=True)
columns = [
    "muscle",
    "side",
    "region",
    "compartment_cm3",
    "intermat_threshold_percent",
    "intermat_fraction_percent",
    "qc",
]
measured.query("side == 'both' and region == 'field_of_view'")[columns]

# %% [markdown]
# ## 3. Three definitions of adipose tissue, at three voxel sizes
#
# The truth is the same each time; only the grid changes. Which definition a study takes has to be settled before its
# results are seen.

# %%
rows = {}
for size in [(2.0, 2.0, 4.0), (3.0, 3.0, 6.0), (4.5, 4.5, 6.0)]:
    one = mb.simulate_phantom(
        "trunk",
        intermat_percent=8.0,
        lmm_cm3_per_kg_m2=24.0,
        bmi_kg_m2=26.0,
        sex="female",
        site="Augsburg",
        seed=1,
        voxel_mm=size,
    )
    found = back(mb.quantify(one.water, one.fat, one.labels, bmi=26.0, simulated=True))
    rows[" x ".join(f"{edge:g}" for edge in size) + " mm"] = {
        name: found[f"intermat_{name}_percent"] for name in ("threshold", "fraction", "mixture")
    }
pd.DataFrame(rows).T.assign(truth=8.0)

# %% [markdown]
# The *threshold* does not see streaks that are thinner than a voxel, and falls as voxels grow. The *fraction* counts
# the noise and the little fat within fibres too, and reads high. So InterMAT compares within one protocol and one
# definition, and models work with Z-scores within a study.
#
# ## 4. When something is wrong
#
# Water and fat are swapped in about two of a hundred Dixon series. The check compares what is muscle with what is under
# the skin:

# %%
swapped = mb.quantify(phantom.fat, phantom.water, phantom.labels, bmi=26.0, simulated=True)
print(back(swapped)["qc"])
print(swapped.attrs["notes"][0])

# %% [markdown]
# Labels on another grid than the images are refused, and the error says which, by how much, and what to do:

# %%
from muscle_bayes.errors import MuscleBayesError

shifted = type(phantom.labels)(labels, phantom.labels.affine + np.diag([0.3, 0, 0, 0]))
try:
    mb.quantify(phantom.water, phantom.fat, shifted, simulated=True)
except MuscleBayesError as error:
    print(error)

# %% [markdown]
# ## 5. Your own label maps
#
# `quantify` recognises what TotalSegmentator, VIBESegmentator, MRSegmentator and MuscleMap write; `scheme=` names it
# where a file does not tell. Here the phantom's labels are written with the ids of TotalSegmentator's `total_mr` task
# (46 and 47 are the autochthonous muscles) and read back. That tool changed what its ids mean, so `scheme` names a
# version; left out, the error lists the choices.

# %%
from nibabel import Nifti1Image

theirs = np.zeros_like(labels)
for ours, total_mr in {3: 46, 4: 47, 5: 48, 6: 49}.items():
    theirs[labels == ours] = total_mr
foreign = Nifti1Image(theirs, phantom.labels.affine)
again = mb.quantify(phantom.water, phantom.fat, foreign, bmi=26.0, scheme="totalsegmentator_mr@2.5", simulated=True)
whole = "muscle == 'autochthonous' and side == 'both' and region == 'field_of_view'"
same = ["compartment_cm3", "intermat_threshold_percent", "intermat_fraction_percent"]
pd.DataFrame(
    {"our ids": measured.query(whole).iloc[0][same], "TotalSegmentator's ids": again.query(whole).iloc[0][same]}
).T

# %% [markdown]
# ## 6. A table for a study
#
# A study needs one row a participant. `muscle-bayes run` measures every scan that a `study.toml` names and joins the
# table; by hand it is a loop, and a bad participant is a row with a reason, not the end:

# %%
people = mb.simulate_cohort(n=3, seed=1)
parts = []
for person in people.itertuples():
    one = mb.simulate_phantom(
        "trunk", intermat_percent=person.intermat_percent, lmm_cm3_per_kg_m2=person.lmm_cm3_per_kg_m2, bmi_kg_m2=person.bmi_kg_m2,
        sex=person.sex, site=person.site, seed=1, voxel_mm=(3.0, 3.0, 6.0),
    )  # fmt: skip
    parts.append(
        mb.quantify(
            one.water, one.fat, one.labels, bmi=person.bmi_kg_m2, participant_id=person.participant_id, simulated=True
        )
    )
measurements = pd.concat(parts, ignore_index=True)
participants = people.drop(columns=[name for name in people.columns if name.startswith(("intermat", "lean", "lmm"))])
cohort = mb.read_cohort(participants, measurements)
cohort.table[["participant_id", "intermat_percent", "lmm_cm3_per_kg_m2"]]
