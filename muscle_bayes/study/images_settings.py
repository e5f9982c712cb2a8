"""`[images]` of study.toml: what the delivery is, what labels it, and on what."""

import re
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

_STRICT = ConfigDict(extra="forbid", frozen=True)


class ToolSection(BaseModel):
    """`[images.tool]`: another tool's own settings, for `backend = "nnunet"` and `"totalsegmentator"`.

    Attributes
    ----------
    command : str, optional
        The tool's command in whatever environment it is installed; on the PATH where left out.
    folds : tuple of int or str, optional
        nnU-Net: which folds predict; all that are there where left out.
    channels : tuple of str, optional
        nnU-Net: what its channels are (water, fat, in_phase, opposed_phase, fat_fraction, image).
    task : {"total_mr", "thigh_shoulder_muscles_mr"}, optional
        TotalSegmentator: what it labels.
    contrast : {"water", "in_phase"}, optional
        TotalSegmentator: what it sees of a Dixon pair.
    timeout_s : float, optional
        Time limit for a scan.
    """

    model_config = _STRICT

    command: str | None = None
    folds: tuple[int | str, ...] | None = None
    channels: tuple[str, ...] | None = None
    task: Literal["total_mr", "thigh_shoulder_muscles_mr"] | None = None
    contrast: Literal["water", "in_phase"] | None = None
    timeout_s: float | None = Field(default=None, gt=0)


class ImagesSection(BaseModel):
    """`[images]`: where each participant's images lie, and how they are measured.

    Attributes
    ----------
    root : pathlib.Path
        Folder that holds the delivery, relative to study.toml.
    format : {"nifti", "bids", "nako", "ukb20201", "dicom"}
        What the delivery is: NIfTI files by pattern, a BIDS tree, NAKO folders, UK Biobank zips (field 20201), DICOM series.
    water, fat, image, labels : str, optional
        Patterns such as `sub-{participant_id}/ses-{session_id}/anat/*_water.nii.gz`; each must meet exactly one file. Water and
        fat of a Dixon pair, or `image`, one contrast. Needed for `nifti`; other formats find water and fat themselves.
    sessions : tuple of str, optional
        Which sessions of the participants' table are measured: a list, one, or "all". Left out: the one of [exposure], which in
        any case is the one that is analysed.
    settings : dict of str to str
        What else a format may be told, such as which series descriptions are water and fat.
    backend : {"labelmap", "hull", "bundle", "nnunet", "totalsegmentator"}
        `labelmap` reads `labels`; `hull` finds the muscle compartment of limbs without them; the others segment.
    weights : pathlib.Path, optional
        Folder of a MONAI bundle (`bundle`; the project's own where left out), of an nnU-Net model, or of TotalSegmentator's
        weights; relative to study.toml. Nothing is ever downloaded.
    trust_weights : bool
        Let a bundle's configuration run code of its author, or nnU-Net open its checkpoints, which are Python pickles.
    uncertainty : bool, optional
        Standard deviations of InterMAT and lean volume from several views of the network, for `bundle`; where its weights carry a
        calibration, by default.
    tool : ToolSection, optional
        Settings of nnU-Net or TotalSegmentator.
    device : str, optional
        cpu, cuda, cuda:1 or mps; the fastest that is there where left out.
    workers : int, optional
        Processes that measure at the same time. By default one for each card where a network segments, else one.
    scheme : str, optional
        What the ids of another tool's labels mean, where the files do not say it: the name of a published scheme
        (`mrsegmentator`, `musclemap_wholebody@1.4`), a table with id, muscle and side, or an ITK-SNAP label file; files are
        relative to study.toml.
    resample_labels : bool
        Bring labels on another grid onto that of the images, by the nearest neighbour.
    quality : bool
        Check every scan for faults (exchanged water and fat, missing signal, field of view, metal, volumes, sides); verdicts
        reach `qc` of the measurements, and a scan that fails has missing exposures.
    repair_swap : bool
        Put exchanged water and fat right where the checks can; sidecar and notes say so.
    pictures : bool
        Draw a picture of every scan with its labels to qc/.
    """

    model_config = _STRICT

    root: Path
    format: Literal["nifti", "bids", "nako", "ukb20201", "dicom"] = "nifti"
    water: str | None = None
    fat: str | None = None
    image: str | None = None
    labels: str | None = None
    sessions: tuple[str, ...] | None = Field(default=None, min_length=1)
    settings: dict[str, str] = Field(default_factory=dict)
    backend: Literal["labelmap", "hull", "bundle", "nnunet", "totalsegmentator"] = "labelmap"
    weights: Path | None = None
    trust_weights: bool = False
    uncertainty: bool | None = None
    tool: ToolSection | None = None
    device: str | None = Field(default=None, pattern=r"^(cpu|mps|cuda(:\d+)?)$")
    workers: int | None = Field(default=None, ge=1)
    scheme: str | None = None
    resample_labels: bool = False
    quality: bool = True
    repair_swap: bool = False
    pictures: bool = False

    @field_validator("sessions", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.water is None) != (self.fat is None):
            raise ValueError("water and fat belong together: give both, or image = for one contrast")
        if self.water is not None and self.image is not None:
            raise ValueError("give water and fat of a Dixon pair, or image of one contrast, not both and not neither")
        if self.format == "nifti" and self.water is None and self.image is None:
            raise ValueError("give water and fat of a Dixon pair, or image of one contrast, not both and not neither")
        if self.format == "nifti":
            for role, pattern in self.patterns.items():
                strange = set(re.findall(r"\{([^{}]*)\}", pattern)) - {"participant_id", "session_id"}
                if strange:
                    raise ValueError(
                        f"{role} holds {{{min(strange)}}}, which is no placeholder: write {{participant_id}} or {{session_id}}"
                    )
        if self.backend == "labelmap" and self.labels is None and self.format == "nifti":
            raise ValueError('backend = "labelmap" needs labels, a pattern of label maps')
        if self.backend != "labelmap" and self.labels is not None:
            what = "the compartment" if self.backend == "hull" else "the labels"
            raise ValueError(f'backend = "{self.backend}" finds {what} itself: take labels out, or use "labelmap"')
        if self.scheme is not None and self.backend == "hull":
            raise ValueError("scheme says what labels mean, and there are no labels: take it out")
        if self.scheme is not None and self.backend in ("bundle", "totalsegmentator"):
            raise ValueError(f'the ids of backend = "{self.backend}" are known: take scheme out')
        if self.repair_swap and not self.quality:
            raise ValueError("repair_swap rests on the checks: set quality = true, or take it out")
        self._suits_backend()
        return self

    def _suits_backend(self) -> None:
        """Refuse keys of other backends, which would be ignored without a word."""
        if self.weights is not None and self.backend in ("labelmap", "hull"):
            raise ValueError(f"backend {self.backend!r} has no weights: take the key out")
        if self.backend == "nnunet" and self.weights is None:
            raise ValueError('backend = "nnunet" needs weights, the folder of a trained model')
        if self.uncertainty is not None and self.backend != "bundle":
            raise ValueError(f"backend {self.backend!r} gives no standard deviations: take uncertainty out")
        if self.tool is not None and self.backend not in ("nnunet", "totalsegmentator"):
            raise ValueError(f'[images.tool] is for "nnunet" and "totalsegmentator", not for {self.backend!r}')
        if (self.trust_weights or self.device) and self.backend in ("labelmap", "hull"):
            raise ValueError(f"backend {self.backend!r} runs no network: take device and trust_weights out")

    @property
    def patterns(self) -> dict[str, str]:
        """The patterns that are given, by role."""
        roles = {"water": self.water, "fat": self.fat, "image": self.image, "labels": self.labels}
        return {role: pattern for role, pattern in roles.items() if pattern is not None}
