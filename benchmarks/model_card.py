"""Bring the exam's figures into the model card and into the bundle's metadata.

    python benchmarks/model_card.py

Reads `benchmarks/results/exam.json`; replaces what stands between two marks in `segmentation/docs/README.md`, and
`eval_metrics` in `segmentation/configs/metadata.json`. Refuses figures of other weights than those in the bundle.
"""

import json
import sys
import textwrap
from pathlib import Path
from typing import Any

from muscle_bayes.resources import data_folder

EXAM = Path(__file__).parent / "results" / "exam.json"
BEGIN, END = "<!-- figures of the exam -->", "<!-- end of the exam's figures -->"
REGION_WORDS = {"field_of_view": "field of view", "above_gluteals_150mm": "150 mm above the gluteals (the default)"}


def main() -> None:
    exam, root = json.loads(EXAM.read_text()), data_folder("segmentation")
    metadata_file, card_file = root / "configs" / "metadata.json", root / "docs" / "README.md"
    metadata = json.loads(metadata_file.read_text())
    if [weights["sha256"] for weights in metadata["weights"]] != exam["weights_sha256"]:
        sys.exit(f"{EXAM} judges other weights than those in {root}: run benchmarks/exam.py first")
    before, rest = card_file.read_text().split(BEGIN)
    card_file.write_text(
        before + BEGIN + "\n\n" + "\n".join(wrapped(figures(exam))) + "\n\n" + END + rest.split(END)[1]
    )
    metadata["eval_metrics"] = metrics(exam)
    metadata_file.write_text(json.dumps(metadata, indent=4) + "\n")


def figures(exam: dict[str, Any]) -> list[str]:
    """Tables and sentences, one item a paragraph or a line of a table."""
    scans = f"{exam['scans']} of the exam's 200 scans" if not exam["complete"] else "all 200 scans of the exam"
    more = "" if exam["complete"] else " (a mixed part; the same command goes on where it stopped)"
    lines = [f"On {scans}{more}:", "", "| structure | scans | Dice, median | worst decile |", "|---|---|---|---|"]
    for name, found in exam["dice"].items():
        words = name.replace("_", " ")
        lines.append(f"| {words} | {found['scans']} | {found['median']:.3f} | {found['worst_decile']:.3f} |")
    lines += [
        "",
        "| predicted against true labels | scans | not measured | bias | error SD | slope |",
        "|---|---|---|---|---|---|",
    ]
    agreements = {
        f"InterMAT, points, {REGION_WORDS[region]}": found
        for region, found in exam["intermat_predicted_against_true_labels"].items()
    }
    agreements["lean muscle, cm3, 150 mm above the gluteals"] = exam["lean_cm3_predicted_against_true_labels"]
    agreements["top of the gluteals, mm"] = exam["top_of_gluteals_mm_predicted_against_true_labels"]
    for name, found in agreements.items():
        cells = [_signed(found["bias"]), _number(found["sd"], 2), _number(found["slope"], 3)]
        lines.append(f"| {name} | {found['scans']} | {found['not_measured']} | {' | '.join(cells)} |")
    lines += ["", f"Floors for weights trained on a processor: {verdicts(exam['floors']['cpu'])}."]
    for region, words in REGION_WORDS.items():
        lines += ["", f"InterMAT over the {words}: {verdicts(exam['floors'][f'intermat, {region}'])}."]
    real = exam["real_images"]
    if real:
        trunk, thigh = real["trunk"], real["thigh"]
        lines += [
            "",
            "Real images, never trained or tuned on: trunk (T1, 3 mm, one person), autochthonous muscles against "
            f"TotalSegmentator's labels {trunk['autochthonous']:.2f} (left {trunk['autochthonous left']:.2f}, right "
            f"{trunk['autochthonous right']:.2f}); iliopsoas, of which 6 cm3 are in view, {trunk['iliopsoas']:.2f}. Thighs "
            f"(one contrast, one person), union of muscles {thigh['union of muscles']:.2f}, bone {thigh['bone']:.2f}. Calves are "
            "outside what it knows.",
        ]
    return lines


def verdicts(floors: dict[str, Any]) -> str:
    """What was asked and found, in words."""
    parts = []
    for name, floor in floors.items():
        asked = floor["asked"]
        limit = f"{asked[0]} to {asked[1]}" if isinstance(asked, list) else f"{asked}"
        found = "none" if floor["found"] is None else f"{floor['found']:.2f}"
        verdict = "holds" if floor["holds"] else "does not hold"
        parts.append(f"{name.replace('_', ' ')}: asked {limit}, found {found}, {verdict}")
    return "; ".join(parts)


def metrics(exam: dict[str, Any]) -> dict[str, Any]:
    """The short list in the bundle's metadata."""
    out: dict[str, Any] = {"exam_scans": exam["scans"], "exam_complete": exam["complete"]}
    out |= {f"dice_median {name}": found["median"] for name, found in exam["dice"].items()}
    for region, found in exam["intermat_predicted_against_true_labels"].items():
        out |= {f"intermat_{what} {region}": found[what] for what in ("bias", "sd", "slope")}
    if exam["real_images"]:
        out["real_trunk_autochthonous_dice"] = exam["real_images"]["trunk"]["autochthonous"]
        out["real_thigh_union_dice"] = exam["real_images"]["thigh"]["union of muscles"]
    return out


def wrapped(lines: list[str]) -> list[str]:
    out = []
    for line in lines:
        out += [line] if line.startswith("|") or not line else textwrap.wrap(line, 118)
    return out


def _signed(value: float | None) -> str:
    return "none" if value is None else f"{value:+.2f}"


def _number(value: float | None, digits: int) -> str:
    return "none" if value is None else f"{value:.{digits}f}"


if __name__ == "__main__":
    main()
