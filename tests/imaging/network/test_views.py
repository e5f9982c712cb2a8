"""Views of a scan: they come back to where they were, and label maps carry their spread where the weights are calibrated."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from muscle_bayes.errors import BundleError
from muscle_bayes.imaging import quantify
from muscle_bayes.imaging.network.agreement import dice
from muscle_bayes.imaging.network.bundle import Bundle
from muscle_bayes.imaging.network.segmentation import Segmenter
from muscle_bayes.imaging.network.views import VIEWS, changed_back, changed_image, noise_sd
from muscle_bayes.imaging.spread import KEY
from muscle_bayes.imaging.uncertainty import SIDES, Calibration, Scale

CPU = torch.device("cpu")
Blocks = tuple[np.ndarray, np.ndarray]


@pytest.fixture
def pair(two_blocks: Blocks) -> tuple[nib.Nifti1Image, nib.Nifti1Image]:
    """Two muscles of water with a tenth of fat between other tissue, with some noise."""
    image, _ = two_blocks
    noise = np.random.default_rng(1).normal(0, 2, (2, *image.shape)).astype(np.float32)
    water = np.maximum(image + noise[0], 0)
    fat = np.maximum(np.where(image > 300, 40.0, 0.4 * image).astype(np.float32) + noise[1], 0)
    affine = np.diag([1.4, 1.4, 9.0, 1.0])
    return nib.Nifti1Image(water, affine), nib.Nifti1Image(fat, affine)


def segmenter(network: torch.nn.Module, calibration: Calibration | None) -> Segmenter:
    metadata = {} if calibration is None else {"uncertainty": calibration.to_json()}
    return Segmenter(Bundle(Path("known"), metadata, {}, ()), [network], ["0" * 64], CPU)


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_of_labels_comes_back(view: object, two_blocks: Blocks) -> None:
    labels = two_blocks[1]
    still = replace(view, noise=0.0, shading=0.0)  # type: ignore[type-var]
    seen = {
        side: changed_image((labels == side).astype(np.float32), still, np.random.default_rng(1)) for side in (3, 4)
    }
    # What a reader would label in the view: left is where the smaller x is, also in a mirrored one.
    crossed = {3: 4, 4: 3} if still.mirrored else {3: 3, 4: 4}
    drawn = np.zeros_like(labels)
    for side, image in seen.items():
        drawn[image > 0.5] = crossed[side]
    back = changed_back(drawn, still)
    for side in (3, 4):
        assert dice(back == side, labels == side) > 0.9
    assert not np.array_equal(drawn, labels)  # it is another view


def test_noise_is_estimated_where_there_is_signal() -> None:
    rng = np.random.default_rng(2)
    image = np.zeros((120, 100, 6), dtype=np.float32)
    image[20:100, 20:80] = 300.0
    noisy = image + rng.normal(0, 12, image.shape).astype(np.float32) * (image > 0)
    assert noise_sd(noisy) == pytest.approx(12, rel=0.05)  # Monte Carlo error 0.6 %, edges 1 %
    assert noise_sd(np.zeros((5, 5, 2), dtype=np.float32)) == 0


def test_calibrated_weights_give_their_spread_and_others_none(
    known_network: torch.nn.Module, pair: tuple[nib.Nifti1Image, nib.Nifti1Image]
) -> None:
    plain = segmenter(known_network, None)
    assert KEY not in plain(pair).extra
    with pytest.raises(BundleError, match="uncalibrated SD would be invented"):
        plain(pair, uncertainty=True)
    one = dict.fromkeys(SIDES, 1.0)
    # Not less than 0.2 points, whatever the border; 1 % of the lean volume.
    intermat = Scale(0.0, (1.0, 0.0, 0.0, 0.0), least=(0.2, 1e-6, 1e-6, 1e-6), factor=one)
    lean = Scale(float(np.log(0.01)), (0.0, 0.0, 0.0, 1.0), factor=one)
    calibration = Calibration(intermat, lean, weights_sha256=("0" * 64,))
    calibrated = segmenter(known_network, calibration)
    found = calibrated(pair)
    assert KEY not in calibrated(pair, uncertainty=False).extra
    assert KEY not in calibrated(pair[0]).extra  # a single contrast has no threshold
    rows = quantify(*pair, found)
    both = rows[(rows["muscle"] == "autochthonous") & (rows["side"] == "both")].iloc[0]
    assert 0.2 <= both["intermat_sd_percent"] < 10
    assert both["lean_sd_cm3"] == pytest.approx(0.01 * both["lean_threshold_cm3"])
    again = calibrated(pair)
    assert again.extra[KEY] == found.extra[KEY]  # nothing is drawn by chance
    others = segmenter(known_network, replace(calibration, weights_sha256=("1" * 64,)))
    assert KEY not in others(pair).extra  # a calibration of other weights
    with pytest.raises(BundleError, match="uncalibrated"):
        others(pair, uncertainty=True)
