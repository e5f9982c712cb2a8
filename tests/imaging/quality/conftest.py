"""One small clean phantom of the trunk, and how it is judged."""

import numpy as np
import pytest

from muscle_bayes.imaging import SCHEME
from muscle_bayes.imaging.quality import assess_arrays
from muscle_bayes.simulation import simulate_phantom

SPACING = (2.8, 2.8, 6.0)


@pytest.fixture(scope="session")
def phantom_images():
    """Phantom of a trunk, as nibabel images."""
    return simulate_phantom("trunk", seed=1, voxel_mm=SPACING, supersample=(2, 2, 1))


@pytest.fixture(scope="session")
def clean(phantom_images):
    """Water, fat and labels of the phantom; float32 and int32."""
    arrays = [np.asarray(getattr(phantom_images, name).dataobj) for name in ("water", "fat", "labels")]
    return arrays[0].astype(np.float32), arrays[1].astype(np.float32), arrays[2].astype(np.int32)


@pytest.fixture
def judge():
    """Assess arrays of the phantom's grid."""

    def run(water, fat, labels, **options):
        return assess_arrays(SPACING, water, fat, None, labels, structures=SCHEME, simulated=True, **options)

    return run


@pytest.fixture
def said():
    """Kinds that ask for review or fail."""

    def of(quality):
        return {finding.kind for finding in quality.findings if finding.severity != "note"}

    return of
