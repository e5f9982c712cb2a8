"""Sphinx configuration: `uv run sphinx-build -W --keep-going docs docs/_build/html`.

Some parts are made when the documentation is built: the gallery, from the scripts in `gallery/`; the pages of the reference that
the code itself states; and the notebooks, from `../notebooks` or, where the tests left them in `_executed/`, with their outputs.
"""

import shutil
import sys
from pathlib import Path

import muscle_bayes

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

project = "muscle_bayes"
author = "The muscle_bayes developers"
release = version = muscle_bayes.__version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build", "_executed", "gallery/*.py", "**.ipynb_checkpoints"]

html_theme = "furo"
html_title = "muscle_bayes"
html_static_path = ["_static"]
html_css_files = ["house.css"]
html_show_copyright = False
html_show_sphinx = False

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
# Notebooks come executed by the tests, or stay as they are: building the documentation runs none of them.
nb_execution_mode = "off"
nb_merge_streams = True

# In docstrings a single backtick names an argument, a column or a function; not each of them has a page to link to.
default_role = "literal"
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = False

doctest_global_setup = "import muscle_bayes as mb"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def _copy_notebooks() -> None:
    """Take each notebook with its outputs where the tests left them, else without."""
    target = HERE / "notebooks"
    target.mkdir(exist_ok=True)
    for source in sorted((HERE.parent / "notebooks").glob("*.ipynb")):
        executed = HERE / "_executed" / source.name
        shutil.copyfile(executed if executed.is_file() else source, target / source.name)


def setup(app: object) -> None:
    """Make what is made when the documentation is built."""
    from gallery_pages import write_gallery
    from reference_pages import write_reference

    _copy_notebooks()
    write_gallery(HERE / "gallery")
    write_reference(HERE / "reference")
