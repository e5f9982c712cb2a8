"""How every scan of a study is measured: what goes to the workers, and what a finished scan is held against."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from muscle_bayes.cohort.exposure import Exposure
from muscle_bayes.cohort.files import file_sha256
from muscle_bayes.study.lock import code_version, fingerprint

#: Backends that read or find the compartment without a network.
WITHOUT_NETWORK = ("labelmap", "hull")


@dataclass(frozen=True)
class ScanSettings:
    """How every scan of a study is measured.

    Attributes
    ----------
    exposure : Exposure
        Definition of adipose tissue and compartment.
    backend : {"labelmap", "hull", "bundle", "nnunet", "totalsegmentator"}
        Where the compartment comes from.
    weights : pathlib.Path, optional
        Folder of a bundle or model, absolute.
    weights_sha256 : str
        Hash of what that folder holds; a scan that was measured with other weights is measured again.
    trust_weights : bool
        Whether a bundle may run code.
    tool : mapping
        Settings of another tool; of a bundle, whether it gives standard deviations.
    device : str, optional
        Where a network computes; the fastest that is there where left out.
    scheme : str or pathlib.Path, optional
        What label ids mean: a published scheme's name, or a file.
    scheme_sha256 : str
        Of that file.
    resample_labels, quality, repair_swap, pictures : bool
        As in study.toml.
    seed : int
        Of the study.
    code : str
        Version of the code that measures.
    """

    exposure: Exposure = field(default_factory=Exposure)
    backend: str = "labelmap"
    weights: Path | None = None
    weights_sha256: str = ""
    trust_weights: bool = False
    tool: Mapping[str, Any] = field(default_factory=dict)
    device: str | None = None
    scheme: str | Path | None = None
    scheme_sha256: str = ""
    resample_labels: bool = False
    quality: bool = False
    repair_swap: bool = False
    pictures: bool = False
    seed: int = 1
    code: str = field(default_factory=lambda: code_version("imaging"))

    @property
    def recorded(self) -> dict[str, Any]:
        """What the figures depend on, for the sidecar: neither device nor pictures, and no path of this machine."""
        return {
            "backend": self.backend,
            "adipose": self.exposure.adipose,
            "compartment": self.exposure.compartment,
            "weights_sha256": self.weights_sha256,
            "tool": {key: value for key, value in self.tool.items() if key not in ("command", "timeout_s")},
            "scheme": self.scheme.name if isinstance(self.scheme, Path) else self.scheme,
            "scheme_sha256": self.scheme_sha256,
            "resample_labels": self.resample_labels,
            "quality": self.quality,
            "repair_swap": self.repair_swap,
            "study_seed": self.seed,
            "code": self.code,
        }


def hash_of_weights(backend: str, weights: Path | None) -> str:
    """Return a hash of everything that a folder of weights holds; without torch, so that a finished run costs nothing.

    Parameters
    ----------
    backend : str
        Of study.toml.
    weights : pathlib.Path or None
        The folder; the project's own bundle for `bundle` without one.

    Returns
    -------
    str
        64 hexadecimal digits; "" for backends without weights, and where a tool finds its own.
    """
    if weights is None and backend == "bundle":
        from muscle_bayes.resources import data_folder

        weights = data_folder("segmentation")
    if weights is None or backend in WITHOUT_NETWORK:
        return ""
    files = sorted(path for path in weights.rglob("*") if path.suffix in _WEIGHTS and path.is_file())
    return fingerprint([(path.relative_to(weights).as_posix(), file_sha256(path)) for path in files])


_WEIGHTS = {".safetensors", ".pt", ".pth", ".ts", ".json", ".yaml", ".toml", ".pkl"}


def backend_of(settings: ScanSettings) -> Any:
    """Return the backend that labels a study's scans, opened once in each process.

    Parameters
    ----------
    settings : ScanSettings
        How scans are measured.

    Returns
    -------
    Backend
        Of `muscle_bayes.imaging.backends`.
    """
    tool = dict(settings.tool)
    if settings.backend == "nnunet" and settings.scheme is not None:
        tool["scheme"] = settings.scheme
    return _opened(
        settings.backend, settings.weights, settings.device, settings.trust_weights, tuple(sorted(tool.items()))
    )


def backend_words(settings: ScanSettings) -> str:
    """Say what labels a study's scans, and on which device; opening it tells what is missing before any scan is read.

    Parameters
    ----------
    settings : ScanSettings
        Of a backend with a network.

    Returns
    -------
    str
        One line.
    """
    return str(backend_of(settings).words)


@cache
def _opened(name: str, weights: Path | None, device: str | None, trust: bool, tool: tuple[tuple[str, Any], ...]) -> Any:
    """Open a backend; loading weights for every scan would take longer than the scan."""
    from muscle_bayes.imaging.backends import open_backend

    bundle, model = (weights, None) if name == "bundle" else (None, weights)
    return open_backend(name, bundle=bundle, model=model, device=device, trust_bundle=trust, **dict(tool))
