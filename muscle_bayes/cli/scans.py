"""The commands of the scan half: measure, withdraw; parse, call, print."""

from pathlib import Path
from typing import Annotated

import typer

from muscle_bayes.cli.options import Json

StudyFile = Annotated[Path, typer.Argument(help="study.toml, or its folder.")]


def measure(
    study: StudyFile = Path("study.toml"),
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that measure at the same time; as study.toml says where left out."),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="A Dask scheduler (tcp://host:8786), its scheduler file (.json), or slurm."
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Only part I of N, for job arrays; then --merge puts them together."),
    ] = None,
    merge: Annotated[bool, typer.Option("--merge", help="Put the tables of all shards together.")] = False,
    device: Annotated[str | None, typer.Option(help="Where networks compute: cpu, cuda, cuda:N or mps.")] = None,
    limit: Annotated[int | None, typer.Option(min=0, help="At most this many scans that are not yet measured.")] = None,
    as_json: Json = False,
) -> None:
    """Measure the images of a study: the scan half of `run`; goes on where it stopped."""
    if merge and (shard or scheduler or workers or limit is not None):
        raise typer.BadParameter("--merge measures nothing: leave the other options out")
    from muscle_bayes.cli.console import progress
    from muscle_bayes.cli.printing import print_scans
    from muscle_bayes.study.scanning import measure as measure_study
    from muscle_bayes.study.sharding import merge_shards

    with progress() as shown:
        if merge:
            made = merge_shards(study, progress=shown)
        else:
            made = measure_study(
                study, workers=workers, scheduler=scheduler, shard=shard, device=device, limit=limit, progress=shown
            )
    print_scans(made, as_json=as_json)
    raise typer.Exit(made.exit_code)


def withdraw(
    study: StudyFile,
    participant: Annotated[str, typer.Argument(metavar="ID", help="Who withdrew, as the table writes it.")],
    session: Annotated[str | None, typer.Option(help="Only this session.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    as_json: Json = False,
) -> None:
    """Remove everything that was derived from a participant, and mark what rests on it as stale."""
    from muscle_bayes.cli.console import progress
    from muscle_bayes.cli.printing import print_withdrawal
    from muscle_bayes.study.withdrawing import withdraw as withdraw_from

    with progress() as shown:
        done = withdraw_from(study, participant, session=session, dry_run=dry_run, progress=shown)
    print_withdrawal(done, as_json=as_json)
