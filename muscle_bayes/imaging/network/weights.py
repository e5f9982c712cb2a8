"""Weights as safetensors in half precision, named by their SHA-256; nothing is ever downloaded or unpickled."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from muscle_bayes.errors import BundleError, MissingWeightsError
from muscle_bayes.imaging.network.devices import require_torch

if TYPE_CHECKING:
    import torch


def save_weights(network: "torch.nn.Module", path: str | Path) -> str:
    """Write the weights of a network in half precision.

    Parameters
    ----------
    network : torch.nn.Module
        Any network.
    path : path
        `.safetensors` file.

    Returns
    -------
    str
        SHA-256 of the file.
    """
    torch = require_torch()
    from safetensors.torch import save_file

    state = {
        name: value.detach().to("cpu", torch.float16 if value.is_floating_point() else value.dtype).contiguous().clone()
        for name, value in _own_tensors(network).items()
    }
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    save_file(state, str(path))
    return sha256_of(path)


def load_weights(network: "torch.nn.Module", path: str | Path, sha256: str | None = None) -> str:
    """Read weights into a network.

    Parameters
    ----------
    network : torch.nn.Module
        Changed in place.
    path : path
        `.safetensors` file.
    sha256 : str, optional
        What the file must be.

    Returns
    -------
    str
        SHA-256 of the file.

    Raises
    ------
    BundleError
        Where the file is missing, is a pickle, is another file than stated, or does not fit the network.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise BundleError(
            str(path),
            "is not a .safetensors file; pickled weights can run code when opened",
            "Convert them to safetensors",
        )
    if not path.is_file():
        raise MissingWeightsError(
            str(path),
            "the weights are missing, and none are ever downloaded",
            "Put the file there, or train: muscle-bayes train",
        )
    require_torch()
    from safetensors.torch import load_file

    found = sha256_of(path)
    if sha256 is not None and found != sha256:
        raise BundleError(
            str(path),
            f"its SHA-256 is {found[:12]}..., metadata.json says {sha256[:12]}...",
            "Take both from one release",
        )
    try:
        state: Mapping[str, torch.Tensor] = load_file(str(path))
        own = _own_tensors(network)
        if set(own) != set(state):
            differing = ", ".join(sorted(set(own) ^ set(state))[:3])
            raise ValueError(f"tensors differ: {differing}")
        network.load_state_dict(
            {name: value.float() if value.is_floating_point() else value for name, value in state.items()}, strict=False
        )
    except Exception as error:  # safetensors and torch raise many types for a broken or foreign file
        reason = " ".join(str(error).split())[:200]
        raise BundleError(
            str(path),
            f"the weights do not fit the network ({reason})",
            "Use the weights that belong to this network_def",
        ) from error
    return found


def _own_tensors(network: "torch.nn.Module") -> "dict[str, torch.Tensor]":
    """Return parameters and buffers by name, each once: MONAI's DynUNet lists its layers under two names."""
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
