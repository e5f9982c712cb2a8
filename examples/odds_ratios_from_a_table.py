"""Odds ratios of intermuscular fat and lean muscle from a table of participants.

    uv run python examples/odds_ratios_from_a_table.py participants.csv

The table has one row a participant, with the columns that `muscle-bayes simulate --out participants.csv` writes; a table with other
names is read with `mb.read_cohort(path, columns={"alter": "age_years", ...})`. Without a table, a cohort is simulated.
"""

import sys

import muscle_bayes as mb


def main(arguments: list[str]) -> None:
    """Fit the interaction model and print what was asked, whether to trust it, and the odds ratios."""
    participants = arguments[0] if arguments else mb.simulate_cohort(n=5_000, seed=1)
    cohort = mb.read_cohort(participants)
    fit = mb.fit("cbp_interaction", cohort, seed=1)
    odds = mb.odds_ratios(fit, per=2)

    print(fit.model.question)
    print(f"{fit.n:,} participants, {fit.events:,} events{', SIMULATED DATA' if fit.simulated else ''}")
    print(fit.diagnostics)
    print()
    for _, row in odds[odds["role"] == "exposure"].iterrows():
        print(f"{row['label']}, {row['contrast']}: odds ratio {row['text']}")


if __name__ == "__main__":
    main(sys.argv[1:])
