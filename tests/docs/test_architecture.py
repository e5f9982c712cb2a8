"""The documentation says of the code what the code is: stages, public names, figures."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

import muscle_bayes as mb

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
REFERENCE = (DOCS / "reference" / "index.md").read_text(encoding="utf-8")
#: Figures that are no picture: a page of its own.
NO_PICTURE = {"nomogram_html"}


def test_stages_stand_in_the_order_that_import_linter_checks() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", (DOCS / "architecture.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = config["tool"]["importlinter"]["contracts"][0]["layers"]
    assert [f"muscle_bayes.{row}" for row in rows] == layers
    package = ROOT / "muscle_bayes"
    parts = {path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert parts - {"__init__", "__main__"} == set(rows)


def test_public_names_stand_at_their_stage() -> None:
    said = dict(
        re.findall(
            r"^\| `(\w+)` \|[^|]*\|([^|]*)\|",
            (DOCS / "architecture.md").read_text(encoding="utf-8"),
            flags=re.MULTILINE,
        )
    )
    for name, stage in mb._PUBLIC.items():
        assert f"`{name}`" in said[stage], f"{name} is missing at stage {stage} of the architecture page"
    listed = {name for names in said.values() for name in re.findall(r"`(\w+)`", names)}
    assert listed == set(mb._PUBLIC)


def test_every_public_name_is_in_the_reference() -> None:
    documented = set(re.findall(r"^\.\. auto(?:function|class):: (\w+)", REFERENCE, flags=re.MULTILINE))
    assert documented >= set(mb._PUBLIC) | set(mb.plots.__all__)


def test_every_figure_is_in_the_gallery() -> None:
    scripts = [path.read_text(encoding="utf-8") for path in (DOCS / "gallery").glob("[!_]*.py")]
    drawn = {name for script in scripts for name in re.findall(r"mb\.plots\.(\w+)\(", script)}
    assert drawn == set(mb.plots.__all__) - NO_PICTURE


def test_gallery_scripts_have_title_text_and_few_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(DOCS), *sys.path])
    from gallery_pages import entries

    for entry in entries(DOCS / "gallery"):
        assert entry.title, entry.name
        assert entry.about, entry.name
        assert 1 <= len(entry.code.splitlines()) <= 12, entry.name
        assert entry.code.splitlines()[-1].startswith("figure = "), entry.name
