"""Specification curve

One odds ratio under every combination of choices that a reviewer may ask about, from lowest to highest.
"""

people = mb.simulate_cohort(n=3_000, seed=1)
table = mb.sensitivity("cbp_main", people, site_sd=(0.5,), leave_out_sites=False, estimands=("odds ratio",))
figure = mb.plots.specification_curve(table)
