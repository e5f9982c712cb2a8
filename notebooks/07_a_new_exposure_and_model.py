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
# # A new exposure and a new model file
#
# The catalogue has models for InterMAT and LMM. This notebook asks a question that it does not hold: does the fat of
# the *iliopsoas*, an exposure of your own, go with back pain beyond that of the back muscles? It writes a model file,
# checks what its priors say, fits it, and compares it with the catalogue's.
#
# **All data here are simulated; the new exposure is made up.**

# %%
from pathlib import Path

import numpy as np
import pandas as pd

import muscle_bayes as mb

pd.options.display.max_colwidth = None
table = mb.simulate_cohort(n=10_000, seed=1)
rng = np.random.default_rng(1)
# Made up: correlated with the fat of the back muscles, and without any effect of its own.
spread = table["intermat_percent"].std()
table["psoas_fat_percent"] = (3 + 0.5 * table["intermat_percent"] + rng.normal(0, 0.7 * spread, len(table))).clip(
    lower=0.1
)

# %% [markdown]
# ## 1. The model file
#
# Text, made to be read. Every exposure says the contrast it is stated for and which end is adverse; every prior says
# what it holds possible as an odds ratio, and why.

# %%
text = """
title = "Back pain on the fat of iliopsoas and back muscles"
question = "Does the fat of the iliopsoas go with chronic back pain beyond that of the back muscles?"
formula = "cbp ~ psoas_z + intermat_z + lmm_z + age_z + sex + activity + (1|site)"
family = "bernoulli"
outcome = "Chronic back pain"
event = "cbp == 1"

[levels]
sex = ["female", "male"]
activity = ["moderate", "low", "high"]

[standardise]
psoas_z = { from = "psoas_fat_percent" }
intermat_z = { from = "intermat_percent" }
lmm_z = { from = "lmm_cm3_per_kg_m2" }
age_z = { from = "age_years" }

[exposures]
psoas_z = { contrast = 2, adverse = "high" }
intermat_z = { contrast = 2, adverse = "high" }
lmm_z = { contrast = 2, adverse = "low" }

[priors]
set = "weak"

[priors.psoas_z]
or_95 = [0.5, 2.0]
per = 2
reason = "beyond the back muscles' fat little is left to explain"
"""
Path("psoas.toml").write_text(text)
model = mb.load_model("psoas.toml")
print(model.parsed)

# %% [markdown]
# A slip is said before anything runs. Formulas are parsed, never evaluated, so that a model file from someone else is
# safe:

# %%
for broken in [text.replace("psoas_z = { from", "psoaz_z = { from"), text.replace("+ age_z", "+ os.system('ls')")]:
    Path("broken.toml").write_text(broken)
    try:
        mb.load_model("broken.toml")
    except mb.errors.MuscleBayesError as error:
        print(error, end="\n\n")

# %% [markdown]
# ## 2. What do the priors say?

# %%
mb.plots.prior_predictive(mb.prior_predictive(model, table))

# %% [markdown]
# ## 3. The fit

# %%
fit = mb.fit(model, table)
print(fit.diagnostics)

# %%
odds = mb.odds_ratios(fit, terms=["psoas_z", "intermat_z", "lmm_z"])
mb.plots.forest(odds)

# %% [markdown]
# The new exposure was made without an effect of its own, and its interval holds 1. Its correlation with InterMAT costs
# precision, which the pair of draws shows:

# %%
draws = fit.posterior["posterior"]
correlation = np.corrcoef(draws["psoas_z"].to_numpy().ravel(), draws["intermat_z"].to_numpy().ravel())[0, 1]
alone = mb.fit("cbp_main", table)
width = {
    name: np.log(row["upper"] / row["lower"])
    for name, row in {
        "with psoas fat": odds.set_index("term").loc["intermat_z"],
        "without": mb.odds_ratios(alone, terms=["intermat_z"]).iloc[0],
    }.items()
}
print(f"Correlation of the two coefficients: {correlation:.2f}")
print(
    f"Width of InterMAT's interval (log odds ratio): {width['with psoas fat']:.2f}, without psoas fat {width['without']:.2f}"
)

# %% [markdown]
# Which of the two models is right? Not a question of fit: if the fat of both muscles comes from one cause, such as
# disuse, then holding one constant while moving the other compares people who hardly exist. The documentation's page on
# adjustment says which set of variables answers which question.
#
# ## 4. A nomogram with the new exposure
#
# Everything downstream works on your model as on those of the catalogue.

# %%
nomogram = mb.nomogram(fit)
mb.plots.nomogram(nomogram)

# %%
person = {
    "psoas_fat_percent": 8.0, "intermat_percent": 9.0, "lmm_cm3_per_kg_m2": 22.0, "age_years": 60, "sex": "female",
    "activity": "low",
}  # fmt: skip
nomogram.predict(person)[["estimate", "lower", "upper"]].round(3)
