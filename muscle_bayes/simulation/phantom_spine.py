"""The lumbar spine of a phantom, with the sacrum below it."""

import numpy as np

from muscle_bayes.simulation import phantom_anatomy as an
from muscle_bayes.simulation.phantom_anatomy import TrunkSlice, ellipse, profile, segment_distance

#: Vertebral levels repeat at this height (mm); the L5/S1 disc lies at DISC_Z.
LEVEL_MM, DISC_Z = 36.0, -17.0


def paint_spine(s: TrunkSlice, shift: float) -> None:
    """Paint vertebrae with discs, canal and posterior elements, and the sacrum.

    Parameters
    ----------
    s : TrunkSlice
        Painted up to the muscles.
    shift : float
        How much higher than usual the vertebrae lie, mm.
    """
    codes, ax, sy, z, f = s.codes, s.ax, s.sy, s.z, s.frame
    level = (z - DISC_Z - shift) / LEVEL_MM
    phase = level - np.floor(level)  # 0 at a disc's centre, 0.5 at a vertebra's
    sacral = level < 0
    is_disc = (phase < 0.13 or phase > 0.87) and level > -0.2
    waist = 1.0 - 0.07 * float(np.sin(np.pi * phase))
    a, b = (27.0 * f * waist, 19.5 * f * waist)
    if sacral:
        a, b = 27.0 * f, max(19.0 + 0.25 * z, 9.0) * f
        ala = ellipse(ax, sy, 30.0 * f, -8.0, 30.0 * f, 14.0, -25.0)
        codes[ala < 1] = an.CORTEX
        codes[ala < 0.91] = an.MARROW
    body = an.squircle(ax / np.float32(a), sy / np.float32(b), 0.3) + np.float32(0.16) * np.exp(
        -((ax / np.float32(9.0)) ** 2) - ((sy + np.float32(b)) / np.float32(5.0)) ** 2
    )
    codes[(body < 1.10) & (sy > -16) & (codes != an.BLOOD)] = an.VISCERAL_FAT
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
        pedicle = (np.abs(ax - np.float32(15.5 * f)) < 4.8) & (sy < -12) & (sy > -30)
        codes[pedicle] = an.CORTEX
        codes[(np.abs(ax - np.float32(15.5 * f)) < 3.4) & (sy < -12) & (sy > -29)] = an.MARROW
    if 0.48 < phase < 0.70 and not sacral:
        across, _ = segment_distance(ax, sy, (16.0 * f, -27.0 * f), (43.0 * f, -31.0 * f))
        codes[np.abs(across) < 3.4] = an.CORTEX
        codes[np.abs(across) < 1.9] = an.MARROW
    if phase < 0.30 or phase > 0.80:
        facet = ellipse(ax, sy, 18.5 * f, -31.0 * f, 7.5, 8.5)
        codes[facet < 1] = an.CORTEX
        codes[facet < 0.66] = an.MARROW
        codes[(facet < 0.9) & (np.abs(ax - np.float32(18.5 * f) + np.float32(0.3) * (sy + 31)) < 0.7)] = an.BLOOD
    lamina, _ = segment_distance(ax, sy, (15.0 * f, -27.0 * f), (1.0, -39.0 * f))
    if 0.12 < phase < 0.72 or sacral:
        codes[np.abs(lamina) < 3.6] = an.CORTEX
        codes[np.abs(lamina) < 2.0] = an.MARROW
    else:
        codes[np.abs(lamina) < 2.2] = an.LIGAMENT
    # Midline: spinous process, between them interspinous ligament and fat.
    tip = (-38.0 - profile(z, (-45.0, -10.0, 20.0, 175.0), (8.0, 20.0, 27.0, 26.0))) * f
    midline = (sy < -36 * f) & (tip < sy)
    codes[midline & (ax < 3.8)] = an.VISCERAL_FAT
    codes[midline & (ax < 1.8)] = an.LIGAMENT
    if 0.10 < phase < 0.56 or sacral:
        codes[midline & (ax < 3.6)] = an.CORTEX
        codes[midline & (ax < 2.1) & (tip + 2.5 < sy)] = an.MARROW
    canal = ellipse(ax, sy, 0.0, arch_y - 7.5 * f, 12.0 * f, 9.0 * f)
    codes[canal < 1.0] = an.VISCERAL_FAT
    codes[canal < 0.84] = an.CSF
    if z > 95:  # conus and cord above, roots of the cauda equina below
        codes[ellipse(ax, sy, 0.0, arch_y - 7.5 * f, 5.0 * f, 3.8 * f) < 1] = an.NERVE
    else:
        for cx, cy in ((3.0, -10.5), (5.5, -8.0), (1.2, -11.5)):
            codes[ellipse(ax, sy, cx * f, arch_y + cy * f, 1.3, 1.1) < 1] = an.NERVE
    if phase < 0.42 and not sacral:  # nerve root in its fatty foramen
        root = ellipse(ax, sy, 21.0 * f, -19.0, 6.0, 6.5)
        codes[(root < 1) & (body > 1.02)] = an.VISCERAL_FAT
        codes[ellipse(ax, sy, 21.5 * f, -19.0, 2.6, 2.8) < 1] = an.NERVE
