"""Instance normalisation as group normalisation with one channel a group: the same numbers, several times faster on a processor.

torch computes `instance_norm` on a processor through its batch normalisation in training mode; `group_norm` has a kernel of
its own that passes over each channel once.
"""

from copy import deepcopy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def with_group_norms(network: "torch.nn.Module") -> "torch.nn.Module":
    """Return a copy of a network whose instance norms are group norms of one channel each; weights stay where they are.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode. Layers that keep running statistics are left as they are.

    Returns
    -------
    torch.nn.Module
        Gives the same output up to rounding.
    """
    out = deepcopy(network)
    for module in list(out.modules()):
        for name, child in list(module.named_children()):
            norm = _as_group_norm(child)
            if norm is not None:
                setattr(module, name, norm)
    return out.eval()


def _as_group_norm(layer: "torch.nn.Module") -> "torch.nn.GroupNorm | None":
    from torch import nn

    if not isinstance(layer, nn.InstanceNorm1d | nn.InstanceNorm2d | nn.InstanceNorm3d) or layer.track_running_stats:
        return None
    channels = layer.num_features
    norm = nn.GroupNorm(channels, channels, eps=layer.eps, affine=layer.affine)
    if layer.affine:
        norm.weight, norm.bias = layer.weight, layer.bias
    return norm
