"""TotalSegmentator, run by its own command in the environment where the user has it, and only with weights that are there."""

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np

from muscle_bayes import __version__
from muscle_bayes.errors import BackendError, InvalidValueError, MissingWeightsError
from muscle_bayes.imaging.backends.command import Command, find_command, run_command
from muscle_bayes.imaging.backends.exchange import read_output, sha256_of_large, write_input
from muscle_bayes.imaging.backends.meaning import to_own_ids
from muscle_bayes.imaging.backends.tool_device import tool_device
from muscle_bayes.imaging.images import Volume
from muscle_bayes.imaging.label_schemes.nifti_names import class_names
from muscle_bayes.imaging.label_schemes.recognition import choose_scheme
from muscle_bayes.imaging.labels import SCHEME
from muscle_bayes.imaging.scan_input import Images, images_by_role, on_input_grid, read_images

COMMAND = "TotalSegmentator"
CONTRASTS = ("water", "in_phase")


@dataclass(frozen=True)
class Task:
    """A task of TotalSegmentator that labels muscles in MR images.

    Attributes
    ----------
    scheme : str
        Published scheme of its ids.
    weights : tuple of str
        Folders of its networks, which it would download where they are missing.
    """

    scheme: str
    weights: tuple[str, ...]


#: Read in its libs.py and map_tasks_config.py at 2.5.0, 2.9.0, 2.12.0 and 2.18.0, which agree.
TASKS: Mapping[str, Task] = {
    "total_mr": Task(
        "totalsegmentator_mr",
        ("Dataset850_TotalSegMRI_part1_organs_1088subj", "Dataset851_TotalSegMRI_part2_muscles_1088subj"),
    ),
    "thigh_shoulder_muscles_mr": Task(
        "totalsegmentator_thigh_shoulder_mr", ("Dataset857_TotalSegMRI_thigh_shoulder_1088subj",)
    ),
}
#: Versions whose weights and ids are known here; of another one it cannot be checked that it downloads nothing.
_FIRST, _LAST = (2, 5), (2, 18)
#: It casts signals to whole numbers, so an image of fractions would become 0.
_LEAST_MAXIMUM, _SCALED_MAXIMUM = 100.0, 1000.0


@dataclass(frozen=True)
class TotalSegmentatorBackend:
    """TotalSegmentator with one of its tasks.

    Attributes
    ----------
    command : list of str
        First words of the argument list.
    task : str
        Key of `TASKS`.
    weights : path
        Folder of its networks.
    weights_sha256 : list of str
        Of their checkpoints.
    contrast : {"water", "in_phase"}
        What it sees of a Dixon pair.
    kind, number : str
        Device.
    timeout_s : float
        Time limit for a scan.
    version : str
        As it says itself.
    """

    command: list[str]
    task: str
    weights: Path
    weights_sha256: list[str]
    contrast: str
    kind: str
    number: str | None
    timeout_s: float
    version: str
    name: str = field(default="totalsegmentator", init=False)

    @classmethod
    def load(
        cls,
        model: str | Path | None = None,
        *,
        command: Command | None = None,
        device: str | None = None,
        task: str = "total_mr",
        contrast: str = "water",
        timeout_s: float = 3600.0,
    ) -> "TotalSegmentatorBackend":
        """Check the command and its weights; arguments as in `open_backend`."""
        for name, value, allowed in (("task", task, tuple(TASKS)), ("contrast", contrast, CONTRASTS)):
            if value not in allowed:
                raise InvalidValueError(name, f"{value!r} is not known", f"Choose from {', '.join(allowed)}")
        folder = Path(model).absolute() if model is not None else weights_folder()
        hashes = [
            sha256_of_large(path)
            for wanted in TASKS[task].weights
            for path in _checkpoints(folder, wanted, task, given=model is not None)
        ]
        words = find_command(command, COMMAND, "TotalSegmentator")
        version = _version(words)
        kind, number = tool_device(device)
        return cls(words, task, folder, hashes, contrast, kind, number, timeout_s, version)

    @property
    def words(self) -> str:
        """What labels and where."""
        weights = ", ".join(digest[:12] for digest in self.weights_sha256)
        return f"TotalSegmentator {self.version}, task {self.task} (weights {weights}) on {self.device}"

    @property
    def device(self) -> str:
        """Where the tool is told to compute."""
        return f"{self.kind}:{self.number}" if self.number else self.kind

    def __call__(self, images: Images) -> nib.Nifti1Image:
        """Label a scan; see `segment`."""
        sources = images_by_role(images)
        volumes = read_images(sources)
        first = next(iter(volumes.values()))
        seen = self._seen(volumes)
        top = float(seen.data.max())
        factor = 1.0 if top >= _LEAST_MAXIMUM else _SCALED_MAXIMUM / top
        with tempfile.TemporaryDirectory(prefix="totalseg-") as scratch:
            here = Path(scratch)
            write_input(seen, here / "image.nii.gz", factor)
            arguments = self.arguments(here / "image.nii.gz", here / "labels.nii.gz")
            finished = run_command(
                arguments,
                tool="TotalSegmentator",
                folder=here,
                timeout_s=self.timeout_s,
                environment=self._environment(here),
            )
            labels, header = read_output(here / "labels.nii.gz", first, "TotalSegmentator", finished.last_words)
        present = [number for number in np.unique(labels.data.T).tolist() if number]
        # Names in the file decide; without them the version that it says it is.
        scheme = None if class_names(header) else f"{TASKS[self.task].scheme}@{self.version}"
        meaning, key = choose_scheme(scheme, present, class_names(header), "TotalSegmentator")
        image = on_input_grid(to_own_ids(labels.data, meaning, self.task), first, next(iter(sources.values())))
        alone = "no gpu detected" in finished.said.lower() and self.kind == "cuda"
        image.extra.update(
            {
                "backend": self.name,
                "tool": "TotalSegmentator",
                "tool_version": self.version,
                "command": arguments,
                "task": self.task,
                "contrast": "image" if "image" in volumes else self.contrast,
                "signal_factor": factor,
                "label_scheme": key,
                "weights_sha256": self.weights_sha256,
                "trained_on": f"what TotalSegmentator {self.version} was trained on for its task {self.task}",
                "inputs": {role: {"name": Path(v.name).name, "sha256": v.sha256} for role, v in volumes.items()},
                "orientation_known": first.orientation_known,
                "device": "cpu (TotalSegmentator found no card)" if alone else self.device,
                "muscle_bayes": __version__,
                "labels": {str(k): f"{s.name} {s.side}" if s.side != "both" else s.name for k, s in SCHEME.items()},
            }
        )
        return image

    def arguments(self, image: Path, labels: Path) -> list[str]:
        """Return the argument list for an image and a label map."""
        device = self.kind.replace("cuda", "gpu") + (f":{self.number}" if self.number else "")
        return [*self.command, "-i", str(image), "-o", str(labels), "-ta", self.task, "--ml", "-d", device]

    def _seen(self, volumes: Mapping[str, Volume]) -> Volume:
        if "image" in volumes:
            return volumes["image"]
        water, fat = volumes["water"], volumes["fat"]
        if self.contrast == "water":
            return water
        total = np.maximum(water.data, 0) + np.maximum(fat.data, 0)
        return Volume(total, water.affine, "in_phase", "")

    def _environment(self, scratch: Path) -> dict[str, str]:
        """Return its variables: the user's weights and licence, and nothing sent to its statistics server."""
        config = _home() / "config.json"
        settings = {"totalseg_id": "totalseg_unsent", "prediction_counter": 0}
        if config.is_file():
            # It is the tool's own file; without a licence in it the tool says what is missing.
            with suppress(ValueError):
                settings |= json.loads(config.read_text(encoding="utf-8"))
        home = scratch / "home"
        home.mkdir()
        unsent = {**settings, "send_usage_stats": False, "statistics_disclaimer_shown": True}
        (home / "config.json").write_text(json.dumps(unsent), encoding="utf-8")
        return {"TOTALSEG_HOME_DIR": str(home), "TOTALSEG_WEIGHTS_PATH": str(self.weights)}


def weights_folder() -> Path:
    """Return the folder where TotalSegmentator looks for its weights.

    Returns
    -------
    path
        TOTALSEG_WEIGHTS_PATH, else nnunet/results in TOTALSEG_HOME_DIR or ~/.totalsegmentator.
    """
    stated = os.environ.get("TOTALSEG_WEIGHTS_PATH")
    return Path(stated).absolute() if stated else _home() / "nnunet" / "results"


def _home() -> Path:
    stated = os.environ.get("TOTALSEG_HOME_DIR")
    return Path(stated).absolute() if stated else Path.home() / ".totalsegmentator"


def _checkpoints(folder: Path, wanted: str, task: str, *, given: bool) -> list[Path]:
    """Return the checkpoints of a network; an empty folder is what an interrupted download leaves."""
    found = sorted((folder / wanted).glob("*/fold_*/checkpoint_final.pth"))
    if not found:
        said = "model=" if given else "TOTALSEG_WEIGHTS_PATH, or its own"
        raise MissingWeightsError(
            str(folder / wanted),
            f"the weights of TotalSegmentator's task {task} are not there, and none are ever downloaded (folder from {said})",
            f"Fetch them yourself where the network is allowed (totalseg_download_weights -t {task}), or say where they are: "
            "TOTALSEG_WEIGHTS_PATH, or model= (--model)",
        )
    return found


def _version(words: list[str]) -> str:
    with tempfile.TemporaryDirectory(prefix="totalseg-") as scratch:
        # It imports torch to say it, which takes a while on a cold disk.
        finished = run_command([*words, "--version"], tool="TotalSegmentator", folder=Path(scratch), timeout_s=300)
    said = (finished.said.split() or ["nothing"])[-1]
    digits = tuple(int(part) for part in said.split(".")[:2]) if said.replace(".", "").isdecimal() else ()
    if len(digits) < 2 or not _FIRST <= digits <= _LAST:
        raise BackendError(
            "TotalSegmentator",
            f"it says that its version is {said!r}, and it is known for 2.5 to 2.18 only which weights it needs and would download",
            "Run it by hand and measure its label map: quantify(labels=)",
        )
    return said
