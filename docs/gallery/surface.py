"""Odds-ratio surface

Odds ratios over both exposures at once, against a person at both means, and the probability that they exceed 1. Cells without
support in the data stay empty.
"""

surface = mb.odds_ratio_surface(fit, "intermat_z", "lmm_z")
figure = mb.plots.surface(surface)
