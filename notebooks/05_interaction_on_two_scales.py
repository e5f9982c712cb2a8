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
# # Interaction on the additive and the multiplicative scale
#
# Does fat in the muscle go with more back pain in people with little lean muscle than in others? The answer depends on
# the scale, and both answers can be right at once. This notebook computes both, with their uncertainty, and ends with a
# study that cannot tell.
#
# **All data here are simulated**, so the truth is known.

# %%
import pandas as pd

import muscle_bayes as mb

pd.options.display.max_colwidth = None
pd.options.display.max_columns = None

# %% [markdown]
# ## 1. No product term in the truth
#
# The simulated cohort was made without an interaction on the logit scale: odds ratios multiply.

# %%
table = mb.simulate_cohort(seed=1)
fit = mb.fit("cbp_interaction", table)
found = mb.interaction(fit, "intermat_z", "lmm_z")
asked = ["ratio of odds ratios", "ratio of risk ratios", "RERI", "AP", "S", "RERI (odds ratios)"]


def answers(frame: pd.DataFrame) -> pd.DataFrame:
    """The measures of interaction, of all that the frame holds."""
    return frame[frame["estimand"].isin(asked)].set_index("estimand").loc[asked, ["text", "prob_gt_null"]].round(2)


answers(found)

# %% [markdown]
# How to read this:
#
# - The **ratio of odds ratios** says whether the odds ratio of InterMAT changes with LMM. In the truth it is 1, and the
#   interval holds 1. Note how far the probability in the last column lies from one half all the same: standing alone,
#   it is weaker evidence than it looks.
# - **RERI**, the relative excess risk due to interaction, says whether both together produce more cases than the sum of
#   each. It is positive even here: odds ratios that multiply do more than add. That is arithmetic, not biology.
# - Lean muscle protects, so *low* LMM counts as the exposure; the levels stand in the contrast. The reference is the
#   cell of lowest risk.
# - The outcome is common, so RERI comes from standardised risks. The version from odds ratios stands beside, for
#   comparison with other software.

# %%
mb.plots.interaction(found)

# %% [markdown]
# ## 2. The four cells
#
# Knol and VanderWeele (2012) ask that the risks themselves be shown, each against one reference, so that a reader can
# compute either scale.

# %%
found.loc[found["estimand"].isin(["risk", "risk ratio"]), ["estimand", "contrast", "text"]]

# %% [markdown]
# ## 3. With an interaction in the truth
#
# `interaction=` puts a product term into the simulation: here -0.10 per Z times Z on the logit scale. The more lean
# muscle, the less fat matters.

# %%
with_truth = mb.simulate_cohort(seed=1, interaction=-0.10)
stronger = mb.fit("cbp_interaction", with_truth)
answers(mb.interaction(stronger, "intermat_z", "lmm_z"))

# %%
mb.plots.surface(mb.odds_ratio_surface(stronger, "intermat_z", "lmm_z"))

# %% [markdown]
# The lines of equal odds ratio are no longer parallel.
#
# ## 4. A study that cannot tell
#
# Interactions need many people. A rule of thumb says sixteen times as many as the main effect, if the interaction is
# half its size (Gelman 2018). Here are 1,500 participants of the same truth.

# %%
small = mb.fit("cbp_interaction", with_truth.head(1_500))
answers(mb.interaction(small, "intermat_z", "lmm_z"))

# %% [markdown]
# **The data cannot tell.** The interval of the ratio of odds ratios reaches from none to more than double. Reporting
# "no significant interaction" would turn an open question into a finding (there is an interaction: we put it there);
# reporting the estimate alone would turn chance into one. The interval is the answer. AP and S are refused: with this
# much interaction one of the exposures protects where the other is absent, and then they mean nothing (Knol and
# VanderWeele 2012).
