"""Models whose layers mix samples, draw, or are called in odd ways; see tracing_cases.py."""

from __future__ import annotations

import functools

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tracing_cases import THREE, Case, N, ids, module, numbers, three

__all__ = ["CALLS", "MIXTURES", "NOISE"]

# -- mixtures ---------------------------------------------------------------------------------------------------------

#: What goes between stem and body of a model, and makes each row depend on other samples.
MIXERS = {
    "centred": lambda h: h - h.mean(0),
    "softmax over the batch": lambda h: h.softmax(0),
    "running sums": lambda h: h.cumsum(0),
    "each unit sorted": lambda h: h.sort(0)[0],
    "mixed up in pairs": lambda h: 0.7 * h + 0.3 * h.flip(0),
    "scaled by the largest": lambda h: h / h.abs().max(),
    "less the first": lambda h: h - h[:1],
    "einsum over samples": lambda h: torch.einsum("ij,jd->id", torch.einsum("id,jd->ij", h, h).softmax(-1), h),
    "A, A.T": lambda h: (h @ h.T).softmax(-1) @ h,
    "batch_norm in training": lambda h: F.batch_norm(h, None, None, training=True),
    "attention": lambda h: F.scaled_dot_product_attention(h[None], h[None], h[None])[0],
    "in NumPy": lambda h: torch.from_numpy(h.numpy() - h.numpy().mean(0)),
}
#: What mixes nothing, though it looks as if; the rows keep their order or are put back.
KEEPERS = {
    "transposed twice": lambda h: h.T.contiguous().T,
    "in two chunks": lambda h: torch.cat(h.chunk(2)),
    "row by row": lambda h: torch.stack(h.unbind(0)),
    "shuffled and back": lambda h: (lambda order: h[order][order.argsort()])(torch.randperm(len(h))),
    "by a mask": lambda h: (
        torch.zeros_like(h).masked_scatter_(h[:, :1] > 0, h[h[:, 0] > 0]) + h.masked_fill(h[:, :1] > 0, 0)
    ),
    "through NumPy": lambda h: torch.from_numpy(np.tanh(h.numpy())),
    "reversed in NumPy and back": lambda h: torch.from_numpy(h.numpy()[::-1].copy()).flip(0),
    "units sorted": lambda h: h.sort(1)[0],
    "running sums of units": lambda h: h.cumsum(1),
    "attention within a sample": lambda h: (h[:, :, None] * h[:, None]).softmax(-1).matmul(h[:, :, None])[..., 0],
    "einsum within a sample": lambda h: torch.einsum("nij,nj->ni", torch.einsum("ni,nj->nij", h, h).softmax(-1), h),
    "the identity's product": lambda h: torch.eye(len(h)) @ h,
    "a batch of one batch": lambda h: h[None].expand(2, -1, -1).mean(0),
    "distances to constants": lambda h: torch.cdist(h, torch.eye(6)),
    "constants beside": lambda h: torch.cat([h, torch.ones(2, 6)])[: len(h)],
}


def between(change):
    return three(lambda self, x: self.head(self.body(self.change(self.stem(x)))), change=change)


def clip(self, image, text):
    image, text = F.normalize(self.image(image), dim=-1), F.normalize(self.text(text), dim=-1)
    return self.scale.exp() * image @ text.T


def clip_model():
    image = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 4))
    text = nn.Sequential(nn.Embedding(11, 6), nn.Flatten(), nn.Linear(18, 4))
    return module(clip, image=image, text=text, scale=nn.Parameter(torch.tensor(0.5)))


def siamese(run, width: int = 12):
    return module(run, stem=nn.Linear(4, 6), encoder=nn.Sequential(nn.Linear(6, 6), nn.Tanh()), head=nn.Linear(width, 2))


def two_towers(self, a, b):
    return self.head(torch.cat([self.encoder(self.stem(a)), self.encoder(self.stem(b))], 1))


def two_halves(self, x):
    h = self.stem(x)
    return self.head(torch.cat([self.encoder(h[: len(h) // 2]), self.encoder(h[len(h) // 2 :])], 1))


def pairs(self, x):
    return self.head(self.encoder(self.stem(x)).view(len(x) // 2, 12))


def graph():
    adjacency = torch.eye(N) + torch.eye(N).roll(1, 0)
    run = lambda self, x: self.second(self.adjacency @ self.first(self.adjacency @ x).relu())  # noqa: E731
    return module(run, adjacency=adjacency, first=nn.Linear(4, 6), second=nn.Linear(6, 3))


def positions(self, x):
    return self.head(self.body(self.stem(x) + self.table(torch.arange(len(x)))))


def among(self, x):
    return self.head(self.body(torch.cat([self.stem(x), torch.ones(2, 6)]))[: len(x)])


def batch_norm():
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6, track_running_stats=False), nn.ReLU(), nn.Linear(6, 3))


def across_samples():
    def run(self, x):
        h = self.stem(x)[:, None]
        return self.head(self.attention(h, h, h)[0][:, 0])

    return module(run, stem=nn.Linear(4, 6), attention=nn.MultiheadAttention(6, 2), head=nn.Linear(6, 2))


MIXED = {"body.0": "mixes samples", "body.1": "mixes samples", "head": "mixes samples"}
#: Where the first half of the samples gives what it gave, only the permuted pass shows it.
FOLLOWED = ("running sums", "less the first")
HALF_RIGHT = dict.fromkeys(MIXED, "mixes samples|follow")
TWICE = ("stem#1", "encoder.0#1", "encoder.1#1", "stem#2", "encoder.0#2", "encoder.1#2", "head")
STEM = {"stem": lambda model, x: model.stem(x)}
NODES = {"first": lambda model, x: model.first(model.adjacency @ x), "second": lambda model, x: model(x)}
TOWERS = {
    "stem": lambda model, x: torch.stack([model.stem(part) for part in x], 1),
    "encoder.1": lambda model, x: torch.stack([model.encoder(model.stem(part)) for part in x], 1),
}
MIXTURES = [
    *(Case(f"mixes: {name}", functools.partial(between, change), some=("stem",), never=tuple(MIXED),
           left_out=HALF_RIGHT if name in FOLLOWED else MIXED, rows=STEM, alone=()) for name, change in MIXERS.items()),
    *(Case(f"does not mix: {name}", functools.partial(between, change), some=THREE) for name, change in KEEPERS.items()),
    Case("CLIP-like pair", clip_model, ("image.0", "image.1", "image.2", "text.0", "text.2"),
         inputs=lambda: {"image": numbers(5), "text": ids(3)}, optional=("normalize*", "div*", "mul*"),
         left_out={"output": "mixes samples"}),
    Case("BatchNorm on batch statistics", batch_norm, ("0",), rows={"0": lambda model, x: model[0](x)}, alone=(),
         left_out=dict.fromkeys("123", "mixes samples")),
    Case("attention across samples", across_samples, ("stem",),
         left_out=dict.fromkeys(("attention", "head"), "mixes samples")),
    Case("two towers", lambda: siamese(two_towers), TWICE, inputs=lambda: (numbers(4), numbers(4, seed=1)),
         optional=("cat*",)),
    Case("two towers in one batch",
         lambda: siamese(lambda self, a, b: self.head(torch.cat(self.encoder(self.stem(torch.cat([a, b]))).chunk(2), 1))),
         ("stem", "encoder.0", "encoder.1", "head"), inputs=lambda: (numbers(4), numbers(4, seed=1)), optional=("cat*",),
         rows=TOWERS, alone=("head",)),
    Case("halves of the batch", lambda: siamese(two_halves), ("stem",), rows=STEM, alone=(), optional=("cat",),
         left_out={"encoder.0": "part of the samples", "encoder.1": "part of the samples", "head": "mixes samples"}),
    Case("pairs, even batches only", lambda: siamese(pairs), ("stem", "encoder.0", "encoder.1"),
         rows=STEM | {"encoder.1": lambda model, x: model.encoder(model.stem(x))}, alone=(),
         left_out={"head": "mixes samples"}),
    Case("a whole graph", graph, some=("first", "second"), alone=(), rows=NODES, arguments={"batch": None}),
    Case("constants among rows", lambda: three(among), some=("stem", "head"), rows=STEM),
    Case("positions along the batch", lambda: three(positions, table=nn.Embedding(64, 6)), ("stem",),
         left_out={"table": "no sample", "body.0": "", "head": ""}),
]  # fmt: skip

# -- noise ------------------------------------------------------------------------------------------------------------


def vae(draw):
    """An encoder to a mean and a spread, a draw, a decoder; the draw is small, so that its rows can be told apart."""

    def run(self, x):
        h = self.encoder(x)
        return self.decoder(self.draw(self.mean(h), 0.01 * self.spread(h).sigmoid()))

    encoder, decoder = nn.Sequential(nn.Linear(4, 6), nn.ReLU()), nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 4))
    return module(run, encoder=encoder, mean=nn.Linear(6, 3), spread=nn.Linear(6, 3), draw=module(draw), decoder=decoder)


def means(model, x):
    return model.mean(model.encoder(x))


def decoded_means(model, x):
    return model.decoder(means(model, x))


def noisy(change, **parts):
    return three(lambda self, x: self.head(self.body(self.change(self, self.stem(x)))), change=change, **parts)


def sorted_and_noisy():
    def run(self, x):
        order = x[:, 0].argsort()
        h = self.body(self.noise(self.stem(x[order])))
        return self.head(h[order.argsort()])

    return three(run, noise=module(lambda self, h: h + 1e-4 * torch.rand_like(h)))


def counted(self, h):
    self.count += 1
    return h * (1 + 0.1 * self.count)


def kept(self, h):
    if self.table is None:
        self.table = torch.linspace(-1, 1, h.shape[1])
    return h + self.table


DRAWS = {
    "Monte-Carlo dropout": (lambda self, h: F.dropout(h, training=True), {}),
    "NumPy": (lambda self, h: h + torch.from_numpy(np.random.randn(*h.shape)).float(), {}),  # noqa: NPY002
    "an own generator": (lambda self, h: h + torch.randn(h.shape, generator=self.own), {"own": torch.Generator()}),
    "an own NumPy generator": (
        lambda self, h: h + torch.from_numpy(self.own.standard_normal(h.shape, "f")),
        {"own": np.random.default_rng(0)},
    ),
    "bernoulli": (lambda self, h: h * torch.bernoulli(torch.full_like(h, 0.5)), {}),
    "normal_": (lambda self, h: h + torch.empty_like(h).normal_(), {}),
    "gumbel_softmax": (lambda self, h: F.gumbel_softmax(h, dim=1), {}),
    "rsample": (lambda self, h: torch.distributions.Normal(h, 1.0).rsample(), {}),
    "a counter": (counted, {"count": 0}),
}
LATE = ("body.0", "body.1", "head")
SPREAD = ("draw", "decoder.0", "decoder.1", "decoder.2")
NOISE = [
    *(Case(f"noise: {name}", functools.partial(noisy, change, **parts), some=("stem", *LATE),
           noisy=(*LATE, "dropout*", "mul*", "add*", "*softmax*"), alone=("stem",))
      for name, (change, parts) in DRAWS.items()),
    Case("VAE by randn_like", lambda: vae(lambda self, m, s: m + s * torch.randn_like(s)),
         some=("encoder.0", "encoder.1", *SPREAD), noisy=SPREAD, rows={"draw": means, "decoder.2": decoded_means},
         tolerance=0.05),
    Case("VAE by rsample", lambda: vae(lambda self, m, s: torch.distributions.Normal(m, s).rsample()),
         some=("encoder.0", "encoder.1", *SPREAD), noisy=SPREAD, rows={"draw": means, "decoder.2": decoded_means},
         tolerance=0.05),
    Case("sorted, with noise, and put back", sorted_and_noisy, some=THREE, noisy=(*LATE, "noise"), alone=THREE,
         tolerance=1e-2),
    Case("filled by a first call", lambda: noisy(kept, table=None), some=THREE),
]  # fmt: skip

# -- odd calls --------------------------------------------------------------------------------------------------------


def plain():
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))


def inner(model, x):
    return model.body(model.stem(x))


def under_autocast(self, x):
    with torch.autocast("cpu", torch.bfloat16):
        return self.head(self.body(self.stem(x)))


def one_half():
    scale = nn.Parameter(torch.tensor(1.5, dtype=torch.bfloat16))
    return three(lambda self, x: self.head(self.body(self.stem(x * self.scale.float()))), scale=scale)


def seconds():
    return 1.7e9 + numbers(4).double()


def sparse():
    adjacency = (torch.eye(6) + torch.eye(6).roll(1, 0)).to_sparse()
    run = lambda self, x: self.second(torch.sparse.mm(self.adjacency, self.first(x).T).T)  # noqa: E731
    return module(run, adjacency=adjacency, first=nn.Linear(6, 6), second=nn.Linear(6, 2))


def scripted():
    body = torch.jit.script(nn.Sequential(nn.Linear(6, 6), nn.ReLU()))
    return module(lambda self, x: self.head(self.body(self.stem(x))), stem=nn.Linear(4, 6), body=body, head=nn.Linear(6, 3))


def early_exit(self, x):
    """The whole batch goes on where one sample is hard."""
    h = self.stem(x)
    return self.head(self.body(h) if (x[:, 0] > 5).any() else h)


def exit_by_sample(self, x):
    h = self.stem(x)
    hard = x[:, 1] > 0
    h[hard] = self.body(h[hard])
    return self.head(h)


def hard_at(place):
    x = numbers(4)
    x[place, 0] = 9.0
    return x


def two_sources():
    def run(self, a, b):
        return self.head(self.towers["a/b"](self.towers["src#paper"](a) + self.towers["src#author"](b)))

    towers = nn.ModuleDict({"src#paper": nn.Linear(4, 6), "src#author": nn.Linear(4, 6), "a/b": nn.Linear(6, 6)})
    return module(run, towers=towers, head=nn.Linear(6, 2))


def forward_called():
    run = lambda self, x: self.head(self.layer.forward(x).tanh())  # noqa: E731
    return module(run, layer=nn.Linear(4, 6), head=nn.Linear(6, 2))


def tied(self, x):
    return F.linear(self.norm(self.body(self.emb(x))), self.emb.weight)


def functional(self, x):
    return self.fc3(torch.tanh(self.fc2(F.relu(self.fc1(x)))).relu())


def functional_rows():
    first = lambda model, x: F.relu(model.fc1(x))  # noqa: E731
    second = lambda model, x: torch.tanh(model.fc2(first(model, x)))  # noqa: E731
    return {"relu": first, "tanh": second, "relu#2": lambda model, x: F.relu(second(model, x))}


def respelt(self, x):
    a = self.fc1(x).relu()
    return self.head(torch.add(torch.relu_(self.fc2(a)).add(a), a))


def respelt_rows():
    first = lambda model, x: model.fc1(x).relu()  # noqa: E731
    second = lambda model, x: model.fc2(first(model, x)).relu()  # noqa: E731
    add = lambda model, x: second(model, x) + first(model, x)  # noqa: E731
    return {"relu": first, "relu#2": second, "add": add, "add#2": lambda model, x: add(model, x) + first(model, x)}


def in_a_loop(self, x):
    h = torch.zeros(len(x), 6)
    for t in range(x.shape[1]):
        h = self.cell(x[:, t], h)
    return self.head(h)


def mlp_block(self, x):
    return F.relu(self.b(F.relu(self.a(x))))


def with_blocks():
    blocks = nn.ModuleList(module(mlp_block, a=nn.Linear(4, 6), b=nn.Linear(6, 4)) for _ in range(2))
    return module(lambda self, x: self.head(self.blocks[1](self.blocks[0](x))), blocks=blocks, head=nn.Linear(4, 2))


def labelled(self, x):
    h = self.body(self.stem(x))
    return {"logits": self.head(h), "choice": self.choose(h)}


def gated(self, x):
    return self.head(self.body(self.stem(x)) * self.offsets(torch.arange(6)).squeeze(-1))


CALLS = [
    Case("compiled", lambda: torch.compile(plain(), backend="eager"), ("0", "1", "2")),
    Case("DataParallel", lambda: nn.DataParallel(plain()), ("0", "1", "2")),
    Case("bfloat16", lambda: plain().bfloat16(), ("0", "1", "2"), inputs=lambda: numbers(4).bfloat16(), tolerance=2e-2),
    Case("float16", lambda: plain().half(), ("0", "1", "2"), inputs=lambda: numbers(4).half(), tolerance=2e-2),
    Case("float64", lambda: plain().double(), ("0", "1", "2"), inputs=lambda: numbers(4).double()),
    Case("one bfloat16 scale", one_half, some=THREE),
    Case("seconds since 1970", lambda: three(lambda self, t: self.head(self.body(self.stem(t - 1.7e9)))).double(), THREE,
         inputs=seconds),
    Case("a sparse buffer", sparse, inputs=lambda: numbers(6), some=("first", "second")),
    Case("autocast inside", lambda: three(under_autocast), THREE, tolerance=2e-2),
    Case("scripted inside", scripted, ("stem", "body", "head"), rows={"body": inner}, alone=("stem", "head")),
    Case("vmap inside", lambda: three(lambda self, x: self.head(torch.func.vmap(self.body)(self.stem(x)))),
         some=("stem", "head"), never=("body.*",), left_out={"body.0": "vmap", "body.1": "vmap"}),
    Case("one sample a call",
         lambda: three(lambda self, x: self.head(torch.stack([self.body(row) for row in self.stem(x)]))),
         some=("stem", "head"), never=("body.*",), left_out={"body.0": "one sample", "body.1": "one sample"}),
    Case("two samples a call",
         lambda: three(lambda self, x: self.head(torch.cat([self.body(part) for part in self.stem(x).split(2)]))),
         some=("stem", "head"), never=("body.*",), left_out={"body.0": "", "body.1": ""}),
    Case("early exit of a batch", lambda: three(early_exit), inputs=lambda: hard_at(5), some=("stem",),
         never=("body.*", "head"), left_out={"body.0": "some passes", "body.1": "some passes", "head": ""}),
    Case("early exit of samples", lambda: three(exit_by_sample), some=("stem", "head"), never=("body.*",),
         left_out={"body.0": "part of the samples", "body.1": "part of the samples"}),
    Case("names with # and /", two_sources, inputs=lambda: (numbers(4), numbers(4, seed=1)),
         some=("towers.src#paper", "towers.src#author", "towers.a/b", "head")),
    Case("layer.forward", forward_called, some=("layer*", "tanh", "head"),
         rows={"layer*": lambda model, x: model.layer(x), "tanh": lambda model, x: model.layer(x).tanh()}),
    Case("tied head", lambda: three(tied, stem=None, emb=nn.Embedding(11, 6), norm=nn.LayerNorm(6)), inputs=lambda: ids(5),
         some=("emb", "body.0", "body.1", "norm", "output|emb.linear|emb#2"), never=("stem", "head")),
    Case("functions", lambda: module(functional, fc1=nn.Linear(4, 6), fc2=nn.Linear(6, 5), fc3=nn.Linear(5, 3)),
         ("fc1", "relu", "fc2", "tanh", "relu#2", "fc3"), rows=functional_rows()),
    Case("functions, spelt otherwise", lambda: three(respelt, fc1=nn.Linear(4, 6), fc2=nn.Linear(6, 6)),
         some=("fc1", "relu", "head"), rows=respelt_rows()),
    Case("a cell in a loop", lambda: module(in_a_loop, cell=nn.GRUCell(4, 6), head=nn.Linear(6, 2)), some=("cell#5", "head"),
         inputs=lambda: numbers(5, 4), alone=("cell#2", "cell#5", "head")),
    Case("functions in blocks", with_blocks, ("blocks.0", "blocks.1", "head"),
         rows={"blocks.1.relu": lambda model, x: F.relu(model.blocks[1].a(model.blocks[0](x)))}),
    Case("not floating", lambda: three(labelled, choose=module(lambda self, h: h.argmax(1))), some=THREE, never=("choose",),
         left_out={"choose": "not floating"}),
    Case("a table beside", lambda: three(gated, offsets=nn.Embedding(6, 1)),
         THREE, optional=("mul*",), left_out={"offsets": "no sample"}),
]  # fmt: skip
