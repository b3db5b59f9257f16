"""The PyTorch training path: all replicas at once, tensors laid out (replica, unit, sample).

Compiled by torch.compile on a CPU where that pays, replayed as a CUDA graph of one whole epoch on a GPU.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from flowplane.core import streams
from flowplane.core.network import Network, activate
from flowplane.ensemble.configuration import Configuration, Problem
from flowplane.ensemble.engines import Progress, gradient_statistics

__all__ = ["BatchedEngine", "compiler_found", "compiling_pays"]

#: Measured on two cores: torch.compile takes up to this long, and what it fuses saves about a nanosecond for each value
#: that the elementwise operations of an epoch pass over; the matrix products stay as they are.
COMPILE_SECONDS, SAVED_SECONDS = 20.0, 1e-9


def compiler_found() -> bool:
    """Whether there is a C++ compiler, which torch.compile needs on a CPU."""
    return any(map(shutil.which, ("c++", "g++", "clang++", "cl")))


def compiling_pays(network: Network, problem: Problem, configuration: Configuration) -> bool:
    """Whether torch.compile saves more than it costs, from the work alone, so that equal calls decide alike."""
    if not compiler_found():
        return False
    batches = problem.batches(configuration)
    samples = sum(batch.stop - batch.start for batch in batches) + problem.labels.shape[1]
    values = samples * sum(network.widths) + len(batches) * network.parameters
    return values * configuration.replicas * configuration.epochs * SAVED_SECONDS > COMPILE_SECONDS


class BatchedEngine:
    """See `Engine`. `mode` is "eager", "compiled" or "graph" (CUDA only); networks with noise are trained "eager" only.

    The noise of a training step comes from each replica's own stream at the place of the epoch, drawn on the CPU: it is
    the same whatever the number of replicas, the device, or the epoch that a resumed run begins with. Metrics are those
    of the noisy network, with the one draw of `Network.noise_draw` over the task's samples, which is that of
    `Recording.activations`.
    """

    def __init__(
        self,
        network: Network,
        problem: Problem,
        configuration: Configuration,
        state: np.ndarray,
        device: torch.device,
        mode: str,
    ) -> None:
        from flowplane.ensemble.fused import epoch_orders

        self._shuffle = epoch_orders
        self._network = network
        self._problem = problem
        self._configuration = configuration
        self._device = device
        self._mode = mode
        self._state = torch.tensor(state, device=device)
        self._weights, self._first, self._second = (self._state[:, slot] for slot in range(3))
        self._inputs = torch.tensor(problem.inputs.T, device=device).contiguous()
        self._labels = torch.tensor(problem.labels, device=device)
        self._train = torch.tensor(problem.train, device=device)
        self._test = torch.tensor(problem.test, device=device)
        self._batches = problem.batches(configuration)
        self._order = torch.zeros_like(self._train)
        self._step = torch.zeros((), device=device, dtype=torch.float64)
        self._total = torch.zeros_like(self._weights, dtype=torch.float64)
        self._square = torch.zeros_like(self._total)
        self._evaluation_noise = [draw.to(device) for draw in network.noise_draw(len(problem.inputs))]
        self._one_step: Callable[..., Tensor] = torch.compile(self._take_step) if mode == "compiled" else self._take_step
        self._graph: torch.cuda.CUDAGraph | None = None
        self._results = torch.zeros((len(state), 4), device=device, dtype=torch.float32)

    def evaluate(self) -> np.ndarray:
        with torch.no_grad():
            return self._evaluated().cpu().double().numpy()

    def advance(self, epoch: int, count: int, progress: Progress) -> tuple[np.ndarray, np.ndarray]:
        replicas = len(self._state)
        metrics = np.empty((replicas, count, 4))
        held = torch.empty((count, replicas, 4), device=self._device, dtype=torch.float32)
        self._step.fill_(epoch * len(self._batches))
        with torch.no_grad():
            for e in range(count):
                orders = self._problem.train.copy()
                self._shuffle(orders, self._problem.keys, epoch + e + 1)
                self._order.copy_(torch.from_numpy(orders))
                noise = self._noise_streams(epoch + e + 1)
                if e == count - 1:
                    self._one_epoch(noise, observe=True)
                elif self._mode == "graph":
                    self._replay()
                else:
                    self._one_epoch(noise, observe=False)
                held[e] = self._evaluated() if self._mode != "graph" or e == count - 1 else self._results
                progress(replicas)
        metrics[:] = held.permute(1, 0, 2).cpu().double().numpy()
        weights, total, square = (part.cpu().numpy() for part in (self._weights, self._total, self._square))
        return metrics, gradient_statistics(self._network, weights, total, square, len(self._batches))

    def state(self) -> np.ndarray:
        return self._state.cpu().numpy().copy()

    # -- one epoch ----------------------------------------------------------------------------------------------------

    def _one_epoch(self, noise: Sequence[np.random.Generator] = (), *, observe: bool) -> None:
        if observe:
            self._total.zero_()
            self._square.zero_()
        for batch in self._batches:
            samples = self._order[:, batch]
            gradient = self._one_step(samples, self._fresh(noise, samples.shape[1])) if noise else self._one_step(samples)
            if observe:
                wide = gradient.double()
                self._total += wide
                self._square += wide * wide

    def _replay(self) -> None:
        """One epoch and its evaluation as a CUDA graph, captured at its first use."""
        if self._graph is None:
            saved, step = self._state.clone(), self._step.clone()
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):  # libraries allocate their workspaces before the capture
                self._one_epoch(observe=False)
                self._evaluated()
            torch.cuda.current_stream().wait_stream(side)
            self._state.copy_(saved)
            self._step.copy_(step)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._one_epoch(observe=False)
                self._results.copy_(self._evaluated())
            self._state.copy_(saved)
            self._step.copy_(step)
        self._graph.replay()

    def _noise_streams(self, epoch: int) -> list[np.random.Generator]:
        """One stream per replica for the noise of an epoch; none for networks without noise."""
        return (
            [streams.counter_generator(key, epoch) for key in self._problem.noise_keys]
            if self._network.noise_variance
            else []
        )

    def _fresh(self, noise: Sequence[np.random.Generator], samples: int) -> list[Tensor]:
        """The next Z_l (replica, unit, sample) of each hidden layer."""
        widths = self._network.widths[:-1]
        draws = np.stack([stream.standard_normal((sum(widths), samples), np.float32) for stream in noise])
        draws *= np.float32(np.sqrt(self._network.noise_variance))
        return list(torch.from_numpy(draws).to(self._device).split(widths, dim=1))

    def _gathered(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs (replica, feature, sample) and labels (replica, sample) of each replica's own samples."""
        return self._inputs[:, samples].transpose(0, 1), self._labels.gather(1, samples)

    def _outputs(self, inputs: Tensor, noise: Sequence[Tensor] = ()) -> tuple[list[Tensor], list[Tensor]]:
        """The inputs, each hidden layer's values, and the logits; and the same before each layer's own noise."""
        values, clean = [inputs], [inputs]
        layers = self._network.unpack(self._weights)
        for depth, (matrix, bias) in enumerate(layers, start=1):
            z = torch.baddbmm(bias.unsqueeze(-1), matrix, values[-1])
            clean.append(z if depth == len(layers) else activate(self._network.activation, z))
            values.append(clean[-1] + noise[depth - 1] if depth <= len(noise) else clean[-1])
        return values, clean

    def _take_step(self, samples: Tensor, noise: Sequence[Tensor] = ()) -> Tensor:
        """Forward, backward and one step of the optimiser on one batch per replica; the gradient (replica, parameter)."""
        inputs, labels = self._gathered(samples)
        values, clean = self._outputs(inputs, noise)
        delta = torch.softmax(values[-1], 1)
        hot = torch.zeros_like(delta).scatter_(1, labels.unsqueeze(1), 1.0)
        delta = (delta - hot) / samples.shape[1]
        parts: list[Tensor] = []
        layers = self._network.unpack(self._weights)
        for depth in range(len(layers) - 1, -1, -1):
            below = values[depth]
            parts = [torch.bmm(delta, below.transpose(1, 2)).flatten(1), delta.sum(2), *parts]
            if depth > 0:
                delta = torch.bmm(layers[depth][0].transpose(1, 2), delta) * self._slope(clean[depth])
        gradient = torch.cat(parts, 1)
        self._step += 1
        chosen = self._configuration
        if chosen.optimizer == "adam":
            self._first.mul_(0.9).add_(gradient, alpha=0.1)
            self._second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
            pace = (chosen.learning_rate / (1 - 0.9**self._step)).float()
            correction = (1 / torch.sqrt(1 - 0.999**self._step)).float()
            self._weights.sub_(pace * self._first / (self._second.sqrt() * correction + 1e-8))
        else:
            self._first.mul_(chosen.momentum).add_(gradient)
            self._weights.sub_(self._first, alpha=chosen.learning_rate)
        return gradient

    def _slope(self, values: Tensor) -> Tensor:
        """σ' in terms of σ, without noise."""
        kind = self._network.activation
        if kind == "tanh":
            return 1 - values * values
        if kind == "relu":
            return (values > 0).to(values.dtype)
        if kind == "sigmoid":
            return values * (1 - values)
        return torch.ones_like(values)

    # -- what is read off ---------------------------------------------------------------------------------------------

    def _evaluated(self) -> Tensor:
        """Metrics (replica, 4) of the weights as they are."""
        columns: list[Tensor] = []
        for samples in (self._train, self._test):
            if samples.shape[1] == 0:
                columns += [torch.full_like(columns[0], torch.nan)] * 2
                continue
            inputs, labels = self._gathered(samples)
            noise = [draw[:, samples].transpose(0, 1) for draw in self._evaluation_noise]
            logits = self._outputs(inputs, noise)[0][-1]
            own = logits.gather(1, labels.unsqueeze(1)).squeeze(1)
            columns.append((torch.logsumexp(logits, 1) - own).mean(1))
            columns.append((own == logits.amax(1)).float().mean(1))
        return torch.stack(columns, 1)
