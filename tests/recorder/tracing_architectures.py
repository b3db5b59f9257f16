"""Models of known architectures, small, with the layers that someone who knows them would take; see tracing_cases.py."""

from __future__ import annotations

import functools
from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import nn
from tracing_cases import Case, N, ids, module, numbers, three

__all__ = ["ARCHITECTURES", "STACKS", "UNITS"]


def perceptron(width: int, hidden: int):
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))


def stack(*blocks, width: int = 6):
    """A stem, residual blocks in a list, and a head."""

    def run(self, x):
        h = self.stem(x)
        for block in self.blocks:
            h = block(h)
        return self.head(h)

    return module(run, stem=nn.Linear(4, width), blocks=nn.ModuleList(blocks), head=nn.Linear(width, 3))


def residual(zero: bool = False, gate: bool = False):
    mlp = perceptron(6, 8)
    if zero:
        nn.init.zeros_(mlp[2].weight), nn.init.zeros_(mlp[2].bias)
    if gate:
        return module(lambda self, x: x + self.alpha * self.mlp(x), mlp=mlp, alpha=nn.Parameter(torch.zeros(1)))
    return module(lambda self, x: x + self.mlp(self.norm(x)), norm=nn.LayerNorm(6), mlp=mlp)


def adaptive():
    """adaLN-zero: each block is shifted, scaled and gated by the condition, and begins as the identity."""

    def block(self, x, c):
        shift, scale, gate = self.adaptation(c).chunk(3, -1)
        return x + gate * self.mlp(self.norm(x) * (1 + scale) + shift)

    def run(self, x, time):
        h, c = self.stem(x), self.condition(time)
        for part in self.blocks:
            h = part(h, c)
        return self.head(h)

    def made():
        adaptation = nn.Linear(6, 18)
        nn.init.zeros_(adaptation.weight), nn.init.zeros_(adaptation.bias)
        return module(block, adaptation=adaptation, mlp=perceptron(6, 8), norm=nn.LayerNorm(6, elementwise_affine=False))

    blocks = nn.ModuleList(made() for _ in range(3))
    return module(run, stem=nn.Linear(4, 6), condition=nn.Linear(2, 6), blocks=blocks, head=nn.Linear(6, 3))


def identities():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4))
    for part in model[1:]:
        nn.init.eye_(part.weight), nn.init.zeros_(part.bias)
    return model


def zero_head():
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    nn.init.zeros_(model[2].weight), nn.init.zeros_(model[2].bias)
    return model


def narrow(seed: int):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 3))


def first_token():
    first = module(lambda self, h: h[:, 0])
    return three(lambda self, x: self.head(self.first(self.body(self.stem(x)))), first=first)


BLOCKS = tuple(f"blocks.{k}" for k in range(4))
STACKS = [
    Case("four residual blocks", lambda: stack(*(residual() for _ in range(4))), ("stem", *BLOCKS, "head"),
         alone=("stem", *BLOCKS, "blocks.1.norm", "blocks.2.mlp.1", "head")),
    Case("four blocks with a zero last layer", lambda: stack(*(residual(zero=True) for _ in range(4))),
         ("stem", *BLOCKS, "head"), alone=("stem", *BLOCKS, "blocks.3.mlp.2", "head")),
    Case("ReZero", lambda: stack(*(residual(gate=True) for _ in range(4))), ("stem", *BLOCKS, "head")),
    Case("adaLN-zero", adaptive, ("stem", *BLOCKS[:3], "head"), inputs=lambda: (numbers(4), numbers(2, seed=1)),
         optional=("condition",), alone=("stem", "condition", *BLOCKS[:3], "head")),
    Case("identity matrices", identities, ("0", "1", "2")),
    Case("a zero head", zero_head, ("0", "1", "2")),
    Case("one block four times", lambda: stack(*[residual()] * 4),
         ("stem", *(f"blocks.0#{k}" for k in range(1, 5)), "head")),
    Case("fifty blocks", lambda: stack(*(residual() for _ in range(50))),
         some=("stem|blocks.0", "blocks.1|blocks.2", "blocks.48|blocks.49", "head"), alone=("head", "blocks.49"),
         check=lambda rec: len(rec.layers) <= 40),
    *(Case(f"Linear, ReLU, Linear, seed {seed}", functools.partial(narrow, seed), ("0", "1", "2")) for seed in range(20)),
    Case("a Hardtanh that clips nothing", lambda: nn.Sequential(nn.Linear(4, 6), nn.Hardtanh(-9, 9), nn.Linear(6, 3)),
         ("0", "1", "2")),
    Case("ReLU in place", lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Linear(6, 3)), ("0", "1", "2")),
    Case("ReLU of what is positive", lambda: nn.Sequential(nn.Linear(4, 6), nn.Softplus(), nn.ReLU(True), nn.Linear(6, 3)),
         ("0", "1", "2", "3")),
    Case("handed on", lambda: nn.Sequential(nn.Linear(4, 6), nn.Dropout(), nn.Identity(), nn.Flatten(), nn.Linear(6, 3)),
         ("0", "4")),
    Case("one token is taken", first_token, ("stem", "body.0", "body.1", "first", "head"), inputs=lambda: numbers(5, 4)),
]  # fmt: skip


# -- the axis of the units --------------------------------------------------------------------------------------------


def by_frame(self, x):
    n, t = x.shape[:2]
    return self.conv(x.flatten(0, 1)).unflatten(0, (n, t))


def videos():
    frames = [module(by_frame, conv=nn.Conv2d(a, b, 3)) for a, b in ((3, 5), (5, 4))]
    return nn.Sequential(*frames, nn.Flatten(), nn.Linear(64, 2))


def last(self, x):
    return self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def channels_last():
    convolved = module(last, conv=nn.Conv2d(3, 5, 3))
    return nn.Sequential(convolved, nn.LayerNorm(5), nn.Linear(5, 6), nn.ReLU(), nn.Flatten(), nn.Linear(96, 2))


def convolutions():
    return nn.Sequential(nn.Conv1d(3, 5, 3), nn.ReLU(), nn.Conv1d(5, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1))


UNITS = [
    Case("Conv1d and ReLU", convolutions, ("0", "1", "2", "3", "4"), inputs=lambda: numbers(3, 9)),
    Case("Conv1d and ReLU, means", convolutions, ("0", "1", "2", "3"), inputs=lambda: numbers(3, 9), reduce="mean", units=1),
    Case("maps (n, h, w, c), means", channels_last, ("0", "1", "2", "3", "5"), inputs=lambda: numbers(6, 6, 3),
         reduce="mean"),
    Case("videos (n, t, c, h, w), means", videos, ("0", "1", "3"), inputs=lambda: numbers(4, 3, 6, 6), reduce="mean",
         units=2, alone=("0", "1")),
]  # fmt: skip

# -- architectures ----------------------------------------------------------------------------------------------------


def chain(self, x):
    """All parts in their order."""
    for part in self.children():
        x = part(x)
    return x


def basic(inside: int, outside: int, stride: int):
    def run(self, x):
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))

    shortcut = None
    if stride > 1:
        shortcut = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))
    first, second = nn.Conv2d(inside, outside, 3, stride, 1), nn.Conv2d(outside, outside, 3, 1, 1)
    norms = {"bn1": nn.BatchNorm2d(outside), "bn2": nn.BatchNorm2d(outside)}
    return module(run, conv1=first, conv2=second, **norms, relu=nn.ReLU(True), downsample=shortcut)


def resnet():
    def run(self, x):
        x = self.layer2(self.layer1(self.relu(self.bn1(self.conv1(x)))))
        return self.fc(torch.flatten(self.avgpool(x), 1))

    return module(run, conv1=nn.Conv2d(3, 4, 3, padding=1, bias=False), bn1=nn.BatchNorm2d(4), relu=nn.ReLU(True),
                  layer1=nn.Sequential(basic(4, 4, 1), basic(4, 4, 1)), layer2=nn.Sequential(basic(4, 6, 2), basic(6, 6, 1)),
                  avgpool=nn.AdaptiveAvgPool2d(1), fc=nn.Linear(6, 3))  # fmt: skip


def first_sum(model, x):
    """Of the first block, before its ReLU, which is in place."""
    x, block = model.relu(model.bn1(model.conv1(x))), model.layer1[0]
    return block.bn2(block.conv2(block.relu(block.bn1(block.conv1(x))))) + x


def unet():
    def run(self, x):
        first = self.down1(x)
        second = self.down2(self.pool(first))
        h = self.up2(torch.cat([self.grow(self.middle(self.pool(second))), second], 1))
        return self.head(self.up1(torch.cat([self.grow(h), first], 1)))

    def double(inside, outside):
        return module(chain, a=nn.Conv2d(inside, outside, 3, padding=1), b=nn.ReLU(), c=nn.Conv2d(outside, outside, 1))

    return module(run, down1=double(3, 4), down2=double(4, 6), middle=double(6, 8), up2=double(14, 6), up1=double(10, 4),
                  pool=nn.MaxPool2d(2), grow=nn.Upsample(scale_factor=2), head=nn.Conv2d(4, 2, 1))  # fmt: skip


def dense(inside: int):
    def run(self, x):
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x

    layers = [nn.Sequential(nn.BatchNorm2d(k), nn.ReLU(), nn.Conv2d(k, 3, 3, padding=1)) for k in (inside, inside + 3)]
    return module(run, layers=nn.ModuleList(layers))


def densenet():
    transition = nn.Sequential(nn.Conv2d(10, 4, 1), nn.AvgPool2d(2))
    tail = {"pool": nn.AdaptiveAvgPool2d(1), "flat": nn.Flatten(), "head": nn.Linear(10, 3)}
    return module(chain, stem=nn.Conv2d(3, 4, 3), block1=dense(4), transition=transition, block2=dense(4), **tail)


def concatenated(model, x):
    h = model.stem(x)
    return torch.cat([h, model.block1.layers[0](h)], 1)


def convmixer():
    def added(self, x):
        return x + self.fn(x)

    def block():
        spatial = nn.Sequential(nn.Conv2d(6, 6, 3, groups=6, padding=1), nn.GELU(), nn.BatchNorm2d(6))
        return nn.Sequential(module(added, fn=spatial), nn.Conv2d(6, 6, 1), nn.GELU(), nn.BatchNorm2d(6))

    stem = (nn.Conv2d(3, 6, 2, 2), nn.GELU(), nn.BatchNorm2d(6))
    return nn.Sequential(*stem, *(block() for _ in range(4)), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))


def patches(self, x):
    return self.conv(x).flatten(2).mT


def mixer():
    def block(self, x):
        x = x + self.tokens(self.norm1(x).mT).mT
        return x + self.channels(self.norm2(x))

    def made():
        parts = {"tokens": perceptron(4, 5), "channels": perceptron(6, 8)}
        return module(block, norm1=nn.LayerNorm(6), norm2=nn.LayerNorm(6), **parts)

    cut = module(patches, conv=nn.Conv2d(3, 6, 4, 4))
    pool = module(lambda self, x: x.mean(1))
    return module(
        chain, patches=cut, blocks=nn.Sequential(made(), made()), norm=nn.LayerNorm(6), pool=pool, head=nn.Linear(6, 3)
    )


def attending(causal: bool = False, crossed: bool = False):
    """A pre-norm block; a crossed one looks at a memory as well."""

    def run(self, x, memory=None):
        mask = torch.ones(x.shape[1], x.shape[1]).triu(1).bool() if self.causal else None
        h = self.norm1(x)
        x = x + self.attention(h, h, h, attn_mask=mask, need_weights=False)[0]
        if memory is not None:
            x = x + self.cross(self.norm3(x), memory, memory, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))

    norms = {f"norm{k}": nn.LayerNorm(8) for k in (1, 2, 3)}
    cross = nn.MultiheadAttention(8, 2, batch_first=True) if crossed else None
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    return module(run, attention=attention, cross=cross, mlp=perceptron(8, 12), causal=causal, **norms)


def vit(encoded: bool):
    """Patches, a class token, positions, blocks; as torchvision has it, or with blocks in the root."""

    def encoder(self, x):
        return self.ln(self.layers(x + self.places))

    def run(self, x):
        x = self.conv_proj(x).flatten(2).mT
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        return self.heads(self.encoder(x)[:, 0])

    layers = nn.Sequential(OrderedDict((f"layer_{k}", attending()) for k in range(3)))
    token, places = nn.Parameter(torch.randn(1, 1, 8)), nn.Parameter(torch.randn(1, 5, 8))
    inner = module(encoder, layers=layers, ln=nn.LayerNorm(8), places=places)
    heads = nn.Sequential(nn.Linear(8, 3)) if encoded else nn.Linear(8, 3)
    return module(run, conv_proj=nn.Conv2d(3, 8, 4, 4), token=token, encoder=inner, heads=heads)


def tokens_first():
    """Pre-norm blocks of tokens, a class token first; no encoder around them."""

    def run(self, x):
        x = torch.cat([self.token.expand(len(x), -1, -1), self.tokens(x)], 1)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])

    blocks = nn.ModuleList(attending() for _ in range(3))
    token = nn.Parameter(torch.randn(1, 1, 8))
    return module(run, tokens=nn.Embedding(11, 8), token=token, blocks=blocks, norm=nn.LayerNorm(8), head=nn.Linear(8, 3))


def decoder_only(tied: bool):
    def run(self, x):
        h = self.drop(self.tokens(x) + self.places(torch.arange(x.shape[1]))[None])
        for block in self.h:
            h = block(h)
        return self.head(self.norm(h))

    parts = {"tokens": nn.Embedding(11, 8), "places": nn.Embedding(9, 8), "head": nn.Linear(8, 11, bias=False)}
    if tied:
        parts["head"].weight = parts["tokens"].weight
    return module(
        run, **parts, drop=nn.Dropout(0.1), h=nn.ModuleList(attending(causal=True) for _ in range(3)), norm=nn.LayerNorm(8)
    )


def encoder_decoder(fed_labels: bool = False):
    def coder(self, x, memory=None):
        h = self.tokens(x)
        for block in self.block:
            h = block(h, memory)
        return self.norm(h)

    def run(self, input_ids, decoder_input_ids=None, labels=None):
        given = decoder_input_ids if labels is None else F.pad(labels[:, :-1], (1, 0))
        return self.head(self.decoder(given, self.encoder(input_ids)))

    tokens = nn.Embedding(11, 8)

    def made(causal):
        block = nn.ModuleList(attending(causal, crossed=causal) for _ in range(2))
        return module(coder, tokens=tokens, block=block, norm=nn.LayerNorm(8))

    return module(run, encoder=made(False), decoder=made(True), head=nn.Linear(8, 11))


def einsum_attention(self, x):
    q, k, v = self.qkv(x).chunk(3, -1)
    weights = torch.einsum("nid,njd->nij", q, k).softmax(-1)
    return x + torch.einsum("nij,njd->nid", weights, v)


def with_einsum():
    block = functools.partial(lambda: module(einsum_attention, qkv=nn.Linear(6, 18)))
    return stack(block(), block())


def two_streams():
    """Nodes and edges: each block changes both, and only blocks as a whole are passed by all that reaches the output."""

    def block(self, x, e):
        e = e + self.edges(e).tanh()
        return x + (self.nodes(x) + e).tanh(), e

    def run(self, x):
        x, e = self.into_nodes(x), self.into_edges(x)
        for part in self.blocks:
            x, e = part(x, e)
        return self.head(x)

    blocks = nn.ModuleList(module(block, nodes=nn.Linear(6, 6), edges=nn.Linear(6, 6)) for _ in range(3))
    return module(run, into_nodes=nn.Linear(4, 6), into_edges=nn.Linear(4, 6), blocks=blocks, head=nn.Linear(6, 2))


RESNET = ("conv1", "bn1", "relu", "layer1.0", "layer1.1", "layer2.0", "layer2.1", "avgpool", "fc")
ADDED = ("cat*", "add*", "encoder.add*", "drop", "getitem*")
LAYERS = tuple(f"encoder.layers.layer_{k}" for k in range(3))
CODERS = ("encoder.tokens#1", "encoder.block.0", "encoder.block.1", "encoder.norm",
          "encoder.tokens#2", "decoder.block.0", "decoder.block.1", "decoder.norm", "head")  # fmt: skip
ARCHITECTURES = [
    Case("ResNet", resnet, RESNET, inputs=lambda: numbers(3, 6, 6), alone=(*RESNET, "layer1.0.bn1", "layer2.0.downsample.1"),
         rows={"layer1.0.add": first_sum}),
    Case("ResNet, means", resnet, tuple(name for name in RESNET if name != "avgpool"), inputs=lambda: numbers(3, 6, 6),
         reduce="mean", units=1),
    Case("U-Net", unet, inputs=lambda: numbers(3, 8, 8), some=("down1", "down2", "middle", "up2", "up1", "head"),
         never=("down1.a",)),
    Case("DenseNet", densenet, ("stem", "block1", "transition.0", "transition.1", "block2", "pool", "head"),
         inputs=lambda: numbers(3, 8, 8), never=("block1.*",), rows={"block1.cat": concatenated}),
    Case("ConvMixer", convmixer, inputs=lambda: numbers(3, 6, 6),
         some=("0|1|2", "3.0|3.*", "4.0|4.*", "5.0|5.*", "6.0|6.*", "9"), never=("*.fn", "*.fn.*"),
         alone=("2", "3.0", "4.0", "5.0", "6.3", "9", "6.0.fn.1")),
    Case("MLP-Mixer", mixer, ("patches", "blocks.0", "blocks.1", "norm", "pool", "head"), inputs=lambda: numbers(3, 8, 8),
         alone=("patches", "blocks.0", "blocks.1", "blocks.1.tokens.1", "norm", "pool", "head")),
    Case("ViT", lambda: vit(True), ("conv_proj", *LAYERS, "encoder.ln", "heads.0"), inputs=lambda: numbers(3, 8, 8),
         optional=ADDED),
    Case("tokens with a class token", tokens_first, ("tokens", *BLOCKS[:3], "norm", "head"), inputs=lambda: ids(6),
         optional=ADDED, alone=("tokens", *BLOCKS[:3], "blocks.0.attention", "blocks.1.mlp.1", "norm", "head")),
    Case("decoder only", lambda: decoder_only(False), ("tokens", "h.0", "h.1", "h.2", "norm", "head"), inputs=lambda: ids(6),
         optional=ADDED, left_out={"places": "no sample"}),
    Case("decoder only, tied", lambda: decoder_only(True), ("tokens", "h.0", "h.1", "h.2", "norm", "head"),
         inputs=lambda: ids(9), optional=ADDED, left_out={"places": "no sample"}),
    Case("encoder and decoder", encoder_decoder, CODERS,
         inputs=lambda: {"input_ids": ids(6), "decoder_input_ids": ids(5, seed=1)}),
    Case("encoder and decoder, fed labels", lambda: encoder_decoder(True), CODERS,
         inputs=lambda: {"input_ids": ids(6), "labels": ids(5, seed=1)}, arguments={"labels": torch.arange(N) % 3}),
    Case("two streams", two_streams, ("blocks.0", "blocks.1", "blocks.2", "head")),
    Case("attention by einsum", with_einsum, ("stem", "blocks.0", "blocks.1", "head"), inputs=lambda: numbers(5, 4)),
]  # fmt: skip
