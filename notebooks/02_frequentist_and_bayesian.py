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
# # Frequentist and Bayesian estimates compared
#
# Most epidemiologists fit a mixed logistic regression with `lme4::glmer`. What does a posterior add, where does it
# agree, and where should it differ? This notebook fits the same model by maximum likelihood and by posterior, first
# where they agree, then where they cannot: few sites, a rare outcome, and separation.
#
# **All data here are simulated.** No number below is a finding about people.

# %%
import pandas as pd
from IPython.display import Markdown

import muscle_bayes as mb

pd.options.display.max_colwidth = None
table = mb.simulate_cohort(seed=1)


def side_by_side(compared: pd.DataFrame, estimand: str = "odds ratio", role: str | None = None) -> pd.DataFrame:
    """One row a quantity, one column a method."""
    rows = compared[compared["estimand"] == estimand]
    rows = rows if role is None else rows[rows["role"] == role]
    wide = rows.pivot_table(index=["label", "contrast"], columns="source", values="text", aggfunc="first", sort=False)
    return wide.droplevel("contrast") if estimand != "odds ratio" else wide


# %% [markdown]
# ## 1. Where they agree: many participants, odds ratios
#
# `method="ml"` maximises the marginal likelihood as `glmer` does; `auto`, the default, takes the certified Laplace
# engine. `compare` puts them side by side, with three methods that other software offers: logistic regression with
# fixed sites, GEE, and logistic regression with standard errors clustered by site.

# %%
bayes = mb.fit("cbp_main", table)
ml = mb.fit("cbp_main", table, method="ml")
compared = mb.compare({"Bayes": bayes, "ML": ml}, references=["fixed_site", "gee", "cluster_robust"])
side_by_side(compared, role="exposure")

# %%
mb.plots.comparison(compared)

# %% [markdown]
# Posterior, maximum likelihood and fixed sites agree to the second digit: 27,518 participants overwhelm a prior that
# holds any odds ratio from 0.2 to 5 possible. Read the clustered methods with care. Their intervals rest on five
# clusters, and here they are *narrower* for the exposures and wider for age: with five clusters a sandwich is mostly
# noise, in spite of the correction for its bias (Mancl and DeRouen 2001) and of Student's t with four degrees of
# freedom. The notes say so:

# %%
Markdown("\n".join(f"- {note}" for note in compared.attrs["notes"]))

# %% [markdown]
# Profile likelihood intervals, which `confint(glmer(...))` computes, are there too. For a coefficient they equal
# Wald's; for the site SD, whose likelihood is skewed, only the profile makes sense.

# %%
ml.profile_intervals().round(3)

# %% [markdown]
# ## 2. Few sites
#
# Only three sites now, with 2,000 participants each. Maximum likelihood takes one value of the site SD and goes on as
# if it were known. A posterior averages over the values that the data allow, and with three sites the data allow nearly
# all. So the prior of the site SD matters; here are three of them.

# %%
sites = sorted(table["site"].unique())[:3]
three = pd.concat([table[table["site"] == site].head(2_000) for site in sites], ignore_index=True)
weak = mb.load_model("cbp_main").priors


def with_site_sd(scale: float) -> mb.Fit:
    """Fit with a half-normal prior of this scale on the site SD."""
    prior = weak.site_sd.model_copy(update={"half_normal": scale, "reason": "varied in this notebook"})
    return mb.fit("cbp_main", three, priors=weak.model_copy(update={"site_sd": prior}))


fits = {f"half-normal({scale:g})": with_site_sd(scale) for scale in (0.5, 0.25, 1.0)}
fits["ML"] = mb.fit("cbp_main", three, method="ml")
few = mb.compare(fits)
side_by_side(few, "site SD")

# %%
side_by_side(few, role="exposure")

# %%
intercepts = {name: fit.summary().loc["Intercept"] for name, fit in fits.items()}
widths = pd.Series({name: row["97.5 %"] - row["2.5 %"] for name, row in intercepts.items()})
widths.rename("width of the intercept's interval (log odds)").round(2).to_frame()

# %% [markdown]
# Two things to take away. The odds ratios do not care: they compare persons within sites. The intercept, the site SD
# and any risk at a *new* site care a great deal, and no method can help that. The honest thing is to state the prior
# and to show what others would have given (`mb.sensitivity` does that for every estimand).
#
# ## 3. A rare outcome, and separation
#
# Pain of intensity 9 or 10, among 3,000 participants: a handful of events. Nobody with osteoporosis happens to be among
# them. For maximum likelihood the odds ratio of osteoporosis is then 0 and its standard error infinite (separation).

# %%
fewer = table.head(3_000)
rare_model = mb.Model(
    name="rare",
    formula="pain_nrs ~ intermat_z + lmm_z + age_z + sex + osteoporosis + (1|site)",
    event="pain_nrs >= 9",
    outcome="Pain of intensity 9 or 10",
    levels={"sex": ["female", "male"]},
    standardise={
        "intermat_z": {"from": "intermat_percent"},
        "lmm_z": {"from": "lmm_cm3_per_kg_m2"},
        "age_z": {"from": "age_years"},
    },
    exposures={"intermat_z": {"contrast": 2, "adverse": "high"}, "lmm_z": {"contrast": 2, "adverse": "low"}},
)
rare = mb.fit(rare_model, fewer)
rare_ml = mb.fit(rare_model, fewer, method="ml")
print(rare_ml.diagnostics)

# %% [markdown]
# The fit by maximum likelihood fails its gate, and says why. To look at its numbers all the same one has to ask for
# them.

# %%
separated = mb.compare({"Bayes": rare, "ML": rare_ml}, references=["fixed_site"], allow_unconverged=True)
side_by_side(separated).replace("", "no estimate")

# %%
mb.plots.comparison(separated, show="all")

# %% [markdown]
# With 27 events for six coefficients, maximum likelihood is not only uncertain, it is biased away from 1 (Firth 1993;
# van Smeden 2016). The posterior draws estimates towards what was held possible before: an odds ratio per 2 Z beyond
# 0.2 to 5 would need more evidence than 27 events can give. Its warnings say where it rests on the prior:

# %%
print(rare.diagnostics)

# %% [markdown]
# What do these data say about InterMAT and very strong pain?

# %%
odds = mb.odds_ratios(rare, terms=["intermat_z", "lmm_z"])
odds[["label", "text", "prob_gt_null", "rope_share"]].round(2)

# %% [markdown]
# **They cannot tell.** The interval of InterMAT runs from less than half to nearly double the odds; that is the answer,
# and it is a better one than a star that is missing. For LMM the direction is likely, its size is not known.
#
# ## 4. Your own numbers from R
#
# `compare(external={"lme4": "lme4.csv"})` takes what `write.csv(coef(summary(fit)), "lme4.csv")` or
# `write.csv(fixef(fit), "brms.csv")` wrote, and adds it as one more column:

# %%
pasted = pd.DataFrame(
    {"": ["intermat_z", "lmm_z"], "Estimate": [0.0800, -0.1350], "Std. Error": [0.0190, 0.0260]}
)  # made up for this page
side_by_side(mb.compare({"Bayes": bayes, "ML": ml}, external={"pasted": pasted}), role="exposure")
