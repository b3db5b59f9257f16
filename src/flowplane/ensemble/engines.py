"""The two ways to train: the fused loop on a CPU, and PyTorch for everything else and for the GPU.

Both take the same steps on the same batches, so that their training curves agree within float tolerance.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float

from flowplane.core.compiled import cores
from flowplane.core.network import Network
from flowplane.ensemble.configuration import Configuration, Problem

__all__ = ["FUSED_WIDTH", "Engine", "FusedEngine", "Progress", "gradient_statistics", "weight_norms"]

#: The widest layer, inputs included, for which the fused loop beats a library's matrix products on a CPU.
FUSED_WIDTH = 128

Progress = Callable[[float], None]


class Engine(Protocol):
    """Trains all replicas; holds their packed weights and optimiser moments between calls."""

    def evaluate(self) -> Float[np.ndarray, "replica 4"]:
        """Train loss, train accuracy, test loss, test accuracy of the weights as they are."""
        ...

    def advance(
        self, epoch: int, count: int, progress: Progress
    ) -> tuple[Float[np.ndarray, "replica train_epoch 4"], Float[np.ndarray, "replica layer 3"]]:
        """Train for the `count` epochs after `epoch`: metrics after each, gradient statistics of the last (§B5).

        `progress` is called with the number of replica-epochs done. A KeyboardInterrupt leaves the engine unusable.
        """
        ...

    def state(self) -> Float[np.ndarray, "replica 3 parameter"]:
        """A copy of the weights and the two moments."""
        ...


class FusedEngine:
    """One replica at a time in `fused.train_replica`, as many replicas side by side as there are processors."""

    def __init__(self, network: Network, problem: Problem, configuration: Configuration, state: np.ndarray) -> None:
        from flowplane.ensemble import fused

        self._fused = fused
        self._network = network
        self._problem = problem
        self._configuration = configuration
        self._state = np.array(state, np.float32, order="C")
        self._sizes = np.array(network.sizes)
        self._starts = np.array(network.starts)
        self._inputs = _filled(fused.aligned_rows, problem.inputs.T)
        words, self._levels = _packed(problem.inputs, fused.PACKED)
        self._packed = words is not None
        self._low = (np.arange(len(problem.inputs)) if words is None else words).astype(np.uint64)
        self._parts = [self._part_rows(k) for k in range(len(state))]
        self._kind = fused.ACTIVATION_CODES[network.activation]

    def _part_rows(self, k: int) -> np.ndarray:
        """Labels of a replica, and which samples it trains on and which are held out, in rows."""
        labels = self._problem.labels[k]
        parts = np.zeros((3, len(labels)))
        parts[0], parts[1, self._problem.train[k]], parts[2, self._problem.test[k]] = labels, 1, 1
        return _filled(self._fused.aligned_rows, parts)

    def evaluate(self) -> np.ndarray:
        metrics = np.full((len(self._state), 4), np.nan)
        problem = self._problem
        for k in range(len(self._state)):
            self._fused.evaluate_replica(
                self._state[k, 0],
                self._sizes,
                self._starts,
                self._kind,
                self._inputs,
                self._parts[k],
                len(problem.inputs),
                len(problem.test[k]),
                metrics[k],
            )
        return metrics

    def advance(self, epoch: int, count: int, progress: Progress) -> tuple[np.ndarray, np.ndarray]:
        replicas = len(self._state)
        metrics = np.full((replicas, count, 4), np.nan)
        total, square = np.zeros((2, replicas, self._network.parameters))
        stop = threading.Event()
        # gradients of fitted networks vanish: numbers below 1e-38, which take processors a hundred times as long, become 0
        with ThreadPoolExecutor(min(cores(), replicas), initializer=torch.set_flush_denormal, initargs=(True,)) as pool:
            jobs = [
                pool.submit(self._replica, k, epoch, metrics[k], total[k], square[k], progress, stop)
                for k in range(replicas)
            ]
            try:
                for job in wait(jobs, return_when=FIRST_EXCEPTION).done:
                    job.result()
            except BaseException:
                stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        batches = len(self._problem.batches(self._configuration))
        return metrics, gradient_statistics(self._network, self._state[:, 0], total, square, batches)

    def _replica(
        self,
        k: int,
        epoch: int,
        metrics: np.ndarray,
        total: np.ndarray,
        square: np.ndarray,
        progress: Progress,
        stop: threading.Event,
    ) -> None:
        problem, chosen = self._problem, self._configuration
        weights, first, second = self._state[k]
        train = problem.train[k]
        deck = self._low[train] | problem.labels[k, train].astype(np.uint64) << np.uint64(32)
        step = self._epochs_per_call()
        for done in range(0, len(metrics), step):
            if stop.is_set():
                return
            part = metrics[done : done + step]
            self._fused.train_replica(
                weights,
                first,
                second,
                self._sizes,
                self._starts,
                self._kind,
                chosen.optimizer == "adam",
                chosen.learning_rate,
                chosen.momentum,
                self._inputs,
                self._packed,
                self._levels,
                self._parts[k],
                deck,
                len(problem.inputs),
                problem.keys[k],
                min(chosen.batch_size, len(train)),
                len(problem.batches(chosen)),
                epoch + done,
                part,
                done + step >= len(metrics),
                total,
                square,
            )
            progress(len(part))

    def _epochs_per_call(self) -> int:
        """About a fifth of a second, so that Ctrl-C is answered soon."""
        work = self._network.parameters * (3 * self._problem.train.shape[1] + self._problem.labels.shape[1])
        return max(1, int(2e9 // work))

    def state(self) -> np.ndarray:
        return self._state.copy()


def _filled(aligned_rows: Callable[[int, int], np.ndarray], values: np.ndarray) -> np.ndarray:
    """`values` (row, column) as float32 in rows that the fused loop can read, zeros behind them."""
    rows = aligned_rows(*values.shape)
    rows[:, : values.shape[1]] = values
    return rows


def _packed(inputs: np.ndarray, most: int) -> tuple[np.ndarray | None, np.ndarray]:
    """One word per sample, bit i set where input i has the greater of its two values, and those values (input, 2).

    None for the words where an input has more than two values, or where there are more than `most` inputs.
    """
    levels = np.stack([inputs.min(axis=0), inputs.max(axis=0)], axis=1)
    greater = inputs == levels[:, 1]
    if len(levels) > most or not (greater | (inputs == levels[:, 0])).all():
        return None, levels
    return (greater.astype(np.uint64) << np.arange(len(levels), dtype=np.uint64)).sum(axis=1, dtype=np.uint64), levels


def gradient_statistics(
    network: Network, weights: np.ndarray, total: np.ndarray, square: np.ndarray, batches: int
) -> Float[np.ndarray, "replica layer 3"]:
    """‖E g‖, √(tr Cov g) and ‖w‖ per layer (§B5), from sums over an epoch's gradients and their squares.

    Arguments:
        weights, total, square: (replica, parameter).
        batches: how many gradients were summed; the covariance is unbiased, so NaN for a single one.
    """
    result = np.full((len(weights), len(network.layers), 3), np.nan, np.float32)
    mean = total / batches
    result[:, :, 0] = weight_norms(network, mean)
    if batches > 1:
        scatter = np.add.reduceat(square - batches * mean**2, network.starts[:-1], axis=1)
        result[:, :, 1] = np.sqrt(scatter.clip(0) / (batches - 1))
    result[:, :, 2] = weight_norms(network, weights)
    return result


def weight_norms(network: Network, weights: np.ndarray) -> np.ndarray:
    """Norm of each layer's weights and biases together, (replica, layer)."""
    edges = zip(network.starts, network.starts[1:], strict=False)
    return np.stack([np.linalg.norm(weights[:, start:stop], axis=1) for start, stop in edges], axis=1)
