"""Reference pages that the code itself states: columns, the model catalogue, the command line."""

from pathlib import Path

import typer
from typer.cli import get_docs_for_click

import muscle_bayes as mb
from muscle_bayes.cli.app import app
from muscle_bayes.cohort.dictionary import VARIABLES
from muscle_bayes.resources import data_folder


def write_reference(folder: Path) -> None:
    """Write the pages.

    Parameters
    ----------
    folder : pathlib.Path
        Of the reference.
    """
    (folder / "columns.md").write_text(_columns(), encoding="utf-8")
    (folder / "models.md").write_text(_models(), encoding="utf-8")
    (folder / "cli.md").write_text(_command_line(), encoding="utf-8")


def _columns() -> str:
    rows = [
        f"| `{v.name}` | {v.unit or ''} | {v.description} | {', '.join(v.categories) or v.kind} |"
        for v in VARIABLES.values()
    ]
    return (
        '# Columns\n\nThe canonical columns of a cohort. `read_cohort(columns={"alter": "age_years"})`, or `[participants.'
        "columns]` in a study file, brings your names to these. A column of your own may stand in a model file "
        "under its own name.\n\n"
        "| column | unit | what it holds | values |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def _models() -> str:
    parts = ["# The model catalogue\n"]
    for path in sorted(data_folder("models").glob("*.toml")):
        model = mb.load_model(path.stem)
        parts.append(
            f"## `{path.stem}`\n\n{model.question}\n\n```toml\n{path.read_text(encoding='utf-8').strip()}\n```\n"
        )
    keys = (data_folder("models") / "README.md").read_text(encoding="utf-8")
    table = keys[keys.index("| key |") :]
    parts.append(f"## Keys of a model file\n\n{table}")
    return "\n".join(parts)


def _command_line() -> str:
    command = typer.main.get_command(app)
    with typer.Context(command, info_name="muscle-bayes") as context:
        text = get_docs_for_click(obj=command, ctx=context, name="muscle-bayes")
    return text.replace("# `muscle-bayes`", "# Command line", 1)
