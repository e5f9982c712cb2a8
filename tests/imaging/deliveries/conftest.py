"""The made-up deliveries as a module that the tests of this folder import, which are no package."""

import importlib.util
import sys
from pathlib import Path

import pytest

pydicom = pytest.importorskip("pydicom", reason="needs the extra scans")

_SPEC = importlib.util.spec_from_file_location("made_up_deliveries", Path(__file__).with_name("made_up.py"))
made_up = importlib.util.module_from_spec(_SPEC)
sys.modules["made_up_deliveries"] = made_up
_SPEC.loader.exec_module(made_up)


@pytest.fixture
def study():
    """An identifier of an examination."""
    return pydicom.uid.generate_uid()
