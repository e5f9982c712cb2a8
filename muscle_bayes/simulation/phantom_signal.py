"""The MR physics of phantoms: spoiled gradient echo signals, receive bias, complex noise, two-point Dixon and its swap."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from muscle_bayes.simulation.phantom_anatomy import ADIPOSE, N_CODES, TISSUES, Array, Tissue

#: T1 of fat at 3 T, and the sequence that `t1_weighting=True` stands for (a breath-hold 3-D Dixon), in ms.
T1_FAT_MS, REPETITION_TIME_MS = 370.0, 4.4
#: Proton density of muscle in image units.
GAIN = 900.0


@dataclass(frozen=True)
class Scanner:
    """What an imaging site's scanner does to an image. All figures are invented; no site publishes them.

    Attributes
    ----------
    snr : float
        Muscle's in-phase signal over the SD of the noise in each channel.
    bias_sd : float
        SD of the log of the smooth receive bias.
    coil : float
        How much brighter the surface is than the middle (0.2: 20 %).
    gain : float
        Image units per unit of signal, relative to the others.
    flip_deg : float
        Flip angle where T1 weighting is on.
    """

    snr: float = 30.0
    bias_sd: float = 0.10
    coil: float = 0.20
    gain: float = 1.0
    flip_deg: float = 9.0


#: Invented, to be different from each other: the five NAKO sites by name; any other name gets the defaults above.
SCANNERS: Mapping[str, Scanner] = MappingProxyType(
    {
        "Augsburg": Scanner(snr=32.0, bias_sd=0.09, coil=0.18, gain=1.00),
        "Berlin": Scanner(snr=28.0, bias_sd=0.12, coil=0.22, gain=0.92, flip_deg=9.5),
        "Essen": Scanner(snr=30.0, bias_sd=0.10, coil=0.26, gain=1.06),
        "Mannheim": Scanner(snr=26.0, bias_sd=0.13, coil=0.20, gain=0.97, flip_deg=8.5),
        "Neubrandenburg": Scanner(snr=34.0, bias_sd=0.08, coil=0.15, gain=1.04),
    }
)


def spoiled_gradient_echo(t1_ms: float, flip_deg: float, repetition_time_ms: float = REPETITION_TIME_MS) -> float:
    """Return the steady-state signal of a spoiled gradient echo per unit of proton density (Ernst; echo time ignored)."""
    e1, alpha = math.exp(-repetition_time_ms / t1_ms), math.radians(flip_deg)
    return math.sin(alpha) * (1 - e1) / (1 - math.cos(alpha) * e1)


def tissue_signals(muscle_fat_fraction: float, flip_deg: float | None) -> tuple[Array, Array, tuple[float, float]]:
    """Return the water and fat signal of every tissue code, and of adipose tissue within muscle.

    Parameters
    ----------
    muscle_fat_fraction : float
        Proton density fat fraction of lean muscle (its intramyocellular lipid).
    flip_deg : float or None
        Flip angle of a T1-weighted acquisition; None for proton density weighting.

    Returns
    -------
    water, fat : (N_CODES,) float32
        Signals; muscle's water has proton density x (1 - fat fraction), T1 factors are relative to muscle's water.
    adipose : (float, float)
        Water and fat signal of intermuscular adipose tissue.
    """

    def signal(tissue: Tissue, fat_fraction: float) -> tuple[float, float]:
        water, fat = tissue.density * (1 - fat_fraction), tissue.density * fat_fraction
        if flip_deg is None:
            return water, fat
        reference = spoiled_gradient_echo(TISSUES[3].t1_water_ms, flip_deg)
        return (
            water * spoiled_gradient_echo(tissue.t1_water_ms, flip_deg) / reference,
            fat * spoiled_gradient_echo(T1_FAT_MS, flip_deg) / reference,
        )

    water, fat = np.zeros(N_CODES, dtype=np.float32), np.zeros(N_CODES, dtype=np.float32)
    for code, tissue in TISSUES.items():
        is_muscle = 3 <= tissue.label <= 17
        water[code], fat[code] = signal(tissue, muscle_fat_fraction if is_muscle else tissue.fat_fraction)
    return water, fat, signal(ADIPOSE, ADIPOSE.fat_fraction)


def dixon_reconstruction(
    water: Array, fat: Array, sigma: float, rng: np.random.Generator
) -> tuple[Array, Array, Array, Array]:
    """Acquire in- and opposed-phase images with complex noise and reconstruct water and fat from them.

    Two-point Dixon (Dixon 1984): in-phase magnitude |W + F + n1| and opposed-phase magnitude |W - F + n2|, n complex
    Gaussian with SD `sigma` per channel, so that magnitudes are Rician. The opposed magnitude alone cannot tell water from
    fat; its sign is taken from its noisy phase, the field map being known. Water and fat are (in ± sign x opposed) / 2,
    as magnitudes, which is what scanners deliver: noise makes a fat signal where there is no fat.

    Parameters
    ----------
    water, fat : (...) float32
        True signals.
    sigma : float
        Noise SD per channel, in signal units; 0 for none.
    rng : numpy.random.Generator
        Source of the noise.

    Returns
    -------
    in_phase, opposed_phase, water, fat : (...) float32
    """
    total, difference = water + fat, water - fat
    if sigma <= 0:
        return total, np.abs(difference), water.copy(), fat.copy()

    def noise() -> Array:
        return rng.standard_normal(total.shape, dtype=np.float32) * np.float32(sigma)

    in_phase = np.hypot(total + noise(), noise())
    real = difference + noise()
    opposed = np.hypot(real, noise())
    signed = np.copysign(opposed, real)
    return in_phase, opposed, np.abs(in_phase + signed) / 2, np.abs(in_phase - signed) / 2


def swap_box(
    kind: str | None, shape: tuple[int, int, int], rng: np.random.Generator
) -> tuple[slice, slice, slice] | None:
    """Return the box of voxels where water and fat change places.

    Parameters
    ----------
    kind : {None, "whole", "partial", "station"}
        Everything; one side of the body (one leg); or a block of slices from one end, as when one station of a
        composed series went wrong.
    shape : (3,) tuple of int
        Image shape, x to the right, z upwards.
    rng : numpy.random.Generator
        Chooses the side and the station.

    Returns
    -------
    tuple of 3 slices, or None
    """
    nx, ny, nz = shape
    first, cut = bool(rng.random() < 0.5), float(rng.uniform(0.35, 0.65))
    everything = (slice(0, nx), slice(0, ny), slice(0, nz))
    if kind is None:
        return None
    if kind == "partial":
        return (slice(0, nx // 2) if first else slice(nx // 2, nx), *everything[1:])
    if kind == "station":
        level = min(max(round(cut * nz), 1), nz - 1)
        return (*everything[:2], slice(0, level) if first else slice(level, nz))
    return everything


def receive_bias(log_field: Array, x: NDArray[np.float64], y: NDArray[np.float64], coil: float) -> Array:
    """Return a smooth multiplicative bias: a random log field, and coils that see the surface better than the middle.

    `log_field` : (nx, ny, nz); `x` (nx,), `y` (ny,) in mm; `coil` is the surface's gain over the middle.
    """
    radius = np.hypot(x[:, None] / np.abs(x).max(), (y[None, :] - y.mean()) / np.ptp(y) * 2)
    surface = 1 + coil * (np.minimum(radius, 1.2) ** 2 - 0.5)
    return np.exp(log_field) * surface.astype(np.float32)[:, :, None]
