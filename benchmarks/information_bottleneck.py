"""How fast is the information bottleneck curve, against embo and against plain Blahut and Arimoto iterations?

(a) embo as it comes, but for two processes and all its β kept, on the 53 states of the reference task: our Lagrangians must
not be above its own. (b) The whole curve of that task to a certified gap of 1e-9 bit, and plain iterations until they are as
near. (c) A random joint of 1000 × 50, to 0.001 bit, which is hardly ever proved of 50 classes; plain iterations on every
tenth β, scaled up.

embo is a development dependency. Prints Markdown tables; timings are not judged.

    python benchmarks/information_bottleneck.py [--no-large]

The file is not called bottleneck.py: pandas would take it for the optional package of that name.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
import xarray as xr
from embo.core import InformationBottleneck

from flowplane.bottleneck import ib_curve
from flowplane.bottleneck.blahut_arimoto import step
from flowplane.bottleneck.joint import Merged, checked_joint, merged
from flowplane.tasks import spherical_rule

Result = TypeVar("Result")


def timed(work: Callable[[], Result], passes: int = 1) -> tuple[Result, float]:
    """What comes out, and the median seconds."""
    seconds = []
    for _ in range(passes):
        began = time.perf_counter()
        found = work()
        seconds.append(time.perf_counter() - began)
    return found, float(np.median(seconds))


def lagrangians(states: Merged, encoder: torch.Tensor, betas: torch.Tensor) -> torch.Tensor:
    """I(X;T) − β I(T;Y) in bits of encoders (beta, state, cluster), as logarithms."""
    together = states.mass[:, None] * encoder.exp()
    weight = together.sum(1)
    i_xt = torch.special.entr(weight).sum(1) - torch.special.entr(encoder.exp()).sum(2) @ states.mass
    joint = together.mT @ states.conditional
    of_y = torch.special.entr(states.mass @ states.conditional).sum()
    i_ty = torch.special.entr(weight).sum(1) + of_y - torch.special.entr(joint).sum((1, 2))
    return (i_xt - betas * i_ty) / math.log(2.0)


def plain(states: Merged, betas: np.ndarray, goal: np.ndarray, most: int, every: int) -> tuple[int, int]:
    """Plain iterations, all β together, from near T = X until Lagrangians are below `goal`; steps, and β that got there."""
    n = len(states.mass)
    start = torch.full((n, n), 0.1 / n, dtype=torch.float64) + 0.9 * torch.eye(n, dtype=torch.float64)
    scale, wanted = torch.tensor(betas), torch.tensor(goal)
    encoder = start.log().expand(len(betas), -1, -1)
    taken = 0
    while taken < most and len(scale):
        for _ in range(every):
            encoder = step(states.mass, states.conditional, encoder, scale)
        taken += every
        left = lagrangians(states, encoder, scale) > wanted
        encoder, scale, wanted = encoder[left], scale[left], wanted[left]
    return taken, len(betas) - len(scale)


def against_embo(states: Merged) -> None:
    """(a)."""
    joint = (states.mass[:, None] * states.conditional).numpy()

    def peer() -> tuple[np.ndarray, np.ndarray]:
        found = InformationBottleneck(pxy=joint.copy(), numbeta=100, processes=2, ensure_monotonic_bound=False)
        i_xt, i_ty, _, betas = (np.asarray(column) for column in found.get_bottleneck())
        return betas, i_xt - betas * i_ty

    (betas, theirs), slow = timed(peer, 3)
    ib_curve(joint, betas[:2])
    curve, fast = timed(lambda: ib_curve(joint, betas), 5)
    above = curve.lagrangian.values - theirs
    print("(a) 100 β from 0.01 to 5, 53 states\n")
    print("| | seconds | times embo's speed | Lagrangian above embo's, most | on average |\n|---|---:|---:|---:|---:|")
    print(f"| embo, two processes | {slow:.3f} | 1.0 | 0 | 0 |")
    print(f"| flowplane, to a gap of 1e-9 | {fast:.3f} | {slow / fast:.1f} | {above.max():.1e} | {above.mean():.1e} |\n")


def whole_curve(states: Merged) -> None:
    """(b)."""
    joint = (states.mass[:, None] * states.conditional).numpy()
    chosen, search = timed(lambda: ib_curve(joint))
    curve, fast = timed(lambda: ib_curve(joint, chosen.beta.values), 3)
    goal = curve.lagrangian.values + 1e-9
    (taken, reached), slow = timed(lambda: plain(states, curve.beta.values, goal, 5000, 50))
    beta = curve.beta.values
    print(f"(b) the whole curve: 100 β from {beta[0]:.3g} to {beta[-1]:.3g}, 53 states\n")
    print("| | seconds | times the speed of plain iterations | steps, most | within 1e-9 bit |\n|---|---:|---:|---:|---:|")
    print(f"| plain iterations, all β together, cut off | {slow:.2f} | 1.0 | {taken} | {reached} of 100 |")
    certain = int((curve.gap <= 1e-9).sum())
    print(f"| flowplane | {fast:.2f} | {slow / fast:.1f} | {int(curve.iterations.max())} | {certain} of 100 |")
    print(f"| flowplane, β chosen as well | {search:.2f} | {slow / search:.1f} | | |\n")


def large() -> None:
    """(c)."""
    joint = np.random.default_rng(0).random((1000, 50))
    joint /= joint.sum()
    states = merged(checked_joint(joint))
    betas = np.geomspace(10, 1000, 100)
    curve, fast = timed(lambda: ib_curve(joint, betas, tolerance=1e-3))
    some: xr.Dataset = curve.isel(beta=slice(5, None, 10))

    def peer() -> int:
        goals = some.lagrangian.values + 1e-3
        return sum(plain(states, some.beta.values[k : k + 1], goals[k : k + 1], 100, 5)[1] for k in range(10))

    reached, slow = timed(peer)
    print("(c) 100 β from 10 to 1000, a random joint of 1000 × 50\n")
    print("| | seconds | times the speed of plain iterations | within 0.001 bit |\n|---|---:|---:|---:|")
    print(f"| plain iterations, at most 100, scaled from 10 β | {10 * slow:.0f} | 1.0 | {reached} of 10 |")
    certain = int((curve.gap <= 1e-3).sum())
    print(f"| flowplane | {fast:.0f} | {10 * slow / fast:.1f} | {certain} of 100 |\n")


def main() -> None:
    """Time all and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-large", action="store_true", help="leave (c) out, which takes minutes")
    arguments = parser.parse_args()
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"{processors} processors, {torch.get_num_threads()} threads\n")
    states = merged(checked_joint(spherical_rule(information=0.99)))
    against_embo(states)
    whole_curve(states)
    if not arguments.no_large:
        large()


if __name__ == "__main__":
    main()
