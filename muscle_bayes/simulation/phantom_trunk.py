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
from muscle_bayes.simulation.phantom_anatomy import Array, Codes, ellipse, profile, segment_distance
from muscle_bayes.simulation.phantom_fat import StreakField
from muscle_bayes.simulation.phantom_noise import SmoothNoise

LEFT_OF = {"autochthonous": 3, "iliopsoas": 5, "gluteals": 7}
#: Vertebral levels repeat at this height (mm); the L5/S1 disc lies at DISC_Z.
LEVEL_MM, DISC_Z = 36.0, -17.0


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
    subcutaneous = max((15.0 + 1.15 * excess) * (1.35 if female else 1.0), 3.5) * float(np.exp(rng.normal(0, 0.08)))
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

    muscle_codes = (3, 4)

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
        self._streaks_on = self._streaks.on
        self.scale = 1.0
        self.z_range = (-below_mm, above_mm)

    def bounds(self) -> tuple[float, float, float, float]:
        """Return x and y limits (mm) that hold the body with some air around it."""
        b, margin = self.build, 14.0
        half = max(self._half_width(z) for z in np.linspace(*self.z_range, 12)) + b.fat_side * b.hip + margin
        back = min(self._wall(z)[0] for z in np.linspace(*self.z_range, 12)) - b.fat_back * b.hip - margin
        front = max(self._wall(z)[1] for z in np.linspace(*self.z_range, 12)) + b.fat_front * b.hip + margin
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
        waist = profile(z, (-45.0, 0.0, 45.0, 110.0, 175.0), (1.10 * self.build.hip, 1.0 * self.build.hip, 0.95, 1.0, 1.03))
        return max(self.build.half_width * waist, 26.0 + 76.0 * self._back_scale(z))

    def _wall(self, z: float) -> tuple[float, float]:
        """Return the back and front (y, mm) of the deep fascia."""
        hollow = self._lordosis(z)
        back = hollow - 32.0 - 38.0 * self._back_scale(z) * profile(z, (-45.0, -5.0, 30.0), (1.62, 1.06, 1.0)) - 3.0
        front = 10.0 + self.build.front * profile(z, (-45.0, 10.0, 60.0, 120.0, 175.0), (0.86, 0.98, 1.0, 0.97, 0.95))
        return back, front

    # --- painting -----------------------------------------------------------------------------------------------------

    def painter(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> Callable[[float], tuple[Codes, Array]]:
        """Return a function z -> (codes (nx, ny) uint8, streak score (nx, ny) float32) on in-plane positions x, y (mm)."""
        warps = [noise.on(x, y) for noise in (*self._warp, *self._ripple)]
        bowel = [noise.on(x, y) for noise in self._bowel]
        streaks = self._streaks.on(x, y)
        x32, y32 = x.astype(np.float32)[:, None], y.astype(np.float32)[None, :]

        def paint(z: float) -> tuple[Codes, Array]:
            dx, dy, rx, ry = (noise.at(z) for noise in warps)
            # The spine bends little; the front of the body varies more than the back.
            X = x32 + np.float32(3.0) * dx + np.float32(0.9) * rx
            Y = y32 + np.float32(3.0) * dy + np.float32(0.9) * ry
            S = Y - np.float32(self._lordosis(z))  # y relative to the spine
            A = np.abs(X)
            right = X > 0
            codes, depth, planes = self._body(X, Y, A, S, z)
            self._organs(codes, X, Y, S, z, [noise.at(z) for noise in bowel])
            self._deep_muscles(codes, A, S, right, z)
            septum, preference = self._paraspinal(codes, A, S, right, z)
            self._spine(codes, A, S, z)
            septum = np.minimum(septum, self._pelvis(codes, A, S, right, depth, z))
            septum = np.where(codes == an.OTHER_MUSCLE, planes, septum)
            return codes, streaks.score(z, septum, preference)

        return paint

    def _body(self, X: Array, Y: Array, A: Array, S: Array, z: float) -> tuple[Codes, Array, Array]:
        """Paint air, skin, subcutaneous fat, abdominal wall and visceral fat; return codes, depth under the fascia, wall septa."""
        b = self.build
        back, front = self._wall(z)
        cy, half_depth, half_width = (back + front) / 2, (front - back) / 2, self._half_width(z)
        V = Y - np.float32(cy)
        r = an.squircle(A * np.float32(1 / half_width), V * np.float32(1 / half_depth), 0.45)
        rho = np.sqrt(A * A + V * V) + np.float32(1e-3)
        depth = rho * (1 / np.maximum(r, np.float32(1e-3)) - 1)  # mm below the deep fascia, along the ray
        c2 = (A / rho) ** 2
        fat_y = np.where(V > 0, np.float32(b.fat_front), np.float32(b.fat_back))
        hip = 1 + (b.hip * 1.15 - 1) * profile(z, (-45.0, 20.0), (1.0, 0.0))
        sat = (b.fat_side * c2 + fat_y * (1 - c2)) * np.float32(hip)
        sat *= 1 - np.float32(0.4) * np.exp(-((A * np.float32(1 / 16)) ** 2)) * (V < 0)  # furrow over the spinous processes
        codes = np.zeros(X.shape, dtype=np.uint8)
        codes[depth > -sat - 2.0] = an.SKIN
        codes[depth > -sat] = an.SUBCUTANEOUS_FAT
        codes[depth > -0.9] = an.FASCIA
        # Wall muscles: three flat layers at the flank, the rectus in front, next to nothing behind.
        forward = V / rho
        lateral = np.float32(0.8 * b.frame)
        wall = np.where(
            forward > 0.80,
            np.float32(9.0) * (A > 4) * (A < 58 * b.frame),
            np.float32(17.0) * lateral * np.clip((forward + np.float32(0.80)) * np.float32(4.0), 0, 1),
        )
        muscle = (depth > 0) & (depth < wall)
        # The wall's three layers part along planes that carry fat; below the crest the flank is the gluteals'.
        planes = np.minimum(np.abs(depth - 5), np.abs(depth - 10)) + np.where(forward > 0.8, np.float32(3.0), np.float32(0.3))
        if z < 4:
            muscle &= (S > np.float32(38.0 + 0.2 * z)) | (A < 20)
        codes[depth > 0] = an.VISCERAL_FAT
        codes[muscle] = an.OTHER_MUSCLE
        if z > 75:  # lower ribs run down and forwards: the arc moves up with the way round the wall
            phase = (z - np.float32(0.42) * V - np.float32(60.0)) / np.float32(31.0)
            phase -= np.floor(phase)
            in_wall = (depth > 3) & (depth < 14) & (forward < 0.55) & (forward > -0.80)
            start = np.float32(75.0) + np.float32(0.35) * np.maximum(V, 0)
            rib = ((phase - np.float32(0.25)) / np.float32(0.22)) ** 2 + ((depth - np.float32(8.5)) / np.float32(5.0)) ** 2
            rib_here = in_wall & (z > start)
            codes[rib_here & (rib < 1)] = an.CORTEX
            codes[rib_here & (rib < 0.42)] = an.MARROW
        return codes, depth, planes

    def _organs(self, codes: Codes, X: Array, Y: Array, S: Array, z: float, noise: list[Array]) -> None:
        """Paint what lies in the abdominal cavity; fat stays where nothing is painted."""
        cavity = codes == an.VISCERAL_FAT
        f, o = self.build.frame, self._organ_shift
        width, (_, front) = self._half_width(z), self._wall(z)
        loops, folds = noise
        def put(mask: NDArray[np.bool_], code: int) -> None:
            codes[cavity & mask] = code

        for side, centre in ((1, 84.0), (-1, 96.0)):  # kidneys, in fat that nothing else enters
            along = (z - centre) / (56.0 * f)
            if abs(along) < 1:
                shape = float(np.sqrt(1 - along**2))
                cx, cy = side * (66.0 - 9.0 * along) * f, 6.0 - 4.0 * along
                r = ellipse(X, S, cx, cy, 31.0 * shape * f, 24.0 * shape * f, -side * 35.0) + np.float32(0.04) * folds
                put(r < 1, an.KIDNEY)
                put((r < 0.72) & (np.abs(loops) > 0.35), an.KIDNEY_MEDULLA)
                if abs(along) < 0.55:
                    put(ellipse(X, S, cx - side * 14.0 * f, cy + 6.0, 15.0 * f, 8.0 * f, -side * 35.0) < 1, an.VISCERAL_FAT)
                    put(ellipse(X, S, cx - side * 12.0 * f, cy + 6.0, 9.0 * f, 2.5, -side * 30.0) < 1, an.BLOOD)
                cavity &= r > 1.3
        # Small bowel: tubes between the zero sets of a field, in front of the spine.
        reach = ellipse(X, Y, 0, front * 0.50, width * 0.66, front * 0.42)
        tube = np.abs(loops)
        small = cavity & (reach < 1) & (folds > -0.7) & ((z < 80) | ((X < -20) & (z < 150)))
        codes[small & (tube < 0.85)] = an.BOWEL_WALL
        codes[small & (tube < 0.52)] = an.BOWEL_CONTENT

        for side, top in ((1, 75.0), (-1, 112.0)):  # ascending and descending colon, with gas in front
            if z < top:
                r = ellipse(X, Y, side * (width - 40.0 * f), 12.0 + o[0], 20.0 * f, 18.0 * f) + np.float32(0.09) * folds
                put(r < 1, an.BOWEL_WALL)
                put(r < 0.82, an.BOWEL_CONTENT)
                put((r < 0.8) & (Y > 16.0 + o[1]), an.GAS)
        if 52 + o[2] < z < 92 + o[2]:
            r = ellipse(X, Y, 0, front - 30.0 + 8.0 * np.cos(z / 9), width * 0.60, 15.0) + np.float32(0.08) * folds
            put(r < 1, an.BOWEL_WALL)
            put(r < 0.8, an.BOWEL_CONTENT)
            put((r < 0.78) & (Y > front - 28.0), an.GAS)
        if 66 < z - o[6] < 104:  # pancreas, across the great vessels
            r = ellipse(X, S, -14.0, 47.0 + 0.08 * z, 58.0 * f, 10.0, -10.0) + np.float32(0.16) * folds
            put(r < 1, an.SPLEEN)
        if z > 88 + o[3]:  # stomach
            grow = min((z - 88 - o[3]) / 45.0, 1.0) ** 0.5
            r = ellipse(X, Y, -52.0 * f, front - 46.0, 50.0 * grow * f, 34.0 * grow, -25.0) + np.float32(0.06) * folds
            put(r < 1, an.BOWEL_WALL)
            put(r < 0.88, an.BOWEL_CONTENT)
            put((r < 0.86) & (Y > front - 36.0), an.GAS)
        if z > 62 + o[4]:  # liver: fills the right side, reaches over the midline near the top
            grow = min((z - 62 - o[4]) / 80.0, 1.0) ** 0.45
            r = ellipse(X, Y, width * 0.56, 24.0, width * 0.46 * grow, (front + 42.0) * 0.62 * grow, 12.0)
            put(r + np.float32(0.04) * folds < 1, an.LIVER)
            if z > 115:
                put(ellipse(X, Y, 18.0, front * 0.58, 52.0 * f, 26.0, 10.0) < 1, an.LIVER)
            vessel = np.abs(loops) < 0.06
            put(vessel & (r < 0.85) & (ellipse(X, Y, width * 0.5, 24.0, 50.0, 40.0) < 1), an.BLOOD)
        if z > 92 + o[5]:  # spleen
            grow = min((z - 92 - o[5]) / 35.0, 1.0) ** 0.5
            put(ellipse(X, Y, -(width - 42.0 * f), -10.0, 25.0 * grow * f, 50.0 * grow, 14.0) < 1, an.SPLEEN)
        # Aorta (left) and inferior vena cava (right); they fork at L4.
        fork = max(-z, 0.0) * 0.55
        for cx, cy, a, b in ((-11.0 - fork, 30.0, 9.0, 9.0), (14.0 + fork, 28.0, 11.5, 8.5)):
            sides = (1,) if fork == 0 else (1, 0.45)
            for share in sides:
                r = ellipse(X, S, cx * share, cy - 0.3 * fork, a * (1 if fork == 0 else 0.7), b * (1 if fork == 0 else 0.75))
                put(r < 1.5, an.VISCERAL_FAT)
                put(r < 1, an.BLOOD)

    def _deep_muscles(self, codes: Codes, A: Array, S: Array, right: NDArray[np.bool_], z: float) -> None:
        """Paint psoas (iliopsoas) and quadratus lumborum (other)."""
        f, k = self.build.frame, np.sqrt(self.scale)
        if z < 135:
            size = profile(z, (-45.0, 0.0, 40.0, 90.0, 135.0), (19.0, 21.0, 18.0, 12.0, 4.0)) * f * k
            cx = profile(z, (-45.0, 0.0, 60.0, 135.0), (58.0, 42.0, 34.0, 25.0)) * f + (k - 1) * 8
            cy = profile(z, (-45.0, 0.0, 60.0, 135.0), (16.0, 3.0, -2.0, -6.0))
            psoas = ellipse(A, S, cx, cy, size * 0.88, size * 1.08, -18.0)
            codes[(psoas < 1.09) & (codes != an.BLOOD)] = an.VISCERAL_FAT
            inside = psoas < 1
            codes[inside & right], codes[inside & ~right] = LEFT_OF["iliopsoas"] + 1, LEFT_OF["iliopsoas"]
        if -2 < z < 128:
            quadratus = ellipse(A, S, 67.0 * f * k, -19.0, 23.0 * f * k, 8.0 * k * profile(z, (0.0, 40.0, 128.0), (1, 1, 0.5)), 14.0)
            codes[(quadratus < 1.18) & (codes != an.OTHER_MUSCLE)] = an.VISCERAL_FAT
            codes[quadratus < 1] = an.OTHER_MUSCLE

    def _paraspinal(self, codes: Codes, A: Array, S: Array, right: NDArray[np.bool_], z: float) -> tuple[Array, Array]:
        """Paint multifidus and erector spinae; return distance to septa (mm) and the preference of fat (mm)."""
        k = np.float32(self._back_scale(z))
        U, V = (A - np.float32(3.5)) / k, (S + np.float32(31.0)) / k
        low = profile(z, (-40.0, 0.0, 60.0, 150.0), (1.0, 0.75, 0.35, 0.0))  # multifidus is large below, small above
        multifidus = ellipse(U, V, 12.0 + low, -18.5, 11.0 + 5.0 * low, 18.0 + 1.5 * low)
        mass = 1.0 - 0.30 * profile(z, (-45.0, 5.0), (1.0, 0.0))
        erector = an.squircle((U - np.float32(37.0 * mass)) / np.float32(28.0 * mass), (V + np.float32(19.0)) / np.float32(17.5), 0.5)
        # The lateral border falls away forwards; the deep border rests on the transverse processes.
        erector = erector + np.float32(0.004) * np.maximum(U - 48, 0) * (V < -20)
        union = an.smooth_minimum(multifidus, erector, 0.18)
        codes[(union < 1.13) & (codes != an.OTHER_MUSCLE) & (codes != an.AIR) & (codes != an.SKIN)] = an.VISCERAL_FAT
        codes[(union < 1.075) & (codes > an.SUBCUTANEOUS_FAT)] = an.APONEUROSIS
        inside = union < 1
        codes[inside & right], codes[inside & ~right] = LEFT_OF["autochthonous"] + 1, LEFT_OF["autochthonous"]
        # Septa: multifidus | longissimus | iliocostalis, and the thoracolumbar fascia's inner face.
        cleft = np.abs(multifidus - erector) * np.float32(10.0)
        split = np.abs(U - np.float32(42.0 * mass) - np.float32(0.35) * (V + 19)) * np.float32(0.94) + np.float32(0.6)
        septum = np.minimum(cleft + np.float32(0.2), split) * k
        septum = np.minimum(septum, (1 - union) * np.float32(17.0) * k + np.float32(0.9))
        deep_medial = np.exp(-((U * np.float32(1 / 15)) ** 2) - (np.maximum(V + 14, -60) * np.float32(1 / 22)) ** 2)
        return septum, np.float32(0.25 + 0.55 * low) * np.float32(1.6) * deep_medial + np.float32(0.05)

    def _spine(self, codes: Codes, A: Array, S: Array, z: float) -> None:
        """Paint vertebrae with discs, canal and posterior elements, and the sacrum."""
        f = self.build.frame
        level = (z - DISC_Z - self._level_shift) / LEVEL_MM
        phase = level - np.floor(level)  # 0 at a disc's centre, 0.5 at a vertebra's
        sacral = level < 0
        is_disc = (phase < 0.13 or phase > 0.87) and level > -0.2
        waist = 1.0 - 0.07 * float(np.sin(np.pi * phase))
        a, b = (27.0 * f * waist, 19.5 * f * waist)
        if sacral:
            a, b = 27.0 * f, max(19.0 + 0.25 * z, 9.0) * f
            ala = ellipse(A, S, 30.0 * f, -8.0, 30.0 * f, 14.0, -25.0)
            codes[ala < 1] = an.CORTEX
            codes[ala < 0.91] = an.MARROW
        body = an.squircle(A / np.float32(a), S / np.float32(b), 0.3) + np.float32(0.16) * np.exp(
            -((A / np.float32(9.0)) ** 2) - ((S + np.float32(b)) / np.float32(5.0)) ** 2
        )
        codes[(body < 1.10) & (S > -16) & (codes != an.BLOOD)] = an.VISCERAL_FAT
        if is_disc:
            codes[body < 1] = an.LIGAMENT
            codes[body < 0.72] = an.DISC
        else:
            endplate = 0.13 <= phase < 0.165 or 0.835 < phase <= 0.87
            codes[body < 1] = an.CORTEX
            codes[body < (0.9 if endplate else 0.945)] = an.MARROW
        # Posterior elements: pedicles and transverse processes high on the vertebra, laminae, facets at the disc.
        arch_y = -19.0 * f
        if 0.42 < phase < 0.80 and not sacral:
            pedicle = (np.abs(A - np.float32(15.5 * f)) < 4.8) & (S < -12) & (S > -30)
            codes[pedicle] = an.CORTEX
            codes[(np.abs(A - np.float32(15.5 * f)) < 3.4) & (S < -12) & (S > -29)] = an.MARROW
        if 0.48 < phase < 0.70 and not sacral:
            across, _ = segment_distance(A, S, (16.0 * f, -27.0 * f), (43.0 * f, -31.0 * f))
            codes[np.abs(across) < 3.4] = an.CORTEX
            codes[np.abs(across) < 1.9] = an.MARROW
        if phase < 0.30 or phase > 0.80:
            facet = ellipse(A, S, 18.5 * f, -31.0 * f, 7.5, 8.5)
            codes[facet < 1] = an.CORTEX
            codes[facet < 0.66] = an.MARROW
            codes[(facet < 0.9) & (np.abs(A - np.float32(18.5 * f) + np.float32(0.3) * (S + 31)) < 0.7)] = an.BLOOD
        lamina, _ = segment_distance(A, S, (15.0 * f, -27.0 * f), (1.0, -39.0 * f))
        if 0.12 < phase < 0.72 or sacral:
            codes[np.abs(lamina) < 3.6] = an.CORTEX
            codes[np.abs(lamina) < 2.0] = an.MARROW
        else:
            codes[np.abs(lamina) < 2.2] = an.LIGAMENT
        # Midline: spinous process, between them interspinous ligament and fat.
        tip = (-38.0 - profile(z, (-45.0, -10.0, 20.0, 175.0), (8.0, 20.0, 27.0, 26.0))) * f
        midline = (S < -36 * f) & (S > tip)
        codes[midline & (A < 3.8)] = an.VISCERAL_FAT
        codes[midline & (A < 1.8)] = an.LIGAMENT
        if 0.10 < phase < 0.56 or sacral:
            codes[midline & (A < 3.6)] = an.CORTEX
            codes[midline & (A < 2.1) & (S > tip + 2.5)] = an.MARROW
        canal = ellipse(A, S, 0.0, arch_y - 7.5 * f, 12.0 * f, 9.0 * f)
        codes[canal < 1.0] = an.VISCERAL_FAT
        codes[canal < 0.84] = an.CSF
        if z > 95:  # conus and cord above, roots of the cauda equina below
            codes[ellipse(A, S, 0.0, arch_y - 7.5 * f, 5.0 * f, 3.8 * f) < 1] = an.NERVE
        else:
            for cx, cy in ((3.0, -10.5), (5.5, -8.0), (1.2, -11.5)):
                codes[ellipse(A, S, cx * f, arch_y + cy * f, 1.3, 1.1) < 1] = an.NERVE
        if phase < 0.42 and not sacral:  # nerve root in its fatty foramen
            root = ellipse(A, S, 21.0 * f, -19.0, 6.0, 6.5)
            codes[(root < 1) & (body > 1.02)] = an.VISCERAL_FAT
            codes[ellipse(A, S, 21.5 * f, -19.0, 2.6, 2.8) < 1] = an.NERVE

    def _pelvis(self, codes: Codes, A: Array, S: Array, right: NDArray[np.bool_], depth: Array, z: float) -> Array:
        """Paint iliac wings, iliacus and gluteals; return the distance to the gluteals' septa (mm)."""
        f = self.build.frame * self.build.hip
        if z > 10:
            return np.full(A.shape, 99.0, dtype=np.float32)
        # The wing runs from behind (medial) to the front (lateral); near the crest only its middle third is met.
        back, front = np.array([46.0 * f, -52.0]), np.array([118.0 * f, 38.0])
        reach = float(np.clip((10.0 - z) / 40.0, 0.0, 1.0)) ** 0.5
        start, end = back + (front - back) * 0.42 * (1 - reach), back + (front - back) * (1 - 0.42 * (1 - reach))
        bow = np.float32(9.0) * np.exp(-(((A - np.float32(88 * f)) / np.float32(30.0)) ** 2))
        inner, place = segment_distance(A - bow, S, (float(start[0]), float(start[1])), (float(end[0]), float(end[1])))
        thick = np.float32(4.0) + np.float32(3.0) * (np.float32(1) - place) ** 2
        wing = np.abs(inner) < thick
        out = -inner - thick  # mm outwards from the wing's outer face
        septum = np.full(A.shape, 99.0, dtype=np.float32)
        if z < 0:
            grow = np.sqrt(-z)
            medius_thick = np.float32(min(7.0 + 3.4 * grow, 32.0)) * np.sqrt(np.maximum(1 - (2 * place - 1) ** 2, 0))
            medius = (out > -1) & (out < medius_thick) & (place > 0.02) & (place < 0.98)
            maximus = np.zeros_like(medius)
            if z < -9:
                m = ellipse(A, S, 66.0 * f, -56.0 - 0.25 * (-z), 14.0 + 6.0 * grow, 5.0 + 2.4 * grow, -36.0)
                maximus = (m < 1) & (inner < -1)
                septum = np.minimum(septum, np.where(maximus, np.abs(out - medius_thick) + np.float32(0.4), 99.0))
            gluteal = (medius | maximus) & (depth > 0.5)
            # Outside the wing and behind the spine there is no cavity: what is not muscle is subcutaneous fat.
            outside = ((out > -1) | (S < -56)) & (S < 34) & (depth > -1)
            codes[outside & ((codes == an.VISCERAL_FAT) | (codes == an.FASCIA) | (codes == an.OTHER_MUSCLE))] = an.SUBCUTANEOUS_FAT
            codes[gluteal & right], codes[gluteal & ~right] = LEFT_OF["gluteals"] + 1, LEFT_OF["gluteals"]
            septum = np.minimum(septum, np.where(medius, np.abs(out - np.float32(0.55) * medius_thick) + np.float32(0.5), 99.0))
        iliacus_thick = profile(z, (-45.0, 0.0, 6.0), (13.0, 5.0, 0.0))
        iliacus = (inner > thick) & (inner < thick + iliacus_thick) & (place > 0.15) & (place < 0.95)
        codes[iliacus & right], codes[iliacus & ~right] = LEFT_OF["iliopsoas"] + 1, LEFT_OF["iliopsoas"]
        codes[wing] = an.CORTEX
        codes[np.abs(inner) < thick - 1.6] = an.MARROW
        return septum
