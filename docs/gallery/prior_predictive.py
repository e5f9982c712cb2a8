"""Prior predictive check

What the priors alone hold possible for the prevalence and for the odds ratios, before any outcome is seen.
"""

prior = mb.prior_predictive("cbp_interaction", cohort)
figure = mb.plots.prior_predictive(prior)
