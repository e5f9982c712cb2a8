"""A trained nnU-Net v2 model, run by nnU-Net's own command in the environment where the user has it."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from muscle_bayes import __version__
from muscle_bayes.errors import BackendError, BundleError, MissingWeightsError
from muscle_bayes.imaging.backends.command import Command, find_command, run_command
from muscle_bayes.imaging.backends.exchange import read_output, sha256_of_large, write_input
from muscle_bayes.imaging.backends.meaning import own_id, to_own_ids
from muscle_bayes.imaging.backends.nnunet_folder import CHECKPOINT, find_folds, input_channels, label_meaning, read_json
from muscle_bayes.imaging.backends.tool_device import tool_device
from muscle_bayes.imaging.images import Volume
from muscle_bayes.imaging.label_schemes.recognition import Scheme, choose_scheme
from muscle_bayes.imaging.labels import SCHEME, Structure
from muscle_bayes.imaging.scan_input import Images, images_by_role, on_input_grid, read_images

COMMAND = "nnUNetv2_predict_from_modelfolder"


@dataclass(frozen=True)
class NnunetBackend:
    """A trained nnU-Net v2 model.

    Attributes
    ----------
    command : list of str
        First words of the argument list.
    model : path
        Folder with dataset.json, plans.json and fold_*.
    folds : tuple of str
        Which of them predict together.
    channels : tuple of str
        Names of `CHANNELS`, in the order of the network's input.
    scheme : mapping, str, path or None
        A user's meaning of the ids; by the names in dataset.json where left out.
    ending : str
        Of the files that the model reads.
    weights_sha256 : list of str
        Of the checkpoints.
    kind, number : str
        Device.
    mirror : bool
        Whether the tool averages over mirrored images.
    timeout_s : float
        Time limit for a scan.
    version : str
        Of nnunetv2, where its installation says so.
    """

    command: list[str]
    model: Path
    folds: tuple[str, ...]
    channels: tuple[str, ...]
    scheme: Scheme | str | Path | None
    ending: str
    weights_sha256: list[str]
    kind: str
    number: str | None
    mirror: bool
    timeout_s: float
    version: str
    name: str = field(default="nnunet", init=False)

    @classmethod
    def load(
        cls,
        model: str | Path | None,
        *,
        command: Command | None = None,
        device: str | None = None,
        trust: bool = False,
        folds: Sequence[int | str] | None = None,
        channels: Sequence[str] | None = None,
        scheme: Scheme | str | Path | None = None,
        mirror: bool = True,
        timeout_s: float = 3600.0,
    ) -> "NnunetBackend":
        """Check a model folder and the command; arguments as in `open_backend`."""
        if model is None:
            raise MissingWeightsError(
                "nnunet", "no model folder is given, and none is ever downloaded", "Give model=, or --model DIR"
            )
        folder = Path(model).absolute()
        dataset = read_json(folder / "dataset.json")
        read_json(folder / "plans.json")
        chosen = find_folds(folder, folds)
        if not trust:
            raise BundleError(
                str(folder),
                f"its checkpoints ({CHECKPOINT}) are Python pickles, which run code of whoever made them when nnU-Net opens them",
                "Pass trust_bundle=True (--trust-bundle) for a model that you trained yourself or whose author you trust",
            )
        if folder.name.endswith("cascade_fullres"):
            raise BackendError(
                str(folder),
                "is the second stage of a cascade, which needs the predictions of the first",
                "Run nnU-Net by hand and measure its label maps: quantify(labels=, scheme=)",
            )
        ending = str(dataset.get("file_ending", ".nii.gz"))
        if ending not in (".nii.gz", ".nii"):
            raise BackendError(
                str(folder), f"it was trained on {ending} files", "Run nnU-Net by hand and measure its label maps"
            )
        named = dataset.get("channel_names", dataset.get("modality"))
        own = input_channels(named, channels, str(folder / "dataset.json"))
        if scheme is None:
            label_meaning(dataset, str(folder / "dataset.json"))  # refused now, not after hours
        words = find_command(command, COMMAND, "nnU-Net")
        kind, number = tool_device(device)
        hashes = [sha256_of_large(folder / f"fold_{fold}" / CHECKPOINT) for fold in chosen]
        return cls(
            words, folder, chosen, own, scheme, ending, hashes, kind, number, mirror, timeout_s, _version(words[0])
        )

    @property
    def words(self) -> str:
        """What labels and where."""
        weights = ", ".join(digest[:12] for digest in self.weights_sha256)
        return f"nnU-Net model {self.model.name} (weights {weights}) on {self.device}"

    @property
    def device(self) -> str:
        """Where the tool is told to compute."""
        return f"{self.kind}:{self.number}" if self.number else self.kind

    def __call__(self, images: Images) -> nib.Nifti1Image:
        """Label a scan; see `segment`."""
        sources = images_by_role(images)
        volumes = read_images(sources)
        first = next(iter(volumes.values()))
        dataset = read_json(self.model / "dataset.json")
        with tempfile.TemporaryDirectory(prefix="nnunet-") as scratch:
            here = Path(scratch)
            given, made = here / "in", here / "out"
            given.mkdir()
            for place, channel in enumerate(self.channels):
                # nnU-Net reads floats and normalises as it was trained, so nothing is scaled.
                signal = Volume(channel_signal(channel, volumes), first.affine, channel, "")
                write_input(signal, given / f"case_{place:04d}{self.ending}")
            arguments = self.arguments(given, made)
            finished = run_command(
                arguments,
                tool="nnU-Net",
                folder=here,
                timeout_s=self.timeout_s,
                environment=self._environment(here),
            )
            labels, _ = read_output(made / f"case{self.ending}", first, "nnU-Net", finished.last_words)
        present = [number for number in np.unique(labels.data.T).tolist() if number]
        if self.scheme is None:
            meaning = label_meaning(dataset, str(self.model / "dataset.json"))
        else:
            meaning, _ = choose_scheme(self.scheme, present, {}, str(self.model))
        image = on_input_grid(to_own_ids(labels.data, meaning, str(self.model)), first, next(iter(sources.values())))
        image.extra.update(
            {
                "backend": self.name,
                "tool": "nnU-Net",
                "tool_version": self.version,
                "command": arguments,
                "model": str(self.model),
                "model_name": str(dataset.get("name", self.model.name)),
                "folds": list(self.folds),
                "channels": list(self.channels),
                "weights_sha256": self.weights_sha256,
                "trained_on": str(dataset.get("description", "not stated in dataset.json")),
                "inputs": {role: {"name": Path(v.name).name, "sha256": v.sha256} for role, v in volumes.items()},
                "orientation_known": first.orientation_known,
                "mirror": self.mirror,
                "device": self.device,
                "muscle_bayes": __version__,
                "tool_labels": {str(k): _words(s) for k, s in meaning.items() if own_id(s)},
                "labels": {str(k): _words(s) for k, s in SCHEME.items()},
            }
        )
        return image

    def arguments(self, given: Path, made: Path) -> list[str]:
        """Return the argument list for a folder of images and a folder of results."""
        return [
            *self.command,
            *("-i", str(given), "-o", str(made), "-m", str(self.model), "-f", *self.folds),
            *("-chk", CHECKPOINT, "-device", self.kind, "-npp", "1", "-nps", "1", "--disable_progress_bar"),
            *([] if self.mirror else ["--disable_tta"]),
        ]

    def _environment(self, scratch: Path) -> dict[str, str]:
        # nnU-Net asks for these folders and uses none of them here.
        folders = {name: str(scratch) for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")}
        return {**folders, **({"CUDA_VISIBLE_DEVICES": self.number} if self.number else {})}


def channel_signal(channel: str, volumes: Mapping[str, Volume]) -> NDArray[np.float32]:
    """Return the image of a channel, made from water and fat where need be.

    Parameters
    ----------
    channel : str
        Key of `CHANNELS`.
    volumes : mapping
        Water and fat, or image.

    Returns
    -------
    (nx, ny, nz) float32

    Raises
    ------
    BackendError
        Where what is given cannot make it.
    """
    if "image" in volumes:
        if channel != "image":
            raise BackendError(
                "images",
                f"the model wants {channel}, and a single contrast is given",
                "Give water and fat of a Dixon scan",
            )
        return volumes["image"].data
    water, fat = volumes["water"].data, volumes["fat"].data
    if channel == "image":
        raise BackendError(
            "images",
            "the model wants a single contrast, and water and fat are given",
            "Give image= alone, or say what its channel is: channels=('water',) or ('in_phase',)",
        )
    total = np.maximum(water, 0) + np.maximum(fat, 0)
    made: dict[str, NDArray[np.float32]] = {
        "water": water,
        "fat": fat,
        "in_phase": total,
        "opposed_phase": np.abs(water - fat),
        "fat_fraction": np.divide(np.maximum(fat, 0), total, out=np.zeros_like(total), where=total > 0),
    }
    return made[channel]


def _version(executable: str) -> str:
    """Version of nnunetv2 as its installation beside the command says."""
    for library in Path(executable).resolve().parent.parent.glob("lib/python3*/site-packages/nnunetv2-*.dist-info"):
        return library.name.removeprefix("nnunetv2-").removesuffix(".dist-info")
    return "not stated"


def _words(structure: Structure) -> str:
    return structure.name if structure.side == "both" else f"{structure.name} {structure.side}"
