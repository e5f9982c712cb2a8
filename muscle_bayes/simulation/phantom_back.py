"""The muscles of a phantom's back and pelvis: paraspinals, psoas, quadratus lumborum, gluteals, with the iliac wings."""

import numpy as np

from muscle_bayes.simulation import phantom_anatomy as an
from muscle_bayes.simulation.phantom_anatomy import Array, TrunkSlice, ellipse, profile, segment_distance

#: Ids of the left muscles in the label scheme; the right ones are one more.
AUTOCHTHONOUS, ILIOPSOAS, GLUTEALS = 3, 5, 7


def paint_deep_muscles(s: TrunkSlice, scale: float) -> None:
    """Paint psoas (iliopsoas) and quadratus lumborum (other); `scale` is the back muscles' size."""
    codes, ax, sy, z = s.codes, s.ax, s.sy, s.z
    f, k = s.frame, float(np.sqrt(scale))
    if z < 135:
        size = profile(z, (-45.0, 0.0, 40.0, 90.0, 135.0), (19.0, 21.0, 18.0, 12.0, 4.0)) * f * k
        cx = profile(z, (-45.0, 0.0, 60.0, 135.0), (58.0, 42.0, 34.0, 25.0)) * f + (k - 1) * 8
        cy = profile(z, (-45.0, 0.0, 60.0, 135.0), (16.0, 3.0, -2.0, -6.0))
        psoas = ellipse(ax, sy, cx, cy, size * 0.88, size * 1.08, -18.0)
        codes[(psoas < 1.09) & (codes != an.BLOOD)] = an.VISCERAL_FAT
        s.paint_pair(psoas < 1, ILIOPSOAS)
    if -2 < z < 128:
        quadratus = ellipse(
            ax, sy, 67.0 * f * k, -19.0, 23.0 * f * k, 8.0 * k * profile(z, (0.0, 40.0, 128.0), (1, 1, 0.5)), 14.0
        )
        codes[(quadratus < 1.18) & (codes != an.OTHER_MUSCLE)] = an.VISCERAL_FAT
        codes[quadratus < 1] = an.OTHER_MUSCLE


def paint_paraspinal(s: TrunkSlice, scale: float) -> tuple[Array, Array]:
    """Paint multifidus and erector spinae.

    Parameters
    ----------
    s : TrunkSlice
        Painted up to the organs.
    scale : float
        Size of the muscles at this height.

    Returns
    -------
    septum, preference : (nx, ny) float32
        Distance to the septa between them, and how prone each place is to fat, both in mm.
    """
    codes, ax, sy, z = s.codes, s.ax, s.sy, s.z
    k = np.float32(scale)
    U, V = (ax - np.float32(3.5)) / k, (sy + np.float32(31.0)) / k
    low = profile(z, (-40.0, 0.0, 60.0, 150.0), (1.0, 0.75, 0.35, 0.0))  # multifidus is large below, small above
    multifidus = ellipse(U, V, 12.0 + low, -18.5, 11.0 + 5.0 * low, 18.0 + 1.5 * low)
    mass = 1.0 - 0.30 * profile(z, (-45.0, 5.0), (1.0, 0.0))
    erector = an.squircle(
        (U - np.float32(37.0 * mass)) / np.float32(28.0 * mass), (V + np.float32(19.0)) / np.float32(17.5), 0.5
    )
    # The lateral border falls away forwards; the deep border rests on the transverse processes.
    erector = erector + np.float32(0.004) * np.maximum(U - 48, 0) * (V < -20)
    union = an.smooth_minimum(multifidus, erector, 0.18)
    codes[(union < 1.13) & (codes != an.OTHER_MUSCLE) & (codes != an.AIR) & (codes != an.SKIN)] = an.VISCERAL_FAT
    codes[(union < 1.075) & (codes > an.SUBCUTANEOUS_FAT)] = an.APONEUROSIS
    s.paint_pair(union < 1, AUTOCHTHONOUS)
    # Septa: multifidus | longissimus | iliocostalis, and the thoracolumbar fascia's inner face.
    cleft = np.abs(multifidus - erector) * np.float32(10.0)
    split = np.abs(
        U - np.float32(42.0 * mass) - np.float32(0.35) * (V + 19) + np.float32(0.012) * (V + 19) ** 2
    ) * np.float32(0.94) + np.float32(0.6)
    septum = np.minimum(cleft + np.float32(0.2), split) * k
    septum = np.minimum(septum, (1 - union) * np.float32(17.0) * k + np.float32(0.9))
    septum = np.where(union < 1, septum, np.float32(99.0))
    deep_medial = np.exp(-((U * np.float32(1 / 15)) ** 2) - (np.maximum(V + 14, -60) * np.float32(1 / 22)) ** 2)
    return septum, np.float32(0.25 + 0.55 * low) * np.float32(2.0) * deep_medial + np.float32(0.05)


def paint_pelvis(s: TrunkSlice) -> Array:
    """Paint iliac wings, iliacus and gluteals; return the distance to the gluteals' septa (mm), (nx, ny)."""
    codes, ax, sy, z, depth = s.codes, s.ax, s.sy, s.z, s.depth
    f = s.frame * s.hip
    if z > 10:
        return np.full(ax.shape, 99.0, dtype=np.float32)
    # The wing runs from behind (medial) to the front (lateral); near the crest only its middle third is met.
    back, front = np.array([46.0 * f, -52.0]), np.array([118.0 * f, 38.0])
    reach = float(np.clip((10.0 - z) / 40.0, 0.0, 1.0)) ** 0.5
    start, end = back + (front - back) * 0.42 * (1 - reach), back + (front - back) * (1 - 0.42 * (1 - reach))
    bow = np.float32(9.0) * np.exp(-(((ax - np.float32(88 * f)) / np.float32(30.0)) ** 2))
    inner, place = segment_distance(ax - bow, sy, (float(start[0]), float(start[1])), (float(end[0]), float(end[1])))
    thick = np.float32(4.0) + np.float32(3.0) * (np.float32(1) - place) ** 2
    wing = np.abs(inner) < thick
    out = -inner - thick  # mm outwards from the wing's outer face
    septum = np.full(ax.shape, 99.0, dtype=np.float32)
    if z < 0:
        grow = np.sqrt(-z)
        medius_thick = np.float32(min(7.0 + 3.4 * grow, 32.0)) * np.sqrt(np.maximum(1 - (2 * place - 1) ** 2, 0))
        medius = (out > -1) & (out < medius_thick) & (place > 0.02) & (place < 0.98)
        maximus = np.zeros_like(medius)
        if z < -9:
            m = ellipse(ax, sy, 80.0 * f, -48.0 + 0.35 * z, 14.0 + 6.5 * grow, 5.0 + 2.6 * grow, 40.0)
            maximus = (m < 1) & ((inner < thick) | (place <= 0))
            septum = np.minimum(septum, np.where(maximus, np.abs(out - medius_thick) + np.float32(0.4), 99.0))
        gluteal = (medius | maximus) & (depth > 0.5) & (codes != AUTOCHTHONOUS) & (codes != AUTOCHTHONOUS + 1)
        # Outside the wing and behind the spine there is no cavity: what is not muscle is subcutaneous fat.
        outside = ((out > -1) | (sy < -56)) & (sy < 34) & (depth > -1)
        codes[outside & ((codes == an.VISCERAL_FAT) | (codes == an.FASCIA) | (codes == an.OTHER_MUSCLE))] = (
            an.SUBCUTANEOUS_FAT
        )
        s.paint_pair(gluteal, GLUTEALS)
        septum = np.minimum(
            septum, np.where(medius, np.abs(out - np.float32(0.55) * medius_thick) + np.float32(0.5), 99.0)
        )
    iliacus_thick = profile(z, (-45.0, 0.0, 6.0), (13.0, 5.0, 0.0))
    iliacus = (inner > thick) & (inner < thick + iliacus_thick) & (place > 0.15) & (place < 0.95)
    s.paint_pair(iliacus, ILIOPSOAS)
    codes[wing] = an.CORTEX
    codes[np.abs(inner) < thick - 1.6] = an.MARROW
    return septum
