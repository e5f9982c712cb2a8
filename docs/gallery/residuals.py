"""Residuals against exposures

In bins of each exposure, the observed share less what the fit replicates. A trend or a bend would be a form that the model misses.
"""

left = mb.residuals(fit, by="sex")
figure = mb.plots.residuals(left)
