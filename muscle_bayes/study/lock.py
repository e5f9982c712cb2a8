"""study.lock.json: what was made from what, so that a second run does only what changed."""

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from muscle_bayes import __version__
from muscle_bayes.cohort.files import file_sha256, whole_file

LOCK_NAME = "study.lock.json"
_SOFTWARE = ("numpy", "scipy", "pandas", "nibabel", "formulae", "bambi", "pymc", "nutpie", "arviz", "matplotlib")


def fingerprint(*parts: Any) -> str:
    """Return a hash of inputs and settings.

    Parameters
    ----------
    *parts : JSON values
        Whatever a stage depends on.

    Returns
    -------
    str
        64 hexadecimal digits; equal parts give equal digits.
    """
    text = json.dumps(parts, sort_keys=True, default=str, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def code_version(*stages: str) -> str:
    """Return the version of the code that a step runs: the package's version and a hash of the stages' source.

    The version number alone would keep results of code that was mended in a checkout.

    Parameters
    ----------
    *stages : str
        Folders of the package, such as "imaging".

    Returns
    -------
    str
        For example "0.1.0+3f2a9c".
    """
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for stage in stages:
        for path in sorted((package / stage).rglob("*")):
            if path.suffix in {".py", ".toml", ".tsv", ".html", ".css", ".js", ".jinja"}:
                digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return f"{__version__}+{digest.hexdigest()[:12]}"


class Lock:
    """The record of finished stages in a study's folder.

    Parameters
    ----------
    out : pathlib.Path
        Folder of the results.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self._stages: dict[str, dict[str, Any]] = {}
        path = out / LOCK_NAME
        if path.is_file():
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
                self._stages = dict(found["stages"])
            except (json.JSONDecodeError, KeyError, TypeError):
                # An unreadable record only costs time: everything is made again.
                self._stages = {}

    def is_done(self, stage: str, wanted: str) -> bool:
        """Tell whether a stage was finished from the same inputs and its files are still what it wrote.

        Parameters
        ----------
        stage : str
            Name of the stage.
        wanted : str
            Fingerprint of its present inputs, settings and code.

        Returns
        -------
        bool
            False where anything differs.
        """
        return self._stages.get(stage, {}).get("fingerprint") == wanted and self.is_whole(stage)

    def is_whole(self, stage: str) -> bool:
        """Tell whether a stage was finished, from whatever inputs, and its files are still what it wrote.

        Parameters
        ----------
        stage : str
            Name of the stage.

        Returns
        -------
        bool
            False where it was never finished, or a file is lost or changed.
        """
        record = self._stages.get(stage)
        if record is None:
            return False
        outputs: Mapping[str, str] = record.get("outputs", {})
        return all(
            (self.out / name).is_file() and file_sha256(self.out / name) == digest for name, digest in outputs.items()
        )

    def outputs(self, stage: str) -> dict[str, str]:
        """Return the files of a finished stage with their hashes."""
        return dict(self._stages.get(stage, {}).get("outputs", {}))

    def facts(self, stage: str) -> dict[str, Any]:
        """Return what a finished stage noted beside its files."""
        return dict(self._stages.get(stage, {}).get("facts", {}))

    def record(
        self, stage: str, wanted: str, files: Iterable[Path], facts: Mapping[str, Any] | None = None
    ) -> dict[str, str]:
        """Record a stage as finished; files of its last run that it no longer makes are removed.

        Parameters
        ----------
        stage, wanted : str
            As in `is_done`.
        files : iterable of pathlib.Path
            What the stage wrote.
        facts : mapping, optional
            JSON values that a later run needs.

        Returns
        -------
        dict of str to str
            File name relative to the folder -> SHA-256.
        """
        before = self.outputs(stage)
        outputs = {p.resolve().relative_to(self.out).as_posix(): file_sha256(p) for p in files}
        self._stages[stage] = {"fingerprint": wanted, "outputs": outputs, "facts": dict(facts or {})}
        for name in set(before) - {name for s in self._stages.values() for name in s["outputs"]}:
            (self.out / name).unlink(missing_ok=True)
        return outputs

    def stages(self) -> list[str]:
        """Return the names of the recorded stages."""
        return list(self._stages)

    def mark_stale(self, stages: Iterable[str], reason: str) -> None:
        """Mark stages as out of date, so that the next run makes them again, and write the record.

        Parameters
        ----------
        stages : iterable of str
            Names; those that are not recorded are passed over.
        reason : str
            Why, for whoever reads the record.
        """
        path = self.out / LOCK_NAME
        content = json.loads(path.read_text(encoding="utf-8"))
        for stage in set(stages) & set(self._stages):
            self._stages[stage] |= {"fingerprint": "", "stale": reason}
        with whole_file(path) as temporary:
            text = json.dumps(content | {"stages": self._stages}, indent=2, ensure_ascii=False, default=str)
            temporary.write_text(text + "\n", encoding="utf-8")

    def keep_only(self, stages: Iterable[str]) -> None:
        """Forget stages that the study no longer has, and remove their files."""
        for stage in set(self._stages) - set(stages):
            files = self.outputs(stage)
            del self._stages[stage]
            for name in set(files) - {name for s in self._stages.values() for name in s["outputs"]}:
                (self.out / name).unlink(missing_ok=True)

    def write(self, study: Mapping[str, Any], inputs: Mapping[str, str]) -> Path:
        """Write the record: the study's settings, hashes of its inputs, versions, stages.

        Parameters
        ----------
        study : mapping
            Settings as JSON.
        inputs : mapping of str to str
            Input file -> SHA-256.

        Returns
        -------
        pathlib.Path
            The file.
        """
        path = self.out / LOCK_NAME
        content = {
            "muscle_bayes": __version__,
            "python": platform.python_version(),
            "versions": {name: _version(name) for name in _SOFTWARE},
            "study": study,
            "inputs": dict(inputs),
            "stages": self._stages,
        }
        with whole_file(path) as temporary:
            temporary.write_text(
                json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8"
            )
        return path


def _version(name: str) -> str:
    """Return the version of an installed package."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
