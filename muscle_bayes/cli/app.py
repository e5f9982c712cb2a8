"""The commands: parse, call, print. Nothing heavy is imported before a command runs."""

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from muscle_bayes import __version__
from muscle_bayes.cli import scans, segmentation
from muscle_bayes.cli.options import File, Json, Seed

app = typer.Typer(
    name="muscle-bayes",
    help="From images of muscle to an honest posterior of what muscle has to do with chronic back pain.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Backend(StrEnum):
    """Where the muscle compartment comes from."""

    labelmap = "labelmap"
    hull = "hull"


class Method(StrEnum):
    """By which engine a model is fitted."""

    auto = "auto"
    nuts = "nuts"
    laplace = "laplace"
    pymc = "pymc"
    ml = "ml"


class Adipose(StrEnum):
    """Definition of adipose tissue."""

    threshold = "threshold"
    fraction = "fraction"
    mixture = "mixture"


class Compartment(StrEnum):
    """What belongs to the muscle compartment."""

    labels = "labels"
    fascia = "fascia"


class PhantomRegion(StrEnum):
    """What a phantom shows."""

    trunk = "trunk"
    thigh = "thigh"


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """From images of muscle to an honest posterior of what muscle has to do with chronic back pain."""


def _cores() -> int:
    """Return the cores that this process may use, which in a container are fewer than the machine's."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed is not None else os.cpu_count() or 1


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("muscle-bayes-demo"),
    seed: Seed = 1,
    quick: Annotated[bool, typer.Option(help="3,000 participants and 2 phantoms in place of 27,518 and 12.")] = False,
    as_json: Json = False,
) -> None:
    """Show the whole way on simulated data: cohort, phantom images, model, figures, report."""
    from muscle_bayes.cli.console import progress
    from muscle_bayes.cli.printing import print_run
    from muscle_bayes.study import demonstrate

    with progress() as shown:
        made = demonstrate(out, seed=seed, quick=quick, workers=min(4, _cores()), progress=shown)
    print_run(made, as_json=as_json)
    raise typer.Exit(made.exit_code)


@app.command()
def simulate(
    out: Annotated[Path, typer.Option(help="Table to write (.csv, .tsv, .parquet), or with --phantom a folder.")],
    n: Annotated[int | None, typer.Option("--n", min=1, help="Participants; 27,518 by default.")] = None,
    seed: Seed = 1,
    incomplete: Annotated[bool, typer.Option(help="With missing values and exclusions, as imaged (30,868).")] = False,
    interaction: Annotated[
        float, typer.Option(help="Log odds-ratio coefficient of InterMAT Z x LMM Z in the truth.")
    ] = 0.0,
    phantom: Annotated[PhantomRegion | None, typer.Option(help="Write a phantom image instead of a cohort.")] = None,
    as_json: Json = False,
) -> None:
    """Simulate a cohort like the German National Cohort's, or a phantom image; both are marked as simulated."""
    from muscle_bayes.cli.printing import print_files
    from muscle_bayes.study.simulating import write_cohort, write_phantom

    if phantom is not None:
        if n is not None or incomplete or interaction:
            raise typer.BadParameter("--n, --incomplete and --interaction belong to a cohort, not to --phantom")
        made = write_phantom(phantom.value, out, seed=seed)
        print_files(made, as_json=as_json, said="A simulated phantom", facts={"seed": seed, "simulated": True})
        return
    path, table = write_cohort(out, n=n, seed=seed, complete=not incomplete, interaction=interaction)
    facts = {"n": len(table), "seed": seed, "simulated": True}
    print_files({"cohort": path}, as_json=as_json, said=f"{len(table):,} simulated participants", facts=facts)


@app.command()
def quantify(
    water: File = None,
    fat: File = None,
    image: File = None,
    labels: Annotated[
        Path | None, typer.Option(exists=True, help="NIfTI file, or a folder with one mask a class.")
    ] = None,
    scheme: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Whose labels, where the file does not say it: totalsegmentator_mr, totalsegmentator_thigh_shoulder_mr, "
            "totalsegmentator_ct, vibesegmentator, mrsegmentator, musclemap_wholebody@VERSION; or a table (id, muscle, side), "
            "or an ITK-SNAP file.",
        ),
    ] = None,
    resample_labels: Annotated[
        bool, typer.Option("--resample-labels", help="Bring labels on another grid to the images by nearest neighbour.")
    ] = False,
    backend: Annotated[
        Backend | None, typer.Option(help="labelmap reads --labels; hull finds the muscle of limbs.")
    ] = None,
    bmi: Annotated[float | None, typer.Option(help="Body mass index (kg/m2); without it LMM is missing.")] = None,
    adipose: Annotated[
        Adipose, typer.Option(help="Definition named as the exposure; all are printed.")
    ] = Adipose.threshold,
    compartment: Annotated[
        Compartment, typer.Option(help="As labelled, or with the fat inside the fascia.")
    ] = Compartment.labels,
    region: Annotated[str | None, typer.Option(help="Only rows of this extent.")] = None,
    participant: Annotated[str, typer.Option(help="Written to every row.")] = "",
    session: Annotated[str, typer.Option(help="Written to every row.")] = "",
    test_retest_sd: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="POINTS CM3", help="SDs between two scans of one person, of InterMAT and lean volume, added."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write all columns to this .tsv or .csv.")] = None,
    overlay: Annotated[Path | None, typer.Option(help="Draw compartment and adipose voxels to this .png.")] = None,
    as_json: Json = False,
) -> None:
    """Measure intermuscular fat and lean muscle in one scan: --water and --fat, or --image."""
    if (water is None) != (fat is None):
        raise typer.BadParameter("--water and --fat belong together")
    if water is None and image is None:
        raise typer.BadParameter("give --water and --fat of a Dixon scan, or --image")
    from muscle_bayes.cli.printing import print_measurements
    from muscle_bayes.imaging import quantify as measure

    if overlay is not None:
        overlay.parent.mkdir(parents=True, exist_ok=True)
    table = measure(
        water,
        fat,
        labels,
        image=image,
        bmi=bmi,
        adipose=adipose.value,
        compartment=compartment.value,
        backend=backend.value if backend else None,
        participant_id=participant,
        session_id=session,
        region=region,
        overlay=overlay,
        scheme=scheme,
        resample_labels=resample_labels,
        test_retest_sd=test_retest_sd,
    )
    if out is not None:
        from muscle_bayes.cohort.files import whole_file

        with whole_file(out) as path:
            table.to_csv(path, sep="," if out.suffix == ".csv" else "\t", index=False, na_rep="n/a")
    print_measurements(table, as_json=as_json)


@app.command()
def fit(
    table: Annotated[Path, typer.Argument(help="Participants with InterMAT and LMM (.csv, .tsv, .parquet).")],
    model: Annotated[str, typer.Option(help="A name of the catalogue, or a model file.")],
    out: Annotated[Path, typer.Option(help="Folder of the results.")],
    measurements: Annotated[Path | None, typer.Option(help="Measurement table, where TABLE has no InterMAT.")] = None,
    method: Annotated[Method, typer.Option(help="Engine.")] = Method.auto,
    priors: Annotated[str | None, typer.Option(help="Another prior set than the model's.")] = None,
    seed: Seed = 1,
    as_json: Json = False,
) -> None:
    """Fit one model to a table with the canonical names: posterior, odds ratios, figures, report."""
    from muscle_bayes.cli.advice import CANONICAL_ONLY
    from muscle_bayes.cli.console import progress
    from muscle_bayes.cli.printing import print_run
    from muscle_bayes.errors import TableError
    from muscle_bayes.study import run as run_study
    from muscle_bayes.study.settings import study_from

    content = {
        "study": {"name": table.stem, "seed": seed, "out": str(out.resolve())},
        "participants": {"file": str(table.resolve())},
        "fits": [{"model": str(Path(model).resolve()) if model.endswith(".toml") else model, "method": method.value}],
    }
    if measurements is not None:
        content["measurements"] = {"file": str(measurements.resolve())}
    if priors is not None:
        content["fits"][0]["priors"] = priors  # type: ignore[index]
    study = study_from(content, folder=Path.cwd(), where="muscle-bayes fit")
    try:
        with progress() as shown:
            made = run_study(study, progress=shown)
    except TableError as error:
        if "columns={" not in str(error):
            raise
        raise type(error)(error.where, error.problem, f"{error.remedy}. {CANONICAL_ONLY}") from error
    print_run(made, as_json=as_json)
    raise typer.Exit(made.exit_code)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the study begins.")],
    as_json: Json = False,
) -> None:
    """Write a commented study.toml with simulated example tables, ready for `run`."""
    from muscle_bayes.cli.printing import print_files
    from muscle_bayes.study import start_study

    paths = start_study(folder)
    print_files({p.stem: p for p in paths}, as_json=as_json, said=f"Next: muscle-bayes run {folder / 'study.toml'}")


@app.command()
def run(
    study: Annotated[Path, typer.Argument(help="study.toml, or its folder.")] = Path("study.toml"),
    as_json: Json = False,
) -> None:
    """Run a study from its images or tables to its report; goes on where it stopped."""
    from muscle_bayes.cli.console import progress
    from muscle_bayes.cli.printing import print_run
    from muscle_bayes.study import run as run_study

    with progress() as shown:
        made = run_study(study, progress=shown)
    print_run(made, as_json=as_json)
    raise typer.Exit(made.exit_code)


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(help="One model of the catalogue, or a model file.")] = None,
    as_json: Json = False,
) -> None:
    """List the catalogue of models, or show one with its priors."""
    from muscle_bayes.cli.printing import model_text
    from muscle_bayes.specification import list_models, load_model

    if name is not None:
        model = load_model(name)
        typer.echo(json.dumps(model.model_dump(mode="json", by_alias=True), indent=2) if as_json else model_text(model))
        return
    catalogue = {entry: load_model(entry).title for entry in list_models()}
    if as_json:
        typer.echo(json.dumps(catalogue, indent=2))
        return
    width = max(map(len, catalogue), default=0)
    for entry, title in catalogue.items():
        typer.echo(f"{entry:<{width}}  {title}")


for _command in (scans.measure, scans.withdraw, segmentation.segment, segmentation.train, segmentation.validate):
    app.command()(_command)
