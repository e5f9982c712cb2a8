"""Networks from a definition in plain data: an allow-listed MONAI class with literal arguments."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from muscle_bayes.errors import BundleError
from muscle_bayes.imaging.labels import SCHEME
from muscle_bayes.imaging.network.preprocessing import CHANNELS

if TYPE_CHECKING:
    import torch

#: Classes that a definition may name. They build layers from numbers and words; none of them reads a file.
ALLOWED = ("AttentionUnet", "BasicUNet", "DynUNet", "SegResNet", "UNet")
#: Parameters; the largest networks published for muscles have some tens of millions.
LARGEST = 200_000_000
_PREFIXES = ("", "monai.networks.nets.")
#: Background and the ids of the label scheme.
N_CLASSES = max(SCHEME) + 1

#: Keys of a definition that MONAI's parser would act on; here only the class name is used.
_SPECIAL = ("_target_",)


def dynamic_unet(filters: tuple[int, ...]) -> Mapping[str, Any]:
    """Return the definition of the project's own network, a two-dimensional U-Net on slices with their neighbours.

    Parameters
    ----------
    filters : tuple of int
        Channels at each resolution, finest first; each level halves the resolution.

    Returns
    -------
    mapping
        As the bundle's `network_def`.
    """
    levels = len(filters)
    strides = [1] + [2] * (levels - 1)
    return MappingProxyType(
        {
            "_target_": "DynUNet",
            "spatial_dims": 2,
            "in_channels": CHANNELS,
            "out_channels": N_CLASSES,
            "kernel_size": [3] * levels,
            "strides": strides,
            "upsample_kernel_size": strides[1:],
            "filters": list(filters),
            "norm_name": ["INSTANCE", {"affine": True}],
            "act_name": ["leakyrelu", {"negative_slope": 0.01, "inplace": True}],
        }
    )


def build_network(definition: Mapping[str, Any], where: str = "network_def") -> "torch.nn.Module":
    """Build a network from its definition.

    Parameters
    ----------
    definition : mapping
        `_target_` names a class of `ALLOWED`, the rest are its arguments: numbers, words, lists and mappings of these.
    where : str
        File, for messages.

    Returns
    -------
    torch.nn.Module
        With random weights.

    Raises
    ------
    BundleError
        Where the class is not allowed, or an argument is anything but plain data (an expression, a reference).
    """
    target = str(definition.get("_target_", ""))
    name = next((target[len(p) :] for p in reversed(_PREFIXES) if target.startswith(p)), target)
    if name not in ALLOWED:
        raise BundleError(
            where,
            f"the network class {target!r} is not one of {', '.join(ALLOWED)}",
            "Use a bundle with one of these networks; others run code of the bundle's choosing",
        )
    arguments = {key: value for key, value in definition.items() if key not in _SPECIAL}
    for key, value in arguments.items():
        _require_literal(value, where, key)
    import torch
    from monai.networks import nets

    try:
        # Weighed before it is built: a definition from anywhere must not fill the memory.
        with torch.device("meta"):
            size = sum(parameter.numel() for parameter in getattr(nets, name)(**arguments).parameters())
        if size > LARGEST:
            raise ValueError(f"it would have {size:,} parameters, and {LARGEST:,} are allowed")
        network: torch.nn.Module = getattr(nets, name)(**arguments)
    except Exception as error:  # MONAI and torch refuse with many types
        reason = " ".join(str(error).split())[:200]
        raise BundleError(where, f"{name} refuses its arguments: {reason}", "Correct network_def") from error
    return network


def _require_literal(value: Any, where: str, key: str) -> None:
    """Raise unless a value is plain data without MONAI's expressions (`$`), references (`@`, `%`) or nested components."""
    if isinstance(value, str):
        plain = not value.lstrip().startswith(("$", "@", "%")) and "@" not in value
    elif isinstance(value, Mapping):
        plain = all(isinstance(k, str) and not k.startswith("_") for k in value)
        for inner in value.values():
            _require_literal(inner, where, key)
    elif isinstance(value, list | tuple):
        plain = True
        for inner in value:
            _require_literal(inner, where, key)
    else:
        plain = value is None or isinstance(value, bool | int | float)
    if not plain:
        raise BundleError(
            where,
            f"argument {key} of network_def is {value!r}: an expression, a reference or a component, not plain data",
            "Write the value itself; a configuration that computes could run any code",
        )
