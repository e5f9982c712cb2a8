"""The spread that a network gives with its label map: its views, and the calibration of its weights."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from muscle_bayes.errors import BundleError
from muscle_bayes.imaging.images import Volume
from muscle_bayes.imaging.network.samples import Array
from muscle_bayes.imaging.network.views import view_sums
from muscle_bayes.imaging.spread import CarriedSpread
from muscle_bayes.imaging.uncertainty import ViewSums, label_fingerprint

if TYPE_CHECKING:
    from muscle_bayes.imaging.network.segmentation import Segmenter


def carried_with(
    segmenter: "Segmenter", first: Volume, second: Volume | None, labels: NDArray[np.uint8], wanted: bool | None
) -> dict[str, Any] | None:
    """Return what goes into a label map's `extra`.

    Parameters
    ----------
    segmenter : Segmenter
        Its networks and its bundle.
    first, second : Volume
        Water and fat; a single contrast and None.
    labels : (nx, ny, nz) uint8
        What it found.
    wanted : bool, optional
        Left out: where the bundle holds a calibration of these weights and the images are a Dixon pair.

    Returns
    -------
    dict or None

    Raises
    ------
    BundleError
        Where it is wanted and the bundle holds no calibration of these weights.
    """
    if wanted is False:
        return None
    calibration = segmenter.bundle.calibration
    fits = calibration is not None and list(calibration.weights_sha256) == segmenter.hashes
    if wanted and not fits:
        raise BundleError(
            str(segmenter.bundle.folder),
            "its metadata hold no calibration of the spread of these weights, and an uncalibrated SD would be invented",
            "Leave uncertainty= out, or fit it: python benchmarks/uncertainty.py --fit --write",
        )
    if not fits or second is None:
        return None
    assert calibration is not None
    views = views_of(segmenter, first.data, second.data, labels, first.spacing)
    return None if views is None else CarriedSpread(views, calibration, label_fingerprint(labels)).to_json()


def views_of(
    segmenter: "Segmenter", water: Array, fat: Array, labels: NDArray[np.uint8], spacing: tuple[float, float, float]
) -> ViewSums | None:
    """Measure the views of a scan by a segmenter's networks.

    Parameters
    ----------
    segmenter : Segmenter
        The members of an ensemble take turns.
    water, fat : (nx, ny, nz) float32
        Dixon images in RAS order.
    labels : (nx, ny, nz) uint8
        What the segmenter found.
    spacing : (3,) tuple of float
        Voxel size, mm.

    Returns
    -------
    ViewSums or None
        None where there is no autochthonous muscle.
    """

    def label(w: Array, f: Array, size: tuple[float, float, float], number: int) -> NDArray[np.uint8]:
        member = segmenter.networks[number % len(segmenter.networks)]
        return segmenter.predicted([member], w, f, size, mirror=False)

    return view_sums(label, water, fat, labels, spacing)
