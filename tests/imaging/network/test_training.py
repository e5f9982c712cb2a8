"""Training learns what can be learnt, the same way each time, and keeps participants apart."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch

from muscle_bayes.errors import TableError
from muscle_bayes.imaging.network.agreement import dice
from muscle_bayes.imaging.network.pairs import PairSamples, find_pairs, prepare_pair, split_by_participant
from muscle_bayes.imaging.network.prediction import predict_labels
from muscle_bayes.imaging.network.samples import Sample
from muscle_bayes.imaging.network.training import Stage, TrainingProfile, batches, train_network

CPU = torch.device("cpu")
PROFILE = TrainingProfile((8, 8, 16), bodies=0, batch=2, stages=(Stage(60, 1.0, 1e-2),), averaging=0.8, strength=0.2)


class Squares:
    """Bodies with a bright square on each side: left is autochthonous left, right is right."""

    def sample(self, rng: np.random.Generator) -> Sample:
        labels = np.zeros((64, 64), dtype=np.uint8)
        y = int(rng.integers(12, 36))
        labels[14:26, y : y + 14], labels[38:50, y : y + 14] = 3, 4
        signal = np.zeros((3, 64, 64), dtype=np.float32)
        signal[:, 6:58, 6:58] = 100
        signal[:, labels > 0] = 350
        return Sample(signal, None, labels)


def test_batches_depend_on_seed_and_number_only() -> None:
    run = batches(Squares(), PROFILE, seed=3)
    first = [next(run) for _ in range(3)]
    third = next(batches(Squares(), PROFILE, seed=3, start=2))
    np.testing.assert_array_equal(first[2][0], third[0])
    np.testing.assert_array_equal(first[2][1], third[1])
    assert first[0][0].shape[2:] != ()
    assert not np.array_equal(first[0][1], first[1][1])


def test_schedule_rises_and_falls_and_stages_follow_each_other() -> None:
    stage = Stage(100, learning_rate=1.0)
    rates = [stage.rate(step) for step in range(1, 101)]
    assert max(rates) == pytest.approx(1.0)
    assert rates[0] < 0.3
    assert rates[-1] < 0.02
    profile = replace(PROFILE, stages=(Stage(10, 0.5), Stage(20, 1.0)))
    assert [profile.stage(step).zoom for step in (0, 9, 10, 29)] == [0.5, 0.5, 1.0, 1.0]
    assert [stage.steps for stage in profile.shortened(6).stages] == [2, 4]


def test_a_network_learns_squares_and_the_same_seed_gives_the_same_weights() -> None:
    torch.set_num_threads(1)
    network, log = train_network(Squares(), PROFILE, seed=1, device=CPU)
    again, _ = train_network(Squares(), replace(PROFILE, stages=(Stage(3),)), seed=1, device=CPU)
    third, _ = train_network(Squares(), replace(PROFILE, stages=(Stage(3),)), seed=1, device=CPU)
    for one, other in zip(again.parameters(), third.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert log.losses[-1] < 0.6 * log.losses[0]
    scan = Squares().sample(np.random.default_rng(99))
    found = predict_labels([network], np.moveaxis(scan.first, 0, 2), None, (1.4, 1.4, 9.0), CPU)
    for number in (3, 4):
        assert dice(found[:, :, 1] == number, scan.labels == number) > 0.85


def write_pair(folder: Path, ids: np.ndarray, spacing: float = 1.4) -> None:
    """Write a scan whose image is its labels, brighter where they are."""
    folder.mkdir(parents=True)
    affine = np.diag([spacing, spacing, 3.0, 1.0])
    image = np.zeros(ids.shape, dtype=np.float32)
    image[4:-4, 4:-4] = 100
    image[ids > 0] = 300
    nib.save(nib.Nifti1Image(image, affine), folder / "image.nii.gz")
    nib.save(nib.Nifti1Image(ids.astype(np.float32), affine), folder / "labels.nii.gz")


@pytest.fixture
def pairs_folder(tmp_path: Path) -> Path:
    ids = np.zeros((40, 30, 8), dtype=np.uint8)
    ids[8:16, 8:16], ids[24:32, 8:16] = 46, 47  # TotalSegmentator's autochthonous, left and right
    for name in ("P1/S1", "P1/S2", "P2/S1", "P3/S1", "P4/S1"):
        write_pair(tmp_path / name, ids, 2.8)
    return tmp_path


def test_sessions_of_a_participant_stay_together(pairs_folder: Path) -> None:
    found = find_pairs(pairs_folder)
    assert [pair.name for pair in found] == ["P1/S1", "P1/S2", "P2/S1", "P3/S1", "P4/S1"]
    for seed in range(1, 11):
        training, aside = split_by_participant(found, 0.4, seed)
        assert not {p.participant_id for p in training} & {p.participant_id for p in aside}
        assert len({p.participant_id for p in aside}) == 2
    with pytest.raises(TableError, match="only one participant"):
        split_by_participant(found[:2], 0.2, 1)


def test_a_table_of_pairs_says_the_same_as_folders(pairs_folder: Path) -> None:
    folders = find_pairs(pairs_folder)
    rows = [
        {
            "participant_id": p.participant_id,
            "session_id": p.session_id,
            "image": p.images["image"].relative_to(pairs_folder).as_posix(),
            "labels": p.labels.relative_to(pairs_folder).as_posix(),
        }
        for p in folders
    ]
    pd.DataFrame(rows).to_csv(pairs_folder / "pairs.tsv", sep="\t", index=False)
    assert find_pairs(pairs_folder) == folders
    pd.DataFrame([{**rows[0], "labels": "nowhere.nii.gz"}]).to_csv(pairs_folder / "pairs.tsv", sep="\t", index=False)
    with pytest.raises(TableError, match=r"nowhere\.nii\.gz"):
        find_pairs(pairs_folder)
    with pytest.raises(TableError, match="no pair"):
        find_pairs(pairs_folder / "P1" / "S1")


def test_readers_labels_become_the_projects_ids_on_the_networks_pixels(pairs_folder: Path) -> None:
    pair = prepare_pair(find_pairs(pairs_folder)[0], "totalsegmentator_mr@2.5")
    assert pair.first.shape == pair.labels.shape == (8, 80, 60)
    assert set(np.unique(pair.labels)) == {0, 3, 4}
    assert (pair.labels == 3).sum() == 8 * 8 * 8 * 4
    assert pair.step == 3
    sample = PairSamples([pair]).sample(np.random.default_rng(1))
    assert sample.second is None
    assert sample.first[1][sample.labels == 3].mean() > 2 * sample.first[1][sample.labels == 0].mean()
