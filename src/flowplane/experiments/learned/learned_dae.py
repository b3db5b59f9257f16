"""Does a trained autoencoder reach the optimal map? (claim A-7; docs/papers.md §A3, §A6)"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr

from flowplane import plot
from flowplane.core import streams
from flowplane.core.threads import one_thread
from flowplane.experiments.learned.learned_claims import all_claims
from flowplane.experiments.registry import Context, Result
from flowplane.transport import DenoisingNetwork, LearnedDenoiser, TransportMap, denoising_flow, train_denoiser
from flowplane.transport.densities import Density, Empirical, GaussianMixture, Normal, rings, two_moons

__all__ = ["run"]

#: A batch of the affine network: what Adam averages over at the end, a tenth of all pairs, has to be far above n.
LARGE = 4096
#: Points that are to be remembered, and steps of a network that does so.
FEW = 10
#: The other noise of the control, times the noise that is to be taken away.
OTHER = 4.0
SQUARED = {"units": "1", "long_name": "E|g − g*|²/E|g* − x̃|²"}


@dataclass(frozen=True)
class Scale:
    """What differs from scale to scale."""

    #: Sizes of the training sets.
    samples: tuple[int, ...]
    seeds: int
    steps: int
    #: Of two hidden layers, where the error is followed over the width.
    widths: tuple[int, ...]
    #: Noisy points on which maps are compared.
    judges: int
    densities: tuple[str, ...] = ("N(0, Σ)", "mixture", "two moons")
    hidden: tuple[int, ...] = (64, 64)
    #: Of the pictures, in each dimension.
    grid: int = 121


SCALES = {
    "quick": Scale(samples=(100, 800, 6400), seeds=3, steps=600, widths=(2, 8, 32), judges=4000),
    "full": Scale(
        samples=(100, 400, 1600, 6400, 25_600),
        seeds=5,
        steps=3000,
        widths=(2, 4, 8, 16, 32, 64),
        judges=10_000,
        densities=("N(0, Σ)", "mixture", "two moons", "rings"),
    ),
    "tiny": Scale(samples=(100, 200), seeds=2, steps=20, widths=(2, 4), judges=100, hidden=(8,), grid=21),
}


class Case(NamedTuple):
    """A density, a variance of the noise, and what is known of them."""

    density: Density
    variance: float
    optimal: TransportMap
    noisy: torch.Tensor
    best: torch.Tensor

    @classmethod
    def of(cls, density: Density, variance: float, judges: int, seed: int) -> Case:
        noisy = density.smoothed(variance).draw(judges, streams.generator(seed, streams.EVALUATION))
        optimal = denoising_flow(density, variance, 1)
        return cls(density, variance, optimal, noisy, optimal.forward(noisy))

    def error(self, g: TransportMap) -> float:
        """E|g − g*|²/E|g* − x̃|², 1 for the identity."""
        return float((g.forward(self.noisy) - self.best).square().sum(1).mean() / self.moved)

    @property
    def gaussian(self) -> bool:
        """Whether the optimal map is affine."""
        return isinstance(self.density, Normal)

    @property
    def moved(self) -> float:
        """E|g* − x̃|²."""
        return float((self.best - self.noisy).square().sum(1).mean())

    @property
    def least_loss(self) -> float:
        """E tr Cov(x|x̃) = td − E|g* − x̃|², by tr Cov(ε) = E|x̃ − g*|² + E|g* − x|²."""
        return self.variance * self.density.dimension - self.moved


def run(context: Context) -> Result:
    """Errors against the size of the sample and the width; beside them networks untrained, wrongly trained, remembering."""
    with one_thread():
        cases = _cases(context)
        errors = _by_samples(cases, context)
        widths = _by_width(cases, context)
        controls = _controls(cases, context)
        memory = _memory(cases, context)
        fields = {name: _field(case, context) for name, case in cases.items() if name in ("mixture", "two moons")}
    return Result(
        datasets={
            "errors": errors,
            "widths": widths,
            "controls": controls,
            "memory": memory,
            **{f"field-{name.replace(' ', '-')}": field for name, field in fields.items()},
        },
        figures={
            "learned-dae": plot.denoiser_fields(fields, "What a network learns to do, and what is best"),
            "sample-size": plot.error_orders(_curves(errors), "Trained denoisers tend to the optimal map"),
            "width": plot.sweep(
                widths.rename(seed="replica"),
                "error",
                along="width",
                by="density",
                title="Wider networks come nearer",
                log=True,
            ),
        },
        claims=all_claims(errors, widths, controls, memory),
    )


def _cases(context: Context) -> dict[str, Case]:
    known: dict[str, tuple[Density, float]] = {
        "N(0, Σ)": (Normal([0.0, 0.0], [[1.0, 0.4], [0.4, 0.5]]), 0.3),
        "mixture": (GaussianMixture([0.3, 0.7], [[-1.0, 0.0], [1.0, 0.5]], [0.05, 0.1]), 0.2),
        "two moons": (two_moons(0.1), 0.05),
        "rings": (rings(0.1), 0.05),
    }
    scale = SCALES[context.scale]
    return {name: Case.of(*known[name], scale.judges, context.seed) for name in scale.densities}


def _stream(context: Context, k: int) -> np.random.Generator:
    """Of the points that network k is trained on."""
    return streams.generator(context.seed, streams.SAMPLES, k)


def _train(network: Any, case: Case, data: Any, context: Context, seed: int, **options: Any) -> LearnedDenoiser:
    settings: dict[str, Any] = {"steps": SCALES[context.scale].steps, "noise_covariance": case.variance} | options
    return train_denoiser(network, data, seed=context.seed + seed, device=context.device, **settings)


def _by_samples(cases: dict[str, Case], context: Context) -> xr.Dataset:
    """Networks, an affine map and the empirical denoiser, made from the first n points of a sample."""
    scale = SCALES[context.scale]
    sizes, seeds = scale.samples, scale.seeds
    shape = (len(cases), len(sizes), seeds)
    learned, affine, attention, excess = (np.full(shape, np.nan) for _ in range(4))
    for i, case in enumerate(cases.values()):
        for k in range(seeds):
            sample = case.density.draw(max(sizes), _stream(context, k))
            for j, n in enumerate(sizes):
                points = sample[:n]
                learned[i, j, k] = case.error(_train(scale.hidden, case, points, context, k))
                attention[i, j, k] = case.error(denoising_flow(Empirical(points), case.variance, 1))
                if case.gaussian:
                    affine[i, j, k] = case.error(_train((), case, points, context, k, validation=0.0, batch_size=LARGE))
        excess[i] = learned[i] * case.moved / case.least_loss
    dims = ("density", "samples", "seed")
    return xr.Dataset(
        {
            "error": (dims, learned, SQUARED),
            "affine_error": (dims, affine, SQUARED | {"long_name": "the same of an affine network"}),
            "attention_error": (dims, attention, SQUARED | {"long_name": "the same of the empirical denoiser"}),
            "excess": (dims, excess, {"units": "1", "long_name": "(loss of g − loss of g*)/loss of g*"}),
        },
        {"density": list(cases), "samples": list(sizes), "seed": range(seeds)},
        {"variances": [case.variance for case in cases.values()], "hidden": scale.hidden, "steps": scale.steps},
    )


def _by_width(cases: dict[str, Case], context: Context) -> xr.Dataset:
    """Two hidden layers of a width each, points of their own at every step: only the network is at fault."""
    widths, seeds = SCALES[context.scale].widths, SCALES[context.scale].seeds
    curved = {name: case for name, case in cases.items() if not case.gaussian}
    errors = [
        [[case.error(_train((w, w), case, case.density, context, k)) for k in range(seeds)] for w in widths]
        for case in curved.values()
    ]
    return xr.Dataset(
        {"error": (("density", "width", "seed"), errors, SQUARED)},
        {
            "density": list(curved),
            "width": ("width", list(widths), {"long_name": "units of each hidden layer"}),
            "seed": range(seeds),
        },
    )


def _controls(cases: dict[str, Case], context: Context) -> xr.Dataset:
    """What is not trained, or for another noise, on the largest sample's size."""
    scale = SCALES[context.scale]
    seeds, n = scale.seeds, max(scale.samples)
    names = ("untrained network", f"trained at {OTHER:g} t")
    errors = np.empty((len(cases), len(names), seeds))
    for i, case in enumerate(cases.values()):
        for k in range(seeds):
            network = DenoisingNetwork(case.density.dimension, scale.hidden, seed=context.seed + k)
            points = case.density.draw(n, _stream(context, k))
            network.standardise(
                points.mean(0).cpu(), points.var(0).cpu(), torch.full((2,), case.variance, dtype=torch.float32, device="cpu")
            )
            errors[i, 0, k] = case.error(LearnedDenoiser(network.double(), case.variance))
            errors[i, 1, k] = case.error(
                _train(scale.hidden, case, points, context, k, noise_covariance=OTHER * case.variance)
            )
    return xr.Dataset(
        {"error": (("density", "control", "seed"), errors, SQUARED)},
        {"density": list(cases), "control": list(names), "seed": range(seeds)},
    )


def _memory(cases: dict[str, Case], context: Context) -> xr.Dataset:
    """A few points and nothing held out: the best for those points is attention over them, not g*."""
    scale = SCALES[context.scale]
    seeds = scale.seeds
    found = np.empty((2, len(cases), seeds))
    for i, case in enumerate(cases.values()):
        for k in range(seeds):
            points = case.density.draw(FEW, _stream(context, k))
            g = _train(scale.hidden, case, points, context, k, validation=0.0)
            few = Case.of(Empirical(points), case.variance, scale.judges, context.seed)
            found[0, i, k] = few.error(g)
            found[1, i, k] = float(
                (g.forward(few.noisy) - case.optimal.forward(few.noisy)).square().sum(1).mean() / few.moved
            )
    dims = ("density", "seed")
    about = {"units": "1"}
    return xr.Dataset(
        {
            "to_attention": (dims, found[0], about | {"long_name": "distance² from the empirical denoiser"}),
            "to_optimum": (dims, found[1], about | {"long_name": "distance² from g*"}),
        },
        {"density": list(cases), "seed": range(seeds)},
        {"points": FEW},
    )


def _field(case: Case, context: Context) -> xr.Dataset:
    """Both displacements on a grid, of a network trained on the largest sample."""
    scale = SCALES[context.scale]
    points = case.density.draw(max(scale.samples), _stream(context, 0))
    g = _train(scale.hidden, case, points, context, 0)
    low, high = case.noisy.amin(0).tolist(), case.noisy.amax(0).tolist()
    axes = [np.linspace(a, b, scale.grid) for a, b in zip(low, high, strict=True)]
    places = torch.from_numpy(np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)).to(case.noisy)
    density = case.density.smoothed(case.variance).smoothing.log_prob(0.0, places).exp()
    moves = {"optimal": case.optimal, "learned": g}
    variables: dict[str, Any] = {
        name: (
            ("x", "y", "feature"),
            (f.forward(places) - places).cpu().reshape(scale.grid, scale.grid, 2).numpy(),
            {"units": "units of x", "long_name": f"displacement, {name}"},
        )
        for name, f in moves.items()
    }
    variables["density"] = (
        ("x", "y"),
        density.cpu().reshape(scale.grid, scale.grid).numpy(),
        {"units": "1 per unit of volume"},
    )
    coords = {name: (name, axis, {"units": "units of x"}) for name, axis in zip("xy", axes, strict=True)}
    return xr.Dataset(variables, coords, {"displacement": case.moved**0.5, "error": case.error(g)})


def _curves(errors: xr.Dataset) -> xr.Dataset:
    """Geometric means over seeds, as `convergence` draws them."""
    series, values = [], []
    for name in map(str, errors["density"].values):
        for label, variable in (("network", "error"), ("affine network", "affine_error"), ("empirical", "attention_error")):
            found = errors[variable].sel(density=name).values
            if np.isfinite(found).all():
                series.append(f"{name}, {label}")
                values.append(np.exp(np.log(found).mean(1)))
    about = {"long_name": "E|g − g*|²/E|g* − x̃|²"}
    return xr.Dataset(
        {
            "error": (("series", "step"), values, about),
            "scale": ("step", errors["samples"].values.astype(float), {"long_name": "points n"}),
        },
        {"series": series},
        {
            "order": -1,
            "subtitle": "mean over seeds; dotted: 1/n; empirical: attention over the points, what memorising gives",
        },
    )
