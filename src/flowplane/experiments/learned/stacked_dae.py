"""Is a stack of denoising autoencoders a composition of them? (A-6; docs/papers.md §A9)

Trained stacks of three layers are decoded into the ground space and laid beside the anisotropic composition, whose D comes
from the decoders. The rule, fixed before the settings: of layers 2 and 3, each by each density, the relative error (rms
difference of the displacements over the rms of the composition's) is below `LIMIT` and below `SHARE` of that of each
control, by the 95 % intervals of their means over seeds: reproduced. Not better than a control: contradicted. Else
inconclusive. Controls: the isotropic composition with noise of the same trace, an untrained stack in place of the trained
one, and the composition at other points (shuffled pairing).

Densities, noise and steps were chosen after trial runs, so that networks of this size learn them: with narrower two moons
(0.2, t = 0.05, 1000 steps) the first layer alone is 40 % off its own optimum, and nothing can be said of the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr

from flowplane import plot
from flowplane.core.streams import EVALUATION, EXTENT, WEIGHTS, generator
from flowplane.experiments.claim import Claim
from flowplane.experiments.learned.stacked_exact import (
    layer_errors,
    linear_claims,
    linear_errors,
    local_claims,
    local_errors,
)
from flowplane.experiments.registry import Context, Result
from flowplane.experiments.verdicts import mean_and_ends, means
from flowplane.transport import Autoencoder, Composition, LearnedDenoiser, Stack, stack
from flowplane.transport.densities import Density, GaussianMixture, Normal, two_moons
from flowplane.transport.learned.decoders import Decoders

__all__ = ["equivalence_claim", "run"]

LIMIT, SHARE = 0.25, 0.5
HIDDEN = (32, 32)
#: Of the decoders.
SHAPES: dict[str, tuple[int, ...]] = {"affine": (), "curved": (16,)}
CONTROLS = ("isotropic, same trace", "untrained", "shuffled pairing")


@dataclass(frozen=True)
class Scale:
    """What differs from scale to scale."""

    steps: int
    seeds: int
    #: Points at which maps are compared, and at which the decoders' noise is measured.
    samples: int
    #: Random stacks of affine layers.
    draws: int
    #: Points at which curved decoders are compared with the local statement.
    local: int
    #: Layers of a stack.
    depth: int = 3
    #: That carry the density between layers of curved decoders.
    nodes: int = 4096


SCALES = {
    "quick": Scale(steps=300, seeds=3, samples=500, draws=12, local=200),
    "full": Scale(steps=2000, seeds=5, samples=2000, draws=60, local=1000),
    "tiny": Scale(steps=60, seeds=1, samples=30, draws=2, local=10, depth=2, nodes=400),
}


def run(context: Context) -> Result:
    """Trained stacks beside their compositions; affine layers in closed form; curved decoders in closed form."""
    scale = SCALES[context.scale]
    measured, fields = _trained(context)
    linear, local = linear_errors(scale.draws, context.seed), local_errors(scale.local, context.seed)
    trained = {shape: equivalence_claim(shape, measured.sel(decoders=shape)) for shape in SHAPES}
    return Result(
        datasets={"stacked-errors": measured, "stacked-fields": fields, "linear": linear, "local": local},
        figures={
            "stacked-dae": plot.displacement_fields(fields, "Two moons: what a stack's layers do in the ground space"),
            "stacked-errors": plot.equivalence_errors(measured, "Decoded stacks against compositions"),
            "stacked-local": plot.error_orders(local, "Curved decoders: how local is the composition?"),
        },
        claims=[_all(trained["affine"]), *trained.values(), *linear_claims(linear), *local_claims(local)],
    )


def equivalence_claim(decoders: str, found: xr.Dataset) -> Claim:
    """The claim that the error of each layer and density is small, and small beside every control's.

    Arguments:
        decoders: one of `SHAPES`.
        found: `error` over (density, seed, against, layer), the composition first, then the controls.
    """
    values = found["error"].transpose("seed", "against", "density", "layer").values
    values = values.reshape(*values.shape[:2], -1)
    highest = mean_and_ends(values[:, 0])[2]
    share, least, most = mean_and_ends((values[:, :1] / values[:, 1:]).reshape(len(values), -1))
    if (highest < LIMIT).all() and (most < SHARE).all():
        verdict = "reproduced"
    else:
        verdict = "contradicted" if (least >= 1).any() else "inconclusive"
    listed = ", ".join(map(str, found["density"].values))
    return Claim(
        id=f"A-6.{decoders}",
        role="part",
        statement=f"decoded layers 2, 3 of trained stacks with {decoders} decoders are those of the anisotropic composition "
        f"({listed}): relative errors; largest share of a control's {share.max():.2f}",
        **means(values[:, 0]),
        reference=(0.0,) * len(highest),
        tolerance=(LIMIT,) * len(highest),
        verdict=verdict,
        units="1",
    )


def _all(affine: Claim) -> Claim:
    """Stack and composition are the same where decoders are affine: there §A9 is exact. Curved ones have their own claim."""
    worst = int(np.argmax(affine.measured))
    return Claim(
        id="A-6",
        role="headline",
        statement="stacked ≡ composition of denoising autoencoders, trained, affine decoders: largest mean relative error",
        measured=(affine.measured[worst],),
        interval=None if affine.interval is None else (affine.interval[worst],),
        reference=(0.0,),
        tolerance=(LIMIT,),
        verdict=affine.verdict,
        units="1",
    )


def _densities() -> dict[str, tuple[Density, float]]:
    """Each with the variance of the noise of a layer in the ground space."""
    spread = [[[0.3, 0.1], [0.1, 0.4]], [[0.4, -0.15], [-0.15, 0.3]]]
    return {
        "Gaussian": (Normal([0.3, -0.2], [[2.0, 0.5], [0.5, 1.0]]), 0.3),
        "mixture": (GaussianMixture([0.4, 0.6], [[-1.0, 0.3], [1.0, -0.2]], spread), 0.15),
        "two moons": (two_moons(0.3), 0.2),
    }


def _trained(context: Context) -> tuple[xr.Dataset, xr.Dataset]:
    """Relative errors over (decoders, density, seed, against, layer), and displacement fields of one stack."""
    scale = SCALES[context.scale]
    rows: list[Any] = []
    fields = None
    for shape in SHAPES.values():
        rows.append([])
        for name, (density, time) in _densities().items():
            rows[-1].append([])
            for k in range(scale.seeds):
                seed = 1000 * context.seed + k
                made = _stacked(density, time, shape, seed, context)
                x = np.asarray(density.sample(scale.samples, generator(seed, EVALUATION)))
                exact = made.composition(density, nodes=scale.nodes)
                alike = made.composition(density, _isotropic(made, x))
                blank = _untrained(density, time, shape, seed, scale.depth)
                rows[-1][-1].append(
                    [
                        layer_errors(made, exact, x)[1:],
                        layer_errors(made, alike, x)[1:],
                        layer_errors(blank, exact, x)[1:],
                        layer_errors(made, exact, x, shift=1)[1:],
                    ]
                )
                if fields is None and name == "two moons":
                    fields = _fields(made, exact, alike, x[:150])
    layers = list(range(2, scale.depth + 1))
    about = {"long_name": "rms difference over rms displacement", "units": "1"}
    dims = ("decoders", "density", "seed", "against", "layer")
    coords = {
        "decoders": list(SHAPES),
        "density": list(_densities()),
        "against": ["composition", *CONTROLS],
        "layer": layers,
    }
    assert fields is not None
    return xr.Dataset({"error": (dims, np.array(rows), about)}, coords, {"limit": LIMIT}), fields


def _stacked(density: Density, time: float, shape: tuple[int, ...], seed: int, context: Context) -> Stack:
    """A trained stack whose layers' noise has on average the same trace in the ground space."""
    scale = SCALES[context.scale]
    options: dict[str, Any] = {"steps": scale.steps, "seed": seed, "device": context.device}
    made = stack(HIDDEN, density, noise_covariance=time, depth=1, decoder_hidden=shape, **options)
    for depth in range(2, scale.depth + 1):
        covariance = _feature_time(list(made.layers), density, time)
        made = stack(None, density, noise_covariance=covariance, depth=depth, start=made, **options)
    return made


def _untrained(density: Density, time: float, shape: tuple[int, ...], seed: int, depth: int) -> Stack:
    """First weights as training finds them: scaled to the data, and to the features of the layer before."""
    layers: list[Any] = []
    for k in range(depth):
        z = Decoders(layers).encode(density.draw(4000, generator(0, EXTENT)).double().cpu()).detach()
        variance = _feature_time(layers, density, time)
        network = Autoencoder(2, 2, hidden=HIDDEN, decoder_hidden=shape, seed=generator(seed, WEIGHTS, k)).double()
        network.standardise(z.mean(0), z.var(0), torch.full((2,), variance, dtype=z.dtype, device=z.device))
        layers.append(LearnedDenoiser(network, variance))
    return Stack(layers, source=density)


def _feature_time(layers: list[Any], density: Density, time: float) -> float:
    """The variance among the features of which the ground space sees `time` per coordinate, on average."""
    if not layers:
        return time
    decoders = Decoders(layers)
    x = density.draw(4000, generator(0, EXTENT)).double().to(layers[0].noise_covariance.device)
    with torch.no_grad():
        root = decoders.jacobian(decoders.encode(x))
    return time * density.dimension / float(root.square().sum((1, 2)).mean())


def _isotropic(made: Stack, x: np.ndarray) -> list[np.ndarray]:
    """Multiples of the identity with the mean trace of each layer's D."""
    d = made.dimension
    traces = [
        float(np.trace(made.decoded_covariance(x, k), axis1=1, axis2=2).mean()) for k in range(1, len(made.layers) + 1)
    ]
    return [trace / d * np.eye(d) for trace in traces]


def _fields(made: Stack, exact: Composition, alike: Composition, x: np.ndarray) -> xr.Dataset:
    """What layers 2 and 3 of each do at the same points, the stack's own before the layer."""
    columns = {"decoded stack": made.maps, "anisotropic composition": exact.maps, "isotropic control": alike.maps}
    layers = range(2, len(made.layers) + 1)
    places = np.stack([made.decoded(x, k - 1) for k in layers])
    moves = np.stack([[maps[k - 1](places[i]) - places[i] for i, k in enumerate(layers)] for maps in columns.values()])
    length = {"units": "units of x"}
    return xr.Dataset(
        {
            "position": (("layer", "sample", "feature"), places, length),
            "displacement": (("panel", "layer", "sample", "feature"), moves, length),
        },
        {"panel": list(columns), "layer": list(layers)},
    )
