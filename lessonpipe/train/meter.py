"""Means of loss terms over an epoch's steps, summed on the device."""

from collections import Counter, defaultdict
from collections.abc import Mapping

import torch
from torch import Tensor

from lessonpipe.device import Worker
from lessonpipe.train.learner import Learner


def zeros(worker: Worker) -> dict[str, Tensor]:
    """Named sums on the worker's device that start at zero."""
    return defaultdict(lambda: torch.zeros((), dtype=worker.sum_dtype, device=worker.device))


class LossMeter:
    """Sums of the loss terms of one epoch; a number is fetched from the device only when asked."""

    def __init__(self, learner: Learner, worker: Worker) -> None:
        self.learner, self.worker = learner, worker
        self.sums = zeros(worker)
        self.counts: Counter[str] = Counter()  # steps that had the term
        self.shares: dict[str, float] = defaultdict(float)  # of their batches that were this one's
        self._seen: dict[str, tuple[float, float]] = {}

    def add(self, terms: Mapping[str, Tensor], share: float) -> None:
        """Add a step's terms, means over this worker's `share` of the global batch."""
        for name, value in terms.items():
            # summed on the device: fetching a number would wait for the GPU at every step
            self.sums[name] += value.detach().to(self.worker.sum_dtype) * share
            self.counts[name] += 1
            self.shares[name] += share

    def epoch(self) -> dict[str, float]:
        """The learner's columns of the history, of all workers' steps; all of them call it."""
        totals = self.worker.reduce_sums(self.sums)
        means = {name: total / self.counts[name] for name, total in totals.items()}
        return self.learner.epoch_row(means, self.counts)

    def recent(self) -> dict[str, float]:
        """The loss columns of this worker's steps since the last call, of terms that they had."""
        if not self.sums:
            return {}
        means: dict[str, float] = {}
        totals = torch.stack(list(self.sums.values())).tolist()
        for name, total in zip(self.sums, totals, strict=True):
            before, share = self._seen.get(name, (0.0, 0.0))
            if self.shares[name] > share:
                means[name] = (total - before) / (self.shares[name] - share)
                self._seen[name] = (total, self.shares[name])
        row = self.learner.epoch_row(means, self.counts) if means else {}
        columns = {"train_loss", *(f"train_{name}" for name in means)}
        return {name: value for name, value in row.items() if name in columns}
