"""Group norms in place of instance norms, and the most probable class: the same answers as torch's own, only sooner."""

import numpy as np
import pytest
import torch
from monai.networks.nets import SegResNet, UNet

from muscle_bayes.imaging.network.architecture import build_network, dynamic_unet
from muscle_bayes.imaging.network.normalisation import with_group_norms
from muscle_bayes.imaging.network.probabilities import most_probable
from muscle_bayes.imaging.network.segmentation import Segmenter


def instance_norms(network: torch.nn.Module) -> int:
    return sum(isinstance(m, torch.nn.InstanceNorm2d | torch.nn.InstanceNorm3d) for m in network.modules())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_projects_network_gives_the_same_output(seed: int) -> None:
    torch.manual_seed(seed)
    network = build_network(dynamic_unet((4, 8, 16))).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    swapped = with_group_norms(network)
    assert instance_norms(network) > 0
    assert instance_norms(swapped) == 0
    with torch.inference_mode():
        # An offset far above the signal's spread, where a variance from sums of squares would lose its digits.
        for inputs in (torch.randn(3, 9, 64, 32), 100 + torch.randn(1, 9, 32, 32)):
            asked = network(inputs)
            torch.testing.assert_close(swapped(inputs), asked, rtol=2e-3, atol=2e-3 * float(asked.abs().max()))
    assert swapped.state_dict().keys() == network.state_dict().keys()


def test_other_networks_keep_what_is_no_instance_norm() -> None:
    torch.manual_seed(1)
    inputs = torch.randn(2, 1, 16, 16, 16)
    plain = UNet(3, 1, 2, (4, 8), (2,), norm=("instance", {"affine": False})).eval()
    grouped = SegResNet(3, 4, 1, 2, blocks_down=(1, 1), blocks_up=(1,), norm=("group", {"num_groups": 2})).eval()
    running = torch.nn.Sequential(torch.nn.InstanceNorm3d(1, track_running_stats=True)).eval()
    with torch.inference_mode():
        for network in (plain, grouped, running):
            torch.testing.assert_close(with_group_norms(network)(inputs), network(inputs), rtol=1e-4, atol=1e-4)
    assert isinstance(with_group_norms(running)[0], torch.nn.InstanceNorm3d)


def test_a_segmenter_computes_with_group_norms_on_a_processor_only() -> None:
    assert instance_norms(Segmenter.load(device="cpu").networks[0]) == 0
    assert instance_norms(Segmenter.load(device="cpu").bundle.networks(torch.device("cpu"))[0][0]) > 0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_most_probable_class_is_the_first_of_the_largest(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    # Few different values, so that ties abound.
    scores = torch.randint(0, 4, (2, 18, 7, 5), generator=generator).float()
    np.testing.assert_array_equal(most_probable(scores).numpy(), scores.numpy().argmax(axis=1))
