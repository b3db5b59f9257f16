"""The arguments of `fp.train`, checked and complete."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from flowplane.core import streams
from flowplane.core.network import ACTIVATIONS, Network
from flowplane.core.points import check_count
from flowplane.core.schedule import epoch_batches
from flowplane.errors import InputError, Text, unknown
from flowplane.tasks import Task

__all__ = ["KEPT", "Configuration", "Problem"]

KEPT = ("weights", "gradients")
LEARNING_RATES = {"adam": 4e-4, "sgd": 0.05}
#: A smaller variance is lost in the rounding of float32 beside outputs of about 1.
LEAST_NOISE = 1e-12
#: A resumed run may change these: more epochs, and with them another schedule.
FREE = ("epochs", "snapshots")


@dataclass(frozen=True)
class Configuration:
    """What determines a recording, besides the task. Raises InputError for an invalid argument."""

    hidden: tuple[int, ...]
    activation: str
    replicas: int
    epochs: int
    train_fraction: float
    optimizer: str
    learning_rate: float
    momentum: float
    batch_size: int
    drop_last: bool
    labels: str
    snapshots: int
    keep: tuple[str, ...]
    seed: int
    noise_variance: float = 0.0

    @classmethod
    def checked(cls, task: Task, **given: Any) -> Configuration:
        """The configuration for a task, with defaults filled in."""
        hidden = given["hidden"]
        widths = tuple(hidden) if isinstance(hidden, list | tuple | np.ndarray) else (hidden,)
        if isinstance(hidden, str):
            raise InputError("hidden", hidden, "the number of units of each hidden layer, such as (10, 7, 5)")
        given["hidden"] = tuple(check_count("hidden", width) for width in widths)
        for name, known in (
            ("activation", ACTIVATIONS),
            ("optimizer", tuple(LEARNING_RATES)),
            ("labels", ("hard", "sampled")),
        ):
            if not isinstance(given[name], str) or given[name] not in known:
                raise unknown(name, given[name], known)
        for name, least in (("replicas", 1), ("epochs", 1), ("batch_size", 1), ("snapshots", 2), ("seed", 0)):
            given[name] = check_count(name, given[name], least)
        if given["learning_rate"] is None:
            given["learning_rate"] = LEARNING_RATES[given["optimizer"]]
        given["learning_rate"] = _real("learning_rate", given["learning_rate"], "a positive number", lambda v: v > 0)
        given["momentum"] = _real("momentum", given["momentum"], "a number in [0, 1)", lambda v: 0 <= v < 1)
        if given["momentum"] and given["optimizer"] == "adam":
            raise InputError("momentum", given["momentum"], "0 for adam, which has its own momenta")
        expected = f"the variance of Gaussian noise on the hidden layers: 0, or at least {LEAST_NOISE:g}"
        variance = _real("noise_variance", given.get("noise_variance", 0.0), expected, lambda v: v == 0 or v >= LEAST_NOISE)
        if variance and not given["hidden"]:
            wanted = "0 for a network without hidden layers, to which the noise is added"
            raise InputError("noise_variance", variance, wanted)
        given["noise_variance"] = variance
        fraction = _real("train_fraction", given["train_fraction"], "a number in (0, 1]", lambda v: 0 < v <= 1)
        if math.floor(fraction * len(task)) < 1:
            raise InputError("train_fraction", fraction, f"at least 1/{len(task)}, so that one sample is trained on")
        given["train_fraction"] = fraction
        given["drop_last"] = bool(given["drop_last"])
        keep = (given["keep"],) if isinstance(given["keep"], str) else given["keep"]
        if not isinstance(keep, list | tuple | set):
            raise InputError("keep", keep, f"some of {', '.join(KEPT)}")
        for name in keep:
            if name not in KEPT:
                raise unknown("keep", name, KEPT)
        given["keep"] = tuple(name for name in KEPT if name in keep)
        if given["labels"] == "sampled" and task.conditional is None:
            wanted = "'hard' for this task: it has no conditional to sample from"
            raise InputError("labels", "sampled", wanted)
        return cls(**given)

    def network(self, task: Task) -> Network:
        """The network for a task."""
        return Network((task.inputs.shape[1], *self.hidden, task.classes), self.activation, self.noise_variance)

    def stored(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    def differences(self, stored: dict[str, Any]) -> list[str]:
        """Arguments that a resumed run must not change but would."""
        mine = self.stored()
        return [name for name in mine if name not in FREE and mine[name] != stored.get(name)]


@dataclass(frozen=True)
class Problem:
    """What each replica trains on, drawn from its own streams."""

    inputs: np.ndarray  # (sample, feature) float32
    labels: np.ndarray  # (replica, sample) int64
    train: np.ndarray  # (replica, training sample) int64, in increasing order
    test: np.ndarray  # (replica, test sample) int64
    keys: np.ndarray  # (replica,) uint64, the batch orders
    noise_keys: np.ndarray  # (replica,) uint64, the noise of training

    @classmethod
    def draw(cls, task: Task, configuration: Configuration) -> Problem:
        """Split, labels and the keys of batch order and noise of every replica."""
        replicas, seed = range(configuration.replicas), configuration.seed
        n = len(task)
        count = math.floor(configuration.train_fraction * n)
        orders = np.stack([streams.generator(seed, k, streams.SPLIT).permutation(n) for k in replicas])
        labels = np.broadcast_to(task.labels, (configuration.replicas, n))
        if configuration.labels == "sampled":
            assert task.conditional is not None
            edges = np.cumsum(task.conditional, axis=1)[:, :-1]
            draws = np.stack([streams.generator(seed, k, streams.LABELS).random(n) for k in replicas])
            labels = (draws[:, :, None] >= edges).sum(axis=2)
        return cls(
            inputs=task.inputs,
            labels=np.ascontiguousarray(labels, np.int64),
            train=np.sort(orders[:, :count], axis=1),
            test=np.sort(orders[:, count:], axis=1),
            keys=np.array([streams.stream_key(seed, k, streams.ORDER) for k in replicas]),
            noise_keys=np.array([streams.stream_key(seed, k, streams.NOISE) for k in replicas]),
        )

    def split(self) -> np.ndarray:
        """Whether a sample is trained on, (replica, sample)."""
        mask = np.zeros(self.labels.shape, bool)
        np.put_along_axis(mask, self.train, True, axis=1)
        return mask

    def batches(self, configuration: Configuration) -> list[slice]:
        """The mini-batches of an epoch as slices of its order."""
        return epoch_batches(self.train.shape[1], configuration.batch_size, configuration.drop_last)


def _real(name: str, value: Any, expected: str, allowed: Any) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | np.number)
        or not math.isfinite(value)
        or not allowed(value)
    ):
        found = Text(value) if isinstance(value, float) else value
        raise InputError(name, found, expected)
    return float(value)
