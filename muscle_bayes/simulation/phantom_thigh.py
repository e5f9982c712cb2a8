"""The thighs of a phantom, slice by slice, over 150 mm of both legs.

Body coordinates in mm: x to the person's right, y forwards, z upwards, z = 0 at mid-thigh. Both legs are drawn once, in |x|;
a smooth random warp makes them different. Muscles are the cells of a power diagram (each place belongs to the muscle whose
centre is nearest, given the muscle's size), so that the borders between cells are the septa along which fat lies.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from muscle_bayes.simulation import phantom_anatomy as an
from muscle_bayes.simulation.phantom_anatomy import Array, Codes, ellipse, profile
from muscle_bayes.simulation.phantom_fat import StreakField
from muscle_bayes.simulation.phantom_noise import SmoothNoise

QUADRICEPS, ADDUCTORS, HAMSTRINGS, SARTORIUS = 9, 11, 13, 15
#: muscle: (left id, [proximal, middle, distal] of (lateral, forward, across, deep)): centre and semi-axes of a 64 mm thigh.
CELLS: tuple[tuple[int, tuple[tuple[float, float, float, float], ...]], ...] = (
    (QUADRICEPS, ((42, 20, 22, 26), (42, 14, 24, 34), (36, 6, 23, 36))),  # vastus lateralis
    (QUADRICEPS, ((14, 28, 20, 16), (16, 30, 26, 17), (14, 26, 26, 17))),  # vastus intermedius
    (QUADRICEPS, ((16, 53, 19, 13), (12, 54, 19, 12), (10, 52, 14, 8))),  # rectus femoris
    (QUADRICEPS, ((-10, 32, 11, 12), (-16, 32, 18, 22), (-22, 26, 24, 32))),  # vastus medialis
    (SARTORIUS, ((-20, 48, 12, 9), (-40, 33, 10, 11), (-53, 4, 8, 13))),
    (ADDUCTORS, ((-34, 18, 20, 19), (-34, 10, 15, 13), (-34, -2, 5, 5))),  # adductor longus
    (ADDUCTORS, ((-57, -8, 9, 20), (-57, -12, 9, 17), (-55, -16, 8, 12))),  # gracilis
    (ADDUCTORS, ((-20, -14, 30, 25), (-18, -14, 24, 18), (-14, -12, 12, 9))),  # adductor magnus
    (HAMSTRINGS, ((-18, -48, 16, 10), (-28, -42, 20, 15), (-32, -36, 23, 21))),  # semimembranosus
    (HAMSTRINGS, ((4, -54, 17, 11), (-4, -54, 17, 13), (-8, -54, 15, 11))),  # semitendinosus
    (HAMSTRINGS, ((26, -46, 17, 15), (24, -42, 19, 18), (22, -38, 21, 20))),  # biceps femoris, long head
    (HAMSTRINGS, ((26, -16, 6, 6), (26, -16, 12, 10), (26, -14, 15, 13))),  # biceps femoris, short head
)


class Thighs:
    """Both thighs, ready to be painted at any height.

    Parameters
    ----------
    bmi : float
        Body mass index, kg/m2.
    sex : {"female", "male"}
        Sets subcutaneous fat and bone size.
    seed : numpy.random.SeedSequence
        Where everything random comes from.
    length_mm : float
        Field of view along the legs.
    """

    muscle_codes: tuple[int, ...] = tuple(range(9, 17))

    def __init__(self, bmi: float, sex: str, seed: np.random.SeedSequence, length_mm: float = 150.0) -> None:
        build_seed, warp_seed, streak_seed = seed.spawn(3)
        rng = np.random.default_rng(build_seed)
        female, excess = sex == "female", bmi - 25.0
        self._fat = max((11.0 + 0.75 * excess) * (1.6 if female else 1.0), 3.0) * float(np.exp(rng.normal(0, 0.08)))
        self._bone = (0.92 if female else 1.0) * float(np.exp(rng.normal(0, 0.03)))
        # Heavy thighs touch each other; lean ones leave a gap.
        self._gap = max(float(rng.uniform(3, 14)) - 1.2 * max(excess, 0.0), 0.0)
        rng = np.random.default_rng(warp_seed)
        self._warp = [SmoothNoise(rng, (38.0, 38.0, 70.0)) for _ in range(2)]
        self._ripple = [SmoothNoise(rng, (12.0, 12.0, 40.0)) for _ in range(2)]
        self._streaks = StreakField(np.random.default_rng(streak_seed), sheet_spacing_mm=12.0)
        self.scale = 1.0
        self.z_range = (-length_mm / 2, length_mm / 2)

    def _axes(self, z: float) -> tuple[float, float]:
        """Return the semi-axes (mm) of the fascia lata."""
        taper = self.scale * profile(z, (-80.0, 0.0, 80.0), (0.88, 1.0, 1.07))
        return 67.0 * taper, 66.0 * taper

    def _centre(self, z: float) -> float:
        """Return how far each leg's middle lies from the midline (mm): the skin leaves the gap, and widens it downwards."""
        a, _ = self._axes(self.z_range[1])
        return (
            a + self._fat * 1.15 + 2.0 + self._gap / 2 + 0.04 * (self.z_range[1] - z) - (0.5 if self._gap == 0 else 0.0)
        )

    def bounds(self) -> tuple[float, float, float, float]:
        """Return x and y limits (mm) that hold both legs with some air around them."""
        a, b = self._axes(self.z_range[1])
        half, deep = self._centre(self.z_range[0]) + a + self._fat + 16.0, b + self._fat * 1.2 + 16.0
        return -half, half, -deep, deep

    def muscle_box(self) -> tuple[float, float, float, float]:
        """Return x and y limits (mm) that hold the muscles."""
        return self.bounds()

    def painter(self, x_mm: NDArray[np.float64], y_mm: NDArray[np.float64]) -> Callable[[float], tuple[Codes, Array]]:
        """Return a function z -> (codes (nx, ny) uint8, streak score (nx, ny) float32) on in-plane positions x_mm, y_mm."""
        warps = [noise.on(x_mm, y_mm) for noise in (*self._warp, *self._ripple)]
        streaks = self._streaks.on(x_mm, y_mm)
        x32, y32 = x_mm.astype(np.float32)[:, None], y_mm.astype(np.float32)[None, :]

        def paint(z: float) -> tuple[Codes, Array]:
            dx, dy, rx, ry = (noise.at(z) for noise in warps)
            x = x32 + np.float32(1.6) * dx + np.float32(0.5) * rx
            v = y32 + np.float32(2.0) * dy + np.float32(0.5) * ry
            right = x32 > 0
            # The warp fades at the midline, where the legs are kept apart.
            u = np.where(right, x, -x) - np.float32(self._centre(z))
            codes, depth = self._limb(u, v, z)
            septum = self._muscles(codes, u, v, depth, np.broadcast_to(right, u.shape), z)
            self._bone_and_vessels(codes, u, v, z)
            preference = np.float32(0.05) + np.float32(0.5) * np.exp(-(ellipse(u, v, 2.0, -18.0, 26.0, 18.0) ** 2))
            return codes, streaks.score(z, septum, preference)

        return paint

    def _limb(self, u: Array, v: Array, z: float) -> tuple[Codes, Array]:
        """Paint air, skin, subcutaneous fat and fascia lata; return codes and depth (mm) under the fascia."""
        a, b = self._axes(z)
        r = ellipse(u, v, 0, 0, a, b)
        rho = np.sqrt(u * u + v * v) + np.float32(1e-3)
        depth = (rho * (1 / np.maximum(r, np.float32(1e-3)) - 1)).astype(np.float32, copy=False)
        # Thick at the inside and behind, thin in front and at the outside.
        fat = np.float32(self._fat) * (1 - np.float32(0.15) * u / rho - np.float32(0.15) * v / rho)
        codes = np.zeros(u.shape, dtype=np.uint8)
        codes[depth > -fat - 2.0] = an.SKIN
        codes[depth > -fat] = an.SUBCUTANEOUS_FAT
        codes[depth > -1.0] = an.FASCIA
        return codes, depth

    def _muscles(self, codes: Codes, u: Array, v: Array, depth: Array, right: NDArray[np.bool_], z: float) -> Array:
        """Paint the muscles and return the distance to the septa between them (mm)."""
        a, b = self._axes(z)
        top, low = self.z_range[1], self.z_range[0]
        nearest = np.full(u.shape, np.inf, dtype=np.float32)
        second = nearest.copy()
        owner = np.zeros(u.shape, dtype=np.uint8)
        sx, sy = a / 67.0, b / 66.0
        for label, places in CELLS:
            cu, cv, pu, pv = (
                float(np.interp(z, (low, 0.0, top), values[::-1])) for values in zip(*places, strict=True)
            )
            size = float(np.sqrt(pu * pv) * np.sqrt(sx * sy))
            # Normalised radius minus 1, in mm: 0 on the muscle's own ellipse.
            distance = (ellipse(u, v, cu * sx, cv * sy, pu * sx, pv * sy) - 1) * np.float32(size)
            closer = distance < nearest
            second = np.where(closer, nearest, np.minimum(second, distance))
            nearest = np.where(closer, distance, nearest)
            owner[closer] = label
        inside = depth > 0
        owner += right
        codes[inside] = owner[inside]
        return np.minimum((second - nearest) * np.float32(0.5), depth + np.float32(0.7))

    def _bone_and_vessels(self, codes: Codes, u: Array, v: Array, z: float) -> None:
        """Paint the femur with its cortex and marrow, the femoral vessels and the sciatic nerve in their fat."""
        top, low = self.z_range[1], self.z_range[0]
        k = self.scale

        def between(distal: float, middle: float, proximal: float) -> float:
            return float(np.interp(z, (low, 0.0, top), (distal, middle, proximal)))

        cu, cv = between(6.0, 12.0, 18.0) * k, between(8.0, 10.0, 12.0) * k
        shaft = ellipse(u, v, cu, cv, 14.5 * self._bone, 15.0 * self._bone) * between(0.92, 1.0, 0.97)
        ridge = ellipse(u, v, cu + 1.0, cv - 14.0 * self._bone, 4.0, 5.0)  # linea aspera
        codes[(shaft < 1) | (ridge < 1)] = an.CORTEX
        codes[shaft < between(0.66, 0.52, 0.55)] = an.LONG_BONE_MARROW
        vu, vv = between(-18.0, -25.0, -24.0) * k, between(-16.0, 14.0, 36.0) * k
        bundle = ellipse(u, v, vu, vv, 9.5, 7.0, 30.0)
        codes[bundle < 1] = an.VISCERAL_FAT
        for du, dv, radius in ((2.8, 1.4, 3.3), (-3.0, -1.4, 3.9)):
            codes[ellipse(u, v, vu + du, vv + dv, radius, radius) < 1] = an.BLOOD
        nu, nv = between(2.0, 6.0, 8.0) * k, between(-26.0, -30.0, -34.0) * k
        codes[ellipse(u, v, nu, nv, 7.5, 5.0) < 1] = an.VISCERAL_FAT
        codes[ellipse(u, v, nu, nv, 4.5, 2.8) < 1] = an.NERVE
