"""The model catalogue: one TOML file a model, and model files of one's own."""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from muscle_bayes.errors import ModelFileError
from muscle_bayes.resources import data_folder
from muscle_bayes.specification.model import Model, first_complaint


def load_model(name: str | Path) -> Model:
    """Load a model of the catalogue by name, or a model file.

    Parameters
    ----------
    name : str or pathlib.Path
        Such as ``cbp_interaction`` or ``my_models/walking.toml``.

    Returns
    -------
    Model
        The validated model.

    Raises
    ------
    ModelFileError
        Where there is no such model, or the file breaks a rule of the format.
    """
    path = Path(name)
    if path.suffix != ".toml":
        path = data_folder("models") / f"{name}.toml"
        if not path.is_file():
            raise ModelFileError(
                f"model {str(name)!r}",
                "there is no such model",
                f"Take one of {', '.join(list_models())}, or a file NAME.toml",
            )
    if not path.is_file():
        raise ModelFileError(str(path), "there is no such file", "Check the path")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelFileError(
            str(path), f"not a TOML file: {error}", "Mend the line, or start from a file of the catalogue"
        ) from error
    return read_model(content, name=path.stem, where=str(path))


def read_model(content: dict[str, Any], *, name: str, where: str) -> Model:
    """Build a model from the content of a model file.

    Parameters
    ----------
    content : dict
        The parsed TOML.
    name : str
        The model's name.
    where : str
        What an error names.

    Returns
    -------
    Model
        The validated model.

    Raises
    ------
    ModelFileError
        Where the content breaks a rule of the format.
    """
    content = dict(content)
    priors = dict(content.pop("priors", {}))
    named = {
        key: priors.pop(key)
        for key in ("set", "intercept", "thresholds", "adjustment", "site_sd", "slope_sd")
        if key in priors
    }
    sds = {key: priors.pop(key) for key in list(priors) if "|" in key}
    try:
        return Model.model_validate({"name": name, **content, "priors": {**named, "terms": priors, "sds": sds}})
    except ValidationError as error:
        raise ModelFileError(
            where, first_complaint(error), "Mend that line; models/README.md describes every key"
        ) from error


def list_models() -> list[str]:
    """Return the names of the catalogue.

    Returns
    -------
    list of str
        Sorted by name.
    """
    return sorted(path.stem for path in data_folder("models").glob("*.toml"))
