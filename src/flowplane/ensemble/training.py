"""`fp.train`: from a task to a recording."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from flowplane.core.callers import outside
from flowplane.core.devices import chosen_device
from flowplane.core.interrupts import deferred_interrupts
from flowplane.core.network import Network
from flowplane.core.progress import progress_bar
from flowplane.core.renamed import renamed
from flowplane.core.schedule import log_spaced
from flowplane.ensemble.configuration import Configuration, Problem
from flowplane.ensemble.engines import FUSED_WIDTH, Engine, FusedEngine, weight_norms
from flowplane.errors import InputError, Interrupted, MissingRequirement, Text, unknown
from flowplane.recording import MODES, EnsembleRecording, EnsembleWriter, Snapshot, versions
from flowplane.tasks import Task

__all__ = ["train"]

OTHER_ARITHMETIC = (
    "the recording to resume was begun by flowplane 0.1 or on another kind of processor, which adds in another order; "
    "what follows is as good, but not bit for bit what training without a pause would have given"
)


@renamed
def train(
    task: Task,
    *,
    path: Any = None,
    hidden: Sequence[int] = (10, 7, 5, 4, 3),
    activation: str = "tanh",
    replicas: int = 50,
    epochs: int = 8000,
    train_fraction: float = 0.85,
    optimizer: str = "adam",
    learning_rate: float | None = None,
    momentum: float = 0.0,
    batch_size: int = 512,
    drop_last: bool = True,
    labels: str = "hard",
    noise_variance: float = 0.0,
    snapshots: int = 100,
    keep: Sequence[str] = ("weights", "gradients"),
    device: str = "auto",
    compile: bool | str = "auto",
    seed: int = 0,
    mode: str = "create",
) -> EnsembleRecording:
    """Train an ensemble of networks and record it (§B2). The defaults are the paper's experiment.

    Arguments:
        task: what to learn.
        path: a new folder, an icechunk Storage, or None for memory.
        hidden: widths of the hidden layers; the softmax layer is added.
        activation: "tanh", "relu", "sigmoid" or "linear", of the hidden layers.
        replicas: networks, each with weights, split and batch order of its own. Replica k is the same whatever their
            number.
        epochs: passes over the training part.
        train_fraction: share of the samples to train on, in (0, 1], drawn anew for each replica.
        optimizer: "adam", or "sgd" with `momentum`.
        learning_rate: None for 4e-4 with adam and 0.05 with sgd.
        batch_size: samples per step, at most the training part.
        drop_last: leave out the last batch of an epoch where it would be smaller, as the reference values of §B do; the
            published code keeps it. Batches are drawn anew each epoch.
        labels: "hard", or "sampled" from the task's conditional, once for each replica.
        noise_variance: of the Gaussian noise that each hidden layer adds to its output, fresh at every step:
            T_l = σ(W T_{l−1} + b) + Z_l, the network where I(X;T) is finite and well defined (Goldfeld et al., ICML 2019,
            arXiv 1810.05728). Metrics are then those of the noisy network, with one draw for all epochs and replicas.
        snapshots: how many, spread evenly over log(epoch), epoch 0 and the last included.
        keep: what a snapshot holds: "weights" (activations are recomputed from them), "gradients" (statistics of the
            mini-batch gradients, §B5). Metrics are kept at every epoch in any case.
        device: "cpu", "cuda" (or "cuda:1"), or "auto": the GPU where there is one.
        compile: "auto": the fused loop for networks no wider than 128 on a CPU, otherwise PyTorch, compiled where that
            pays, replayed as a CUDA graph on a GPU. True: PyTorch under torch.compile. False: PyTorch, eager. Networks
            with noise are trained eagerly, and True is refused.
        seed: of everything random. The same seed gives the same recording on the same machine, device, threads and
            compile mode.
        mode: "create" a new recording, "resume" one from its last snapshot (also to more epochs), or "overwrite".

    Raises:
        InputError: an invalid argument, or a path that does not fit the mode. Nothing is written then.
        MissingRequirement: compile=True on a CPU without a C++ compiler.
        Interrupted: Ctrl-C. Every committed snapshot stays; the message says how to resume.

    Example:
        >>> import flowplane as fp
        >>> rec = fp.train(fp.tasks.spherical_rule(), hidden=(4,), replicas=2, epochs=3, snapshots=3)
        >>> rec.layers, rec.epochs.tolist(), rec.activations("layer1").shape
        (('layer1', 'layer2'), [0, 1, 3], (2, 3, 4096, 4))
    """
    if not isinstance(task, Task):
        raise InputError("task", Text(type(task).__name__), "a Task, such as fp.tasks.spherical_rule()")
    if task.labels is None:
        raise InputError("task", Text(f"{task.name!r} without labels"), "a task with labels")
    if mode not in MODES:
        raise unknown("mode", mode, MODES)
    configuration = Configuration.checked(
        task,
        hidden=hidden,
        activation=activation,
        replicas=replicas,
        epochs=epochs,
        train_fraction=train_fraction,
        optimizer=optimizer,
        learning_rate=learning_rate,
        momentum=momentum,
        batch_size=batch_size,
        drop_last=drop_last,
        labels=labels,
        snapshots=snapshots,
        keep=keep,
        seed=seed,
        noise_variance=noise_variance,
    )
    chosen = chosen_device(device)
    if compile != "auto" and not isinstance(compile, bool):
        raise InputError("compile", compile, "'auto', True or False")
    run = _Run(task, configuration, chosen, compile)  # every refusal comes before anything is written
    with EnsembleWriter(path, mode) as writer:
        run.writer = writer
        try:
            with deferred_interrupts() as check:
                run.to_the_end(check)
        except KeyboardInterrupt as interrupt:
            raise run.interrupted() from interrupt
        return run.recording()


class _Run:
    """One call of `train`: an engine between snapshots, a writer at them."""

    writer: EnsembleWriter

    def __init__(self, task: Task, configuration: Configuration, device: torch.device, compile: bool | str) -> None:
        self.task = task
        self.configuration = configuration
        self.problem = Problem.draw(task, configuration)
        self.network = configuration.network(task)
        self.engine_name = _engine_name(self.network, self.problem, configuration, device, compile)
        self.device = device
        self.compile = compile
        self.seconds = 0.0
        self.committed: int | None = None

    def to_the_end(self, check: Callable[[], None]) -> None:
        """Train from the last snapshot, or from the beginning, to the last epoch; `check` may raise KeyboardInterrupt."""
        configuration = self.configuration
        schedule = log_spaced(configuration.epochs, configuration.snapshots)
        engine = self._resumed() if self.writer.resumed else self._begun()
        assert self.committed is not None
        ahead = schedule[schedule > self.committed]
        total = (configuration.epochs - self.committed) * configuration.replicas
        if len(ahead) == 0:
            return
        with progress_bar("training", total) as bar:

            def progress(amount: float) -> None:
                check()
                bar(amount)

            for epoch in ahead.tolist():
                began = time.perf_counter()
                metrics, gradients = engine.advance(self.committed, epoch - self.committed, progress)
                self.seconds += time.perf_counter() - began
                self.writer.append(self._snapshot(epoch, engine.state(), metrics, gradients))
                self.committed = epoch

    def recording(self) -> EnsembleRecording:
        """What is committed so far."""
        path = self.writer.path
        return EnsembleRecording(self.writer.repository, None if path is None else str(path))

    def interrupted(self) -> Interrupted:
        """What to say after Ctrl-C."""
        if self.committed is None:
            return Interrupted("training was stopped before its first snapshot; nothing was kept")
        path, recording = self.writer.path, self.recording()
        kept = f"training was stopped; everything up to epoch {recording.epochs[-1]} of {self.configuration.epochs} is kept"
        if path is None:
            return Interrupted(f"{kept} in this exception's `recording` (in memory, it cannot be resumed)", recording)
        return Interrupted(f"{kept} in {path}; the same call with mode='resume' continues there", recording)

    def _engine(self, state: np.ndarray) -> Engine:
        if self.engine_name == "fused":
            return FusedEngine(self.network, self.problem, self.configuration, state)
        from flowplane.ensemble.batched import BatchedEngine

        return BatchedEngine(self.network, self.problem, self.configuration, state, self.device, self.engine_name)

    def _begun(self) -> Engine:
        configuration, network = self.configuration, self.network
        state = np.zeros((configuration.replicas, 3, network.parameters), np.float32)
        for k in range(configuration.replicas):
            state[k, 0] = network.initial_weights(configuration.seed, k)
        engine = self._engine(state)
        statistics = np.full((configuration.replicas, len(network.layers), 3), np.nan, np.float32)
        statistics[:, :, 2] = weight_norms(network, state[:, 0])
        first = self._snapshot(0, state, engine.evaluate()[:, None], statistics)
        labels = self.problem.labels if configuration.labels == "sampled" else None
        self.writer.begin(self._stored(), self.task, self.problem.split(), labels, first, len(network.layers))
        self.committed = 0
        return engine

    def _resumed(self) -> Engine:
        recording = self.recording()
        stored = recording.attrs
        differing = self.configuration.differences(stored)
        if stored["task_digest"] != self.task.digest:
            raise InputError(
                "task", Text(f"{self.task.name!r}, other arrays"), f"the task of the recording, {recording.task.name!r}"
            )
        if differing:
            name = differing[0]
            raise InputError(name, self.configuration.stored()[name], f"{stored[name]!r}, as in the recording to resume")
        last = int(recording.epochs[-1])
        if self.configuration.epochs < last:
            raise InputError("epochs", self.configuration.epochs, f"at least {last}: the recording has reached that epoch")
        if self.compile == "auto" and stored["device"] == self.device.type:
            self.engine_name = stored["engine"]
        if (stored["engine"], stored["device"]) != (self.engine_name, self.device.type):
            expected = f"device={stored['device']!r} and the compile mode of the recording ({stored['engine']} engine)"
            raise InputError("device", Text(f"{self.device.type}, {self.engine_name} engine"), expected)
        if stored.get("arithmetic") != self._stored()["arithmetic"]:
            warnings.warn(OTHER_ARITHMETIC, RuntimeWarning, stacklevel=outside())
        if self.configuration.epochs != stored["epochs"]:
            self.writer.extend(self._stored())
        self.committed = last
        self.seconds = float(recording.seconds[-1])
        return self._engine(recording.state())

    def _arithmetic(self) -> str | None:
        """What else the fused loop's bits depend on: in how many lanes it sums. 0.1 kept nothing here."""
        if self.engine_name != "fused":
            return None
        from flowplane.core.lanes import LANES

        return f"{LANES} lanes"

    def _stored(self) -> dict[str, Any]:
        return {
            **self.configuration.stored(),
            "sizes": list(self.network.sizes),
            "task_digest": self.task.digest,
            "engine": self.engine_name,
            "arithmetic": self._arithmetic(),
            "device": self.device.type,
            "versions": versions(),
        }

    def _snapshot(self, epoch: int, state: np.ndarray, metrics: np.ndarray, statistics: np.ndarray) -> Snapshot:
        keep = self.configuration.keep
        return Snapshot(
            epoch=epoch,
            step=epoch * len(self.problem.batches(self.configuration)),
            seconds=self.seconds,
            state=state,
            metrics=metrics.astype(np.float32),
            weights=state[:, 0].copy() if "weights" in keep else None,
            gradients=statistics if "gradients" in keep else None,
        )


def _engine_name(
    network: Network, problem: Problem, configuration: Configuration, device: torch.device, compile: bool | str
) -> str:
    """ "fused", "eager", "compiled" or "graph": from the arguments alone, so that a resumed run makes the same choice."""
    from flowplane.ensemble.batched import compiler_found, compiling_pays

    if network.noise_variance:
        if compile is True:
            raise InputError(
                "compile", compile, "'auto' or False for a network with noise of its own, which is trained eagerly"
            )
        return "eager"
    if compile is True:
        if device.type == "cpu" and not compiler_found():
            raise MissingRequirement("compile=True needs a C++ compiler for a CPU, and none was found; 'auto' does without")
        return "compiled"
    if compile is False:
        return "eager"
    if device.type == "cuda":
        return "graph"
    if max(network.sizes) <= FUSED_WIDTH:
        return "fused"
    return "compiled" if compiling_pays(network, problem, configuration) else "eager"
