"""xarray asks dask whether arrays are its own, and dask asks sparse, which compiles with Numba: seconds of imports for nothing."""

import sys
from importlib import import_module
from importlib.util import find_spec


def import_dask_alone() -> None:
    """Import dask's arrays, where dask is installed, without the package sparse.

    The first dataset that xarray makes imports `dask.array`, and with it sparse and Numba where these are installed. A fresh
    process with its fit would take half as long again. Sparse itself stays importable; only chunks of its arrays are not
    registered with dask, where nobody has imported it before.
    """
    if "dask.array" in sys.modules or "sparse" in sys.modules or find_spec("dask") is None:
        return
    sys.modules["sparse"] = None  # type: ignore[assignment]  # how Python marks a module that is not to be imported
    try:
        import_module("dask.array")
    except ImportError:  # dask without its arrays (no NumPy extra): xarray finds out by itself
        return
    finally:
        del sys.modules["sparse"]
