"""The commands of the segmentation front end: parse, call, print."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from muscle_bayes.cli.options import File, Json, Seed


class BackendName(StrEnum):
    """What labels."""

    bundle = "bundle"
    nnunet = "nnunet"
    totalsegmentator = "totalsegmentator"


class TaskName(StrEnum):
    """What TotalSegmentator labels."""

    total_mr = "total_mr"
    thigh_shoulder_muscles_mr = "thigh_shoulder_muscles_mr"


class Profile(StrEnum):
    """How much is trained."""

    tiny = "tiny"
    cpu = "cpu"
    gpu = "gpu"


Folder = Annotated[Path, typer.Option(exists=True, file_okay=False)]
Bundle = Annotated[
    Path | None,
    typer.Option(exists=True, file_okay=False, help="Root of a MONAI bundle; the project's own where left out."),
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda or mps; the fastest that is there where left out.")]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust-bundle",
        help="Let a bundle's configuration, or nnU-Net's pickled checkpoints, run code of whoever made them.",
    ),
]


def segment(
    out: Annotated[Path, typer.Option(help="Label map to write (.nii.gz); a JSON sidecar goes beside it.")],
    water: File = None,
    fat: File = None,
    image: File = None,
    backend: Annotated[
        BackendName, typer.Option(help="This project's networks, a trained nnU-Net v2 model, or TotalSegmentator.")
    ] = BackendName.bundle,
    bundle: Bundle = None,
    model: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Folder of a trained nnU-Net model, or of TotalSegmentator's weights."
        ),
    ] = None,
    command: Annotated[
        str | None,
        typer.Option(help="Command of nnU-Net or TotalSegmentator, in its own environment; else from the PATH."),
    ] = None,
    scheme: Annotated[
        str | None,
        typer.Option(help="What an nnU-Net's ids mean, as in quantify; by the names in dataset.json if left out."),
    ] = None,
    channels: Annotated[
        str | None, typer.Option(help="What an nnU-Net's channels are, such as water,fat; by their names if left out.")
    ] = None,
    task: Annotated[TaskName, typer.Option(help="Task of TotalSegmentator.")] = TaskName.total_mr,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that nnU-Net or TotalSegmentator may take.")] = 3600.0,
    device: Device = None,
    mirror: Annotated[bool, typer.Option(help="Average with the mirrored image: slower, steadier.")] = True,
    uncertainty: Annotated[
        bool | None,
        typer.Option(help="Give SDs of the measures with the label map; where the bundle is calibrated if left out."),
    ] = None,
    trust_bundle: Trust = False,
    as_json: Json = False,
) -> None:
    """Label muscles, bone and subcutaneous fat in one scan: --water and --fat, or --image."""
    if (water is None) != (fat is None):
        raise typer.BadParameter("--water and --fat belong together")
    if (water is None) == (image is None):
        raise typer.BadParameter("give --water and --fat of a Dixon scan, or --image")
    from muscle_bayes.cli.printing import print_files
    from muscle_bayes.imaging.backends import save_labels
    from muscle_bayes.imaging.backends import segment as label

    roles = {"water": water, "fat": fat, "image": image}
    labels = label(
        {role: path for role, path in roles.items() if path is not None},
        backend=backend.value,
        bundle=bundle,
        model=model,
        command=command,
        scheme=scheme,
        channels=None if channels is None else [name.strip() for name in channels.split(",")],
        task=task.value,
        timeout_s=timeout,
        device=device,
        mirror=mirror,
        uncertainty=uncertainty,
        trust_bundle=trust_bundle,
        progress=lambda text: typer.echo(text, err=True),
    )
    files = save_labels(labels, out)
    wanted = ("backend", "device", "bundle", "model", "tool_version", "weights_sha256", "trained_on")
    facts = {key: labels.extra[key] for key in wanted if key in labels.extra}
    said = f"On {facts['device']}, by weights trained on: {facts['trained_on']}. Look at the labels before you measure."
    print_files(files, as_json=as_json, said=said, facts=facts)


def train(
    out: Annotated[Path, typer.Option(help="Folder of the bundle that is written.")],
    pairs: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Images with labels: a folder a participant with water, fat (or image) and labels (.nii.gz), or pairs.tsv. "
            "Simulated bodies where left out.",
        ),
    ] = None,
    profile: Annotated[
        Profile, typer.Option(help="tiny: minutes; cpu: about an hour on one core; gpu: the real thing on a card.")
    ] = Profile.tiny,
    gpu: Annotated[bool, typer.Option("--gpu", help="Short for --profile gpu --device cuda.")] = False,
    start: Annotated[
        str | None,
        typer.Option(metavar="DIR|own", help="Bundle to go on from; 'own' is the project's. Else from scratch."),
    ] = None,
    aside: Annotated[
        float, typer.Option(min=0.05, max=0.9, help="Share of participants set aside and judged on.")
    ] = 0.2,
    scheme: Annotated[str | None, typer.Option(help="Label scheme of --pairs, as in quantify.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Another number of steps than the profile's.")] = None,
    device: Device = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare images.")] = 0,
    seed: Seed = 1,
    as_json: Json = False,
) -> None:
    """Train the segmentation network on simulated bodies or on your own images with labels."""
    from muscle_bayes.cli.console import progress
    from muscle_bayes.cli.printing import print_files
    from muscle_bayes.study.segmentation_training import train as train_bundle

    with progress() as shown:
        made = train_bundle(
            out,
            pairs=pairs,
            profile="gpu" if gpu else profile.value,
            start=start,
            aside=aside,
            scheme=scheme,
            steps=steps,
            seed=seed,
            device="cuda" if gpu and device is None else device,
            workers=workers,
            progress=shown,
        )
    facts = {"device": made.device, "loss": made.losses[-1], "set_aside": made.aside, "dice_set_aside": made.dice}
    dice = "; ".join(f"{name} {value:.3f}" for name, value in made.dice.items())
    judged = (
        f"Dice on participants set aside ({len(made.aside)}): {dice}"
        if made.dice
        else "Trained on simulated images only"
    )
    print_files({"bundle": made.bundle}, as_json=as_json, said=f"On {made.device}. {judged}", facts=facts)


def validate(
    reference: Annotated[
        Path,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Scans with readers' labels: a folder a participant with water, fat (or image) and labels (.nii.gz), or "
            "pairs.tsv (with bmi_kg_m2 for LMM).",
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Folder for the tables.")] = None,
    bundle: Bundle = None,
    scheme: Annotated[str | None, typer.Option(help="Label scheme of the reference, as in quantify.")] = None,
    device: Device = None,
    mirror: Annotated[bool, typer.Option(help="Average with the mirrored image.")] = True,
    trust_bundle: Trust = False,
    as_json: Json = False,
) -> None:
    """Judge a network against readers' labels: Dice, surface distance, Bland-Altman and ICC of InterMAT and lean muscle."""
    from muscle_bayes.cli.printing import print_validation
    from muscle_bayes.imaging.network.validation import validate as judge

    found = judge(
        reference,
        bundle=bundle,
        device=device,
        scheme=scheme,
        mirror=mirror,
        trust_bundle=trust_bundle,
        out=out,
        progress=lambda text: typer.echo(text, err=True),
    )
    print_validation(found.overlap, found.agreement, notes=found.notes, device=found.device, as_json=as_json)
