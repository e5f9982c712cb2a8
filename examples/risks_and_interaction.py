"""Standardised risks and additive interaction, as tables for a paper.

    uv run python examples/risks_and_interaction.py participants.csv

Writes risks.tex and interaction.html. Without a table, a cohort is simulated.
"""

import sys
from pathlib import Path

import muscle_bayes as mb
from muscle_bayes.estimands import printed


def main(arguments: list[str]) -> None:
    """Fit, average over the cohort within each draw, and write what a paper prints."""
    participants = arguments[0] if arguments else mb.simulate_cohort(n=5_000, seed=1)
    fit = mb.fit("cbp_interaction", mb.read_cohort(participants))
    risks = mb.risks(fit)
    both = mb.interaction(fit, "intermat_z", "lmm_z")

    difference = risks[(risks["estimand"] == "risk difference") & (risks["term"] == "intermat_z")].iloc[0]
    reri = both[both["estimand"] == "RERI"].iloc[0]
    print(f"Risk difference, {difference['contrast']}: {difference['text']}")
    print(
        f"RERI: {reri['text']}, P(RERI > 0) = {reri['prob_gt_null']:.2f}{', SIMULATED DATA' if fit.simulated else ''}"
    )
    Path("risks.tex").write_text(printed(risks).to_latex(index=False, escape=True), encoding="utf-8")
    Path("interaction.html").write_text(printed(both).to_html(index=False), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
