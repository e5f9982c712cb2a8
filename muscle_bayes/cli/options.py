"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of every random number.")]
File = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="NIfTI file.")]
