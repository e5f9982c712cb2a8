"""Interaction on both scales

The four cells of two exposures, and what they do together: RERI, AP and S, and the ratios of risk ratios and of odds ratios.
"""

both = mb.interaction(fit, "intermat_z", "lmm_z")
figure = mb.plots.interaction(both)
