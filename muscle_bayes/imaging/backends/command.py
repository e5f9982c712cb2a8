"""Run another tool's own command: found, offline, in a scratch folder, with a time limit, its last words kept."""

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from muscle_bayes.errors import BackendError

type Command = str | Path | Sequence[str]

#: A port on this machine where nobody listens: what tries to download through it is refused at once.
_NOWHERE = "http://127.0.0.1:9"
#: Nothing may be fetched: proxies that lead nowhere, and the offline switches of the libraries that know one.
OFFLINE = {
    **{name: _NOWHERE for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") for name in (proxy, proxy.lower())},
    "NO_PROXY": "",
    "no_proxy": "",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "WANDB_MODE": "offline",
}
#: These say where this process's Python finds its modules; the tool has an environment of its own.
_OURS = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP")
_LAST_LINES = 12


@dataclass(frozen=True)
class Finished:
    """What a command said.

    Attributes
    ----------
    said : str
        Standard output.
    errors : str
        Standard error.
    """

    said: str
    errors: str

    @property
    def last_words(self) -> str:
        """Last lines of the standard error, or of the output where there are none."""
        return _tail(self.errors) or _tail(self.said) or "it said nothing"


def find_command(command: Command | None, usual: str, tool: str) -> list[str]:
    """Find the executable of a tool.

    Parameters
    ----------
    command : str, path or sequence of str, optional
        The executable, or words such as `conda run -n NAME TotalSegmentator`; `usual` on the PATH where left out.
    usual : str
        What the tool calls its command.
    tool : str
        Its name, for messages.

    Returns
    -------
    list of str
        First words of an argument list; the first is an executable file.

    Raises
    ------
    BackendError
        Where it is not there.
    """
    if command is None:
        words = [usual]
    elif isinstance(command, Path) or (isinstance(command, str) and Path(command).is_file()):
        words = [str(command)]
    elif isinstance(command, str):
        words = shlex.split(command)
    else:
        words = [str(word) for word in command]
    found = shutil.which(words[0]) if words else None
    if found is None:
        raise BackendError(
            where=tool,
            problem=f"its command {words[0] if words else ''!r} is not there",
            remedy=f"Install {tool} in an environment of its own and give the path of its command "
            f"(command=, or --command), or put it on the PATH as {usual}",
        )
    return [str(Path(found).absolute()), *words[1:]]


def run_command(
    arguments: Sequence[str], *, tool: str, folder: Path, timeout_s: float, environment: Mapping[str, str] | None = None
) -> Finished:
    """Run a command to its end, without a shell and without the network.

    Parameters
    ----------
    arguments : sequence of str
        Executable and arguments.
    tool : str
        Name for messages.
    folder : path
        Its working folder; temporary files and what it says go there too.
    timeout_s : float
        After this it is ended with every process that it started.
    environment : mapping, optional
        Variables besides those of this process.

    Returns
    -------
    Finished

    Raises
    ------
    BackendError
        Where it cannot be started, takes too long, or ends with an error; with its last words.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in _OURS}
    variables = {**inherited, **OFFLINE, "TMPDIR": str(folder), **(environment or {})}
    # Files and not pipes: a worker that outlives the tool would hold a pipe open.
    said, errors = folder / "stdout.txt", folder / "stderr.txt"
    with said.open("wb") as out, errors.open("wb") as err:
        try:
            process = subprocess.Popen(
                list(arguments),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=folder,
                env=variables,
                start_new_session=True,
            )
        except OSError as error:
            raise BackendError(
                where=tool, problem=f"{arguments[0]} cannot be started ({error})", remedy="Correct command="
            ) from error
        code: int | None = None
        try:
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(timeout_s)
        finally:
            # Also after an interrupt: nobody else would end its workers.
            if code != 0:
                _end(process)
    finished = Finished(*(path.read_text(encoding="utf-8", errors="replace") for path in (said, errors)))
    if code is None:
        raise BackendError(
            where=tool,
            problem=f"it was not done after {timeout_s:g} s and was ended; its last words: {finished.last_words}",
            remedy="Give it a graphics card (device=), or a longer time limit (timeout_s=, or --timeout)",
        )
    if code != 0:
        raise BackendError(
            where=tool,
            problem=f"it ended with the error code {code}; its last words: {finished.last_words}",
            remedy=f"Run it by hand to see more: {shlex.join(arguments)}",
        )
    return finished


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started."""
    if os.name == "posix":
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    elif process.poll() is None:
        process.kill()
    process.wait()


def _tail(text: str) -> str:
    lines = [line.rstrip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return " | ".join(lines[-_LAST_LINES:])[-1500:]
