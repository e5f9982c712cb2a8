"""Advice on the command line is what study.toml takes, and names the command that takes it."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from muscle_bayes.cli.advice import in_toml

UNDER = " under [participants.columns] of study.toml"


def test_python_advice_becomes_lines_that_toml_reads() -> None:
    recoding = {"sex": {"column": "Geschlecht (1/2)", "values": {"1": "male", "-99": ""}}}
    for mapping in ({"ID": "participant_id"}, {"Größe in m": "height_cm"}, recoding):
        said = in_toml(f"Wrong. Say columns={mapping}, then go on.")
        line = said.removeprefix("Wrong. Say ").removesuffix(f"{UNDER}, then go on.")
        assert tomllib.loads(line) == mapping


def test_what_is_no_mapping_stays() -> None:
    for text in ("columns= names 'x'", "Map it with read_cohort(columns=...)", "columns={...}", "columns={'a': "):
        assert in_toml(text) == text
    assert in_toml("columns= names 'x'; columns={'a': 'b'}") == f"columns= names 'x'; a = \"b\"{UNDER}"


def test_fit_on_a_table_with_its_own_names_points_to_study_toml(call: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("ID,age\n1,50\n2,60\n")
    result = call("fit", tmp_path / "own.csv", "--model", "cbp_main", "--out", tmp_path / "out")
    assert result.code == 3
    assert f'"YOUR NAME" = "participant_id"{UNDER}' in result.err
    assert "muscle-bayes run" in result.err
    assert "columns=" not in result.err
