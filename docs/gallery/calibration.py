"""Calibration

Observed frequency against predicted probability by isotonic regression (PAVA), with the band of calibrated models.
"""

curves = mb.calibration(fit)
figure = mb.plots.calibration(curves)
