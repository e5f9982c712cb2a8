"""Shards and seeds follow from the key alone."""

import numpy as np
import pytest
from scipy import stats

from muscle_bayes.errors import InvalidValueError
from muscle_bayes.imaging.batch import Shard, participant_seed

KEYS = [(f"{number:06d}", "1") for number in range(20_000)]


def test_every_participant_belongs_to_one_shard_and_additions_move_nobody() -> None:
    shards = [Shard(number, 16) for number in range(1, 17)]
    owners = np.array([[shard.holds(*key) for shard in shards] for key in KEYS])
    assert (owners.sum(axis=1) == 1).all()
    # A hash spreads participants as dice would: 15 degrees of freedom, p below 0.001 in one of a thousand tables of keys.
    assert stats.chisquare(owners.sum(axis=0)).pvalue > 0.001
    # Whose part it is follows from the key alone: no table, no order.
    assert Shard(3, 16).holds("000007", "1") == owners[7, 2]
    with_session = np.array([Shard(1, 2).holds(name, "2") for name, _ in KEYS])
    assert (with_session != np.array([Shard(1, 2).holds(*key) for key in KEYS])).any()


def test_seeds_differ_between_participants_sessions_and_studies_and_not_between_runs() -> None:
    seeds = [participant_seed(1, *key) for key in KEYS]
    # Of 20,000 numbers of 31 bits, 0.09 pairs are alike on average: more than 3 has a probability below 1e-5.
    assert len(set(seeds)) >= len(KEYS) - 3
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert participant_seed(1, "1", "23") != participant_seed(1, "12", "3")
    assert participant_seed(1, "a") != participant_seed(2, "a")
    uniform = stats.kstest(np.array(seeds) / 2**31, "uniform")
    assert uniform.pvalue > 0.001


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "1/0", "-1/4", "1/4/2", "a/b"])
def test_what_is_no_part_of_a_whole_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError, match="shard"):
        Shard.parse(text)
    assert Shard.parse(" 3/16 ") == Shard(3, 16)
