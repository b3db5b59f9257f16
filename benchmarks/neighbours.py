"""How fast is information by nearest neighbours, against infomeasure and ennemi?

All three compute algorithm 1 of Kraskov, Stögbauer and Grassberger in the maximum norm on the same samples: infomeasure
with `noise_level=0`, which would otherwise move the samples; ennemi by the function behind its `estimate_mi`, which takes
one coordinate at a time and rescales it. Values must agree. flowplane is timed twice: the value alone, and the estimator as
it is called, with h(T) beside I(X;T), both intervals and the flags, which the peers do not give. The peers are no
dependencies: `pip install infomeasure ennemi`. Prints a Markdown table; exits with an error if values differ.

    python benchmarks/neighbours.py [--samples 10000]
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable

import numpy as np
import torch

try:
    import infomeasure
    from ennemi._entropy_estimators import _estimate_single_mi
except ModuleNotFoundError as missing:
    raise SystemExit("the peers of this benchmark are no dependencies: pip install infomeasure ennemi") from missing

from flowplane.core.neighbours import joint_neighbours
from flowplane.information.ksg import KSG

K = 4
Found = tuple[float, float]


def timed(work: Callable[[], float], passes: int) -> Found:
    """The value and the median seconds."""
    seconds = []
    for _ in range(passes):
        began = time.perf_counter()
        value = work()
        seconds.append(time.perf_counter() - began)
    return value, float(np.median(seconds))


def main() -> None:
    """Time all and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=10_000)
    n = parser.parse_args().samples
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    print(f"{n:,} samples, k = {K}, normal x and t with ρ = 0.6 in every coordinate, {processors} processors\n")
    print("| dimensions | | I(X;T) in bits | seconds | times infomeasure's speed |\n|---|---|---:|---:|---:|")
    for dimension in (2, 10):
        rng = np.random.default_rng(dimension)
        x = rng.normal(size=(n, dimension))
        t = 0.6 * x + 0.8 * rng.normal(size=(n, dimension))

        def peer(x: np.ndarray = x, t: np.ndarray = t) -> float:
            return float(infomeasure.mutual_information(x, t, approach="ksg", k=K, noise_level=0, base=2))

        def second_peer(x: np.ndarray = x, t: np.ndarray = t) -> float:
            return float(_estimate_single_mi(x, t, K)) / math.log(2.0)

        rows = {"infomeasure": timed(peer, 1), "ennemi": timed(second_peer, 1)}
        for device in devices:
            tensors = torch.tensor(x, device=device), torch.tensor(t, device=device)

            def value(x: torch.Tensor = tensors[0], t: torch.Tensor = tensors[1]) -> float:
                near = torch.cat(joint_neighbours(x[None], t[None, None], K)[1:])
                psi = torch.digamma(torch.tensor([float(K), float(n)], dtype=torch.float64)).sum()
                return float(psi - 2 * torch.digamma(near.double() + 1).mean()) / math.log(2.0)

            def everything(x: torch.Tensor = tensors[0], t: torch.Tensor = tensors[1]) -> float:
                return float(KSG(K, rescale=False)(t, inputs=x).i_xt)

            for name, work in (("the value", value), ("the estimator", everything)):
                work()  # compiles
                rows[f"flowplane, {name}, {device}"] = timed(work, 5)
        expected, slow = rows["infomeasure"]
        for name, (found, seconds) in rows.items():
            # ennemi takes ψ by a series
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 if name == "ennemi" else 1e-9)
            print(f"| {dimension} + {dimension} | {name} | {found:.9f} | {seconds:.3f} | {slow / seconds:.1f} |")


if __name__ == "__main__":
    main()
