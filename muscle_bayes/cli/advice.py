"""Advice of an error in the words of the command line: what Python takes as `columns=` stands in study.toml."""

import ast
import json
from collections.abc import Mapping
from typing import Any

_PYTHON = "columns="
#: `fit` has no way to say what a table's columns are called.
CANONICAL_ONLY = (
    "`muscle-bayes fit` takes a table with the canonical names and codes. For a table with its own names: "
    "`muscle-bayes init DIR`, put table and names into its study.toml, then `muscle-bayes run DIR/study.toml`"
)


def in_toml(message: str) -> str:
    """Return a message with every `columns={...}` written as a line of study.toml.

    Parameters
    ----------
    message : str
        Of an error.

    Returns
    -------
    str
        What cannot be read as a mapping stays as it is.
    """
    said, rest = "", message
    while _PYTHON + "{" in rest:
        before, after = rest.split(_PYTHON, 1)
        end = _closing(after)
        try:
            mapping = dict(ast.literal_eval(after[:end]))
        except (SyntaxError, TypeError, ValueError):
            said, rest = said + before + _PYTHON, after
            continue
        lines = ", ".join(f"{_key(name)} = {_value(value)}" for name, value in mapping.items())
        said, rest = f"{said}{before}{lines} under [participants.columns] of study.toml", after[end:]
    return said + rest


def _closing(text: str) -> int:
    """Return where the mapping that a text begins with ends."""
    depth = 0
    for i, letter in enumerate(text):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if not depth:
            return i + 1
    return 0


def _key(name: object) -> str:
    """Return a TOML key, in quotes where it needs them."""
    text = str(name)
    bare = text.isascii() and text.replace("_", "").replace("-", "").isalnum()
    return text if bare else json.dumps(text, ensure_ascii=False)


def _value(value: Any) -> str:
    """Return a text, a number or a mapping as TOML."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)
