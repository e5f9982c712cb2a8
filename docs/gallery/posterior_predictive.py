"""Posterior predictive check

The share with chronic back pain as observed, and as the fit would replicate it, by site, sex and age band.
"""

check = mb.posterior_predictive(fit)
figure = mb.plots.posterior_predictive(check)
