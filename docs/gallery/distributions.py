"""Exposures by group

Boxplots of both exposures with the sizes of the groups, by chronic back pain.
"""

groups = mb.exposure_distributions(fit, by=["osteoarthritis", "osteoporosis"])
figure = mb.plots.distributions(groups)
