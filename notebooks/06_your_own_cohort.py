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
# # Your own cohort, from CSV to report
#
# You have a table with one row a participant, with your own column names and codes. This notebook takes such a file to
# a report. Put your file in place of `my_cohort.csv` and go down.
#
# **The file here is simulated**, so that there is one.

# %%
from pathlib import Path

import numpy as np
import pandas as pd

import muscle_bayes as mb

pd.options.display.max_colwidth = None

# %% [markdown]
# ## 1. The file
#
# German column names, sex as 1 and 2, activity in words, a site as a number, some values missing: what files look like.

# %%
source = mb.simulate_cohort(n=6_000, seed=1)
rng = np.random.default_rng(1)
mine = pd.DataFrame(
    {
        "id": source["participant_id"],
        "zentrum": source["site"].map({name: i + 1 for i, name in enumerate(sorted(source["site"].unique()))}),
        "geschlecht": source["sex"].map({"male": 1, "female": 2}),
        "alter": source["age_years"],
        "groesse_cm": source["height_cm"],
        "gewicht_kg": source["weight_kg"],
        "bmi": source["bmi_kg_m2"],
        "aktivitaet": source["activity"],
        "diabetes": source["diabetes"],
        "fettstoffwechsel": source["dyslipidemia"],
        "osteoporose": source["osteoporosis"],
        "arthrose": source["osteoarthritis"],
        "rueckenschmerz": source["cbp"].where(rng.random(len(source)) > 0.02),
        "wirbelsaeulen_op": (rng.random(len(source)) < 0.03).astype(int),
        "intermat": source["intermat_percent"],
        "lmm": source["lmm_cm3_per_kg_m2"],
        "simulated": 1,  # your own file has no such column: it marks every result of made-up rows
    }
)
mine.to_csv("my_cohort.csv", index=False)
mine.head(3)

# %% [markdown]
# ## 2. Read it, with your names
#
# `columns` says which column of yours is which canonical one; the canonical names, units and allowed values are listed
# in the documentation under *Columns*. What does not fit is said in one line. Sex as 1 and 2 does not fit:

# %%
names = {
    "id": "participant_id", "zentrum": "site", "geschlecht": "sex", "alter": "age_years", "groesse_cm": "height_cm",
    "gewicht_kg": "weight_kg", "bmi": "bmi_kg_m2", "aktivitaet": "activity", "fettstoffwechsel": "dyslipidemia",
    "osteoporose": "osteoporosis", "arthrose": "osteoarthritis", "rueckenschmerz": "cbp", "intermat": "intermat_percent",
    "lmm": "lmm_cm3_per_kg_m2",
}  # fmt: skip
try:
    mb.read_cohort("my_cohort.csv", columns=names)
except mb.errors.MuscleBayesError as error:
    print(error)

# %% [markdown]
# The message says what to do: give the codes. Rows that are to be left out are named, so that the flow can count them.

# %%
coded = {yours: canonical for yours, canonical in names.items() if canonical != "sex"}
coded["sex"] = {"column": "geschlecht", "values": {"1": "male", "2": "female"}}
surgery = {"name": "spinal surgery", "column": "wirbelsaeulen_op", "op": "==", "value": 1}
cohort = mb.read_cohort("my_cohort.csv", columns=coded, exclusions=[surgery])
cohort.flow

# %% [markdown]
# ## 3. Before the outcome: what does the model hold possible?

# %%
mb.plots.prior_predictive(mb.prior_predictive("cbp_main", cohort))

# %% [markdown]
# ## 4. Fit, and look at the diagnostics first

# %%
fit = mb.fit("cbp_main", cohort)
print(fit.diagnostics)

# %%
fit.flow

# %% [markdown]
# ## 5. Results

# %%
odds = mb.odds_ratios(fit)
mb.plots.forest(odds)

# %%
risks = mb.risks(fit)
risks[["estimand", "term", "contrast", "text"]]

# %% [markdown]
# ## 6. Keep it
#
# A saved fit holds everything that odds ratios, surface and nomogram need, and no row of a participant.

# %%
fit.save("cbp_main.nc")
again = mb.load_fit("cbp_main.nc")
print("from the file:", mb.odds_ratios(again, terms=["intermat_z"])["text"].item())

# %% [markdown]
# ## 7. Everything at once: a study file
#
# The same as a text file that someone else can run again. `muscle-bayes init my-study` writes a commented one; here is
# what matters of it.

# %%
columns = "\n".join(f'{yours} = "{canonical}"' for yours, canonical in names.items() if canonical != "sex")
Path("study.toml").write_text(
    f"""
[study]
name = "Back pain in my cohort"
out = "results"

[participants]
file = "my_cohort.csv"

[participants.columns]
sex = {{ column = "geschlecht", values = {{ 1 = "male", 2 = "female" }} }}
{columns}

[[exclusions]]
name = "spinal surgery"
column = "wirbelsaeulen_op"
op = "=="
value = 1

[[fits]]
model = "cbp_main"
"""
)
results = mb.run("study.toml")
sorted(path.name for path in Path("results").iterdir())

# %% [markdown]
# Open `results/report.html`: methods text that is true of this fit, results with their numbers, figures, tables and a
# checklist. Run it again after a change and only what the change touches is computed anew.
