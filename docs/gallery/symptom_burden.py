"""Symptom burden

The same exposures across outcomes: chronic back pain, and pain of intensity 4 or more.
"""

pain = mb.fit("pain_nrs4", cohort)
burden = mb.symptom_burden([mb.fit("cbp_main", cohort), pain])
figure = mb.plots.symptom_burden(burden)
