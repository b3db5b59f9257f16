"""More models that test what the probe sees: computed ids, several outputs, blocks in a row, coins, empty experts."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import nn
from tracing_cases import THREE, Case, N, ids, module, numbers, three

__all__ = ["MORE"]


def perceptron(width: int, out: int):
    return nn.Sequential(nn.Linear(width, 6), nn.ReLU(), nn.Linear(6, out))


# -- mixing under noise -----------------------------------------------------------------------------------------------


def noisy_then(change):
    """Dropout that never sleeps, and then something of all samples."""
    return three(lambda self, x: self.head(change(F.dropout(self.stem(x), 0.3, training=True)).tanh()))


UNDER_NOISE = {
    "centred": lambda h: h - h.mean(0),
    "standardised": lambda h: (h - h.mean(0)) / h.std(0, correction=0).clamp(min=1e-3),
    "attention across samples": lambda h: (h @ h.T).softmax(-1) @ h,
    "softmax over the batch": lambda h: h.softmax(0),
}


def coin(threshold: float):
    def run(self, x):
        h = self.stem(x)
        return self.head(h + self.body(h) * (torch.rand(()) > threshold))

    return three(run)


# -- ids --------------------------------------------------------------------------------------------------------------


def pictures():
    return torch.randint(256, (N, 1, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def of_bytes():
    parts = {"conv": nn.Conv2d(1, 4, 3), "head": nn.Linear(64, 2)}
    return module(lambda self, x: self.head(self.conv(x / 255).relu().flatten(1)), **parts)


def one_hot_ids():
    return module(lambda self, x: self.body(F.one_hot(x, 11).float().flatten(1)), body=perceptron(33, 2))


def chosen(self, x):
    """A codebook: the place of the largest number is looked up."""
    return self.head(self.codes(self.stem(x).argmax(-1)))


def codebook():
    return module(chosen, stem=nn.Linear(4, 6), codes=nn.Embedding(6, 5), head=nn.Linear(5, 2))


# -- several outputs, blocks in a row ---------------------------------------------------------------------------------


def pyramid():
    def run(self, x):
        first = self.stages[0](x)
        second = self.stages[1](first)
        return [first, second, self.stages[2](second)]

    def stage(a, b):
        return module(lambda self, x: self.conv(x).relu(), conv=nn.Conv2d(a, b, 3, 2, 1))

    return module(run, stages=nn.ModuleList([stage(1, 4), stage(4, 5), stage(5, 6)]))


def actor_critic():
    def run(self, x):
        h = self.body(self.stem(x))
        return self.policy(h), self.value(h)

    body = nn.Sequential(nn.Linear(6, 6), nn.Tanh())
    return module(run, stem=nn.Linear(4, 6), body=body, policy=nn.Linear(6, 3), value=nn.Linear(6, 1))


def wavenet():
    def block(self, x):
        h = torch.tanh(self.gate(F.pad(x, (1, 0))))
        return x + self.residual(h), self.skip(h)

    def run(self, x):
        h, total = self.stem(x), 0
        for part in self.blocks:
            h, skip = part(h)
            total = total + skip
        return self.head(total.relu().mean(2))

    parts = [{"gate": nn.Conv1d(4, 4, 2), "residual": nn.Conv1d(4, 4, 1), "skip": nn.Conv1d(4, 4, 1)} for _ in range(3)]
    blocks = nn.ModuleList(module(block, **each) for each in parts)
    return module(run, stem=nn.Conv1d(2, 4, 1), blocks=blocks, head=nn.Linear(4, 2))


def again_and_again():
    """Learned rows look at the same input in each block."""

    def block(self, rows, x):
        return rows + self.attention(rows, x, x, need_weights=False)[0]

    def run(self, x):
        x = self.into(x)
        rows = self.rows.expand(len(x), -1, -1)
        for part in self.blocks:
            rows = part(rows, x)
        return self.head(rows.mean(1))

    blocks = nn.ModuleList(module(block, attention=nn.MultiheadAttention(4, 2, batch_first=True)) for _ in range(3))
    return module(run, into=nn.Linear(3, 4), rows=nn.Parameter(torch.randn(2, 4)), blocks=blocks, head=nn.Linear(4, 2))


def unet_of_sequentials():
    def run(self, x):
        a = self.down1(x)
        b = self.down2(self.pool(a))
        c = self.up1(torch.cat([self.grow(b), a], 1))
        return self.out(c)

    def double(a, b):
        return nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.ReLU())

    more = {"pool": nn.MaxPool2d(2), "grow": nn.Upsample(scale_factor=2), "out": nn.Conv2d(4, 1, 1)}
    return module(run, down1=double(1, 4), down2=double(4, 6), up1=double(10, 4), **more)


def many_experts():
    """Of eight experts some get no sample."""

    def mixture(self, x):
        where, out = self.router(x).argmax(-1), torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            out[where == number] = expert(x[where == number])
        return out

    experts = nn.ModuleList(perceptron(6, 6) for _ in range(8))
    moe = module(mixture, router=nn.Linear(6, 8), experts=experts)
    return module(lambda self, x: self.head(self.moe(self.stem(x))), stem=nn.Linear(4, 6), moe=moe, head=nn.Linear(6, 2))


def gated():
    parts = {"gates": nn.Conv1d(2, 10, 1), "out": nn.Conv1d(5, 2, 1)}
    return module(lambda self, x: self.out(F.glu(self.gates(x), 1)), **parts)


def over_time_then_features():
    parts = {"time": nn.Linear(7, 9), "head": nn.Linear(5, 4)}
    return module(lambda self, x: self.head(self.time(x.transpose(1, 2)).transpose(1, 2)), **parts)


def scaled_by_a_number(self, x):
    h = self.stem(x)
    return self.head(self.body(h / h.abs().max().item()))


PYRAMID = ("stages.0", "stages.1", "stages.2")
BLOCKS = ("blocks.0", "blocks.1", "blocks.2", "head")
MORE = [
    *(Case(f"under noise: {name}", functools.partial(noisy_then, change), ("stem",), optional=("dropout*",),
           noisy=("dropout*",), left_out={"head": "mixes samples"}, alone=("stem",))
      for name, change in UNDER_NOISE.items()),
    *(Case(f"a coin a batch, {threshold}", functools.partial(coin, threshold),
           some=("stem", "head"), noisy=("add*", "head", "body*", "mul*"), alone=("stem",))
      for threshold in (0.2, 0.5, 0.8)),
    *(Case(f"scaled by a Python number, seed {seed}", lambda: three(scaled_by_a_number), ("stem",),
           inputs=functools.partial(numbers, 4, seed=seed), left_out={"body.0": "mixes samples"}) for seed in range(4)),
    Case("bytes", of_bytes, ("conv", "relu", "head"), inputs=pictures, alone=("conv", "head")),
    Case("one-hot ids", one_hot_ids,
         ("body.0", "body.1", "body.2"), inputs=lambda: ids(3)),
    Case("bags of ids", lambda: nn.Sequential(nn.EmbeddingBag(11, 6), nn.ReLU(), nn.Linear(6, 2)), ("0", "1", "2"),
         inputs=lambda: ids(5)),
    Case("codes of the largest", codebook,
         some=("codes", "head")),
    Case("a pyramid of maps", pyramid, PYRAMID, inputs=lambda: numbers(1, 16, 16), alone=PYRAMID),
    Case("policy and value", actor_critic, ("stem", "body.0", "body.1", "policy", "value"), optional=("output",)),
    Case("skips of all blocks", wavenet, inputs=lambda: numbers(2, 9), some=("stem", *BLOCKS)),
    Case("the input once more", again_and_again, inputs=lambda: numbers(5, 3), some=BLOCKS),
    Case("U-Net of Sequentials", unet_of_sequentials, inputs=lambda: numbers(1, 8, 8),
         some=("down1.1", "down2", "up1.1", "out")),
    Case("experts without samples", many_experts, ("stem", "moe", "head")),
    Case("gates along channels", gated, ("gates", "glu", "out"), inputs=lambda: numbers(2, 7), reduce="mean", units=1,
         alone=("gates", "out")),
    Case("over time, then features", over_time_then_features, ("time", "head"), inputs=lambda: numbers(7, 5), reduce="mean",
         units=2, alone=("head",)),
    Case("three, in batches that leave one", lambda: three(lambda self, x: self.head(self.body(self.stem(x)))), THREE,
         arguments={"batch": 23}),
]  # fmt: skip
