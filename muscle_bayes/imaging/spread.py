"""The spread that a label map carries from its network to the measurement table."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.imaging.adipose import FAT_THRESHOLD, Burden
from muscle_bayes.imaging.images import ImageSource
from muscle_bayes.imaging.scan import Scan
from muscle_bayes.imaging.uncertainty import (
    MUSCLE,
    Border,
    Calibration,
    RawSpread,
    ViewSums,
    border,
    label_fingerprint,
    raw_spread,
)

COLUMNS = ("intermat_sd_percent", "lean_sd_cm3", "intermat_lean_cov")
#: Key of a label map's `extra` and of its sidecar.
KEY = "uncertainty"
_SIDES = ("left", "right")


@dataclass(frozen=True, eq=False)
class CarriedSpread:
    """What a label map of `segment` says about its own spread.

    Attributes
    ----------
    views : ViewSums
        Measures of the network's views.
    calibration : Calibration
        Of the network's weights.
    labels_sha256 : str
        Of the labels that it holds for.
    """

    views: ViewSums
    calibration: Calibration
    labels_sha256: str

    def to_json(self) -> dict[str, Any]:
        """Return plain data, for a sidecar."""
        return {
            "views": self.views.to_json(),
            "calibration": self.calibration.to_json(),
            "labels_sha256": self.labels_sha256,
        }


def carried_spread(labels: ImageSource | None) -> CarriedSpread | None:
    """Read the spread that comes with a label map.

    Parameters
    ----------
    labels : path or nibabel image
        Of `segment`: the image itself, or a file with its JSON sidecar beside it.

    Returns
    -------
    CarriedSpread or None
        None where it comes with none.
    """
    extra = _extra(labels)
    content = extra.get(KEY)
    if not isinstance(content, Mapping) or not {"views", "calibration", "labels_sha256"} <= set(content):
        return None
    return CarriedSpread(
        ViewSums.from_json(content["views"]),
        Calibration.from_json(content["calibration"]),
        str(content["labels_sha256"]),
    )


def label_origin(labels: ImageSource | None, scan: Scan) -> dict[str, str]:
    """Return what labelled a scan, where a label map of `segment` says it and is still as it was written.

    Parameters
    ----------
    labels : path or nibabel image
        Of `segment`: the image itself, or a file with its JSON sidecar beside it.
    scan : Scan
        As it is measured.

    Returns
    -------
    dict
        `backend` and `weights_sha256` for the measurement table; empty where nothing is known.
    """
    extra = _extra(labels)
    if not {"backend", "weights_sha256", "labels_sha256"} <= set(extra):
        return {}
    if extra["labels_sha256"] != label_fingerprint(scan.labels):
        return {}
    return {"backend": str(extra["backend"]), "weights_sha256": weights_name(list(extra["weights_sha256"]))}


def weights_name(hashes: list[str]) -> str:
    """Return the hash that stands in the measurement table: the weights' own, or one of all members of an ensemble."""
    return "".join(hashes) if len(hashes) <= 1 else sha256(" ".join(hashes).encode()).hexdigest()


def _extra(labels: ImageSource | None) -> Mapping[str, Any]:
    """Return what comes with a label map: with the image itself, or in the sidecar beside its file."""
    if labels is None:
        return {}
    if isinstance(labels, str | Path):
        path = Path(labels)
        sidecar = path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".json")
        if path.is_dir() or not sidecar.is_file():
            return {}
        try:
            extra = json.loads(sidecar.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # a file of somebody else's, which is not ours to judge
            return {}
    else:
        extra = getattr(labels, "extra", None)
    return extra if isinstance(extra, Mapping) else {}


class RowSpread:
    """SDs and covariance of the rows of one scan, by the definition "threshold".

    Parameters
    ----------
    scan : Scan
        As it is measured.
    carried : CarriedSpread or None
        From `carried_spread`.
    test_retest_sd : (float, float), optional
        SDs of InterMAT (points) and lean volume (cm3) between two scans of one person, added to everybody's.

    Attributes
    ----------
    notes : list of str
        Why SDs are missing, where a spread came with the labels and does not hold for them.
    settings : dict
        How SDs came about; empty where there are none.
    """

    def __init__(
        self, scan: Scan, carried: CarriedSpread | None, test_retest_sd: tuple[float, float] | None = None
    ) -> None:
        self.notes: list[str] = []
        self.settings: dict[str, Any] = {}
        self._scan, self._carried, self._retest = scan, None, np.zeros((2, 2))
        if test_retest_sd is not None:
            if len(test_retest_sd) != 2 or not all(np.isfinite(sd) and sd >= 0 for sd in test_retest_sd):
                raise InvalidValueError(
                    "test_retest_sd",
                    f"{test_retest_sd!r} is not two SDs",
                    "Give (InterMAT in points, lean volume in cm3) of the muscle over its region",
                )
            self._retest = np.diag(np.square(np.asarray(test_retest_sd, dtype=float)))
            self.settings["test_retest_sd"] = {
                "intermat_percent": float(test_retest_sd[0]),
                "lean_cm3": float(test_retest_sd[1]),
            }
        if carried is not None and scan.fraction is not None:
            if label_fingerprint(scan.labels) == carried.labels_sha256:
                self._carried = carried
                self.settings |= {
                    "of": "InterMAT and lean volume by the definition threshold, autochthonous muscles",
                    "sd": "root mean square error to expect of the figure as published, of which estimate +- 1.96 SD is a 95 % "
                    "interval; the calibration's mean_error (points, share of the lean volume) is part of it and not subtracted",
                    "calibration": carried.calibration.to_json(),
                    "views": len(carried.views.defined) - 1,
                }
            else:
                self.notes.append(
                    "SDs are missing: the labels that are measured are not those for which the network gave its spread "
                    "(corrected by hand, closed to the fascia or resampled)"
                )
        self._borders: dict[str, Border] = {}

    def columns(
        self, muscle: str, side: str, region: str, weight: np.ndarray, found: Burden, *, truncated: bool
    ) -> dict[str, float]:
        """Return `COLUMNS` of a row.

        Parameters
        ----------
        muscle, side, region : str
            Row.
        weight : (nz,) float64
            Share of each slice in its region.
        found : Burden
            What was measured.
        truncated : bool
            Whether figures are missing.

        Returns
        -------
        dict
            Missing for other muscles, whose spread is not calibrated, and where the figures are; of lean volume also in regions
            that the calibration does not hold for.
        """
        if muscle != MUSCLE or truncated or not self.settings:
            return dict.fromkeys(COLUMNS, np.nan)
        covariance = self._retest
        if self._carried is not None:
            spread = self.raw(side, weight, found)
            if spread is None:
                return dict.fromkeys(COLUMNS, np.nan)
            covariance = covariance + spread.covariance(self._carried.calibration)
            regions = self._carried.calibration.lean_regions
            if regions and region not in regions:
                covariance[1], covariance[:, 1] = np.nan, np.nan
        sd = np.sqrt(np.diag(covariance))
        return dict(zip(COLUMNS, (float(sd[0]), float(sd[1]), float(covariance[0, 1])), strict=True))

    def raw(self, side: str, weight: np.ndarray, found: Burden) -> RawSpread | None:
        """Return what is known of a row's spread before it is scaled; None where the views show none of the muscle."""
        assert self._carried is not None  # columns asks only then
        numbers = [number for number, name in enumerate(_SIDES) if side in (name, "both")]
        differences = self._carried.views.differences(numbers, weight)
        intermat = found.intermat_percent["threshold"]
        defined = found.compartment_cm3 * (1 - found.undefined_percent / 100)
        if not len(differences) or not np.isfinite(intermat) or intermat >= 100:
            return None
        borders = [self._border(_SIDES[number]) for number in numbers]
        return raw_spread(side, borders, weight, self._scan.background.spacing[2], defined, intermat, differences)

    def _border(self, side: str) -> Border:
        if side not in self._borders:
            scan = self._scan
            ids = [key for key, structure in scan.scheme.items() if (structure.name, structure.side) == (MUSCLE, side)]
            assert scan.fraction is not None  # __init__ asked for it
            mask = np.isin(scan.labels, ids)
            self._borders[side] = border(mask, scan.fraction, scan.background.spacing, FAT_THRESHOLD)
        return self._borders[side]
