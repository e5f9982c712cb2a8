"""Whether labelled muscles can be a person's: their size against the body's, left against right, and sides exchanged."""

import math

import numpy as np

from muscle_bayes.imaging.quality.findings import Finding
from muscle_bayes.imaging.quality.view import View

#: Muscles' cross-section in percent of the body's, left and right together, over the slices that show the muscle: wider
#: than people are (from cachexia to bodybuilders, slim to obese), so that only faults of the labels lie outside. The lower limits
#: are between a fifth and a seventh of what is usual (9, 4.3, 10, 28, 19, 17 and 3.1 %).
AREA_PERCENT = {
    "autochthonous": (1.6, 20.0),
    "iliopsoas": (0.8, 12.0),
    "gluteals": (2.0, 40.0),
    "quadriceps": (4.0, 50.0),
    "adductors": (2.7, 35.0),
    "hamstrings": (2.4, 30.0),
    "sartorius": (0.45, 5.0),
}
#: A muscle's end is thin: where less of it than this is shown, the lower limit falls in proportion.
WHOLE_BELLY_MM = 100.0
#: The larger side over the smaller, by volume over slices that show the muscle on either side.
SIDE_RATIO = 1.6
#: A muscle is judged from this volume on (both sides); grazed muscles are not.
LEAST_CM3 = 20.0
#: Side centres must differ by this much before sides are called exchanged.
_APART_MM = 10.0


def find_volume_faults(view: View) -> list[Finding]:
    """Find muscles whose labelled cross-section no person of this body size has.

    Parameters
    ----------
    view : View
        With labels.

    Returns
    -------
    list of Finding
        Kind `volume`, severity review, one a muscle.
    """
    findings = []
    for name, percent in area_percent(view).items():
        low, high = AREA_PERCENT.get(name, (0.0, math.inf))
        mask = view.mask(name)
        shown_mm = 0.0 if mask is None else float(mask.any(axis=(0, 1)).sum()) * view.spacing[2]
        low *= min(shown_mm / WHOLE_BELLY_MM, 1.0)
        if low <= percent <= high:
            continue
        word = "small" if percent < low else "large"
        findings.append(
            Finding(
                "volume",
                "review",
                f"{name} fill {percent:.1f} % of the body's cross-section, which is implausibly {word} "
                f"({low:.2g} to {high:g} % are plausible)",
                percent,
                low if percent < low else high,
                (),
                (name,),
            )
        )
    return findings


def area_percent(view: View) -> dict[str, float]:
    """Return each labelled muscle's cross-section in percent of the body's.

    Parameters
    ----------
    view : View
        With labels.

    Returns
    -------
    dict of str to float
        Third quartile over the slices in which the muscle is labelled, so that its thin ends do not count; muscles that are only
        grazed, and unnamed ones, are left out.
    """
    out: dict[str, float] = {}
    if view.labels is None:
        return out
    body = view.body.sum(axis=(0, 1))
    for name in dict.fromkeys(view.scheme[key].name for key in view.muscle_ids()):
        ids = [key for key, item in view.scheme.items() if item.name == name]
        if name in ("other", "all"):
            continue
        area = np.isin(view.labels, ids).sum(axis=(0, 1))
        shown = (area > 0) & (body > 0)
        # A muscle that runs out is thin at its end; where few slices show it, it says nothing.
        if shown.sum() * view.spacing[2] < 20.0:
            continue
        out[name] = 100 * float(np.quantile(area[shown] / body[shown], 0.75))
    return out


def find_side_faults(view: View, orientation_known: bool = True) -> list[Finding]:
    """Find muscles that differ between the sides more than people's do, and sides that are exchanged.

    Parameters
    ----------
    view : View
        With labels.
    orientation_known : bool
        Whether left and right of the image are known; without it sides cannot be called exchanged.

    Returns
    -------
    list of Finding
        Kinds `asymmetry` (review) and `sides_exchanged` (fail).
    """
    if view.labels is None:
        return []
    findings = []
    wrong: list[str] = []
    right: list[str] = []
    for name, (left_cm3, right_cm3, apart_mm) in side_volumes(view).items():
        if apart_mm is not None and abs(apart_mm) >= _APART_MM:
            (right if apart_mm > 0 else wrong).append(name)
        ratio = max(left_cm3, right_cm3) / max(min(left_cm3, right_cm3), 1e-6)
        if left_cm3 + right_cm3 >= LEAST_CM3 and ratio > SIDE_RATIO:
            findings.append(
                Finding(
                    "asymmetry",
                    "review",
                    f"{name}: left {left_cm3:.0f} cm3 and right {right_cm3:.0f} cm3, a ratio of "
                    f"{min(ratio, 999):.1f} over the same slices",
                    min(ratio, 999.0),
                    SIDE_RATIO,
                    (),
                    (name,),
                )
            )
    if wrong and orientation_known and len(wrong) > len(right):
        findings.append(
            Finding(
                "sides_exchanged",
                "fail",
                f"left and right are exchanged: {' and '.join(sorted(wrong))} labelled left lie on the right of the image",
                float(len(wrong)),
                0.0,
                (),
                (),
            )
        )
    return findings


def side_volumes(view: View) -> dict[str, tuple[float, float, float | None]]:
    """Return volumes of left and right muscles over the slices that show either.

    Parameters
    ----------
    view : View
        With labels.

    Returns
    -------
    dict of str to (left cm3, right cm3, distance mm)
        The distance is how far the right one's centre lies to the right of the left one's; None where a side is missing.
        Muscles whose scheme has one side only are left out.
    """
    assert view.labels is not None
    out: dict[str, tuple[float, float, float | None]] = {}
    x = np.arange(view.labels.shape[0]) * view.spacing[0]
    for name in dict.fromkeys(view.scheme[key].name for key in view.muscle_ids()):
        sides: list[np.ndarray] = []
        for side in ("left", "right"):
            ids = [key for key, item in view.scheme.items() if (item.name, item.side) == (name, side)]
            sides.append(np.isin(view.labels, ids).sum(axis=(1, 2)) if ids else np.zeros(x.size, dtype=int))
        left, right = sides
        if not left.sum() + right.sum():
            continue
        apart = float(right @ x / right.sum() - left @ x / left.sum()) if left.sum() and right.sum() else None
        out[name] = (float(left.sum() * view.voxel_cm3), float(right.sum() * view.voxel_cm3), apart)
    return out
