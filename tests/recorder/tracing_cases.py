"""Models that test what the probe sees, with what they give known beforehand: orders, folds, mixtures, noise, odd calls.

The rows of a layer are found without any tracing: by forward hooks while one sample at a time is run, or by hand.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

__all__ = ["FOLDS", "ORDERS", "THREE", "Case", "N", "ids", "module", "numbers", "oracle", "three"]

N = 24


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(N, *shape, generator=torch.Generator().manual_seed(seed))


def points() -> Tensor:
    return numbers(4)


@dataclass(frozen=True)
class Case:
    """A model, its inputs and what a recording of it must hold.

    Layers are named as the recorder names them; in patterns, `*` stands for anything and `|` separates alternatives.

    Arguments:
        layers: the default layers of someone who knows the architecture; None where only `some` are demanded.
        some, never: patterns that a default layer must fit, and that none may.
        optional: patterns of default layers on which one may differ.
        left_out: patterns of names, and a word of the reason, or alternatives; "" for any.
        noisy: patterns of the layers that draw; all others are deterministic.
        units: the axis of the units in what modules return, for means.
        rows: what a layer gives, (sample, …), found by hand from (model, inputs).
        alone: layers that are compared with runs of one sample at a time; None for all of `layers` and `some` that are
            modules and not in `rows` or noisy.
        arguments: of the Recorder.
    """

    name: str
    make: Callable[[], nn.Module]
    layers: tuple[str, ...] | None = None
    inputs: Callable[[], Any] = points
    some: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    noisy: tuple[str, ...] = ()
    reduce: str = "flatten"
    units: int = -1
    rows: Mapping[str, Callable[[Any, Any], Tensor]] = field(default_factory=dict)
    alone: tuple[str, ...] | None = None
    tolerance: float = 1e-4
    arguments: Mapping[str, Any] = field(default_factory=dict)
    check: Callable[[Any], None] | None = None

    def model(self) -> Any:
        """A new one, always with the same weights."""
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return self.make()

    def known(self) -> tuple[str, ...]:
        """The layers whose rows are known."""
        modules = {**dict(_bare(self.model()).named_modules()), "output": None}
        found = [*self.rows, *(self.alone or ())]
        if self.alone is None:
            names = [name for name in (*(self.layers or ()), *self.some) if name not in self.noisy]
            found += [name for name in names if name in modules or name.rpartition("#")[0] in modules]
        return tuple(dict.fromkeys(found))


class _Hand(nn.Module):
    def __init__(self, run: Callable[..., Any], parts: Mapping[str, Any]) -> None:
        super().__init__()
        self.run = run
        for name, part in parts.items():
            own = isinstance(part, Tensor) and not isinstance(part, nn.Parameter)
            self.register_buffer(name, part) if own else setattr(self, name, part)

    def forward(self, *arguments: Any, **named: Any) -> Any:
        return self.run(self, *arguments, **named)


@functools.cache
def _class_of(code: Any) -> type[_Hand]:
    return type("Hand", (_Hand,), {})


def module(run: Callable[..., Any], **parts: Any) -> Any:
    """A module of these parts whose forward is `run(self, …)`; each function is a class of modules."""
    return _class_of(run.__code__)(run, parts)


def ids(length: int, seed: int = 0, below: int = 11) -> Tensor:
    return torch.randint(below, (N, length), generator=torch.Generator().manual_seed(seed))


#: The longest are not among the first four.
LENGTHS = torch.randint(2, 5, (N,), generator=torch.Generator().manual_seed(5)).index_fill(0, torch.tensor([5, 19]), 6)

# -- oracles ----------------------------------------------------------------------------------------------------------


def samples_of(inputs: Any, start: int, stop: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of a call with some of the samples."""
    if isinstance(inputs, dict):
        return (), {name: values[start:stop] for name, values in inputs.items()}
    return tuple(values[start:stop] for values in (inputs if isinstance(inputs, tuple) else (inputs,))), {}


def oracle(case: Case, layer: str) -> np.ndarray:
    """The rows of a layer, (sample, number), shorter ones filled up with zeros."""
    model = _bare(case.model()).eval()
    with torch.no_grad():
        if layer in case.rows:
            values = list(case.rows[layer](model, case.inputs()))
        else:
            values = [_alone(model, case.inputs(), layer, sample) for sample in range(N)]
        rows = [_row(one[None] if layer in case.rows else one, case).double().numpy() for one in values]
    filled = np.zeros((N, max(map(len, rows))))
    for place, row in enumerate(rows):
        filled[place, : len(row)] = row
    return filled


def _bare(model: Any) -> Any:
    while isinstance(model, nn.DataParallel) or hasattr(model, "_orig_mod"):
        model = model.module if isinstance(model, nn.DataParallel) else model._orig_mod
    return model


def _alone(model: nn.Module, inputs: Any, layer: str, sample: int) -> Tensor:
    """What a module returned when only this sample was run."""
    modules = {"output": model, **dict(model.named_modules())}
    name, _, number = (layer, "", "") if layer in modules else layer.rpartition("#")
    seen: list[Tensor] = []
    handle = modules[name].register_forward_hook(lambda part, arguments, output: seen.append(_first(output).clone()))
    positional, named = samples_of(inputs, sample, sample + 1)
    model(*positional, **named)
    handle.remove()
    return seen[int(number or 1) - 1]


def _first(output: Any) -> Tensor:
    if isinstance(output, PackedSequence):
        return output.data
    if isinstance(output, Mapping):
        return next(iter(output.values()))
    return output if isinstance(output, Tensor) else _first(output[0])


def _row(values: Tensor, case: Case) -> Tensor:
    values = values.float()
    if case.reduce == "flatten":
        return values.flatten()
    axis = min(case.units, values.ndim - 1)
    return values.movedim(axis, -1).flatten(0, -2).mean(0)


# -- orders -----------------------------------------------------------------------------------------------------------


def time_first():
    return module(lambda self, x: self.head(self.gru(x.transpose(0, 1))[0][-1]), gru=nn.GRU(4, 5), head=nn.Linear(5, 2))


def time_first_tokens():
    return module(
        lambda self, x: self.head(self.norm(self.tokens(x.T)).mean(0)),
        tokens=nn.Embedding(11, 6),
        norm=nn.LayerNorm(6),
        head=nn.Linear(6, 2),
    )


def by_length(put_back: bool):
    def run(self, x, lengths):
        order = lengths.argsort(descending=True)
        hidden = self.lstm(self.emb(x[order]))[1][0][-1]
        return self.head(hidden[order.argsort()] if put_back else hidden)

    return module(run, emb=nn.Embedding(11, 6), lstm=nn.LSTM(6, 5, batch_first=True), head=nn.Linear(5, 3))


def packed(sort: bool):
    """Two LSTMs on packed sequences, sorted by torch or by hand."""

    def run(self, x, lengths):
        order = lengths.argsort(descending=True) if sort else torch.arange(len(x))
        parts = pack_padded_sequence(self.emb(x[order]), lengths[order].cpu(), batch_first=True, enforce_sorted=sort)
        parts = self.second(self.first(parts)[0])[0]
        padded, sizes = pad_packed_sequence(parts, batch_first=True)
        return self.head((padded.sum(1) / sizes[:, None])[order.argsort()])

    return module(run, emb=nn.Embedding(11, 6), first=nn.LSTM(6, 5), second=nn.LSTM(5, 4), head=nn.Linear(4, 3))


def bucketed(self, x):
    """The long half of the batch and the short one by themselves, then back as they were."""
    order = x[:, 0].argsort()
    h = self.body(self.stem(x)[order])
    back = torch.empty_like(h)
    back[order] = h
    return self.head(back)


def three(run, width: int = 6, **more):
    """A stem, a body and a head."""
    body = nn.Sequential(nn.Linear(width, width), nn.Tanh())
    return module(run, **{"stem": nn.Linear(4, width), "body": body, "head": nn.Linear(width, 3)} | more)


def trimmed(self, input_ids, attention_mask):
    longest = int(attention_mask.sum(1).max())
    x, mask = input_ids[:, :longest], attention_mask[:, :longest, None]
    h = self.body(self.stem(x)) * mask
    return self.head(h.sum(1) / mask.sum(1))


def masked_inputs():
    return {"input_ids": ids(8), "attention_mask": (torch.arange(8) < LENGTHS[:, None]).long()}


def rolled(self, x):
    return self.head(self.body(self.stem(x.roll(1, 0))))


THREE = ("stem", "body.0", "body.1", "head")
PACKED = ("emb", "first", "second", "head")
TIMES = (8, 6, 3, 4, 24, 1)
ORDERS = [
    *(Case(f"time-first GRU, T = {t}", time_first, ("gru", "head"), inputs=functools.partial(numbers, t, 4)) for t in TIMES),
    Case("time-first tokens, T = 8", time_first_tokens, ("tokens", "norm", "head"), inputs=lambda: ids(8)),
    Case("time-first tokens, T = 24", time_first_tokens, ("tokens", "norm", "head"), inputs=lambda: ids(24)),
    Case("sorted and put back", lambda: by_length(True), ("emb", "lstm", "head"), inputs=lambda: (ids(6), LENGTHS)),
    Case("sorted and not put back", lambda: by_length(False), ("emb", "lstm", "head"), inputs=lambda: (ids(6), LENGTHS)),
    Case("two packed LSTMs, sorted by hand", lambda: packed(True), PACKED, inputs=lambda: (ids(6), LENGTHS),
         optional=("div*",), reduce="mean"),
    Case("two packed LSTMs, sorted by torch", lambda: packed(False), PACKED, inputs=lambda: (ids(6), LENGTHS),
         optional=("div*",), reduce="mean"),
    Case("scattered back", lambda: three(bucketed), THREE),
    Case("reversed, and back", lambda: three(lambda self, x: self.head(self.body(self.stem(x).flip(0)).flip(0))), THREE),
    Case("rolled along the batch", lambda: three(rolled), THREE),
    Case("trimmed to the longest", lambda: three(trimmed, stem=nn.Embedding(11, 6)), THREE, inputs=masked_inputs,
         optional=("mul*", "div*"), reduce="mean"),
]  # fmt: skip

# -- folds ------------------------------------------------------------------------------------------------------------


def window(x: Tensor, size: int) -> Tensor:
    n, h, w, c = x.shape
    return x.view(n, h // size, size, w // size, size, c).transpose(2, 3).reshape(-1, size * size, c)


def unwindow(x: Tensor, size: int, h: int, w: int) -> Tensor:
    return x.view(-1, h // size, w // size, size, size, x.shape[-1]).transpose(2, 3).reshape(-1, h, w, x.shape[-1])


def swin_block(width: int, shift: int):
    def run(self, x):
        parts = window(self.norm(x).roll((-self.shift, -self.shift), (1, 2)), 2)
        back = unwindow(self.attention(parts, parts, parts, need_weights=False)[0], 2, *x.shape[1:3])
        x = x + back.roll((self.shift, self.shift), (1, 2))
        return x + self.mlp(x)

    attention = nn.MultiheadAttention(width, 2, batch_first=True)
    mlp = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
    return module(run, norm=nn.LayerNorm(width), attention=attention, mlp=mlp, shift=shift)


def swin():
    def merge(self, x):
        parts = [x[:, a::2, b::2] for a in (0, 1) for b in (0, 1)]
        return self.reduction(self.norm(torch.cat(parts, -1)))

    def run(self, x):
        x = self.embed(x).permute(0, 2, 3, 1)
        return self.head(self.norm(self.second(self.merge(self.first(x)))).mean((1, 2)))

    return module(
        run,
        embed=nn.Conv2d(3, 4, 2, 2),
        first=nn.Sequential(swin_block(4, 0), swin_block(4, 1)),
        merge=module(merge, norm=nn.LayerNorm(16), reduction=nn.Linear(16, 8)),
        second=nn.Sequential(swin_block(8, 0), swin_block(8, 1)),
        norm=nn.LayerNorm(8),
        head=nn.Linear(8, 3),
    )


def frames(sample_first: bool):
    def run(self, x):
        n, t = x.shape[:2]
        if sample_first:
            h = self.cnn(x.flatten(0, 1)).view(n, t, -1)
        else:
            h = self.cnn(x.transpose(0, 1).reshape(t * n, *x.shape[2:])).view(t, n, -1).transpose(0, 1)
        return self.head(self.gru(h)[1][0])

    cnn = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    return module(run, cnn=cnn, gru=nn.GRU(3, 4, batch_first=True), head=nn.Linear(4, 2))


def by_frame(model: Any, x: Tensor) -> Tensor:
    return torch.stack([model.cnn(frame) for frame in x.unbind(1)], 1)


def folded_heads(self, x):
    n, t, d = x.shape
    q, k, v = (part.view(n, t, 2, d // 2).transpose(1, 2).flatten(0, 1) for part in self.qkv(x).chunk(3, -1))
    weights = self.weigh(torch.bmm(q, k.mT) / 2)
    return self.head(torch.bmm(weights, v).view(n, 2, t, d // 2).transpose(1, 2).reshape(n, t, d))


def experts(tokens: bool):
    """Each row goes to one of two experts, whose results are added where they belong."""

    def mixture(self, x):
        rows = x.reshape(-1, x.shape[-1])
        weights, chosen = self.router(rows).softmax(-1).max(-1)
        out = torch.zeros_like(rows)
        for number, expert in enumerate(self.experts):
            places = (chosen == number).nonzero()[:, 0]
            out.index_add_(0, places, expert(rows[places]) * weights[places, None])
        return out.view_as(x)

    made = nn.ModuleList(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 6)) for _ in range(2))
    run = (
        (lambda self, x: self.head(self.moe(self.stem(x)).mean(1)))
        if tokens
        else lambda self, x: self.head(self.moe(self.stem(x)))
    )
    return module(run, stem=nn.Linear(4, 6), moe=module(mixture, router=nn.Linear(6, 2), experts=made), head=nn.Linear(6, 3))


def repeated(interleaved: bool):
    """Each sample three times, with the codes of three places."""

    def run(self, x):
        h = self.stem(x)
        many = h.repeat_interleave(3, 0) if interleaved else h.repeat(3, 1)
        codes = self.codes.repeat(len(x), 1) if interleaved else self.codes.repeat_interleave(len(x), 0)
        many = self.body(many + codes)
        return self.head(many.view(len(x), 3, -1) if interleaved else many.view(3, len(x), -1).transpose(0, 1))

    return three(run, codes=nn.Parameter(torch.randn(3, 6)))


def by_code(model: Any, x: Tensor) -> Tensor:
    return torch.stack([model.body(model.stem(x) + code) for code in model.codes], 1)


SWIN = ("embed", "first.0", "first.1", "merge", "second.0", "second.1", "norm", "head")
FRAMES = ("cnn.0", "cnn.1", "cnn.2", "gru", "head")
MOE = {"moe.experts.0.2": "part of the samples", "moe.experts.1.0": "part of the samples"}
FOLDS = [
    Case("windows, roll and patch merging", swin, SWIN, inputs=lambda: numbers(3, 8, 8),
         alone=(*SWIN, "first.0.attention", "first.1.attention", "second.1.mlp.2")),
    Case("windows, means", swin, SWIN, inputs=lambda: numbers(3, 8, 8), reduce="mean", alone=SWIN[1:]),
    Case("frames folded, sample by sample", lambda: frames(True), FRAMES, inputs=lambda: numbers(4, 2, 5, 5), alone=FRAMES,
         rows={"cnn.2": by_frame}),
    Case("frames folded, frame by frame", lambda: frames(False), FRAMES, inputs=lambda: numbers(4, 2, 5, 5), alone=FRAMES,
         rows={"cnn.2": by_frame}),
    Case("folded heads", lambda: module(folded_heads, qkv=nn.Linear(6, 18), weigh=nn.Softmax(-1), head=nn.Linear(6, 2)),
         inputs=lambda: numbers(5, 6), some=("head",), alone=("qkv", "weigh", "head")),
    Case("experts by index_add_", lambda: experts(False), ("stem", "moe", "head"), left_out=MOE,
         alone=("stem", "moe.router", "moe", "head")),
    Case("experts of tokens", lambda: experts(True), ("stem", "moe", "head"), inputs=lambda: numbers(5, 4),
         left_out=dict.fromkeys(MOE, "")),
    Case("each sample three times", lambda: repeated(True), THREE, optional=("add*",), rows={"body.1": by_code}),
    Case("the batch three times", lambda: repeated(False), THREE, optional=("add*",), rows={"body.1": by_code}),
    Case("a set as a sample", lambda: three(lambda self, x: self.head(self.body(self.stem(x)).amax(1))), THREE,
         inputs=lambda: numbers(5, 4), optional=("amax*",)),
    Case("sets folded",
         lambda: three(lambda self, x: self.head(self.body(self.stem(x.flatten(0, 1))).view(len(x), 5, -1).amax(1))), THREE,
         inputs=lambda: numbers(5, 4), optional=("amax*",)),
]  # fmt: skip
