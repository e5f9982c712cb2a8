"""Random contrast for training: what every tissue gives in an image, from physics to free invention.

A network that has only seen one contrast has learnt that contrast. Here each sample gets its own: a Dixon pair with other
densities, fat fractions, T1s and flip angles; a single contrast made of it; or intensities drawn freely for each tissue, so
that only shapes are left to go by (as in SynthSeg, Billot et al. 2023). Nothing here is fitted to real images.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from muscle_bayes.simulation import phantom_anatomy as an
from muscle_bayes.simulation.phantom_anatomy import ADIPOSE, N_CODES, TISSUES, Array
from muscle_bayes.simulation.phantom_signal import T1_FAT_MS, spoiled_gradient_echo
from muscle_bayes.simulation.phantom_stack import STREAK

#: How often each kind of image is drawn.
KINDS: Mapping[str, float] = MappingProxyType({"dixon": 0.55, "single": 0.25, "free": 0.20})
_FATS = (an.SUBCUTANEOUS_FAT, an.VISCERAL_FAT, an.LONG_BONE_MARROW)
_DARK = (an.AIR, an.CORTEX, an.GAS)
_MUSCLES = range(an.FIRST_MUSCLE, an.OTHER_MUSCLE + 1)


def random_signals(rng: np.random.Generator) -> tuple[Array, Array | None]:
    """Draw what every code of a tissue stack gives in an image.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of everything random.

    Returns
    -------
    first, second : (2 * STREAK,) float32
        Water and fat signals by code; of a single contrast its intensities and None.
    """
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    if kind == "free":
        return _free(rng), None
    water, fat = _dixon(rng)
    return (water, fat) if kind == "dixon" else (_single(water, fat, rng), None)


def _dixon(rng: np.random.Generator) -> tuple[Array, Array]:
    """Water and fat signals with jittered tissue properties and, half the time, T1 weighting."""
    flip = float(rng.uniform(4.0, 15.0)) if rng.random() < 0.5 else None
    repetition = float(rng.uniform(3.5, 7.0))
    muscle_fraction = float(rng.uniform(0.0, 0.12))
    water, fat = np.zeros(2 * STREAK, dtype=np.float32), np.zeros(2 * STREAK, dtype=np.float32)
    fat_gain = float(np.exp(rng.normal(0, 0.15)))
    common = {name: float(np.exp(rng.normal(0, 0.10))) for name in ("muscle", "fat")}
    for code in range(2 * STREAK):
        tissue = ADIPOSE if code >= STREAK else TISSUES.get(code)
        if tissue is None:
            continue
        muscle, is_fat = code in _MUSCLES, code >= STREAK or code in _FATS
        # Muscles are alike, fats are alike; organs, marrow and discs go their own ways.
        jitter = common["muscle" if muscle else "fat"] if muscle or is_fat else float(np.exp(rng.normal(0, 0.25)))
        fraction = tissue.fat_fraction
        if muscle:
            fraction = muscle_fraction + float(rng.uniform(0, 0.02))
        elif is_fat:
            fraction = float(np.clip(fraction + rng.normal(0, 0.03), 0.75, 0.98))
        elif code == an.MARROW:
            fraction = float(rng.uniform(0.1, 0.9))
        elif code == an.LIVER:
            fraction = float(rng.choice([0.03, rng.uniform(0, 0.35)]))
        density = tissue.density * jitter
        t1_factor = fat_factor = 1.0
        if flip is not None:
            t1 = tissue.t1_water_ms * float(np.exp(rng.normal(0, 0.15)))
            reference = spoiled_gradient_echo(1400.0, flip, repetition)
            t1_factor = spoiled_gradient_echo(t1, flip, repetition) / reference
            fat_factor = spoiled_gradient_echo(T1_FAT_MS, flip, repetition) / reference
        water[code] = density * (1 - fraction) * t1_factor
        fat[code] = density * fraction * fat_factor * fat_gain
    # Thin dark membranes are more or less visible, cortex and gas leak a little.
    for code in (an.FASCIA, an.APONEUROSIS, an.SKIN, an.LIGAMENT):
        factor = np.float32(rng.uniform(0.3, 2.0))
        water[code], fat[code] = water[code] * factor, fat[code] * factor
    return water, fat


def _single(water: Array, fat: Array, rng: np.random.Generator) -> Array:
    """One contrast out of a Dixon pair: in phase, opposed, water, fat, or T1-weighted with bright fat."""
    how = rng.random()
    if how < 0.15:
        return water
    if how < 0.25:
        return fat + np.float32(0.05) * water
    if how < 0.40:
        return np.abs(water - fat)
    image = water + fat * np.float32(rng.uniform(0.7, 3.5))
    return np.power(image, np.float32(rng.uniform(0.7, 1.4)))


def _free(rng: np.random.Generator) -> Array:
    """Intensities drawn freely by tissue; muscles stay alike, and fats."""
    image = rng.uniform(0.08, 1.0, 2 * STREAK).astype(np.float32)
    muscle, fat = rng.uniform(0.1, 1.0, 2)
    while abs(muscle - fat) < 0.1:  # some contrast is left, or streaks could not be told
        muscle, fat = rng.uniform(0.1, 1.0, 2)
    for code in _MUSCLES:
        image[code] = muscle * np.exp(rng.normal(0, 0.05))
        image[code + STREAK] = fat
    for code in _FATS:
        image[code] = fat * np.exp(rng.normal(0, 0.06))
    image[list(_DARK)] = rng.uniform(0, 0.05, len(_DARK))
    image[N_CODES:STREAK] = 0
    return image
