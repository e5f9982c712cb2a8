"""Muscle measures of every participant in a folder.

    uv run python examples/measure_a_folder.py scans measurements.tsv

Each participant is a folder with water.nii.gz, fat.nii.gz and labels.nii.gz. One that cannot be measured is named with its reason
and does not stop the others. Without arguments, two phantoms are simulated and measured.
"""

import sys
from pathlib import Path

import pandas as pd

import muscle_bayes as mb

PERSON = {"lmm_cm3_per_kg_m2": 24, "bmi_kg_m2": 26, "sex": "female", "site": "Essen", "voxel_mm": (3, 3, 6)}


def main(arguments: list[str]) -> None:
    """Measure, write the table, and say who is missing."""
    scans, table = map(Path, arguments or ["phantoms", "measurements.tsv"])
    for seed, fat in () if arguments else ((1, 5.0), (2, 12.0)):
        mb.simulate_phantom("trunk", intermat_percent=fat, seed=seed, **PERSON).save(scans / f"phantom{seed}")
    parts = []
    for folder in sorted(path for path in scans.iterdir() if path.is_dir()):
        images = [folder / f"{name}.nii.gz" for name in ("water", "fat", "labels")]
        try:
            parts.append(mb.quantify(*images, participant_id=folder.name, simulated=not arguments))
        except mb.errors.MuscleBayesError as error:
            print(f"{folder.name} is left out. {error}")
    measured = pd.concat(parts, ignore_index=True)
    measured.to_csv(table, sep="\t", index=False)
    back = measured.query("muscle == 'autochthonous' and side == 'both' and region == 'above_gluteals_150mm'")
    print(back[["participant_id", "intermat_threshold_percent", "lean_threshold_cm3", "qc"]].to_string(index=False))


if __name__ == "__main__":
    main(sys.argv[1:])
