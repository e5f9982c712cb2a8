"""Draw the graph of docs/adjustment.md anew: `uv run python docs/adjustment.py` writes images/adjustment.svg and .png.

The graph is data: `EDGES` says what may cause what, `SETS` which covariates answer which question, and a test checks by
d-separation that each set does what it is said to do.
"""

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

IMAGES = Path(__file__).resolve().parent / "images"
ORANGE, INK, GREY, LIGHT = "#d55e00", "#1f1f1f", "#767676", "#f1f1f1"

STYLE = {"font.family": "DejaVu Sans", "font.size": 7, "svg.hashsalt": "adjustment", "svg.fonttype": "path"}

MUSCLE = ("InterMAT", "lean muscle")
CAUSES = ("age", "sex", "activity", "body size", "metabolic diagnoses")
JOINTS = "osteoarthritis, osteoporosis"
PAIN = "chronic back pain"
EARLIER = "earlier pain"
SITE = "site"

#: Cause -> effects. Earlier pain is not measured.
EDGES: dict[str, tuple[str, ...]] = {
    "age": (*MUSCLE, PAIN, JOINTS, "activity", "body size", "metabolic diagnoses"),
    "sex": (*MUSCLE, PAIN, JOINTS, "activity", "body size", "metabolic diagnoses"),
    "activity": (*MUSCLE, PAIN, "body size", "metabolic diagnoses"),
    "body size": (*MUSCLE, PAIN, JOINTS, "metabolic diagnoses"),
    "metabolic diagnoses": (*MUSCLE, PAIN),
    SITE: (*MUSCLE, PAIN),
    "InterMAT": (PAIN, JOINTS),
    "lean muscle": (PAIN, JOINTS),
    JOINTS: (PAIN,),
    EARLIER: (*MUSCLE, "activity", PAIN),
}

#: The covariates that the model as it stands adjusts for, beside the other exposure.
STANDING = ("age", "sex", "activity", "metabolic diagnoses", JOINTS, SITE)

#: Choice of `mb.sensitivity` -> covariates.
SETS: dict[str, tuple[str, ...]] = {
    "as specified": STANDING,
    "with BMI": (*STANDING, "body size"),
    "without osteoarthritis and osteoporosis": tuple(name for name in STANDING if name != JOINTS),
    "with BMI, without osteoarthritis and osteoporosis": (
        *(name for name in STANDING if name != JOINTS),
        "body size",
    ),
    "without diagnoses": ("age", "sex", "activity", SITE),
    "without physical activity": tuple(name for name in STANDING if name != "activity"),
    "without covariates": (SITE,),
}


def graph(*, joints_first: bool = False, without: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """Return the arrows, cause first.

    Parameters
    ----------
    joints_first : bool
        Whether osteoarthritis and osteoporosis change muscle, in place of muscle them.
    without : tuple of str
        Nodes to leave out.
    """
    arrows = [(cause, effect) for cause, effects in EDGES.items() for effect in effects]
    if joints_first:
        arrows = [(b, a) if a in MUSCLE and b == JOINTS else (a, b) for a, b in arrows]
    return [(a, b) for a, b in arrows if a not in without and b not in without]


def draw() -> plt.Figure:
    """Draw the graph, 180 mm wide, causes in a box of their own."""
    figure, ax = plt.subplots(figsize=(180 / 25.4, 98 / 25.4))
    figure.subplots_adjust(0, 0, 1, 1)
    ax.set_xlim(0, 180)
    ax.set_ylim(0, 98)
    ax.set_axis_off()

    def box(x: float, y: float, w: float, h: float, text: str, *, dashed: bool = False, face: str = "white") -> None:
        style = {"boxstyle": "round,pad=0,rounding_size=2", "linewidth": 0.8, "edgecolor": INK, "facecolor": face}
        ax.add_patch(FancyBboxPatch((x, y), w, h, linestyle=(0, (3, 2)) if dashed else "solid", zorder=2, **style))
        ax.text(x + w / 2, y + h / 2, text, ha="center", va="center", zorder=3, linespacing=1.35)

    def arrow(a: tuple[float, float], b: tuple[float, float], *, colour: str = GREY, dashed: bool = False,
              both: bool = False, bend: float = 0.0, width: float = 0.9) -> None:  # fmt: skip
        ax.add_patch(
            FancyArrowPatch(
                a, b, arrowstyle="<|-|>" if both else "-|>", mutation_scale=8, color=colour, linewidth=width, zorder=1,
                linestyle=(0, (3, 2)) if dashed else "solid", connectionstyle=f"arc3,rad={bend}", shrinkA=0, shrinkB=0,
            )
        )  # fmt: skip

    box(4, 38, 46, 42, "", face=LIGHT)
    ax.text(27, 76, "common causes", ha="center", va="center", fontweight="bold", zorder=3)
    ax.text(
        27,
        62.5,
        "age, sex\nphysical activity\ndiabetes, dyslipidemia",
        ha="center",
        va="center",
        zorder=3,
        linespacing=1.5,
    )
    ax.text(
        27,
        46,
        "body size\n(not in the model\nas it stands)",
        ha="center",
        va="center",
        zorder=3,
        linespacing=1.35,
        color=ORANGE,
    )
    box(72, 38, 38, 37, "", face=LIGHT)
    ax.text(91, 71, "muscle, as measured", ha="center", va="center", fontweight="bold", zorder=3)
    box(78, 56, 26, 10, "InterMAT")
    box(78, 42, 26, 10, "lean muscle")
    box(90, 15, 34, 12, "osteoarthritis,\nosteoporosis")
    box(146, 49, 30, 15, "chronic\nback pain", face="#fdeee3")
    box(4, 10, 46, 14, "study site\n(scanner, region)")
    box(71, 82, 40, 10, "earlier pain (not measured)", dashed=True)

    arrow((104, 61), (146, 59), colour=ORANGE, width=1.8)
    arrow((104, 47), (146, 54), colour=ORANGE, width=1.8)
    ax.text(128, 62, "the questions", ha="center", color=ORANGE)
    arrow((50, 57), (72, 57))
    arrow((50, 42), (90, 22), bend=0.05)
    arrow((42, 80), (154, 64), bend=-0.42)
    arrow((38, 24), (72, 46), bend=-0.12)
    ax.text(38, 31, "scanner\noffsets", color=GREY, ha="right", va="center", linespacing=1.2)
    arrow((50, 12), (165, 49), bend=0.42)
    arrow((101, 38), (105, 27), colour=INK, dashed=True, both=True)
    ax.text(105, 32.5, "either way?", color=INK, ha="left", va="center")
    arrow((124, 22), (157, 49), bend=0.12)
    arrow((91, 82), (91, 75), dashed=True)
    arrow((111, 87), (160, 64), dashed=True, bend=-0.22)
    arrow((71, 86), (46, 80.2), dashed=True, bend=0.05)
    ax.text(61, 79, "less activity", ha="center", color=GREY)
    return figure


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    with plt.rc_context(STYLE):
        drawn = draw()
        drawn.savefig(IMAGES / "adjustment.svg", metadata={"Date": None})
        drawn.savefig(IMAGES / "adjustment.png", dpi=200)
