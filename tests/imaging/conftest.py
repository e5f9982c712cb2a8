"""Small constructed scans that the imaging tests share."""

import nibabel as nib
import numpy as np
import pytest


@pytest.fixture
def nifti():
    """Make a NIfTI image of an array; spacing or a full affine."""

    def make(data, spacing=(1.5, 2.0, 4.0), affine=None):
        return nib.Nifti1Image(np.asarray(data), np.diag([*spacing, 1.0]) if affine is None else affine)

    return make
