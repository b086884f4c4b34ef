"""Sweeps of digits and numbers: several networks, each trained with several seeds."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import Field

from lessonpipe.config import StrictModel, TrainPhase
from lessonpipe.report.result import Score
from lessonpipe.train.schedule import AdamWConfig

Results = Mapping[str, dict[str, Any]]  # what a training returned, by its name


class SweepRun(TrainPhase):
    """One network's schedule; `lesson` is the accuracy that the course reached, `goal` the one
    that is asked for of another network."""

    lesson: float | None = None
    goal: float | None = None

    @property
    @abstractmethod
    def system(self) -> str:
        """The network's title in tables."""

    @property
    def cost(self) -> int:
        """About how long it trains, relative to other runs."""
        return self.epochs


R = TypeVar("R", bound=SweepRun)


class SweepParams(StrictModel, Generic[R]):
    """The networks, and the seeds that each is trained with."""

    seeds: list[int] = Field(min_length=1)
    optim: AdamWConfig
    runs: list[R] = Field(min_length=1)

    @property
    def seed(self) -> int:
        """The seed of what is tried or shown before training: the first."""
        return self.seeds[0]


@dataclass(frozen=True)
class Job(Generic[R]):
    """One training of a sweep."""

    run: R
    seed: int


def jobs(runs: Sequence[R], seeds: Sequence[int]) -> dict[str, Job[R]]:
    """Returns the training of every network with every seed, by name."""
    return {job_name(run, seed): Job(run, seed) for run in runs for seed in seeds}


def longest_first(jobs: Mapping[str, Job[R]]) -> dict[str, Job[R]]:
    """Returns the trainings by name, those with the highest cost first."""
    return dict(sorted(jobs.items(), key=lambda item: -item[1].run.cost))


def job_name(run: SweepRun, seed: int) -> str:
    """Returns the name of a training."""
    return f"{run.system}, seed {seed}"


def results_of(run: SweepRun, seeds: Sequence[int], results: Results) -> list[dict[str, Any]]:
    """Returns what the trainings of one network returned, a result per seed."""
    return [results[job_name(run, seed)] for seed in seeds]


def seconds_of(results: Results) -> dict[str, float]:
    """Returns the seconds of every training that was timed, by its name."""
    return {name: result["seconds"] for name, result in results.items() if "seconds" in result}


def accuracy_scores(
    runs: Sequence[SweepRun], seeds: Sequence[int], results: Results
) -> list[Score]:
    """Returns the accuracy of every network: a row of the table each."""
    scores = []
    for run in runs:
        trained = results_of(run, seeds, results)
        scores.append(
            Score(
                system=run.system,
                measure="accuracy",
                values=[result["accuracy"] for result in trained],
                seconds=[result["seconds"] for result in trained],
                lesson=run.lesson,
                goal=run.goal,
            )
        )
    return scores
