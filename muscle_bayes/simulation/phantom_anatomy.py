"""What phantoms are painted with: tissues and their MR properties, and simple shapes as implicit functions."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Codes = NDArray[np.uint8]

#: Codes up to 17 are the ids of the label scheme (muscle_bayes.imaging.labels); the tissues below have none of their own.
AIR, SUBCUTANEOUS_FAT, OTHER_MUSCLE = 0, 1, 17
FIRST_MUSCLE = 3
(SKIN, VISCERAL_FAT, FASCIA, CORTEX, MARROW, DISC, CSF, NERVE, BLOOD, LIVER, SPLEEN, KIDNEY) = range(20, 32)
KIDNEY_MEDULLA = 32
(BOWEL_WALL, BOWEL_CONTENT, GAS, LIGAMENT, LONG_BONE_MARROW, APONEUROSIS) = range(33, 39)
N_CODES = 39


@dataclass(frozen=True)
class Tissue:
    """What a tissue gives in a Dixon image.

    Attributes
    ----------
    density : float
        Proton density, relative to muscle's.
    fat_fraction : float
        Proton density fat fraction (0 to 1).
    t1_water_ms : float
        T1 of its water at 3 T; the fat's is one constant (`phantom_signal.T1_FAT_MS`).
    label : int
        Its id in the label scheme.
    """

    density: float
    fat_fraction: float
    t1_water_ms: float
    label: int = 0


@dataclass
class TrunkSlice:
    """One slice of a trunk while it is painted; every array is (nx, ny).

    Attributes
    ----------
    codes : uint8
        Tissue codes, changed in place.
    x, y : float32
        Warped body coordinates in mm; `ax` is abs(x), `sy` is y relative to the spine.
    ax, sy : float32
        See `x`, `y`.
    right : bool
        Where the person's right is.
    depth : float32
        Depth under the deep fascia in mm, negative outside.
    z, half_width, front, frame, hip : float
        Height, half the width and front of the body inside the fascia (mm), size of the skeleton and width of the hips
        relative to a man's.
    """

    codes: Codes
    x: Array
    y: Array
    ax: Array
    sy: Array
    right: NDArray[np.bool_]
    depth: Array
    z: float
    half_width: float
    front: float
    frame: float
    hip: float

    def paint_pair(self, mask: NDArray[np.bool_], left_code: int) -> None:
        """Give the left part of a mask a muscle's left id and the right part its right id."""
        self.codes[mask & self.right], self.codes[mask & ~self.right] = left_code + 1, left_code


#: Rounded from the range of published 3 T values; only their order matters here.
TISSUES: Mapping[int, Tissue] = MappingProxyType(
    {
        AIR: Tissue(0.0, 0.0, 1000.0),
        SUBCUTANEOUS_FAT: Tissue(1.05, 0.91, 900.0, label=1),
        **{code: Tissue(1.0, 0.04, 1400.0, label=code) for code in range(FIRST_MUSCLE, OTHER_MUSCLE + 1)},
        SKIN: Tissue(0.55, 0.15, 1000.0),
        VISCERAL_FAT: Tissue(1.02, 0.89, 900.0),
        FASCIA: Tissue(0.30, 0.10, 1000.0, label=1),  # thinner than a voxel: labels end at it
        APONEUROSIS: Tissue(0.30, 0.10, 1000.0),
        CORTEX: Tissue(0.0, 0.0, 1000.0, label=2),
        MARROW: Tissue(0.80, 0.45, 1100.0, label=2),
        DISC: Tissue(0.85, 0.02, 1200.0),
        CSF: Tissue(1.15, 0.0, 4000.0),
        NERVE: Tissue(0.95, 0.05, 1500.0),
        BLOOD: Tissue(1.10, 0.0, 1650.0),
        LIVER: Tissue(0.95, 0.05, 810.0),
        SPLEEN: Tissue(1.05, 0.01, 1330.0),
        KIDNEY: Tissue(1.05, 0.01, 1150.0),
        KIDNEY_MEDULLA: Tissue(1.10, 0.01, 1550.0),
        BOWEL_WALL: Tissue(0.95, 0.03, 1100.0),
        BOWEL_CONTENT: Tissue(1.05, 0.02, 1900.0),
        GAS: Tissue(0.0, 0.0, 1000.0),
        LIGAMENT: Tissue(0.55, 0.30, 1000.0),
        LONG_BONE_MARROW: Tissue(1.0, 0.92, 900.0, label=2),
    }
)

#: Fat fraction of the adipose tissue between and within muscles.
ADIPOSE = Tissue(1.0, 0.90, 900.0)


def label_of_code() -> Codes:
    """Return the look-up table from tissue code to label id, (N_CODES,) uint8."""
    table = np.zeros(N_CODES, dtype=np.uint8)
    for code, tissue in TISSUES.items():
        table[code] = tissue.label
    return table


def is_muscle(codes: Codes) -> NDArray[np.bool_]:
    """Return where tissue codes are muscle (with the fat inside it)."""
    return (codes >= FIRST_MUSCLE) & (codes <= OTHER_MUSCLE)


def ellipse(x: Array, y: Array, cx: float, cy: float, a: float, b: float, angle_deg: float = 0.0) -> Array:
    """Return the normalised radius of an ellipse: 1 on its border, less inside.

    Parameters
    ----------
    x, y : (nx, ny) float32
        Coordinates in mm.
    cx, cy, a, b : float
        Centre and semi-axes in mm.
    angle_deg : float
        Turn of the axes, counter-clockwise.

    Returns
    -------
    (nx, ny) float32
    """
    u, v = x - np.float32(cx), y - np.float32(cy)
    if angle_deg:
        c, s = np.float32(np.cos(np.deg2rad(angle_deg))), np.float32(np.sin(np.deg2rad(angle_deg)))
        u, v = c * u + s * v, c * v - s * u
    return np.sqrt((u * np.float32(1.0 / a)) ** 2 + (v * np.float32(1.0 / b)) ** 2)


def squircle(u: Array, v: Array, squareness: float) -> Array:
    """Return the normalised radius of a squircle: u² + v² - squareness u² v² (Fernandez Guasti 1992).

    `u`, `v` : (nx, ny) float32, already divided by the semi-axes; squareness 0 is an ellipse, 1 a rectangle.
    """
    uu, vv = u * u, v * v
    return np.sqrt(np.maximum(uu + vv - np.float32(squareness) * np.minimum(uu, 1) * np.minimum(vv, 1), 0))


def segment_distance(x: Array, y: Array, start: tuple[float, float], end: tuple[float, float]) -> tuple[Array, Array]:
    """Return the distance (mm) to a segment, positive to the left of its direction, and the place along it (0 to 1).

    `x`, `y` : (nx, ny) float32 in mm. The distance carries a sign, so that the two faces of a bone can be told apart.
    """
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = float(np.hypot(dx, dy))
    u, v = x - np.float32(start[0]), y - np.float32(start[1])
    raw = (u * np.float32(dx) + v * np.float32(dy)) * np.float32(1.0 / length**2)
    place = np.clip(raw, 0.0, 1.0)
    across = (v * np.float32(dx) - u * np.float32(dy)) * np.float32(1.0 / length)
    beyond = (raw - place) * np.float32(length)
    return np.copysign(np.sqrt(across**2 + beyond**2), across), place


def smooth_minimum(a: Array, b: Array, width: float) -> Array:
    """Return a minimum of two implicit functions without a crease (polynomial, Quilez): a union with a rounded joint."""
    h = np.clip(0.5 + 0.5 * (b - a) * np.float32(1.0 / width), 0.0, 1.0)
    return b + (a - b) * h - np.float32(width) * h * (1 - h)


def profile(z: float, heights: tuple[float, ...], values: tuple[float, ...]) -> float:
    """Return a value that changes along the body, linear between given heights (mm, rising)."""
    return float(np.interp(z, heights, values))
