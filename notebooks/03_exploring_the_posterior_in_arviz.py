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
# # Exploring the posterior in ArviZ
#
# Every fit of this package carries an ArviZ `DataTree` with Bambi's names. So all that ArviZ can do works on it:
# traces, ranks, pairs, predictive checks, leave-one-out. This notebook goes through them, and says where our own
# numbers have to stand in for ArviZ's.
#
# **All data here are simulated.**

# %%
import arviz as az
import numpy as np
import pandas as pd
import xarray as xr

import muscle_bayes as mb

az.rcParams["stats.ci_prob"] = 0.95  # ArviZ 1.x shows 89 % unless told
az.rcParams["plot.backend"] = "matplotlib"
table = mb.simulate_cohort(n=5_000, seed=1)
laplace = mb.fit("cbp_main", table)
nuts = mb.fit("cbp_main", table, method="nuts", draws=2_000)
nuts.posterior

# %% [markdown]
# ## 1. Is it one distribution? Traces and ranks
#
# A trace should look like grass, all chains alike. Ranks say the same more sharply: if the chains sample one
# distribution, the ranks of each chain among all draws are uniform, and their curves stay inside the band.

# %%
exposures = ["intermat_z", "lmm_z", "1|site_sigma"]
az.plot_trace(nuts.posterior, var_names=exposures).show()

# %%
az.plot_rank(nuts.posterior, var_names=exposures).show()

# %%
az.summary(nuts.posterior, var_names=exposures, round_to=3)

# %% [markdown]
# ## 2. Certified Laplace in ArviZ: look, but count differently
#
# The draws of a `laplace` fit are independent, weighted and resampled, and laid out as four "chains" so that ArviZ can
# read them. R-hat is 1 by construction and says nothing, and ArviZ's effective sample size counts resampled draws and
# knows nothing of their weights. The raw weights are kept; the honest numbers come from them and stand in
# `fit.summary()` and `fit.diagnostics`.

# %%
print(laplace.diagnostics)
laplace.posterior["sample_stats"].attrs

# %%
both = pd.concat({"laplace": laplace.summary()["mean"], "nuts": nuts.summary()["mean"]}, axis="columns")
both["difference / SD"] = (both["laplace"] - both["nuts"]) / nuts.summary()["sd"]
both.loc[["intermat_z", "lmm_z", "age_z", "1|site_sigma"]].round(3)

# %% [markdown]
# Two engines that share no random number agree to a few hundredths of a posterior SD.
#
# ## 3. What goes with what: pairs

# %%
az.plot_pair(nuts.posterior, var_names=["intermat_z", "lmm_z"]).show()

# %% [markdown]
# The two exposures' coefficients are nearly uncorrelated here, so that neither odds ratio is bought at the price of the
# other.
#
# ## 4. Would the model produce data like these?
#
# `mb.posterior_predictive` replicates the shares with chronic back pain by site, sex and age band, without ever holding
# participants times draws in memory.

# %%
mb.plots.posterior_predictive(mb.posterior_predictive(laplace))

# %% [markdown]
# ## 5. Do people with a probability of 20 % have pain in 20 % of cases?
#
# PAVA calibration (Dimitriadis, Gneiting and Jordan 2021): isotonic regression of the outcome on the predicted
# probability, with the band that calibrated models would stay in.

# %%
mb.plots.calibration(mb.calibration(laplace))

# %% [markdown]
# Calibrated does not mean useful: the c-statistic says how well the model tells people apart, and it is modest, as one
# expects of chronic pain.

# %%
mb.discrimination(laplace)[["estimand", "text"]]

# %% [markdown]
# ## 6. Which model predicts better? Leave-one-out
#
# `mb.loo` is PSIS-LOO (Vehtari, Gelman and Gabry 2017) in blocks: no matrix of participants times draws is kept.
# Several fits are compared by the difference of their expected log predictive densities, with its standard error.

# %%
interaction = mb.fit("cbp_interaction", table)
unadjusted = mb.fit("cbp_unadjusted", table)
compared = mb.loo({"main": laplace, "interaction": interaction, "unadjusted": unadjusted})
compared[["estimand", "term", "text"]]

# %% [markdown]
# The product term buys nothing, the adjustment variables buy a lot. That does not make the adjusted odds ratio "more
# right": which variables belong into a model is a question of causes (see the page on adjustment sets), not of
# prediction.
#
# ## 7. Does the prior decide? Power scaling
#
# `az.psense_summary` raises prior and likelihood to powers near 1 and watches the posterior move (Kallioinen and
# colleagues 2024). It reads two more groups of the tree, the log density of the prior by parameter and the log
# likelihood; both are quickly made.

# %%
coefficients, effects = nuts.coefficients(), nuts.site_effects()
X, site = nuts.recipe.matrix(nuts.cohort), nuts.recipe.site_index(nuts.cohort)
y = nuts.cohort["cbp"].to_numpy()
log_odds = coefficients[:, :1] + coefficients[:, 1:] @ X.T + effects[:, site]
log_likelihood = (y * log_odds - np.logaddexp(0, log_odds)).sum(axis=1)

posterior = nuts.posterior["posterior"].to_dataset()
shape = (posterior.sizes["chain"], posterior.sizes["draw"])
priors = nuts.model.normal_priors()
log_prior = {
    term: -0.5 * ((posterior[term] - priors[term].mean) / priors[term].sd) ** 2 for term in ["intermat_z", "lmm_z"]
}
scale = nuts.model.priors.site_sd.half_normal
log_prior["1|site_sigma"] = -0.5 * (posterior["1|site_sigma"] / scale) ** 2
tree = nuts.posterior.copy()
tree["log_prior"] = xr.DataTree(xr.Dataset(log_prior))
tree["log_likelihood"] = xr.DataTree(
    xr.Dataset({"cbp": (("chain", "draw", "total"), log_likelihood.reshape(*shape, 1))}, coords=posterior.coords)
)
az.psense_summary(tree, var_names=["intermat_z", "lmm_z", "1|site_sigma"])

# %% [markdown]
# The odds ratios listen to the likelihood and hardly to the prior. The site SD listens to its prior as well, as it must
# with five sites.
