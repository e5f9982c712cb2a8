"""Find the folders of data for people: `models/` and `segmentation/`."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data_folder(name: str) -> Path:
    """Return the folder `models` or `segmentation`.

    A checkout uses the top-level folder, so that an edit there takes effect; an installed wheel carries a copy.

    Parameters
    ----------
    name : {"models", "segmentation"}
        Which folder.

    Returns
    -------
    pathlib.Path
        An existing folder.

    Raises
    ------
    FileNotFoundError
        Where the installation carries no such folder.
    """
    checkout = _PACKAGE.parent
    for folder in (checkout / name, _PACKAGE / "data" / name):
        if folder.is_dir() and (folder.parent != checkout or (checkout / "pyproject.toml").is_file()):
            return folder
    raise FileNotFoundError(f"muscle_bayes carries no folder {name!r}: the installation is broken, install it again")
