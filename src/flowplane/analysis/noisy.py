"""The information of networks with noise of their own, from their weights: the reference for estimators."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int
from torch import Tensor

from flowplane.core import streams
from flowplane.core.network import Network, activate
from flowplane.core.points import check_count, check_seed
from flowplane.core.progress import progress_bar
from flowplane.core.results import Z, stamp
from flowplane.errors import InputError, Text
from flowplane.information.schema import FLAGS, QUANTITIES, estimate_dataset, parameters_text
from flowplane.recording import Block, Recording, by_snapshot, require_recording
from flowplane.tasks import Task

__all__ = ["noisy_information"]

#: Noisy paths in the bank that stands for all inputs together, at least this many and an even number per input.
BANK = 1 << 15
#: Kernel values (outputs × paths) worked on together.
BLOCK = 1 << 21
#: |t|²/σ² up to which squared distances from a product of float32 matrices leave less than 0.001 nat of error.
SINGLE = 1e4
#: Logarithm of a density relative to the greatest, at which it is cut off below: exp is fifty times slower where it
#: underflows.
LEAST = -80.0
#: `saturated` where I(X;T) exceeds this share of H(X); `too_few_samples` where the bias removed is more bits than this.
SATURATION, MOST_BIAS = 0.99, 0.1


def noisy_information(rec: Recording, *, draws: int = 4096, paths: int = 256, seed: int = 0) -> xr.Dataset:
    """I(X;T), I(T;Y) and h(T) of every layer of networks with noise of their own, by propagating samples (Goldfeld et al.).

    Given the path of the noise through the earlier layers, T_l is Gaussian around S_l = σ(W T_{l−1} + b), so that
    p(t|x) = E N(t; S_l, σ²I) over paths from x, p(t) = Σ p(x) p(t|x), and

        I(X;T) = E log p(t|x)/p(t),    I(T;Y) = H(Y) − E H(p(y|t)),    h(T) = −E log p(t),

    where the expectations are over fresh outputs t and the densities are mixtures over paths that are independent of them.
    Only the path to a layer is sampled: its own noise is integrated exactly, so layer 1 has no bias. The bias of log of a
    mean, of first order in the number of paths, is removed by half-samples (2 F − (F₁ + F₂)/2).

    The softmax T_L has no noise of its own, but is in one-to-one correspondence with the projection of T_{L−1} on the
    differences of the rows of W, where the noise of T_{L−1} is Gaussian again: its information is that projection's. Its
    h(T) is NaN: there is no density on the simplex.

    See also: Goldfeld et al. (ICML 2019), arXiv 1810.05728; the smoothing behind it is theirs in arXiv 1810.11589.

    Arguments:
        rec: a recording of networks with noise; its task's inputs are all there are, weighted by their p(x).
        draws: fresh outputs t per layer and snapshot, dealt out evenly over p(x).
        paths: noise paths from the x of each of these outputs, for p(t|x), an even number. A bank of about 32,768 paths
            stands for the other inputs. Memory is about 16 bytes × draws × paths × the widest layer.
        seed: of the noise. A snapshot's value does not depend on which others are asked for; epochs share the draws,
            replicas do not.

    Returns:
        Dataset (replica, epoch, layer) in the schema of the estimators: `i_xt`, `i_ty`, `h_t` in bits (h_t is a
        differential entropy), each with `_lower` and `_upper`: 1.96 Monte Carlo standard errors and the removed bias
        on either side; `i_xt_error`, `i_ty_error`, `h_t_error`: the standard errors; `flags`: `saturated`, or
        `too_few_samples` where the removed bias exceeds 0.1 bit, as it does in wide layers whose noise is small beside
        what the weights make of it. Values may leave [0, H(X)] by their error.

    Raises:
        InputError: not a Recording, networks without noise, or an invalid number of draws or paths.

    Example:
        >>> import flowplane as fp
        >>> rec = fp.train(fp.tasks.spherical_rule(), hidden=(3,), noise_variance=0.1, replicas=1, epochs=2, snapshots=2)
        >>> plane = noisy_information(rec.sel(epoch=2), draws=256)
        >>> bool(0.5 < plane.i_xt.sel(layer="layer1") < 12), plane.i_xt.units
        (True, 'bits')
    """
    rec = require_recording(rec)
    if rec.deterministic:
        raise InputError(
            "rec", Text("networks without noise"), "networks with noise of their own, from fp.train(…, noise_variance=…)"
        )
    draws, paths = check_count("draws", draws, 2), check_count("paths", paths, 2)
    if paths % 2:
        raise InputError("paths", paths, "an even number, so that there are two halves")
    seed = check_seed(seed)
    law = _Law.of(rec.task)

    def compute(part: Recording, layers: Sequence[str]) -> dict[str, Block]:
        found = {layer: np.empty((len(part.replicas), len(part.epochs), 3, 3)) for layer in layers}
        with progress_bar("propagating noise", len(part.replicas) * len(part.epochs)) as advance:
            for place, replica in enumerate(part.replicas.tolist()):
                key = int(streams.stream_key(seed, replica, streams.DRAWS) >> np.uint64(1))
                for column, weights in enumerate(torch.tensor(part.weights.isel(replica=place).values, device="cpu")):
                    for layer, summary in _layers(part.network, weights, law, draws, paths, key, tuple(layers)):
                        found[layer][place, column] = summary
                    advance(1)
        return {layer: Block({"summary": values}) for layer, values in found.items()}

    computations = {layer: ("noisy_information", layer, draws, paths, seed) for layer in rec.layers}
    blocks = by_snapshot(rec, computations, compute)
    snapshots = np.stack([blocks[layer].arrays["summary"] for layer in rec.layers], axis=2)
    return _dataset(rec, law, snapshots, {"draws": draws, "paths": paths, "seed": seed})


@dataclass(frozen=True)
class _Law:
    """The distinct inputs and p(x, y)."""

    inputs: Float[Tensor, "x feature"]
    joint: Float[Tensor, "x class"]

    @classmethod
    def of(cls, task: Task) -> _Law:
        inputs, place = np.unique(task.inputs, axis=0, return_inverse=True)
        joint = np.zeros((len(inputs), task.classes))
        np.add.at(joint, place.ravel(), task.joint)
        possible = joint.sum(axis=1) > 0
        return cls(torch.tensor(inputs[possible], device="cpu"), torch.tensor(joint[possible], device="cpu"))

    @property
    def label_entropy(self) -> float:
        return float(torch.special.entr(self.joint.sum(0)).sum())

    def dealt(self, draws: int, generator: torch.Generator) -> Int[Tensor, " draw"]:
        """The x of each draw: every x gets draws·p(x) of them, rounded up or down at random so that the mean is right."""
        start = torch.rand((), generator=generator, dtype=torch.float64, device="cpu")
        steps = (torch.arange(draws, dtype=torch.float64, device="cpu") + start) / draws
        return torch.searchsorted(self.joint.sum(1).cumsum(0), steps, right=True).clamp(max=len(self.joint) - 1)


class _Paths(NamedTuple):
    """Values of a layer: along the bank's paths, along those from the x of each fresh output, and of these outputs."""

    bank: Float[Tensor, "x path unit"]
    own: Float[Tensor, "draw path unit"]
    fresh: Float[Tensor, "draw unit"]

    def through(self, network: Network, matrix: Tensor, bias: Tensor) -> _Paths:
        """What the next layer makes of them, before its noise."""
        return _Paths(*(activate(network.activation, values @ matrix.T + bias) for values in self))

    def noisy(self, scale: float, each: int, paths: int, generator: torch.Generator) -> _Paths:
        """With fresh noise; where there was none before, one path becomes many."""

        def added(values: Tensor, count: int) -> Tensor:
            shape = (values.shape[0], count, values.shape[2])
            return values + scale * torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")

        fresh = self.fresh + scale * torch.randn(self.fresh.shape, generator=generator, dtype=torch.float32, device="cpu")
        return _Paths(added(self.bank, each), added(self.own, paths), fresh)

    def projected(self, basis: Float[Tensor, "unit direction"]) -> _Paths:
        return _Paths(*(values @ basis for values in self))


def _layers(
    network: Network, weights: Tensor, law: _Law, draws: int, paths: int, key: int, wanted: tuple[str, ...]
) -> Iterator[tuple[str, Float[np.ndarray, "quantity 3"]]]:
    """For the wanted layers of one snapshot: I(X;T), I(T;Y), h(T) in bits, their standard errors, the bias removed."""
    generator = torch.Generator().manual_seed(key)
    x = law.dealt(draws, generator)
    each = max(2, 2 * math.ceil(BANK / 2 / len(law.inputs)))
    scale = math.sqrt(network.noise_variance)
    values = _Paths(law.inputs[:, None], law.inputs[x][:, None], law.inputs[x])
    centres, layers = values, network.unpack(weights)
    for layer, (matrix, bias) in zip(network.layers[:-1], layers[:-1], strict=True):
        centres = values.through(network, matrix, bias)
        values = centres.noisy(scale, each, paths, generator)
        if layer in wanted:
            yield layer, _summary(centres._replace(fresh=values.fresh), centres.fresh, x, law, scale)
    if network.layers[-1] in wanted:
        basis = _told_apart(layers[-1][0])
        told = centres._replace(fresh=values.fresh).projected(basis)
        summary = _summary(told, centres.fresh @ basis, x, law, scale)
        summary[2] = np.nan
        yield network.layers[-1], summary


def _told_apart(matrix: Float[Tensor, "class unit"]) -> Float[Tensor, "unit direction"]:
    """An orthonormal basis of the directions in which T_{L−1} moves the softmax: differences between logits."""
    _, sizes, directions = torch.linalg.svd((matrix - matrix.mean(0)).double(), full_matrices=False)
    return directions[sizes > 1e-6 * sizes.max()].T.to(matrix.dtype)


def _summary(layer: _Paths, centres: Tensor, x: Tensor, law: _Law, scale: float) -> Float[np.ndarray, "quantity 3"]:
    """Mean over fresh outputs, its standard error, and the bias removed, in bits."""
    middle = layer.bank.mean((0, 1))
    noise = (layer.fresh - centres).double() / scale
    scaled = _Paths(*((values - middle) / scale for values in layer))
    if float(max(scaled.fresh.square().sum(1).max(), scaled.bank.square().sum(2).max())) > SINGLE:
        scaled = _Paths(*(values.double() for values in scaled))
    whole, halves = _mixtures(scaled, x, law)
    corrected = 2 * whole - halves
    units = noise.shape[1]
    # the layer's own noise has a squared length of known mean, which serves as a control variate of −log p(t)
    surplus = noise.square().sum(1) / 2 - units / 2
    owed = (corrected[:, 2] - corrected[:, 2].mean()) @ surplus / surplus.square().sum()
    corrected[:, 2] += units * math.log(scale * math.sqrt(2 * math.pi)) - owed * surplus
    error = corrected.std(0) / math.sqrt(len(corrected))
    summary = torch.stack([corrected.mean(0), error, (halves - whole).mean(0)], 1) / math.log(2.0)
    return summary.numpy()


def _mixtures(layer: _Paths, x: Tensor, law: _Law) -> tuple[Float[Tensor, "draw quantity"], Float[Tensor, "draw quantity"]]:
    """log p(t|x)/p(t), H(Y) − H(p(y|t)) and −log p(t) of each fresh output, in nats, lengths in units of the noise.

    From all paths, and the mean of what either half of them gives.
    """
    bank, own, fresh = layer
    flat = bank.transpose(0, 1).flatten(0, 1)  # inputs last, along which sums over paths are fast
    lengths = flat.square().sum(1, keepdim=True) / 2
    sources = torch.cat([flat, -lengths], 1).T
    joint = law.joint
    share = bank.shape[1] / (bank.shape[1] + own.shape[1])  # of the bank among the paths from a fresh output's own x
    step = max(1, BLOCK // len(flat))
    whole, halves = [], []
    for first in range(0, len(fresh), step):
        t, place = fresh[first : first + step], x[first : first + step]
        near = -(own[first : first + step] - t[:, None]).square().sum(2) / 2
        kernels = torch.cat([t, torch.ones_like(t[:, :1])], 1) @ sources  # log N(t; S, I) but for −|t|²/2
        squares = t.square().sum(1) / 2
        top = torch.maximum(kernels.amax(1) - squares, near.amax(1))  # densities below are relative to exp(top)
        kernels.sub_((squares + top)[:, None]).clamp_(min=LEAST).exp_()
        given = _half_means(kernels.unflatten(1, (bank.shape[1], -1)), 1).double()
        rows = torch.arange(len(t), device=t.device)
        mine = (1 - share) * _half_means((near - top[:, None]).double().exp(), 1) + share * given[rows, :, place]
        given[rows, :, place] = mine
        both = given @ joint
        whole.append(_quantities(mine.mean(1), both.mean(1), top, law))
        first_half, second_half = (_quantities(mine[:, half], both[:, half], top, law) for half in (0, 1))
        halves.append((first_half + second_half) / 2)
    return torch.cat(whole), torch.cat(halves)


def _half_means(values: Tensor, dim: int) -> Tensor:
    """Means over the first and the second half of the paths, which lie on `dim`; twice the same where there is one path."""
    paths = values.shape[dim]
    return values.unflatten(dim, (2, -1)).mean(dim + 1) if paths > 1 else torch.cat([values, values], dim)


def _quantities(
    given: Float[Tensor, " draw"], joint: Float[Tensor, "draw class"], top: Float[Tensor, " draw"], law: _Law
) -> Float[Tensor, "draw quantity"]:
    """From p(t|x) and p(t, y), both relative to exp(top)."""
    least = torch.finfo(torch.float64).tiny
    density = joint.sum(1).clamp(min=least)
    ratio = given.clamp(min=least).log() - density.log()
    label = law.label_entropy - torch.special.entr(joint / density[:, None]).sum(1)
    return torch.stack([ratio, label, -density.log() - top.double()], 1)


def _dataset(rec: Recording, law: _Law, found: np.ndarray, parameters: dict[str, Any]) -> xr.Dataset:
    mean, error, bias = (np.moveaxis(found[..., part], -1, 0) for part in range(3))
    spread = Z * error + np.abs(bias)
    input_entropy = float(torch.special.entr(law.joint.sum(1)).sum() / math.log(2.0))
    saturated = np.where(mean[0] >= SATURATION * input_entropy, FLAGS.bits("saturated"), 0)
    few = np.where(np.abs(bias) > MOST_BIAS, FLAGS.bits("too_few_samples"), 0)
    dataset = estimate_dataset(
        ("replica", "epoch", "layer"),
        {"replica": rec.replicas, "epoch": rec.epochs, **rec.layer_coordinates()},
        dict(zip(QUANTITIES, mean, strict=True)),
        dict(zip(QUANTITIES, (saturated | few[0], few[1], few[2]), strict=True)),
        intervals={name: (m - s, m + s) for name, m, s in zip(QUANTITIES, mean, spread, strict=True)},
        errors=dict(zip(QUANTITIES, error, strict=True)),
        about={
            "estimator": "noisy_information",
            "parameters": parameters_text(parameters),
            "channel": f"the network's own noise of variance {rec.network.noise_variance:.6g}",
            "i_xt": {"x": "equal inputs are one x"},
            "i_ty": {"labels": "hard labels" if rec.task.conditional is None else "soft rule p(y|x)"},
        },
    )
    return stamp(
        dataset,
        "noisy_information",
        seed=parameters["seed"],
        samples="all",
        input_entropy=input_entropy,
        label_information=rec.task.information,
        **rec.identity,
    )
