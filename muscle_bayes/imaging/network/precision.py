"""Whether half the bits give the same labels on this device: asked of a small phantom before the first scan.

The same windows, weights and blending, once in single precision and once in bfloat16. Where the labels or the InterMAT they
lead to differ by more than is allowed, the network stays in single precision, and says so.
"""

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.imaging.adipose import FAT_THRESHOLD
from muscle_bayes.imaging.fat_fraction import FLOOR_SHARE, fat_signal_fraction, in_body_median_of_pair
from muscle_bayes.imaging.images import read_volumes
from muscle_bayes.imaging.labels import SCHEME
from muscle_bayes.imaging.network.agreement import dice
from muscle_bayes.imaging.network.devices import device_words, require_torch
from muscle_bayes.imaging.network.prediction import PRECISIONS, predict_labels
from muscle_bayes.resources import data_folder

if TYPE_CHECKING:
    import torch

#: Agreement that is asked for: Dice of every structure, and InterMAT in points of percent.
LEAST_DICE, MOST_POINTS = 0.995, 0.05
#: A structure smaller than this in the slab says nothing about Dice.
LEAST_CM3 = 5.0
_known: dict[tuple[Any, ...], "PrecisionCheck"] = {}


@dataclass(frozen=True)
class PrecisionCheck:
    """Which number type the network computes in, and why.

    Attributes
    ----------
    used : {"fp32", "bf16"}
        What scans are computed in.
    wanted : {"fp32", "bf16"}
        What was to be used.
    dice : dict of float
        Dice of every structure that is large enough in the slab, bf16 against fp32; empty where nothing was compared.
    intermat_points : float or None
        Largest difference of InterMAT, of all muscles and of the paraspinal muscles, in points of percent.
    device : str
        Where it was compared.
    """

    used: str
    wanted: str
    dice: dict[str, float] = field(default_factory=dict)
    intermat_points: float | None = None
    device: str = ""

    @property
    def words(self) -> str:
        """One sentence for logs."""
        if not self.dice:
            return f"the network computes in {self.used}"
        found = f"lowest Dice {min(self.dice.values()):.4f}, InterMAT {self.intermat_points:.3f} points apart"
        return f"the network computes in {self.used}; bf16 against fp32 on a phantom: {found}"

    @property
    def recorded(self) -> dict[str, Any]:
        """For a sidecar."""
        return asdict(self)


def checked_precision(
    networks: "list[torch.nn.Module]",
    hashes: Sequence[str],
    device: "torch.device",
    wanted: str | None = None,
    *,
    mirror: bool = True,
    close_up: bool = False,
) -> PrecisionCheck:
    """Choose the number type of the network, and check half the bits against single precision.

    Parameters
    ----------
    networks : list of torch.nn.Module
        On `device`.
    hashes : sequence of str
        SHA-256 of their weights; the same weights on the same device are checked once.
    device : torch.device
        Where they compute.
    wanted : {"fp32", "bf16"}, optional
        bf16 on cards that have it, fp32 elsewhere, where left out.
    mirror, close_up : bool
        As in `predict_labels`.

    Returns
    -------
    PrecisionCheck
        fp32, with a warning, where bf16 does not agree.

    Raises
    ------
    InvalidValueError
        Where there is no such number type.
    """
    torch = require_torch()
    if wanted not in (None, *PRECISIONS):
        raise InvalidValueError("precision", f"{wanted!r} is not known", f"Choose from {', '.join(PRECISIONS)}")
    if wanted is None:
        wanted = "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    if wanted == "fp32":
        return PrecisionCheck("fp32", "fp32", device=str(device))
    key = (tuple(hashes), device_words(device), str(torch.__version__), mirror, close_up)
    if not hashes or key not in _known:
        _known[key] = _compared(networks, device, mirror=mirror, close_up=close_up)
    return _known[key]


def _compared(
    networks: "list[torch.nn.Module]", device: "torch.device", *, mirror: bool, close_up: bool
) -> PrecisionCheck:
    """Label the slab in both number types."""
    folder = data_folder("segmentation") / "check"
    volumes = read_volumes({role: folder / f"{role}.nii.gz" for role in ("water", "fat")})
    water, fat = volumes["water"].data, volumes["fat"].data
    spacing, cm3 = volumes["water"].spacing, volumes["water"].voxel_mm3 / 1000
    full, half = (
        predict_labels(networks, water, fat, spacing, device, mirror=mirror, close_up=close_up, precision=precision)
        for precision in PRECISIONS
    )
    agreement = {
        f"{structure.name} {structure.side}" if structure.side != "both" else structure.name: round(
            dice(half == number, full == number), 5
        )
        for number, structure in SCHEME.items()
        if (full == number).sum() * cm3 >= LEAST_CM3
    }
    fraction = fat_signal_fraction(water, fat, FLOOR_SHARE * in_body_median_of_pair(water, fat))
    muscles = [number for number, structure in SCHEME.items() if structure.is_muscle]
    paraspinal = [number for number in muscles if SCHEME[number].name == "autochthonous"]
    apart = [abs(_intermat(half, fraction, ids) - _intermat(full, fraction, ids)) for ids in (muscles, paraspinal)]
    points = round(max((each for each in apart if np.isfinite(each)), default=float("nan")), 5)
    holds = bool(agreement) and min(agreement.values()) >= LEAST_DICE and points <= MOST_POINTS
    found = PrecisionCheck("bf16" if holds else "fp32", "bf16", agreement, points, device_words(device))
    if not holds:
        worst = min(agreement, key=lambda name: agreement[name], default=None)
        why = (
            "the network finds nothing in the phantom that it is checked on"
            if worst is None
            else f"on a phantom the lowest Dice is {agreement[worst]:.4f} ({worst}) and InterMAT differs by {points:.3f} points; "
            f"asked are {LEAST_DICE:g} and {MOST_POINTS:g}"
        )
        warnings.warn(
            f"bfloat16 is not used on {device}: {why}. The network computes in single precision, which takes longer",
            RuntimeWarning,
            stacklevel=3,
        )
    return found


def _intermat(labels: NDArray[np.uint8], fraction: NDArray[np.float32], ids: list[int]) -> float:
    """InterMAT of some labels by the threshold, percent."""
    values = fraction[np.isin(labels, ids)]
    values = values[np.isfinite(values)]
    return 100 * float((values >= FAT_THRESHOLD).mean()) if values.size else float("nan")
