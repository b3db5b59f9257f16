"""A small GPT-2 learns a language of brackets; its residual stream is read as a flow x_{l+1} = x_l + v_l(x_l).

The language is a context-free grammar with probabilities: S → ε | ( S ) S | [ S ] S | { S } S, nested up to four deep, cut
off after 32 brackets. What may come next depends on the prefix only through the brackets that are still open. So two things
are known exactly: the innermost open bracket, which a layer has to find (it labels each token of the probe), and the least
loss that any model can reach.

Networks of 2, 4 and 8 blocks learn it, and what the way through their blocks costs is compared, untrained and trained: how
much of it transport must cost, and what coupling, bending and an uneven pace waste (docs/residual-stream.md).

    python examples/small_gpt2.py [--quick] [--out results]

Needs transformers (pip install 'flowplane[transformers]'); nothing is downloaded. Writes `small-gpt2.fp` and
`small-gpt2.html`, of the deepest. About two minutes.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

import flowplane as fp

TYPES = 3
DEPTH = 4
LENGTH = 32
#: The chance of one more bracket where both opening and closing are possible.
OPEN = 0.5
START = 2 * TYPES


def sentences(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Token ids (count, LENGTH + 1), the start token first, and the innermost open bracket after each token.

    Brackets 0, 1, 2 open, 3, 4, 5 close, 6 is the start; the innermost open bracket is 0 where none is open, else 1, 2, 3.
    """
    rng = np.random.default_rng(seed)
    stack = np.zeros((count, DEPTH), np.int64)
    depth = np.zeros(count, np.int64)
    rows = np.arange(count)
    tokens = np.full((count, LENGTH + 1), START)
    innermost = np.zeros((count, LENGTH + 1), np.int64)
    for place in range(1, LENGTH + 1):
        opens = (rng.random(count) < OPEN) & (depth < DEPTH) | (depth == 0)
        kind = rng.integers(0, TYPES, count)
        top = stack[rows, np.maximum(depth - 1, 0)]
        tokens[:, place] = np.where(opens, kind, TYPES + top)
        stack[rows[opens], depth[opens]] = kind[opens]
        depth += np.where(opens, 1, -1)
        innermost[:, place] = np.where(depth > 0, stack[rows, np.maximum(depth - 1, 0)] + 1, 0)
    return torch.tensor(tokens), torch.tensor(innermost)


def least_loss() -> float:
    """The entropy of the next bracket given all before it, in nats, averaged over the places of a sentence."""
    choice = -OPEN * math.log(OPEN) - (1 - OPEN) * math.log(1 - OPEN)
    entropy = np.array([math.log(TYPES), *[choice + OPEN * math.log(TYPES)] * (DEPTH - 1), 0.0])
    up = np.array([1.0, *[OPEN] * (DEPTH - 1), 0.0])
    step = np.diag(up[:-1], 1) + np.diag(1 - up[1:], -1)
    chances, total = np.eye(DEPTH + 1)[0], 0.0
    for _ in range(LENGTH):
        total += chances @ entropy
        chances = chances @ step
    return total / LENGTH


def small_gpt2(layers: int = 6, width: int = 48) -> GPT2LMHeadModel:
    """GPT-2 with random weights, without dropout."""
    config = GPT2Config(
        vocab_size=START + 1,
        n_positions=LENGTH + 1,
        n_embd=width,
        n_layer=layers,
        n_head=4,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        use_cache=False,
        bos_token_id=START,
        eos_token_id=START,
    )
    return GPT2LMHeadModel(config)


def train_steps(model: GPT2LMHeadModel, optimizer: torch.optim.Optimizer, steps: int, seed: int) -> float:
    """Some steps on new sentences, 32 a step; the mean loss in nats a token."""
    tokens, _ = sentences(32 * steps, seed)
    losses = []
    for batch in tokens.split(32):
        logits = model(input_ids=batch).logits[:, :-1]
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return sum(losses) / len(losses)


def trained(layers: int, width: int, epochs: int, steps: int, path: Path | None) -> tuple[fp.Recording, float]:
    """A network's recording while it learns, and its last loss in nats a token; an epoch is so many steps, as the language
    has no end."""
    torch.manual_seed(0)
    model = small_gpt2(layers, width)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    tokens, innermost = sentences(30, seed=1)
    # the residual stream x_0, x_1, …: what enters the first block, and what leaves each; every token is a sample
    with fp.Recorder(
        model,
        {"input_ids": tokens},
        innermost,
        path=path,
        layers=["transformer.drop", "transformer.h.*"],
        reduce="tokens",
        epochs=epochs,
        snapshots=30 if path else 2,
        mode="overwrite" if path else "create",
    ) as recorder:
        for epoch in range(epochs):
            loss = train_steps(model, optimizer, steps, seed=2 + epoch)
            recorder.step(epoch=epoch + 1, step=(epoch + 1) * steps, train_loss=loss)
    return recorder.recording, loss


TERMS = {
    "transport": "must be spent",
    "coupling": "wasted on coupling",
    "bending": "on bending",
    "pace": "on an uneven pace",
}


def in_words(blocks: int, spent: xr.Dataset) -> str:
    """What the path through the blocks is spent on at the first epoch and at the last."""
    lines = []
    for when, k in (("untrained", 0), ("trained", -1)):
        here = spent.isel(replica=0, epoch=k)
        shares = [f"{100 * float(here[term] / here.energy):.0f} % {words}" for term, words in TERMS.items()]
        few = " (too few points to tell the first two apart)" if int(here.coupling_flags) else ""
        lines.append(f"  {when}: energy {float(here.energy):.3g}, of which {', '.join(shares)}{few}")
    # L steps of one length at right angles: |Δ|² = L|δ|², ℓ² = L²|δ|²
    many = "1 block" if blocks == 1 else f"{blocks} blocks"
    return "\n".join([f"{many}: independent steps would waste {100 * (1 - 1 / blocks):.0f} % on bending", *lines])


def main(out: Path, quick: bool) -> None:
    """Train, record, compare, report."""
    depths, width, epochs, steps = ((1, 2), 16, 3, 2) if quick else ((2, 4, 8), 48, 40, 15)
    out.mkdir(parents=True, exist_ok=True)
    told = []
    for blocks in depths:
        rec, loss = trained(blocks, width, epochs, steps, out / "small-gpt2.fp" if blocks == depths[-1] else None)
        spent = fp.layer_budget(rec.sel(epoch=[0, epochs]))
        told.append(f"{in_words(blocks, spent)}; loss {loss:.3f} nats a token")
    print(rec)
    print(f"No model can have a loss of less than {least_loss():.3f} nats a token.")
    print("What the path through the blocks costs, in squared units of the residual stream:", *told, sep="\n")
    fp.report(rec, out / "small-gpt2.html")
    print(f"report: {out / 'small-gpt2.html'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="seconds, and no results worth reading")
    parser.add_argument("--out", type=Path, default=Path("results/examples"), help="where the recording and the page go")
    arguments = parser.parse_args()
    main(arguments.out, arguments.quick)
