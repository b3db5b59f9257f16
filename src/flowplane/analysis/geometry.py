"""How the layers of a recording lay out their points (§D3, §D4, §D7)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from flowplane.core.points import check_positive
from flowplane.core.progress import progress_bar
from flowplane.core.results import Flags, interval, stamp
from flowplane.core.threads import one_thread_each, shared
from flowplane.errors import unknown
from flowplane.information.geometry import collapse, curvature, invariance, matrix_entropy
from flowplane.recording import LENS, Block, ModelRecording, Recording, by_snapshot, require_recording

__all__ = ["layer_geometry"]

#: What can be measured, and its variables: long name and units.
MEASURES = {
    "entropy": {
        "dataset_entropy": ("matrix entropy over samples", "bits"),
        "dataset_share": ("matrix entropy over samples, share of the maximum", "1"),
        "dataset_rank": ("effective rank over samples", "directions"),
        "prompt_entropy": ("matrix entropy over a sample's tokens", "bits"),
        "prompt_share": ("matrix entropy over a sample's tokens, share of the maximum", "1"),
        "prompt_rank": ("effective rank over a sample's tokens", "directions"),
    },
    "curvature": {"curvature": ("mean angle between successive steps along the tokens", "degrees")},
    "invariance": {
        "infonce": ("what one view says about the sample (lower bound)", "bits"),
        "lidar": ("directions that tell samples apart and views do not", "directions"),
        "dime": ("growth of the joint matrix entropy when views are shuffled", "bits"),
    },
    "lens": {
        "lens_entropy": ("entropy of the prediction of the next token", "bits"),
        "lens_divergence": ("divergence of the last layer's prediction from it", "bits"),
        "lens_agreement": ("tokens with the last layer's first choice", "1"),
        "lens_loss": ("loss of the next token", "bits per token"),
        "unigram_loss": ("loss of the next token, from token frequencies alone", "bits per token"),
    },
    "collapse": {
        "collapse_within": ("variation within classes over that between them", "1"),
        "collapse_cosines": ("spread of the cosines between class means", "1"),
        "collapse_simplex": ("distance of these cosines from a simplex's", "1"),
    },
}
FLAGS = Flags(
    {
        "no_tokens": ("tokens were not kept apart", "Record with reduce='tokens', where every token is a row."),
        "few_tokens": (
            "there were too many tokens to keep all, so that rows of a sample are missing",
            "Fewer samples or shorter ones: up to 4,096 tokens are all kept.",
        ),
        "no_views": ("there is one view of each sample only", "Record with views=, a second view of each sample."),
        "no_lens": (
            "layers were not read as predictions of the next token",
            "Record a language model with reduce='tokens' and unembed=.",
        ),
        "other_width": (
            "the unembedding does not take rows of this width",
            "Name the layers of the residual stream, such as layers='transformer.h.*'.",
        ),
        "no_classes": (
            "there are no classes, or one sample per class",
            "Collapse is about classes; numbers cut into classes do not count as such.",
        ),
        "no_spread": (
            "all rows are 0, or class means are the same",
            "A layer that died has no directions to be measured in.",
        ),
    }
)
#: Work per number of a layer, roughly.
NANOSECONDS = 20.0
#: What is averaged over samples and has an interval of that mean.
OVER_SAMPLES = ("prompt_entropy", "prompt_share", "prompt_rank", "curvature")


@one_thread_each()
def layer_geometry(rec: Recording, measures: str | Sequence[str] | None = None, *, alpha: float = 1.0) -> xr.Dataset:
    """Matrix entropy and effective rank, curvature along tokens, invariance between views, the logit lens, and neural
    collapse of each layer (§D3–§D7).

    Arguments:
        rec: of any kind. Where every token is a row (`reduce="tokens"`), entropy is measured over the tokens of each sample
            and over samples, each the mean of its tokens, and curvature along the tokens; elsewhere over samples only.
        measures: of "entropy", "curvature", "invariance", "lens" and "collapse", one or several; None for all those
            that the recording allows.
        alpha: order of the matrix entropy; 1 is von Neumann's.

    Returns:
        Dataset (replica, epoch, layer): `dataset_entropy` and `prompt_entropy` in bits, `…_share` of log2 min(rows, units),
        `…_rank` = 2^entropy; `curvature` in degrees; `collapse_within`, `collapse_cosines` and `collapse_simplex`, which
        tend to 0 as classes collapse. What is averaged over samples has `_lower` and `_upper`, 95 % of that mean. NaN, with
        a flag, where there is nothing to be measured.

        With `views=` of the Recorder: `infonce` and `dime` in bits, `lidar` in directions. With `unembed=`, read while it
        was recorded: `lens_entropy` and `lens_divergence` in bits, `lens_agreement`, and `lens_loss` in bits per token
        beside `unigram_loss`, that of the tokens' frequencies: what a layer knows of the next token is the difference.

    Raises:
        InputError: not a Recording, an unknown measure, an order that is not above 0, or activations that were not kept.

    Example:
        >>> import flowplane as fp
        >>> x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
        >>> rec = fp.record(torch.nn.Linear(4, 3), x, x[:, 0] > 0)
        >>> found = layer_geometry(rec)
        >>> bool(1 < found.dataset_rank.item() <= 3), found.prompt_rank_flags.flag_meanings.split()[0]
        (True, 'no_tokens')
    """
    rec = require_recording(rec)
    rows = _Rows(rec)
    chosen = rows.possible() if measures is None else (measures,) if isinstance(measures, str) else tuple(measures)
    for name in chosen:
        if name not in MEASURES:
            raise unknown("measures", name, MEASURES)
    alpha = check_positive("alpha", alpha, "an order above 0")
    variables = {key: about for name in chosen for key, about in MEASURES[name].items()}
    shape = (len(rec.replicas), len(rec.epochs), len(rec.layers))
    computations = {layer: ("layer_geometry", layer, chosen, alpha) for layer in rec.layers}
    blocks = by_snapshot(rec, computations, lambda part, layers: _blocks(part, layers, chosen, alpha))
    found = {
        name: np.stack([blocks[layer].arrays[name] for layer in rec.layers], 2) for name in blocks[rec.layers[0]].arrays
    }
    if "lens" in chosen:
        rows.read_lens(found)
    dims = ("replica", "epoch", "layer")
    dataset = xr.Dataset(coords={"replica": rec.replicas, "epoch": rec.epochs, **rec.layer_coordinates()})
    for name, (title, units) in variables.items():
        attrs = {"long_name": title, "units": units}
        dataset[name] = (dims, found[name], attrs)
        for side in ("lower", "upper") if name in OVER_SAMPLES else ():
            dataset[f"{name}_{side}"] = (dims, found[f"{name}_{side}"], attrs | {"long_name": f"{title}, {side} end"})
        raised = np.full(shape, rows.flags(name), np.int32)
        missing = "other_width" if name in MEASURES["lens"] else "no_spread"
        raised[np.isnan(found[name]) & (raised == 0)] = FLAGS.bits(missing)
        dataset[f"{name}_flags"] = (dims, raised, FLAGS.attrs(title))
    return stamp(dataset, "layer_geometry", alpha=alpha, **rec.identity)


def _blocks(rec: Recording, layers: Sequence[str], chosen: Sequence[str], alpha: float) -> dict[str, Block]:
    """What is measured of each layer at each snapshot."""
    rows = _Rows(rec)
    variables = [name for each in chosen for name in MEASURES[each]]
    names = [f"{name}{end}" for name in variables for end in (("", "_lower", "_upper") if name in OVER_SAMPLES else ("",))]
    shape = (len(rec.replicas), len(rec.epochs))
    values = {layer: {name: np.full(shape, np.nan) for name in names} for layer in layers}
    with progress_bar("geometry of layers", shape[0] * shape[1] * len(layers)) as advance:
        for replicas, epochs, outputs in rec.blocks(layers, 1 << 30):
            for layer, activations in outputs.items():
                for place, found in enumerate(rows.shared_out(activations, chosen, alpha)):
                    at = (replicas[place], epochs[place])
                    for name, numbers in found.items():
                        mean, low, high = interval(numbers) if len(numbers) > 1 else (numbers[0], np.nan, np.nan)
                        values[layer][name][at] = mean
                        if name in OVER_SAMPLES:
                            values[layer][f"{name}_lower"][at], values[layer][f"{name}_upper"][at] = low, high
            advance(len(replicas) * len(outputs))
    if "invariance" in chosen:
        rows.compare_views(values)
    return {layer: Block(own) for layer, own in values.items()}


class _Rows:
    """Which rows of a recording are of which sample and class."""

    def __init__(self, rec: Recording) -> None:
        self.tokens: Tensor | None = None
        self.samples: Tensor | None = None
        if rec.row_samples is not None:
            stored = rec.activations(rec.layers[0])
            self.samples = torch.from_numpy(np.unique(rec.row_samples, return_inverse=True)[1].ravel())
            self.tokens = torch.from_numpy(np.asarray(stored["token"].values).astype(np.int64))
        self.rec = rec
        self.viewed = isinstance(rec, ModelRecording) and bool(rec.attrs.get("views"))
        self.lens = rec.online.get(LENS) if isinstance(rec, ModelRecording) else None
        self.drawn = bool(rec.attrs.get("tokens"))
        labels = None if rec.task.labels is None or rec.targets is not None else np.asarray(rec.task.labels)
        counts = np.zeros(0) if labels is None else np.bincount(labels)[np.unique(labels)]
        self.classes = torch.from_numpy(labels.astype(np.int64)) if labels is not None and (counts > 1).all() else None

    def possible(self) -> tuple[str, ...]:
        """The measures that the recording allows."""
        needs = {"curvature": self.tokens, "invariance": self.viewed or None, "lens": self.lens}
        return tuple(name for name in MEASURES if name not in needs or needs[name] is not None)

    def flags(self, name: str) -> int:
        """What speaks against a variable everywhere."""
        if name.startswith("collapse"):
            return FLAGS.bits("no_classes") if self.classes is None else 0
        if name.startswith("dataset"):
            return 0
        if name in MEASURES["invariance"]:
            return 0 if self.viewed else FLAGS.bits("no_views")
        if name in MEASURES["lens"]:
            return 0 if self.lens is not None else FLAGS.bits("no_lens")
        if self.tokens is None:
            return FLAGS.bits("no_tokens")
        return FLAGS.bits("few_tokens") if self.drawn else 0

    def shared_out(self, activations: Tensor, chosen: Sequence[str], alpha: float) -> list[dict[str, np.ndarray]]:
        """`measured`, snapshots shared out over the processors."""
        found: dict[int, list[dict[str, np.ndarray]]] = {}

        def work(first: int, last: int) -> None:
            found[first] = self.measured(activations[first:last], chosen, alpha)

        shared(work, len(activations), NANOSECONDS * activations.numel())
        return [own for first in sorted(found) for own in found[first]]

    def measured(self, activations: Tensor, chosen: Sequence[str], alpha: float) -> list[dict[str, np.ndarray]]:
        """By variable the numbers of each snapshot of (batch, row, unit), one in all or one per sample."""
        found: list[dict[str, np.ndarray]] = [{} for _ in activations]
        values = activations.double()
        if "entropy" in chosen:
            pooled = values if self.samples is None else self._pooled(values)
            self._entropy(found, "dataset", matrix_entropy(pooled, alpha)[:, None], [pooled.shape[1]], values.shape[2])
            if self.samples is not None:
                parts = [values[:, self.samples == sample] for sample in range(int(self.samples.max()) + 1)]
                parts = [part for part in parts if part.shape[1] > 1]
                each = torch.stack([matrix_entropy(part, alpha) for part in parts], 1)
                self._entropy(found, "prompt", each, [part.shape[1] for part in parts], values.shape[2])
        if "curvature" in chosen and self.samples is not None and self.tokens is not None:
            for place, angles in enumerate(curvature(values, self.samples, self.tokens)):
                known = angles[torch.isfinite(angles)].numpy()
                if len(known):
                    found[place]["curvature"] = known
        if "collapse" in chosen and self.classes is not None:
            collapsed = dict(zip(MEASURES["collapse"], collapse(values, self.classes), strict=True))
            for place, own in enumerate(found):
                own |= {name: part[place : place + 1].numpy() for name, part in collapsed.items()}
        return found

    def read_lens(self, values: dict[str, np.ndarray]) -> None:
        """What was read while it was recorded."""
        if self.lens is not None:
            for name in MEASURES["lens"]:
                values[name][:] = self.lens[name].transpose("replica", "epoch", "layer").values

    def compare_views(self, values: dict[str, dict[str, np.ndarray]]) -> None:
        """What is measured of two views of a layer."""
        if self.viewed:
            assert isinstance(self.rec, ModelRecording)
            for layer, own in values.items():
                first, second = (array.values[0] for array in (self.rec.activations(layer), self.rec.views(layer)))
                for name, part in invariance(torch.from_numpy(first), torch.from_numpy(second))._asdict().items():
                    own[name][0] = part.numpy()

    def _pooled(self, values: Tensor) -> Tensor:
        """The mean of each sample's tokens."""
        assert self.samples is not None
        counts = torch.bincount(self.samples).double()
        sums = values.new_zeros(len(values), len(counts), values.shape[2]).index_add_(1, self.samples, values)
        return sums / counts[:, None]

    def _entropy(self, found: list[dict[str, np.ndarray]], name: str, bits: Tensor, rows: list[int], units: int) -> None:
        most = torch.tensor([math.log2(min(count, units)) for count in rows], dtype=torch.float64, device="cpu")
        for own, each in zip(found, bits, strict=True):
            own[f"{name}_entropy"], own[f"{name}_rank"] = each.numpy(), each.exp2().numpy()
            own[f"{name}_share"] = (each / torch.where(most > 0, most, torch.nan)).numpy()
