"""What the points of a recording spend on their path through layers that share a space, such as a residual stream (§E2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int

from flowplane.analysis.transport.samples import FEWEST
from flowplane.analysis.transport.stream import residual_stream
from flowplane.core.executors import Threads, executor_of
from flowplane.core.points import check_count, check_seed
from flowplane.core.progress import progress_bar
from flowplane.core.results import Flags, stamp
from flowplane.core.streams import SUBSETS, generator
from flowplane.errors import InputError, Text, unknown
from flowplane.information.probes.folds import grouped_error
from flowplane.recording import Block, Recording, by_snapshot, require_recording
from flowplane.transport.layers.slices import sliced
from flowplane.transport.profiles.budget import BUDGET_FLAGS, MOST, TERMS, unresolved
from flowplane.transport.profiles.polygon import PARTS, polygon

__all__ = ["CLOCKS", "drawn_rows", "layer_budget"]

#: How long a step takes: each as long as the others, or in proportion to the number of recorded layers that it spans.
CLOCKS = ("even", "depth")
NOT_FINITE = "activations are NaN or infinite", "Look at training: activations have overflowed."
FLAGS = Flags({**BUDGET_FLAGS, "not_finite": NOT_FINITE})
SLICED = "√(d·mean W_2² on lines), at most W_2 between starts and ends"


def layer_budget(
    rec: Recording,
    *,
    clock: str = "even",
    from_inputs: bool = False,
    samples: int = MOST,
    replica: Any = None,
    seed: int = 0,
    cluster: Any = None,
) -> xr.Dataset:
    """What points spend on their path through layers of one width, and how much coupling, bending and pace waste (§E2).

    The states x_0, …, x_L of a sample in the layers shown are the corners of a polygon, run in time 1 at constant speed
    along each side. Its energy E∫|u|² ds is W_2² + (E|Δ|² − W_2²) + (E ℓ² − E|Δ|²) + E∫(|u| − ℓ)² ds as in `flow.budget`,
    Δ = x_L − x_0, ℓ the length of the path, W_2 the exact one between the same points' starts and ends.

    The numbers mean something only if unit k is the same in all the layers chosen, as in the residual stream of a
    transformer, x_l = x_{l−1} + v_l(x_{l−1}), without the last norm, but not in a plain network. A token's path depends on
    the other tokens of its sample: they are particles that act on each other, not points in one velocity field, and the
    budget is that of their paths.

    Arguments:
        rec: a recording whose layers, as `rec.sel(layer=…)` shows them, have one width.
        clock: "even", each step takes as long; "depth", in proportion to the number of recorded layers from one to the next.
        from_inputs: whether the path begins at the inputs, points as wide as the layers, and not in the first layer.
        samples: rows that are followed, at most 1,000, drawn by the seed; of tokens those of whole samples, or single ones
            where fewer than 16 samples would be left.
        replica: as in `rec.sel`; None is the first one.
        seed: of these rows and of slices.
        cluster: None for this process; or workers, as for `fp.sweep`.

    Returns:
        Dataset. Over (replica, epoch): `energy`, `transport`, `coupling`, `bending` and `pace`, in squared units of x; the
        last four add up to the first. `sliced_wasserstein`, a lower bound of W_2, units of x. Over (replica, epoch, layer),
        of the step into each layer, δ in the time t: `layer_energy`, E|δ|²/t; `layer_progress`, E δ·Δ, its part of E|Δ|²,
        which is transport and coupling together: these two belong to the ends, and no step has a part of either alone;
        `layer_bending`, E(ℓ|δ| − δ·Δ); `layer_pace`, E|δ|(|δ|/t − ℓ), below 0 for a step that is slower than its path as
        a whole. The last three add up to `layer_energy`, and each over the layers to the whole. `…_error` is the standard
        error over samples, all tokens of a sample drawn together; `…_flags` say `few_for_dimension`, where W_2 is too large
        and the coupling's waste a lower bound, and `not_finite`. How far each single step is from optimal:
        `fp.layer_transport`.

    Raises:
        InputError: not a Recording, one layer, layers of several widths, fewer than 16 rows, samples outside 16 to 1,000, an
            unknown clock, inputs that are not points of that width, layers out of order where depth is the clock.

    Example:
        >>> import flowplane as fp
        >>> x = np.random.default_rng(0).normal(size=(100, 2))
        >>> spent = fp.layer_budget(fp.from_arrays({"h.0": x, "h.1": x + [3.0, 0.0], "h.2": x + [3.0, 4.0]}))
        >>> [round(float(spent[name][0, 0]), 3) for name in ("energy", "transport", "coupling", "bending", "pace")]
        [50.0, 25.0, 0.0, 24.0, 1.0]
        >>> spent.layer_pace.values[0, 0].round(3).tolist(), spent.attrs["start"]
        ([-3.0, 4.0], 'h.0')
    """
    rec = require_recording(rec)
    seed, most = check_seed(seed), check_count("samples", samples, FEWEST)
    if most > MOST:
        raise InputError("samples", most, f"at most {MOST:,}, between which the exact plan is found")
    durations = _durations(rec, clock, from_inputs)
    rec = rec.sel(replica=rec.replicas[:1] if replica is None else replica)
    rows, drawn = drawn_rows(rec, most, seed)
    follow = _Follow(rows, durations, from_inputs, seed)
    with (
        progress_bar("adding up what layers spend", len(rec.replicas) * len(rec.epochs)) as advance,
        executor_of(cluster, Threads()) as executor,
    ):

        def compute(part: Recording, names: Sequence[str]) -> dict[str, Block]:
            shape = len(part.replicas), len(part.epochs)
            found = []
            for one in executor.map(partial(follow, part), list(np.ndindex(shape))):
                found.append(one)
                advance(1)
            return {
                names[0]: Block(
                    {
                        name: np.stack([one[name] for one in found]).reshape(*shape, *found[0][name].shape)
                        for name in found[0]
                    }
                )
            }

        blocks = by_snapshot(rec, {"all": ("layer_budget", rec.layers, follow.told)}, compute)
    dataset = _dataset(rec, blocks["all"].arrays, from_inputs)
    start = "the inputs" if from_inputs else rec.layers[0]
    return stamp(dataset, "layer_budget", seed=seed, start=start, clock=clock, samples=len(rows), rows=drawn, **rec.identity)


@dataclass(frozen=True)
class _Follow:
    """What is asked of each snapshot."""

    rows: Int[np.ndarray, " row"]
    durations: tuple[float, ...]
    from_inputs: bool
    seed: int

    def __call__(self, rec: Recording, place: tuple[int, int]) -> dict[str, np.ndarray]:
        """By name value and standard error, (2,) or (layer, 2); and whether there are too few rows for the dimension."""
        replica, epoch = place
        states = [rec.activations(layer).isel(replica=replica, epoch=epoch).values[self.rows] for layer in rec.layers]
        if self.from_inputs:
            states.insert(0, np.asarray(rec.input_points)[self.rows])
        path = torch.from_numpy(np.stack(states))
        if not torch.isfinite(path).all():
            single, each = np.full(2, np.nan), np.full((len(path) - 1, 2), np.nan)
            of_parts = {f"layer_{name}": each for name in PARTS}
            return dict.fromkeys((*TERMS, "sliced_wasserstein"), single) | of_parts | {"few": np.array(False)}
        followed = polygon(path, torch.tensor(self.durations, dtype=torch.float64, device="cpu"))
        samples = np.arange(len(self.rows)) if rec.row_samples is None else rec.row_samples[self.rows]
        groups = torch.from_numpy(np.unique(samples, return_inverse=True)[1].ravel())
        found = {}
        for name, (value, terms) in followed.ways.terms().items():
            found[name] = np.array([value, float(grouped_error(terms[None], groups))])
        for name, part in followed.parts.items():
            found[f"layer_{name}"] = torch.stack([part.mean(1), grouped_error(part, groups)], 1).numpy()
        ends = torch.stack([followed.ways.start, followed.ways.end])
        found["sliced_wasserstein"] = sliced(ends, seed=self.seed).columns["wasserstein_sliced"][1]
        return found | {"few": np.array(unresolved(followed.ways))}

    @property
    def told(self) -> tuple[Any, ...]:
        """What the numbers depend on besides the recording."""
        return self.rows, self.durations, self.from_inputs, self.seed


def drawn_rows(rec: Recording, most: int, seed: int) -> tuple[Int[np.ndarray, " row"], str]:
    """The rows that are followed, in random order, and what they are: of tokens those of whole samples, so that what is
    shared within a sample is, unless that would leave fewer than `FEWEST` samples.

    Raises:
        InputError: fewer than `FEWEST` rows.
    """
    count, rng = len(rec.task), generator(seed, SUBSETS)
    if count < FEWEST:
        raise InputError("rec", Text(f"{count} samples"), f"a recording with {FEWEST} samples or more")
    if rec.row_samples is None:
        return rng.permutation(count)[:most], f"{min(most, count):,} samples"
    names, places = np.unique(rec.row_samples, return_inverse=True)
    order = rng.permutation(len(names))
    sizes = np.bincount(places.ravel())[order]
    whole = int((np.cumsum(sizes) <= most).sum())
    if whole < min(FEWEST, len(names)):
        rows = rng.permutation(count)[:most]
        return rows, f"{len(rows):,} tokens of {len(np.unique(rec.row_samples[rows])):,} samples"
    rank = np.argsort(order)[places.ravel()]
    rows = np.argsort(rank, kind="stable")[: sizes[:whole].sum()]
    return rows, f"all tokens of {whole:,} samples"


def _durations(rec: Recording, clock: str, from_inputs: bool) -> tuple[float, ...]:
    """How long each step takes, 1 together, of layers that were found to share a space."""
    if clock not in CLOCKS:
        raise unknown("clock", clock, CLOCKS)
    about = rec.layer_coordinates()
    widths, depths = about["width"][1], about["depth"][1]
    if len(set(widths)) > 1:
        stream = residual_stream(rec)
        wanted = list(stream.rec.layers) if stream is not None else "…"
        found = Text(f"layers of {', '.join(map(str, widths))} units")
        raise InputError("rec", found, f"layers that have the same units, such as rec.sel(layer={wanted})")
    points = rec.input_points
    if from_inputs and (points is None or points.shape[1] != widths[0]):
        shape = "that are not points" if points is None else f"of {points.shape[1]} numbers"
        raise InputError(
            "from_inputs", Text(f"inputs {shape}"), f"points of {widths[0]} numbers, as many as the layers have units"
        )
    if from_inputs:
        depths = [0, *depths]
    if len(depths) < 2:
        raise InputError("rec", Text("one layer"), "two layers or more, from one of which to the next points move")
    if clock == "even":
        return (1 / (len(depths) - 1),) * (len(depths) - 1)
    steps = np.diff(depths)
    if (steps <= 0).any():
        raise InputError(
            "rec", Text(f"layers in the order {list(rec.layers)}"), "the order in which they compute, for clock='depth'"
        )
    return tuple((steps / steps.sum()).tolist())


def _dataset(
    rec: Recording, arrays: dict[str, Float[np.ndarray, "replica epoch *layer 2"]], from_inputs: bool
) -> xr.Dataset:
    about = {name: ("squared units of x", title) for name, title in TERMS.items()}
    about |= {f"layer_{name}": ("squared units of x", title) for name, title in PARTS.items()}
    about["sliced_wasserstein"] = "units of x", SLICED
    broken = np.isnan(arrays["energy"][..., 0])
    few = np.where(arrays["few"], FLAGS.bits("few_for_dimension"), 0)
    parts: dict[str, Any] = {}
    for name, (units, title) in about.items():
        values = arrays[name]
        dims = ("replica", "epoch", "layer")[: values.ndim - 1]
        parts[name] = (dims, values[..., 0], {"units": units, "long_name": title})
        parts[f"{name}_error"] = (dims, values[..., 1], {"units": units, "long_name": f"standard error of {name}"})
        raised = np.where(broken, FLAGS.bits("not_finite"), few if name in ("transport", "coupling") else 0)
        raised = np.broadcast_to(raised.reshape(*raised.shape, *[1] * (values.ndim - 3)), values.shape[:-1])
        parts[f"{name}_flags"] = (dims, raised.astype(np.int32), FLAGS.attrs(title))
    stepped = rec if from_inputs else rec.sel(layer=list(rec.layers[1:]))
    return xr.Dataset(parts, {"replica": rec.replicas, "epoch": rec.epochs, **stepped.layer_coordinates()})
