"""The trunk of a phantom, slice by slice: from the gluteals over the lumbar spine to the lower ribs.

Body coordinates in mm: x to the person's right, y forwards, z upwards; z = 0 is the top of the gluteals (about L4/L5),
x = 0 the midline, y = 0 the centre of the vertebral bodies before lordosis. Pairs are drawn once, in |x|; a smooth random
warp of the coordinates makes the sides, and the persons, different.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muscle_bayes.simulation import phantom_anatomy as an
from muscle_bayes.simulation.phantom_anatomy import Array, Codes, TrunkSlice, profile
from muscle_bayes.simulation.phantom_back import paint_deep_muscles, paint_paraspinal, paint_pelvis
from muscle_bayes.simulation.phantom_fat import StreakField
from muscle_bayes.simulation.phantom_noise import SmoothNoise
from muscle_bayes.simulation.phantom_organs import paint_organs
from muscle_bayes.simulation.phantom_spine import paint_spine


@dataclass(frozen=True)
class TrunkBuild:
    """Sizes of one trunk, in mm."""

    half_width: float
    front: float
    fat_side: float
    fat_front: float
    fat_back: float
    frame: float
    hip: float


def trunk_build(bmi: float, sex: str, rng: np.random.Generator) -> TrunkBuild:
    """Return body sizes for a BMI (kg/m2) and sex; the relations are plausible, not fitted to data."""
    excess, female = bmi - 25.0, sex == "female"
    frame = (0.92 if female else 1.0) * float(np.exp(rng.normal(0, 0.02)))
    subcutaneous = max((15.0 + 0.95 * excess) * (1.35 if female else 1.0), 3.5) * float(np.exp(rng.normal(0, 0.08)))
    visceral = (0.75 if female else 1.0) * max(excess, -6.0)
    return TrunkBuild(
        half_width=frame * 136.0 + 2.0 * visceral,
        front=frame * 88.0 + 2.9 * visceral,
        fat_side=subcutaneous,
        fat_front=subcutaneous * 1.05,
        fat_back=subcutaneous * (1.0 if female else 1.1) + 4.0,
        frame=frame,
        hip=1.10 if female else 1.0,
    )


class Trunk:
    """One trunk, ready to be painted at any height.

    Parameters
    ----------
    bmi : float
        Body mass index, kg/m2.
    sex : {"female", "male"}
        Shape of the body.
    seed : numpy.random.SeedSequence
        Where everything random comes from.
    below_mm, above_mm : float
        Field of view below and above the top of the gluteals.
    """

    muscle_codes: tuple[int, ...] = (3, 4)

    def __init__(
        self, bmi: float, sex: str, seed: np.random.SeedSequence, below_mm: float = 42.0, above_mm: float = 171.0
    ) -> None:
        build_seed, warp_seed, organ_seed, streak_seed = seed.spawn(4)
        self.build = trunk_build(bmi, sex, np.random.default_rng(build_seed))
        rng = np.random.default_rng(warp_seed)
        self._warp = [SmoothNoise(rng, (42.0, 42.0, 60.0)) for _ in range(2)]
        self._ripple = [SmoothNoise(rng, (13.0, 13.0, 30.0)) for _ in range(2)]
        rng = np.random.default_rng(organ_seed)
        self._bowel = [SmoothNoise(rng, (h, h, 24.0)) for h in (13.0, 20.0)]
        self._level_shift = float(rng.uniform(-6, 6))
        self._organ_shift = rng.normal(0, 4, size=8)
        self._streaks = StreakField(np.random.default_rng(streak_seed))
        self.scale = 1.0
        self.z_range = (-below_mm, above_mm)

    def bounds(self) -> tuple[float, float, float, float]:
        """Return x and y limits (mm) that hold the body with some air around it."""
        b, margin = self.build, 14.0
        half = max(self._half_width(z) for z in np.linspace(*self.z_range, 12)) + b.fat_side * b.hip * 1.15 + margin
        back = min(self._wall(z)[0] for z in np.linspace(*self.z_range, 12)) - b.fat_back * b.hip * 1.15 - margin
        front = max(self._wall(z)[1] for z in np.linspace(*self.z_range, 12)) + b.fat_front * b.hip * 1.15 + margin
        return -half, half, back, front

    def muscle_box(self) -> tuple[float, float, float, float]:
        """Return x and y limits (mm) that hold the autochthonous muscles: what solving their size has to look at."""
        half = 14.0 + 72.0 * self.scale
        return -half, half, -48.0 - 46.0 * self.scale, 0.0

    # --- heights ------------------------------------------------------------------------------------------------------

    def _lordosis(self, z: float) -> float:
        return 12.0 * float(np.exp(-(((z - 45.0) / 75.0) ** 2))) - 0.45 * max(-8.0 - z, 0.0)

    def _back_scale(self, z: float) -> float:
        return self.scale * profile(z, (-45.0, -10.0, 25.0, 75.0, 125.0, 175.0), (0.72, 0.93, 1.04, 1.05, 0.93, 0.82))

    def _half_width(self, z: float) -> float:
        waist = profile(
            z, (-45.0, 0.0, 45.0, 110.0, 175.0), (1.10 * self.build.hip, 1.0 * self.build.hip, 0.95, 1.0, 1.03)
        )
        return max(self.build.half_width * waist, 26.0 + 76.0 * self._back_scale(z))

    def _wall(self, z: float) -> tuple[float, float]:
        """Return the back and front (y, mm) of the deep fascia."""
        hollow = self._lordosis(z)
        back = hollow - 32.0 - 38.0 * self._back_scale(z) * profile(z, (-45.0, -5.0, 30.0), (1.62, 1.06, 1.0)) - 3.0
        front = 10.0 + self.build.front * profile(z, (-45.0, 10.0, 60.0, 120.0, 175.0), (0.86, 0.98, 1.0, 0.97, 0.95))
        return back, front

    # --- painting -----------------------------------------------------------------------------------------------------

    def painter(self, x_mm: NDArray[np.float64], y_mm: NDArray[np.float64]) -> Callable[[float], tuple[Codes, Array]]:
        """Return a function z -> (codes (nx, ny) uint8, streak score (nx, ny) float32) on in-plane positions x_mm, y_mm."""
        warps = [noise.on(x_mm, y_mm) for noise in (*self._warp, *self._ripple)]
        bowel = [noise.on(x_mm, y_mm) for noise in self._bowel]
        streaks = self._streaks.on(x_mm, y_mm)
        x32, y32 = x_mm.astype(np.float32)[:, None], y_mm.astype(np.float32)[None, :]

        def paint(z: float) -> tuple[Codes, Array]:
            dx, dy, rx, ry = (noise.at(z) for noise in warps)
            # The spine bends little; the front of the body varies more than the back.
            x = x32 + np.float32(3.0) * dx + np.float32(0.9) * rx
            y = y32 + np.float32(3.0) * dy + np.float32(0.9) * ry
            sy = y - np.float32(self._lordosis(z))  # y relative to the spine
            s = TrunkSlice(
                codes=np.zeros(x.shape, dtype=np.uint8), x=x, y=y, ax=np.abs(x), sy=sy, right=x > 0, depth=np.zeros_like(x),
                z=z, half_width=self._half_width(z), front=self._wall(z)[1], frame=self.build.frame, hip=self.build.hip,
            )  # fmt: skip
            planes = self._paint_wall(s)
            loops, folds = (noise.at(z) for noise in bowel)
            paint_organs(s, (loops, folds), self._organ_shift)
            paint_deep_muscles(s, self.scale)
            septum, preference = paint_paraspinal(s, self._back_scale(z))
            paint_spine(s, self._level_shift)
            septum = np.minimum(septum, paint_pelvis(s))
            septum = np.where(s.codes == an.OTHER_MUSCLE, planes, septum)
            return s.codes, streaks.score(z, septum, preference)

        return paint

    def _paint_wall(self, s: TrunkSlice) -> Array:
        """Paint air, skin, subcutaneous fat, abdominal wall, ribs and visceral fat; return the wall's septa (mm)."""
        b, codes, ax, y, sy, z = self.build, s.codes, s.ax, s.y, s.sy, s.z
        back, front = self._wall(z)
        cy, half_depth, half_width = (back + front) / 2, (front - back) / 2, self._half_width(z)
        V = y - np.float32(cy)
        r = an.squircle(ax * np.float32(1 / half_width), V * np.float32(1 / half_depth), 0.45)
        rho = np.sqrt(ax * ax + V * V) + np.float32(1e-3)
        depth = (rho * (1 / np.maximum(r, np.float32(1e-3)) - 1)).astype(
            np.float32, copy=False
        )  # mm below the deep fascia, along the ray
        c2 = (ax / rho) ** 2
        fat_y = np.where(V > 0, np.float32(b.fat_front), np.float32(b.fat_back))
        hip = 1 + (b.hip * 1.15 - 1) * profile(z, (-45.0, 20.0), (1.0, 0.0))
        sat = (b.fat_side * c2 + fat_y * (1 - c2)) * np.float32(hip)
        sat *= 1 - np.float32(0.4) * np.exp(-((ax * np.float32(1 / 16)) ** 2)) * (
            V < 0
        )  # furrow over the spinous processes
        s.depth = depth
        codes[depth > -sat - 2.0] = an.SKIN
        codes[depth > -sat] = an.SUBCUTANEOUS_FAT
        codes[depth > -0.9] = an.FASCIA
        # Wall muscles: three flat layers at the flank, the rectus in front, next to nothing behind.
        forward = V / rho
        lateral = np.float32(0.8 * b.frame)
        wall = np.where(
            forward > 0.80,
            np.float32(9.0) * (ax > 4) * (ax < 58 * b.frame),
            np.float32(17.0) * lateral * np.clip((forward + np.float32(0.80)) * np.float32(4.0), 0, 1),
        )
        muscle = (depth > 0) & (depth < wall)
        # The wall's three layers part along planes that carry fat; below the crest the flank is the gluteals'.
        planes = np.minimum(np.abs(depth - 5), np.abs(depth - 10)) + np.where(
            forward > 0.8, np.float32(3.0), np.float32(0.3)
        )
        if z < 4:
            muscle &= (sy > np.float32(38.0 + 0.2 * z)) | (ax < 20)
        codes[depth > 0] = an.VISCERAL_FAT
        codes[muscle] = an.OTHER_MUSCLE
        if z > 75:  # lower ribs run down and forwards: the arc moves up with the way round the wall
            phase = (z - np.float32(0.42) * V - np.float32(60.0)) / np.float32(31.0)
            phase -= np.floor(phase)
            in_wall = (depth > 3) & (depth < 14) & (forward < 0.55) & (forward > -0.80)
            start = np.float32(75.0) + np.float32(0.35) * np.maximum(V, 0)
            rib = ((phase - np.float32(0.25)) / np.float32(0.22)) ** 2 + (
                (depth - np.float32(8.5)) / np.float32(5.0)
            ) ** 2
            rib_here = in_wall & (z > start)
            codes[rib_here & (rib < 1)] = an.CORTEX
            codes[rib_here & (rib < 0.42)] = an.MARROW
        return planes
