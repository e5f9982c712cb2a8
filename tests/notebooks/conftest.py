"""Run a notebook as Jupyter would: by a kernel of this interpreter, in an empty folder."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


class ThisInterpreter(AsyncKernelManager):
    """Starts a kernel of the interpreter that runs the tests, whatever kernels the user has installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name=self.kernel_name, language="python")


@pytest.fixture(scope="session")
def run_notebook(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str, str], tuple[NotebookNode, dict[str, Any]]]]:
    """Run NAME.py and then an expression of facts; return the executed notebook and the facts."""
    home = tmp_path_factory.mktemp("jupyter")

    def run(name: str, facts: str) -> tuple[NotebookNode, dict[str, Any]]:
        notebook = jupytext.read(NOTEBOOKS / f"{name}.py")
        notebook.cells.append(new_code_cell(f"import json\nprint(json.dumps({facts}))"))
        folder = {"metadata": {"path": str(tmp_path_factory.mktemp(name))}}
        kernel = {"kernel_name": "python3", "kernel_manager_class": ThisInterpreter}
        NotebookClient(notebook, timeout=600, resources=folder, **kernel).execute()
        said = notebook.cells.pop().outputs[0]
        if keep := os.environ.get("MUSCLE_BAYES_KEEP_NOTEBOOKS"):
            # The documentation shows them with their outputs.
            Path(keep).mkdir(parents=True, exist_ok=True)
            nbformat.write(notebook, Path(keep) / f"{name}.ipynb")
        return notebook, json.loads(said["text"])

    with pytest.MonkeyPatch.context() as patch:
        # Nothing of the user's own settings, and figures as a notebook shows them.
        for variable in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"):
            patch.setenv(variable, str(home / variable.lower()))
        patch.delenv("MPLBACKEND", raising=False)
        yield run
