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
# # The study in one sitting
#
# Do people with more fat in the muscles of their back, or with less lean muscle, have more chronic back pain? Ziegelmayer and
# colleagues asked this of the imaging study of the German National Cohort (NAKO), with Dixon MRI, interviews, and a mixed
# logistic regression with study site
# ([Lancet Reg Health Eur 2025;54:101323](https://doi.org/10.1016/j.lanepe.2025.101323)).
#
# This notebook goes the same way from images to a nomogram, with a Bayesian model. It is written for readers who would fit
# the model with `lme4::glmer` in R and have not used PyMC. It runs from top to bottom in about a minute.
#
# **All data here are simulated. No row is a person, and no number below is a finding about people.** The simulated cohort is
# calibrated to figures that the paper prints; the data of the NAKO themselves are not public. Because they are simulated, the
# truth is known, and every estimate can be held against it.
#
# The two exposures:
#
# | | meaning | unit |
# |---|---|---|
# | InterMAT | adipose tissue within the muscle compartment, as a share of its volume | % |
# | LMM | lean muscle: compartment without its adipose tissue, divided by body mass index | cm³/(kg/m²) |
#
# Both are measured in the autochthonous muscles of the back, left and right together, over 150 mm of spine.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import chi2, norm

import muscle_bayes as mb
from muscle_bayes.simulation import EXCLUSIONS

pd.options.display.float_format = "{:.4g}".format
pd.options.display.max_colwidth = None

# %% [markdown]
# ## 1. The cohort
#
# `simulate_cohort` returns one row a participant. The same seed always gives the same table; seed 1 is used here because it is
# the first, not because of what it shows.

# %%
analysed = mb.simulate_cohort(seed=1)
print(analysed.attrs["note"])
analysed[
    ["participant_id", "site", "sex", "age_years", "activity", "cbp", "intermat_percent", "lmm_cm3_per_kg_m2"]
].head()


# %% [markdown]
# Table 1, by chronic back pain (back pain for more than three months). For comparison, the paper reports chronic back pain in
# 6,003 of 27,518 (21.8 %), at a median age of 53 years (quartiles 46, 60) with and 48 (39, 56) without it.


# %%
def table_one(people: pd.DataFrame) -> pd.Series:
    """Return counts with percentages, and medians with quartiles."""

    def share(yes: pd.Series) -> str:
        return f"{yes.sum():,.0f} ({100 * yes.mean():.1f} %)"

    def quartiles(values: pd.Series) -> str:
        low, middle, high = values.quantile([0.25, 0.5, 0.75])
        return f"{middle:.1f} ({low:.1f}, {high:.1f})"

    return pd.Series(
        {
            "Participants": f"{len(people):,}",
            "Women": share(people["sex"] == "female"),
            "Age (years)": quartiles(people["age_years"]),
            "Body mass index (kg/m²)": quartiles(people["bmi_kg_m2"]),
            "Activity low (< 500 MET-min/week)": share(people["activity"] == "low"),
            "Activity moderate (500 to 5,000)": share(people["activity"] == "moderate"),
            "Activity high (> 5,000)": share(people["activity"] == "high"),
            "Diabetes": share(people["diabetes"] == 1),
            "Dyslipidemia": share(people["dyslipidemia"] == 1),
            "Osteoporosis": share(people["osteoporosis"] == 1),
            "Osteoarthritis": share(people["osteoarthritis"] == 1),
            "InterMAT (%)": quartiles(people["intermat_percent"]),
            "LMM (cm³/(kg/m²))": quartiles(people["lmm_cm3_per_kg_m2"]),
        }
    )


pd.DataFrame(
    {
        "All (simulated)": table_one(analysed),
        "Chronic back pain": table_one(analysed[analysed["cbp"] == 1]),
        "No chronic back pain": table_one(analysed[analysed["cbp"] == 0]),
    }
)

# %% [markdown]
# ## 2. From imaged to analysed
#
# A study does not begin with its analysis set. With `complete=False` the simulation gives everyone who was imaged, with missing
# values and with marks for images that cannot be used. The numbers at both ends, 30,868 and 27,518, are the paper's; it does not
# print the steps between, so these are invented.
#
# `read_cohort` checks the table, applies the exclusions one after the other, and counts. It takes a file just as well; a study
# with other column names or codes maps them with `columns=`.

# %%
imaged = mb.simulate_cohort(complete=False, seed=1)
cohort = mb.read_cohort(imaged, exclusions=EXCLUSIONS)
cohort.flow

# %% [markdown]
# These are not yet 27,518. Which participants are complete depends on which variables a model asks for, so the model drops
# incomplete cases itself and adds that step to the flow (section 5).
#
# ## 3. One participant's images
#
# Where do InterMAT and LMM come from? A Dixon sequence gives two images, one of water and one of fat. Here is a phantom with
# the values of one member of the simulated cohort, in voxels coarser than those of a real scan, so that it is quick.

# %%
member = cohort.table.iloc[0]
phantom = mb.simulate_phantom(
    "trunk",
    intermat_percent=member["intermat_percent"],
    lmm_cm3_per_kg_m2=member["lmm_cm3_per_kg_m2"],
    bmi_kg_m2=member["bmi_kg_m2"],
    sex=member["sex"],
    site=member["site"],
    seed=1,
    voxel_mm=(2.0, 2.0, 4.0),
)
water, fat, labels = (np.asarray(image.dataobj) for image in (phantom.water, phantom.fat, phantom.labels))
in_back = np.isin(labels, [3, 4])  # autochthonous muscles, left and right
level = int(in_back.sum(axis=(0, 1)).argmax())  # the slice that holds most of them


# %%
signal = (water + fat).astype(float)
enough = signal > 0.25 * np.median(signal[in_back])
fraction = np.divide(fat, signal, out=np.full(signal.shape, np.nan), where=enough)
# The slice without the air around.
sides, depths = (np.flatnonzero(enough[:, :, level].any(axis=axis)) for axis in (1, 0))


def seen_from_below(volume: np.ndarray) -> np.ndarray:
    """Return the slice as radiologists look at it: the person's right is on the left of the picture."""
    return volume[sides[0] : sides[-1] + 1, depths[0] : depths[-1] + 1, level][::-1].T


figure, panels = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
for panel, (title, volume) in zip(
    panels, {"Water": water, "Fat": fat, "Fat signal fraction F / (W + F)": fraction}.items(), strict=True
):
    picture = panel.imshow(seen_from_below(volume), cmap="gray", origin="lower")
    panel.contour(seen_from_below(in_back), levels=[0.5], colors="#D55E00", linewidths=1)
    panel.set(title=title, xticks=[], yticks=[], xlabel="person's right | left")
panels[-1].set_facecolor("#b3cde3")  # too little signal for a fraction
figure.colorbar(picture, ax=panels[-1])
figure.suptitle("Simulated phantom: one slice, the autochthonous muscles outlined", fontsize=11)
plt.show()

# %% [markdown]
# Within the outline, InterMAT is the share of volume that is adipose tissue. There are three definitions of that, and a study
# has to choose one before it looks at results:
#
# - *threshold* (the default): voxels in which fat is at least half of the signal;
# - *fraction*: the fat signal fraction summed over all voxels, so the little fat within muscle fibres and the noise count too;
# - *mixture*: the share of the fatty component of a Gaussian mixture.
#
# `quantify` measures all three. The phantom's truth is known from a much finer grid than that of its voxels.

# %%
measured = mb.quantify(phantom.water, phantom.fat, phantom.labels, bmi=member["bmi_kg_m2"], simulated=True)
back = measured.query("muscle == 'autochthonous' and side == 'both' and region == 'above_gluteals_150mm'").iloc[0]
true = phantom.truth.query("muscle == 'autochthonous' and side == 'both'").iloc[0]
definitions = ["threshold", "fraction", "mixture"]
pd.DataFrame(
    {
        "InterMAT (%)": [true["intermat_percent"], *(back[f"intermat_{name}_percent"] for name in definitions)],
        "Lean volume (cm³)": [true["lean_cm3"], *(back[f"lean_{name}_cm3"] for name in definitions)],
        "LMM (cm³/(kg/m²))": [
            true["lean_cm3"] / member["bmi_kg_m2"],
            *(back[f"lmm_{name}_cm3_per_kg_m2"] for name in definitions),
        ],
    },
    index=["truth", *(f"measured, {name}" for name in definitions)],
).round(1)

# %% [markdown]
# The threshold does not see streaks of fat that are thinner than a voxel; the fraction counts fat that is not intermuscular.
# Neither is a mistake of the software. They are reasons why InterMAT compares only within one protocol, one voxel size and one
# definition, which is also why the model below works with Z-scores.
#
# From here on the cohort's own values are used; no phantom replaces them.
#
# ## 4. The model, before any result
#
# A model of this software is a text file that can be read, copied and edited. This one is `models/cbp_interaction.toml`.

# %%
model = mb.load_model("cbp_interaction")
print(model.question)
print(model.formula)

# %% [markdown]
# The formula means what it means in R:
#
# ```r
# glmer(cbp ~ intermat_z * lmm_z + age_z + sex + activity + diabetes + dyslipidemia +
#         osteoporosis + osteoarthritis + (1 | site), family = binomial)
# ```
#
# `intermat_z`, `lmm_z` and `age_z` are Z-scores over the whole analysis set. What `glmer` does not have are priors: what was
# held possible before the data were seen. They are stated as odds ratios, because nobody thinks in log odds. "OR 0.2 to 5 per 2"
# means that 95 % of the prior lies between an odds ratio of 0.2 and of 5 for a difference of 2 Z.

# %%
priors = pd.DataFrame([(p.term, p.stated, p.reason) for p in model.normal_priors().values()])
site_prior = model.priors.site_sd
priors.loc[len(priors)] = ["SD of site effects", f"half-normal({site_prior.half_normal:g})", site_prior.reason]
priors.set_axis(["term", "95 % of the prior", "why"], axis="columns").set_index("term")

# %% [markdown]
# ## 5. The fit, and whether it can be trusted

# %%
fit = mb.fit(model, cohort, seed=1)
fit.flow

# %%
print(fit.diagnostics)

# %% [markdown]
# A posterior is a distribution over all parameters at once, and it is handed to us as draws. These draws came from a Gaussian
# approximation at the peak of the posterior (Laplace), with each draw weighted by how far the approximation is off there
# (importance sampling). Three numbers say whether that worked:
#
# - **k-hat** describes the tail of these weights. When it is large, a few draws carry nearly all of the weight and nothing
#   computed from them is reliable; at 0.7 and above the fit is refused. Near 0 or below it, the approximation hardly needed
#   correction.
# - **ESS**, the effective sample size, says how many independent draws the weighted ones are worth (4,000 were taken).
# - **MCSE**, the Monte Carlo standard error, is what stays uncertain because there are finitely many draws. It is not the
#   uncertainty about the world (that is the posterior's SD), and it has to be much smaller. Tables and figures show no digit
#   that it does not carry.
#
# Had the fit failed, `mb.fit` would have gone on to Hamiltonian Monte Carlo (NUTS, the sampler of Stan and PyMC), where R-hat,
# effective sample sizes and divergences play the same part. `method="nuts"` asks for it directly. Estimates from a fit that
# failed its checks are refused.

# %%
fit.summary().round(4)

# %% [markdown]
# The columns `mean` and `sd` take the place of `Estimate` and `Std. Error` in `summary(glmer(...))`. The interval is a credible
# interval: given the model, the priors and these data, the parameter lies in it with 95 % probability.
#
# ## 6. Odds ratios
#
# Odds ratios are stated per 2 Z of an exposure, roughly from a person well below the mean to one well above it. Because
# the exposures interact in this model, each odds ratio holds at a stated value of the other exposure, here its mean.

# %%
odds = mb.odds_ratios(fit, per=2)
odds[["label", "contrast", "text", "role"]]

# %%
mb.plots.forest(odds)

# %% [markdown]
# Only the two rows in black answer the question of the study. The grey rows are there to adjust them. What would confound the
# grey rows themselves was not considered, and part of their effects may run through other variables of the model. So reading
# "the effect of dyslipidemia" off such a table is a mistake (the *Table 2 fallacy*, Westreich and Greenland 2013).
#
# Does the odds ratio of InterMAT depend on lean muscle? The model gives it at any value of LMM, and the ratio of two such odds
# ratios, one Z of LMM apart, is the interaction.

# %%
mb.odds_ratios(fit, terms=["intermat_z"], at={"lmm_z": [-1, 0, 1]})[["label", "contrast", "text"]]

# %%
product = np.exp(2 * fit.posterior["posterior"]["intermat_z:lmm_z"].to_numpy())
low, middle, high = np.quantile(product, [0.025, 0.5, 0.975])
print("One Z more of LMM multiplies the odds ratio per 2 Z of InterMAT")
print(f"by {middle:.2f} (95 % interval {low:.2f} to {high:.2f}).")
print(f"Posterior probability that this factor is below 1: {np.mean(product < 1):.2f}.")

# %% [markdown]
# The interval contains 1, so these data cannot tell whether there is an interaction. In fact there is none: the simulation was
# made with a factor of 1. Note how far from one half the probability lies all the same. One such probability, standing alone, is
# weaker evidence than it looks.

# %% [markdown]
# ## 7. Beside the published figures, and beside the truth
#
# The simulation put the published odds ratios into its truth. `attrs["truth"]` has them, per Z of the simulation's population;
# an SD of the sample is a little different from one of the population, which is taken into account.

# %%
truth = cohort.table.attrs["truth"]
labels = [column.label for column in fit.recipe.columns]
sample_sd = {name: z.sd / truth["standardisation"][name]["sd"] for name, z in fit.recipe.constants.items()}
in_truth = [truth["cbp"][label] * np.prod([sample_sd.get(part, 1.0) for part in label.split(":")]) for label in labels]

recovered = fit.summary().loc[labels, ["mean", "sd"]].assign(truth=in_truth)
recovered["SDs from the truth"] = (recovered["mean"] - recovered["truth"]) / recovered["sd"]
recovered.round(3)

# %%
published = {"intermat_z": "1.22 (1.13 to 1.30)", "lmm_z": "0.87 (0.79 to 0.95)"}
exposures = odds[odds["role"] == "exposure"].set_index("term")
pd.DataFrame(
    {
        "published (NAKO)": published,
        "truth of the simulation": {name: f"{np.exp(2 * recovered.loc[name, 'truth']):.2f}" for name in published},
        "this fit (simulated)": exposures["text"],
    }
)

# %% [markdown]
# The interval for LMM does not contain the truth. Is something wrong? How far off is that, for one coefficient and for all of
# them together (the squared Mahalanobis distance, which knows that estimates move together)?

# %%
distance = recovered.loc["lmm_z", "SDs from the truth"]
by_chance = 2 * norm.sf(abs(distance))
print(f"The estimate for LMM lies {abs(distance):.1f} posterior SDs {'below' if distance < 0 else 'above'} the truth.")
print(f"A coefficient that was named beforehand would be so far off in {100 * by_chance:.1f} % of samples.")

draws = fit.coefficients()[:, 1:]  # without the intercept
error = draws.mean(axis=0) - in_truth
joint = error @ np.linalg.solve(np.cov(draws.T), error)
beyond = 100 * chi2.sf(joint, len(labels))
print(
    f"The squared distance of all {len(labels)} is {joint:.1f}. Expected is {len(labels)}, and more comes up in {beyond:.0f} %."
)

# %% [markdown]
# So this sample is unlucky for LMM, and as a whole not out of the ordinary. Model and simulation have the same form, the
# diagnostics are good, and maximum likelihood (next section) says the same; a sample of 27,518 can still miss. We keep it, because
# seed 1 was fixed beforehand; a seed chosen for a pretty result would teach nothing. No diagnostic can show this, and in a
# real study the truth is not there to be looked at. It can only be seen by repeating the study, which a simulation can:

# %%
repeats = pd.concat(
    mb.odds_ratios(mb.fit(model, mb.simulate_cohort(seed=seed), method="ml"), terms=["lmm_z"]).assign(seed=seed)
    for seed in range(1, 11)
)
true_or = np.exp(2 * truth["cbp"]["lmm_z"])
held = repeats["lower"].lt(true_or) & repeats["upper"].gt(true_or)
figure, panel = plt.subplots(figsize=(7, 3), layout="constrained")
panel.axvline(true_or, color="0.5", linestyle="--", label=f"truth, {true_or:.2f}")
panel.hlines(repeats["seed"], repeats["lower"], repeats["upper"], colors=np.where(held, "#0072B2", "#D55E00"))
panel.plot(repeats["estimate"], repeats["seed"], "s", color="black", markersize=4, label="maximum likelihood, 95 %")
panel.set(xscale="log", xlabel="Odds ratio per 2 Z of LMM (simulated)", ylabel="Seed of the cohort")
panel.set_yticks(range(1, 11))
panel.set_xticks([0.7, 0.8, 0.9, 1.0], ["0.7", "0.8", "0.9", "1"])
panel.minorticks_off()
panel.invert_yaxis()
panel.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()
missed = ", ".join(map(str, repeats["seed"][~held]))
print(f"{held.sum()} of {len(held)} intervals contain the truth; those of these seeds do not: {missed or 'none'}")

# %% [markdown]
# ## 8. Maximum likelihood beside it
#
# `method="ml"` maximises the marginal likelihood as `glmer` does, without priors.

# %%
ml = mb.fit(model, cohort, method="ml")
both = fit.summary()[["mean", "sd"]].join(ml.summary()[["estimate", "se"]], how="inner")
both["difference / se"] = (both["mean"] - both["estimate"]) / both["se"]
both["sd / se"] = both["sd"] / both["se"]
both.round(3)

# %% [markdown]
# For every slope the two agree: tens of thousands of participants leave nothing of weak priors and make the posterior nearly
# Gaussian. Two rows differ, and these are the ones about sites.
#
# With five sites, the data say little about how much sites differ in general. Maximum likelihood takes the single most likely SD
# of the site effects and computes the intercept's standard error as though that SD were known. The posterior averages over all
# values of the SD that five sites and the prior allow, and it has a long tail to the right. So its mean is larger than the
# maximum, and the intercept, which stands for a typical site, is less certain. `glmer` is not wrong here; it answers a
# different question. Odds ratios compare persons within a site and are not touched by this; predictions for a site that was
# not in the study are (section 10).

# %%
site_sd = fit.site_sd()
grid = np.linspace(0, 0.8, 200)
scale = site_prior.half_normal
figure, panel = plt.subplots(figsize=(7, 3), layout="constrained")
panel.hist(site_sd, bins=np.linspace(0, 0.8, 65), density=True, color="#56B4E9", label="posterior")
panel.plot(grid, np.sqrt(2 / np.pi) / scale * np.exp(-((grid / scale) ** 2) / 2), color="black", label="prior")
panel.axvline(ml.maximum.site_sd, color="#D55E00", label="maximum likelihood")
panel.axvline(truth["cbp"]["1|site_sd"], color="0.5", linestyle="--", label="truth (root mean square of five)")
panel.set(xlabel="SD of the site effects (log odds; simulated data)", ylabel="Density", xlim=(0, 0.8))
panel.legend(frameon=False)
plt.show()

# %% [markdown]
# Would other priors have changed the answer? Hardly, with so many participants. The prior set "sceptical" holds odds ratios beyond
# 0.67 to 1.5 improbable:

# %%
sceptical = mb.fit(model, cohort, seed=1, priors="sceptical")
variants = {"weak prior": odds, "sceptical prior": mb.odds_ratios(sceptical), "maximum likelihood": mb.odds_ratios(ml)}
pd.DataFrame({name: frame.set_index("label")["text"].iloc[:2] for name, frame in variants.items()})

# %% [markdown]
# ## 9. The odds-ratio surface
#
# Both exposures at once, against a person at the mean of both. Combinations that hardly anyone in the data has are hatched: a
# logistic model will happily give an odds ratio there, and nothing supports it.

# %%
surface = mb.odds_ratio_surface(fit, "intermat_z", "lmm_z")
mb.plots.surface(surface)

# %%
corners = mb.odds_ratio_surface(fit, "intermat_z", "lmm_z", grid={"intermat_z": [-1, 1], "lmm_z": [-1, 1]})
corners[["contrast", "text", "supported_female", "supported_male"]]

# %% [markdown]
# ## 10. The nomogram, and one person's prediction
#
# A nomogram turns the model into a sheet of paper: read off the points of each predictor, add them, and read off the
# probability. The band is the 95 % interval of the probability, averaged over persons with about that total.

# %%
nomogram = mb.nomogram(fit)
mb.plots.nomogram(nomogram)

# %% [markdown]
# The same for one person, in raw units. The interval is the person's own. It depends on which site is meant:
#
# - *known*: a person at one of the five sites, with the effect of that site;
# - *typical*: a person at a site whose effect is 0;
# - *new*: a person at a sixth site, whose effect nobody has seen.

# %%
person = {
    "intermat_percent": 9.0,
    "lmm_cm3_per_kg_m2": 20.0,
    "age_years": 55.0,
    "sex": "female",
    "activity": "low",
    "diabetes": 0,
    "dyslipidemia": 1,
    "osteoporosis": 0,
    "osteoarthritis": 1,
    "site": "Berlin",
}
predicted = pd.concat(nomogram.predict(person, site=site) for site in ("known", "typical", "new"))
predicted[["site", "text", "total_points", "outside"]].set_index("site")

# %% [markdown]
# The three probabilities are much alike; their intervals are not. Someone who carries this model to a new place needs the widest
# one. `outside` is empty here: it would name an exposure beyond the 1st to 99th percentile of persons of the same sex and age.
#
# What each predictor adds to the log odds, against the average person:

# %%
nomogram.contributions(person)[["label", "value", "points", "text", "role"]]

# %% [markdown]
# All of these are intervals of a *probability*. Whether this person has chronic back pain stays a coin with that probability. The
# nomogram is for research and not for clinical decisions.
#
# ## 11. The paper's other figures
#
# **Images (its figure 1a).** Three people with the same lean muscle, at the 25th, 50th and 75th percentile of InterMAT, chosen by
# the table alone and not by how their pictures look. Here they are phantoms made from the simulated people's values.

# %%
chosen = mb.select_matched(cohort)
phantoms = {
    person.participant_id: mb.simulate_phantom(
        "trunk",
        intermat_percent=person.intermat_percent,
        lmm_cm3_per_kg_m2=person.lmm_cm3_per_kg_m2,
        bmi_kg_m2=person.bmi_kg_m2,
        sex=person.sex,
        site=person.site,
        seed=1,
        voxel_mm=(2.0, 2.0, 6.0),
    )
    for person in cohort.table[cohort.table["participant_id"].isin(chosen["participant_id"])].itertuples()
}
mb.plots.images_panel(chosen, phantoms)

# %% [markdown]
# **Symptom burden (its figure 1b).** The same exposures with another outcome: pain of intensity 4 or more.

# %%
pain = mb.fit("pain_nrs4", cohort, seed=1)
mb.plots.symptom_burden(mb.symptom_burden([fit, pain]))

# %% [markdown]
# **Subgroups (its figure 2b).** Both exposures in people with and without osteoarthritis and osteoporosis, with the sizes of the
# groups. People with osteoarthritis have less lean muscle and more fat in it: whether to adjust for it is a question about causes.

# %%
mb.plots.distributions(mb.exposure_distributions(fit))

# %% [markdown]
# ## 12. What this cannot tell
#
# - **The data are simulated.** That the fit finds odds ratios like the published ones shows that the software recovers what
#   was put in, with the error that sampling brings. It is no evidence about back pain.
# - **Association, at one point in time.** Also with the real data: people in pain move less and may build up fat and lose
#   muscle. A posterior is no remedy for reverse causation or for confounders that were not measured.
# - **Adjustment terms are not effects** (section 6). Osteoarthritis and osteoporosis may lie between muscle and pain; adjusting
#   for them answers another question than not adjusting.
# - **LMM is a ratio.** It divides by body mass index, so it carries body mass index into the model, the other way up.
# - **Missing values** were left out, which is fair here because the simulation drew them at random. Real ones are seldom so.
# - **The interaction** is on the multiplicative scale. An interval that contains 1 means that these data cannot tell, not that
#   there is none, and on the additive scale the answer may differ.
# - **A model is assumed**: a straight line in each Z-score on the log-odds scale, and sites that differ in their intercept only.
#   Here that is so by construction.
#
# To go on with your own data, put `mb.read_cohort("participants.csv", columns={...})` in place of the simulated table; what
# compares with a truth falls away, the rest stays as it is. `fit.posterior` is a `DataTree` with all the draws, which ArviZ reads,
# and `fit.save("posterior.nc")` keeps it.
