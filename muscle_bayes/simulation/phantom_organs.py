"""The organs of a phantom's abdomen: kidneys, bowel, liver, spleen, stomach, pancreas and the great vessels."""

import numpy as np
from numpy.typing import NDArray

from muscle_bayes.simulation import phantom_anatomy as an
from muscle_bayes.simulation.phantom_anatomy import Array, TrunkSlice, ellipse


def paint_organs(s: TrunkSlice, noise: tuple[Array, Array], shift: NDArray[np.float64]) -> None:
    """Paint what lies in the abdominal cavity; fat stays where nothing is painted.

    Parameters
    ----------
    s : TrunkSlice
        Painted up to the abdominal wall and its fat.
    noise : two (nx, ny) float32
        Smooth fields that make bowel loops and unevenness.
    shift : (8,) float64
        How much higher than usual organs lie, mm.
    """
    codes, x, y, sy, z = s.codes, s.x, s.y, s.sy, s.z
    cavity = codes == an.VISCERAL_FAT
    f, o, width, front = s.frame, shift, s.half_width, s.front
    loops, folds = noise

    def put(mask: NDArray[np.bool_], code: int) -> None:
        codes[cavity & mask] = code

    for side, centre in ((1, 84.0), (-1, 96.0)):  # kidneys, in fat that nothing else enters
        along = (z - centre) / (56.0 * f)
        if abs(along) < 1:
            shape = float(np.sqrt(1 - along**2))
            cx, cy = side * (66.0 - 9.0 * along) * f, 6.0 - 4.0 * along
            r = ellipse(x, sy, cx, cy, 31.0 * shape * f, 24.0 * shape * f, -side * 35.0) + np.float32(0.04) * folds
            put(r < 1, an.KIDNEY)
            put((r < 0.72) & (np.abs(loops) > 0.35), an.KIDNEY_MEDULLA)
            if abs(along) < 0.55:
                put(
                    ellipse(x, sy, cx - side * 14.0 * f, cy + 6.0, 15.0 * f, 8.0 * f, -side * 35.0) < 1, an.VISCERAL_FAT
                )
                put(ellipse(x, sy, cx - side * 12.0 * f, cy + 6.0, 9.0 * f, 2.5, -side * 30.0) < 1, an.BLOOD)
            cavity &= r > 1.3
    # Small bowel: tubes between the zero sets of a field, in front of the spine.
    reach = ellipse(x, y, 0, front * 0.50, width * 0.66, front * 0.42)
    tube = np.abs(loops)
    small = cavity & (reach < 1) & (folds > -0.7) & ((z < 80) | ((x < -20) & (z < 150)))
    codes[small & (tube < 0.85)] = an.BOWEL_WALL
    codes[small & (tube < 0.52)] = an.BOWEL_CONTENT

    inward = an.profile(z, (-45.0, 15.0), (38.0, 4.0)) if z < 15 else 0.0  # medial to the iliac wing
    for side, top in ((1, 75.0), (-1, 112.0)):  # ascending and descending colon, with gas in front
        if z < top:
            r = (
                ellipse(x, y, side * (width - 40.0 * f - inward), 12.0 + o[0] + 0.8 * inward, 20.0 * f, 18.0 * f)
                + np.float32(0.09) * folds
            )
            put(r < 1, an.BOWEL_WALL)
            put(r < 0.82, an.BOWEL_CONTENT)
            put((r < 0.8) & (y > 16.0 + o[1]), an.GAS)
    if 52 + o[2] < z < 92 + o[2]:
        r = ellipse(x, y, 0, front - 30.0 + 8.0 * np.cos(z / 9), width * 0.60, 15.0) + np.float32(0.08) * folds
        put(r < 1, an.BOWEL_WALL)
        put(r < 0.8, an.BOWEL_CONTENT)
        put((r < 0.78) & (y > front - 28.0), an.GAS)
    if 66 < z - o[6] < 104:  # pancreas, across the great vessels
        r = ellipse(x, sy, -14.0, 47.0 + 0.08 * z, 58.0 * f, 10.0, -10.0) + np.float32(0.16) * folds
        put(r < 1, an.SPLEEN)
    if z > 88 + o[3]:  # stomach
        grow = min((z - 88 - o[3]) / 45.0, 1.0) ** 0.5
        r = ellipse(x, y, -52.0 * f, front - 46.0, 50.0 * grow * f, 34.0 * grow, -25.0) + np.float32(0.06) * folds
        put(r < 1, an.BOWEL_WALL)
        put(r < 0.88, an.BOWEL_CONTENT)
        put((r < 0.86) & (y > front - 36.0), an.GAS)
    if z > 62 + o[4]:  # liver: fills the right side, reaches over the midline near the top
        grow = min((z - 62 - o[4]) / 80.0, 1.0) ** 0.45
        r = ellipse(x, y, width * 0.56, 24.0, width * 0.46 * grow, (front + 42.0) * 0.62 * grow, 12.0)
        put(r + np.float32(0.04) * folds < 1, an.LIVER)
        if z > 115:
            put(ellipse(x, y, 18.0, front * 0.58, 52.0 * f, 26.0, 10.0) < 1, an.LIVER)
        vessel = np.abs(loops) < 0.06
        put(vessel & (r < 0.85) & (ellipse(x, y, width * 0.5, 24.0, 50.0, 40.0) < 1), an.BLOOD)
    if z > 92 + o[5]:  # spleen
        grow = min((z - 92 - o[5]) / 35.0, 1.0) ** 0.5
        put(ellipse(x, y, -(width - 42.0 * f), -10.0, 25.0 * grow * f, 50.0 * grow, 14.0) < 1, an.SPLEEN)
    # Aorta (left) and inferior vena cava (right); they fork at L4.
    fork = max(-z, 0.0) * 0.55
    for cx, cy, a, b in ((-11.0 - fork, 30.0, 9.0, 9.0), (14.0 + fork, 28.0, 11.5, 8.5)):
        sides = (1,) if fork == 0 else (1, 0.45)
        for share in sides:
            r = ellipse(
                x, sy, cx * share, cy - 0.3 * fork, a * (1 if fork == 0 else 0.7), b * (1 if fork == 0 else 0.75)
            )
            put(r < 1.5, an.VISCERAL_FAT)
            put(r < 1, an.BLOOD)
