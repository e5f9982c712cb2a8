"""Nomogram

Points for each predictor in its own unit, their total, and the probability with its 95 % credible band. `mb.plots.nomogram_html`
writes the same model as one interactive page.
"""

nomogram = mb.nomogram(fit)
figure = mb.plots.nomogram(nomogram)
