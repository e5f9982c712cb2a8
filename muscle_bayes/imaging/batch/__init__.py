"""Many scans at once: shards, seeds, workers and the window through which tasks reach them; the only place of `distributed`."""

from muscle_bayes.imaging.batch.answers import Answer
from muscle_bayes.imaging.batch.pools import Pool, open_pool
from muscle_bayes.imaging.batch.shards import Shard, participant_seed

__all__ = ["Answer", "Pool", "Shard", "open_pool", "participant_seed"]
