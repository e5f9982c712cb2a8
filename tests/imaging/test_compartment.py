import numpy as np
from scipy import ndimage

from muscle_bayes.imaging.compartment import fascia_compartment

SPACING = (1.0, 1.0, 5.0)


def ring_with_cleft():
    """A disk of radius 30 with a cleft 8 wide from its edge to its centre, in the middle of three slices."""
    labels = np.zeros((100, 100, 3), dtype=int)
    x, y = np.ogrid[:100, :100]
    disk = (x - 50) ** 2 + (y - 50) ** 2 <= 30**2
    labels[disk, 1] = 3
    cleft = disk & (abs(x - 50) <= 4) & (y > 50)
    labels[cleft, 1] = 0
    return labels, disk, cleft


def test_a_cleft_of_fat_is_taken_in():
    labels, disk, cleft = ring_with_cleft()
    grown = fascia_compartment(labels, [3], SPACING)
    assert (grown[cleft, 1] == 3).mean() > 0.94  # the rim of the cleft is rounded
    assert not grown[~disk, 1].any()
    assert not grown[:, :, [0, 2]].any()


def test_other_labels_are_never_taken():
    labels, _, cleft = ring_with_cleft()
    bone = cleft.copy()
    bone[:, 70:] = False
    labels[bone, 1] = 2
    grown = fascia_compartment(labels, [3], SPACING)
    assert (grown[bone, 1] == 2).all()
    assert (grown[cleft & ~bone, 1] == 3).any()
    np.testing.assert_array_equal(grown[labels > 0], labels[labels > 0])


def test_two_muscles_are_not_bridged_and_a_contested_voxel_goes_to_the_nearer():
    # Two combs whose teeth interlock: both closings reach between them.
    labels = np.zeros((60, 80, 1), dtype=int)
    labels[5:55, 5:10, 0] = 3
    labels[5:55, 70:75, 0] = 4
    for x in range(5, 55, 10):
        labels[x : x + 2, 5:55, 0] = 3
        labels[x + 5 : x + 7, 25:75, 0] = 4
    grown = fascia_compartment(labels, [3, 4], SPACING)
    added = (grown > 0) & (labels == 0)
    assert added.any()
    both = np.stack([ndimage.distance_transform_edt(labels[:, :, 0] != number) for number in (3, 4)])
    claims = np.stack([closed_alone(labels, number) for number in (3, 4)])
    contested = claims.all(axis=0) & (labels[:, :, 0] == 0)
    assert contested.any()
    tie = both[0] == both[1]
    nearer = np.where(both[0] < both[1], 3, 4)
    np.testing.assert_array_equal(grown[:, :, 0][contested & ~tie], nearer[contested & ~tie])

    far = np.zeros((60, 80, 1), dtype=int)
    far[20:40, 5:25, 0], far[20:40, 55:75, 0] = 3, 4
    np.testing.assert_array_equal(fascia_compartment(far, [3, 4], SPACING), far)


def closed_alone(labels, number):
    """Closing of one label by SciPy's distances on a padded slice."""
    pad = 20
    wide = np.pad(labels[:, :, 0] == number, pad)
    dilated = ndimage.distance_transform_edt(~wide) <= 12
    return (ndimage.distance_transform_edt(dilated) > 12)[pad:-pad, pad:-pad]
