"""Every muscle that a label scheme names has its rows."""

import nibabel as nib
import numpy as np

from muscle_bayes.imaging import SCHEME, quantify


def test_every_muscle_of_the_scheme_is_measured():
    labels = np.zeros((40, 40, 6), dtype=np.uint8)
    for number in SCHEME:
        labels[2 * number : 2 * number + 2, 10:20, 1:5] = number
    signal = np.full(labels.shape, 100, dtype=np.int16)
    images = [nib.Nifti1Image(data, np.eye(4)) for data in (signal, signal // 2, labels)]
    table = quantify(*images, region="whole")
    expected = {(s.name, s.side) for s in SCHEME.values() if s.is_muscle}
    assert expected <= set(zip(table.muscle, table.side, strict=True))
    assert (table[table.muscle != "all"].groupby("muscle").size().drop("other") == 3).all()
