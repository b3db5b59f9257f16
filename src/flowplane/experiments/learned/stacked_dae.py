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

from typing import Any

import numpy as np
import torch
import xarray as xr

from flowplane.core.streams import EVALUATION, EXTENT, WEIGHTS, generator
from flowplane.experiments.claim import Claim, mean_interval, with_ends
from flowplane.experiments.learned.stacked_exact import (
    layer_errors,
    linear_claims,
    linear_errors,
    local_claims,
    local_errors,
)
from flowplane.experiments.registry import Context, Result
from flowplane.plot import convergence, displacement_fields, equivalence_errors
from flowplane.transport import Autoencoder, Composition, LearnedDenoiser, Stack, stack
from flowplane.transport.densities import Density, GaussianMixture, Normal, two_moons
from flowplane.transport.learned.decoders import Decoders

__all__ = ["equivalence_claim", "run"]

LIMIT, SHARE = 0.25, 0.5
DEPTH = 3
STEPS = {"quick": 300, "full": 2000}
SEEDS = {"quick": 3, "full": 5}
HIDDEN = (32, 32)
#: Of the decoders.
SHAPES: dict[str, tuple[int, ...]] = {"affine": (), "curved": (16,)}
#: Points at which maps are compared, and at which the decoders' noise is measured.
SAMPLES = {"quick": 500, "full": 2000}
DRAWS = {"quick": 12, "full": 60}
LOCAL = {"quick": 200, "full": 1000}
CONTROLS = ("isotropic, same trace", "untrained", "shuffled pairing")


def run(context: Context) -> Result:
    """Trained stacks beside their compositions; affine layers in closed form; curved decoders in closed form."""
    measured, fields = _trained(context)
    linear, local = linear_errors(DRAWS[context.scale], context.seed), local_errors(LOCAL[context.scale], context.seed)
    trained = [equivalence_claim(f"A-6.{shape}", measured.sel(decoders=shape), context.scale) for shape in SHAPES]
    return Result(
        datasets={"stacked-errors": measured, "stacked-fields": fields, "linear": linear, "local": local},
        figures={
            "stacked-dae": displacement_fields(fields, "Two moons: what a stack's layers do in the ground space"),
            "stacked-errors": equivalence_errors(measured, "Decoded stacks against compositions"),
            "stacked-local": convergence(local, "Curved decoders: how local is the composition?"),
        },
        claims=[
            _all(trained, context.scale),
            *trained,
            *linear_claims(linear, context.scale),
            *local_claims(local, context.scale),
        ],
    )


def equivalence_claim(name: str, found: xr.Dataset, scale: str) -> Claim:
    """The claim that the error of each layer and density is small, and small beside every control's.

    Arguments:
        found: `error` over (density, seed, against, layer), the composition first, then the controls.
    """
    values = found["error"].transpose("seed", "against", "density", "layer").values
    values = values.reshape(*values.shape[:2], -1)
    mean, interval, _ = mean_interval(values[:, 0])
    shares = (values[:, :1] / values[:, 1:]).reshape(len(values), -1)
    share, share_interval, _ = mean_interval(shares)
    if (interval[:, 1] < LIMIT).all() and (share_interval[:, 1] < SHARE).all():
        verdict = "reproduced"
    else:
        verdict = "contradicted" if (share_interval[:, 0] >= 1).any() else "inconclusive"
    kind = name.rpartition(".")[2]
    listed = ", ".join(map(str, found["density"].values))
    statement = (
        f"decoded layers 2, 3 of trained stacks with {kind} decoders are those of the anisotropic composition "
        f"({listed}): relative errors; largest share of a control's {share.max():.2f}"
    )
    numbers, ends = with_ends(mean, interval[:, 0], interval[:, 1])
    limits = (LIMIT,) * len(numbers)
    return Claim(name, statement, numbers, ends, (0.0,) * len(numbers), limits, verdict, scale, 0.0, "1")


def _all(parts: list[Claim], scale: str) -> Claim:
    """Stack and composition are the same where decoders are affine: there §A9 is exact. Curved ones have their own claim."""
    affine = parts[0]
    worst = int(np.argmax(affine.measured))
    ends = None if affine.interval is None else (affine.interval[worst],)
    statement = "stacked ≡ composition of denoising autoencoders, trained, affine decoders: largest mean relative error"
    return Claim("A-6", statement, (affine.measured[worst],), ends, (0.0,), (LIMIT,), affine.verdict, scale, 0.0, "1")


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
    rows: list[Any] = []
    fields = None
    for shape in SHAPES.values():
        rows.append([])
        for name, (density, time) in _densities().items():
            rows[-1].append([])
            for k in range(SEEDS[context.scale]):
                seed = 1000 * context.seed + k
                made = _stacked(density, time, shape, seed, context)
                x = np.asarray(density.sample(SAMPLES[context.scale], generator(seed, EVALUATION)))
                exact, alike = made.composition(density), made.composition(density, _isotropic(made, x))
                blank = _untrained(density, time, shape, seed)
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
    layers = list(range(2, DEPTH + 1))
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
    options: dict[str, Any] = {"steps": STEPS[context.scale], "seed": seed, "device": context.device}
    made = stack(HIDDEN, density, noise_covariance=time, depth=1, decoder_hidden=shape, **options)
    for depth in range(2, DEPTH + 1):
        covariance = _feature_time(list(made.layers), density, time)
        made = stack(None, density, noise_covariance=covariance, depth=depth, start=made, **options)
    return made


def _untrained(density: Density, time: float, shape: tuple[int, ...], seed: int) -> Stack:
    """First weights as training finds them: scaled to the data, and to the features of the layer before."""
    layers: list[Any] = []
    for k in range(DEPTH):
        z = Decoders(layers).encode(density.draw(4000, generator(0, EXTENT)).double().cpu()).detach()
        variance = _feature_time(layers, density, time)
        network = Autoencoder(2, 2, hidden=HIDDEN, decoder_hidden=shape, seed=generator(seed, WEIGHTS, k)).double()
        network.standardise(z.mean(0), z.var(0), torch.full((2,), variance).to(z))
        layers.append(LearnedDenoiser(network, variance))
    return Stack(layers, source=density)


def _feature_time(layers: list[Any], density: Density, time: float) -> float:
    """The variance among the features of which the ground space sees `time` a coordinate, on average."""
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
    traces = [float(np.trace(made.decoded_covariance(x, k), axis1=1, axis2=2).mean()) for k in range(1, DEPTH + 1)]
    return [trace / d * np.eye(d) for trace in traces]


def _fields(made: Stack, exact: Composition, alike: Composition, x: np.ndarray) -> xr.Dataset:
    """What layers 2 and 3 of each do at the same points, the stack's own before the layer."""
    columns = {"decoded stack": made.maps, "anisotropic composition": exact.maps, "isotropic control": alike.maps}
    layers = range(2, DEPTH + 1)
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
