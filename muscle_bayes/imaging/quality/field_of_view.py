"""Whether the field of view holds the body and what is measured of it."""

import numpy as np
from scipy import ndimage

from muscle_bayes.imaging.quality.findings import Finding, slices_text
from muscle_bayes.imaging.quality.view import View
from muscle_bayes.imaging.regions import EXTENT_MM, above_gluteals

#: The body counts as cut in a slice where this length of it lies on one edge of the image.
CUT_MM = 25.0
#: So many millimetres of slices must be cut before it is said.
CUT_HEIGHT_MM = 15.0
#: The extent may be short by this much (half a slice of the coarsest grids) before it is said.
_SHORT_MM = 3.0


def find_cut_in_plane(view: View) -> list[Finding]:
    """Find where the body is cut by an edge of the field of view within slices.

    Parameters
    ----------
    view : View
        Of a pair or a single contrast.

    Returns
    -------
    list of Finding
        Kind `cut_in_plane`: fail, with their names, where labelled muscle lies on the edge; review where only other tissue of
        the trunk or limb that is measured does. Arms beside a trunk are often cut and are not looked at.
    """
    solid = _measured_parts(view)
    findings = []
    edges = {
        "left": (solid[0], 1),
        "right": (solid[-1], 1),
        "back": (solid[:, 0], 0),
        "front": (solid[:, -1], 0),
    }
    longest = np.zeros(solid.shape[2])
    sides = []
    for side, (face, axis) in edges.items():
        length = face.sum(axis=0) * view.spacing[axis]
        if (length >= CUT_MM).sum() * view.spacing[2] >= CUT_HEIGHT_MM:
            sides.append(side)
        longest = np.maximum(longest, length)
    cut = np.flatnonzero(longest >= CUT_MM)
    if sides:
        findings.append(
            Finding(
                "cut_in_plane",
                "review",
                f"the body is cut by the {' and '.join(sides)} edge of the image in {slices_text(cut.tolist())} "
                f"(up to {longest.max():.0f} mm of it lie on the edge)",
                float(longest.max()),
                CUT_MM,
                tuple(cut.tolist()),
            )
        )
    if view.labels is None:
        return findings
    rim = np.ones(view.labels.shape[:2], dtype=bool)
    rim[1:-1, 1:-1] = False
    at_edge = view.labels[rim]
    names = sorted({view.scheme[key].name for key in view.muscle_ids() if (at_edge == key).any()})
    if names:
        slices = np.flatnonzero(np.isin(at_edge, view.muscle_ids()).any(axis=0))
        findings.append(
            Finding(
                "cut_in_plane",
                "fail",
                f"{' and '.join(names)} reach the edge of the image in {slices_text(slices.tolist())}, so part of them is "
                "not in view",
                float(slices.size),
                0.0,
                tuple(slices.tolist()),
                tuple(names),
            )
        )
    return findings


def _measured_parts(view: View) -> np.ndarray:
    """Body with signal, without parts of a slice that hold no labelled muscle, or, unlabelled, less than half the largest."""
    solid = view.body & (view.total >= view.floor)
    muscle = view.muscle()
    faces = (solid[[0, -1]].any(axis=(0, 1)), solid[:, [0, -1]].any(axis=(0, 1)))
    for k in np.flatnonzero(faces[0] | faces[1]):
        parts, count = ndimage.label(solid[:, :, k])
        if count < 2:
            continue
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        kept = sizes >= 0.5 * sizes.max()
        if muscle is not None and muscle[:, :, k].any():
            kept = np.bincount(parts[muscle[:, :, k]], minlength=count + 1) > 0
            kept[0] = False
        solid[:, :, k] = kept[parts]
    return solid


def find_cut_extent(view: View) -> list[Finding]:
    """Find whether the stack shows 150 mm of the autochthonous muscles above the gluteals.

    Parameters
    ----------
    view : View
        With labels of the autochthonous muscles and the gluteals; without them nothing is said.

    Returns
    -------
    list of Finding
        Kind `cut_extent`, severity review: what is short is missing from the measurements, not small.
    """
    gluteals, back = view.mask("gluteals"), view.mask("autochthonous")
    if gluteals is None or back is None:
        return []
    dx, dy, dz = view.spacing
    extent = above_gluteals(gluteals.sum(axis=(0, 1)), dx * dy, dz, EXTENT_MM)
    if extent is None:
        return []
    shown = np.flatnonzero(back.any(axis=(0, 1)))
    top = min(view.body.shape[2], int(shown[-1]) + 1)
    reach = max(top - extent.first, 0.0) * dz
    if reach >= EXTENT_MM - _SHORT_MM:
        return []
    return [
        Finding(
            "cut_extent",
            "review",
            f"the autochthonous muscles are shown over {reach:.0f} mm above the gluteals, and {EXTENT_MM:.0f} mm are measured",
            float(reach),
            EXTENT_MM,
            (view.body.shape[2] - 1,),
            ("autochthonous",),
        )
    ]
