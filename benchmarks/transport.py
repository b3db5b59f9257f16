"""How fast are denoisers and flows, against the obvious implementation, the bare field, and zuko?

Six questions, one Markdown table each; exits with an error if values differ.

1. 50,000 points denoised at themselves: how much memory above the data? The peer is a softmax of 1024 rows at a time.
2. A continuous flow of a mixture: what does the solver cost beside the scores that it asks for?
3. log p along an ODE whose divergence is taken by automatic differentiation: the same field and the same tolerances in
   zuko's free-form flow (`pip install zuko`; without it that table is skipped). The true answer is known.

4. The profile of a 2-D flow: what does it cost beside the same numbers by torchdiffeq and POT alone?
5. Flow matching of others (torchcfm; without it that table is skipped) on two moons and on digits, with independent pairs
   and with optimal ones of each batch: what is spent, and how many steps do?
6. A report on each of these flows: how long does it take?

    python benchmarks/transport.py [--points 50000] [--compared 20000] [--particles 10000] [--repeats 5] [--threads 2]

Beside other work use fewer threads than cores: threads that wait for each other can make small tensors 20 times slower.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import flowplane as fp

#: Variance of the denoiser's noise: the median point is drawn to some hundreds of others.
NOISE = 0.25
RTOL, ATOL = 1e-5, 1e-6


def seconds(
    functions: dict[str, Callable[[], Any]], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """The median time of each, called in turns, so that a busy machine slows all of them."""
    passes: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            began = clock()
            function()
            passes[name].append(clock() - began)
    return {name: float(np.median(times)) for name, times in passes.items()}


def sheet(n: int) -> Tensor:
    """float32 points (n, 64) about a plane of four dimensions."""
    generator = torch.Generator().manual_seed(0)
    within, plane = torch.randn(n, 4, generator=generator), torch.randn(4, 64, generator=generator) / 8
    return within @ plane + 0.1 * torch.randn(n, 64, generator=generator)


def ours(points: Tensor) -> Tensor:
    """The best denoiser, at the points."""
    return fp.denoising_flow(fp.Empirical(points), NOISE, layers=1)(points)


def softmax(points: Tensor) -> Tensor:
    """The same, 1024 rows of the matrix of weights at a time."""
    bias = -points.square().sum(1) / (2 * NOISE)
    return torch.cat([((rows @ points.T / NOISE + bias).softmax(1)) @ points for rows in points.split(1024)])


def resident() -> float:
    """MiB that the process holds now; its largest so far where there is no /proc."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20 if statm.exists() else peak()


def peak() -> float:
    """MiB that the process held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def memory(denoise: Callable[[Tensor], Tensor], n: int) -> tuple[float, float]:
    """Seconds of a first call, and its peak of memory in MiB above what the process held before it."""
    points = sheet(n)
    before = resident()
    began = time.perf_counter()
    denoise(points)
    return time.perf_counter() - began, peak() - before


def fresh(denoise: Callable[[Tensor], Tensor], n: int) -> tuple[float, float]:
    """`memory` in a new process."""
    threads = (torch.get_num_threads(),)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), torch.set_num_threads, threads) as pool:
        return pool.submit(memory, denoise, n).result()


def denoiser(many: int, compared: int) -> None:
    """Question 1."""
    first, above = fresh(ours, many)
    memories = {"flowplane": fresh(ours, compared)[1], "softmax of 1024 rows at a time": fresh(softmax, compared)[1]}
    points = sheet(compared)
    answer, expected = ours(points), softmax(points)
    torch.testing.assert_close(answer, expected, rtol=0, atol=1e-4)
    assert float((answer - points).norm(dim=1).mean()) > 0.1, "the denoiser moves nothing, so that agreement says nothing"
    times = seconds({"flowplane": lambda: ours(points), "softmax of 1024 rows at a time": lambda: softmax(points)}, 3)
    peer = times["softmax of 1024 rows at a time"]
    print("\n## Denoising points at themselves: float32, 64 dimensions\n")
    print("| | points | seconds | times faster than the peer | peak memory above the data, MiB |\n|---|---:|---:|---:|---:|")
    for name in reversed(times):
        print(f"| {name} | {compared} | {times[name]:.2f} | {peer / times[name]:.2f} | {memories[name]:.0f} |")
    print(f"| flowplane, the first call of a process | {many} | {first:.2f} | – | {above:.0f} |")
    difference = float((answer - expected).abs().max())
    print(f"\nAim: at most 1024 MiB at 50,000 points. The answers differ by {difference:.0e} at most, 1e-4 is allowed.")


def mixture(components: int = 10) -> fp.GaussianMixture:
    """A planar mixture whose components are ellipses of any direction."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(components, 2, 2))
    covariances = 0.1 * factors @ factors.transpose(0, 2, 1) + 0.1 * np.eye(2)
    return fp.GaussianMixture(rng.dirichlet(np.full(components, 5.0)), 2 * rng.normal(size=(components, 2)), covariances)


def solver(particles: int, repeats: int) -> None:
    """Question 2."""
    density = mixture()
    flow = fp.denoising_flow(density, 0.8 * density.smoothing.least_variance / 2, layers=math.inf)
    x = torch.as_tensor(density.sample(particles))
    smoothing = flow.core.smoothing
    score, calls = smoothing.score, []

    def recorded(s: float, places: Tensor) -> Tensor:
        calls.append((s, places.clone()))
        return score(s, places)

    smoothing.score = recorded
    try:
        y = flow(x)
    finally:
        del smoothing.score
    # change of variables: the density at the end is known, and so is the divergence on the way
    expected = density.log_prob(x) - flow.log_det_jacobian(x)
    torch.testing.assert_close(flow.log_prob(y), expected, rtol=0, atol=1e-5)

    def bare() -> None:
        with torch.no_grad():
            for s, places in calls:
                score(s, places)

    times = seconds({"bare": bare, "flow": lambda: flow(x)}, repeats)
    print(f"\n## Continuous flow to 0.8 t*: {particles} particles, 10 components in the plane, rtol 1e-8, atol 1e-9\n")
    print("| | ms | times the bare scores |\n|---|---:|---:|")
    print(f"| {len(calls)} evaluations of the score, at the same points | {1000 * times['bare']:.0f} | 1 |")
    print(f"| flow(x) | {1000 * times['flow']:.0f} | {times['flow'] / times['bare']:.2f} |")
    difference = float((flow.log_prob(y) - expected).abs().max())
    print(f"\nAim: at most 2. log p(y) and log p(x) − log det differ by {difference:.0e} at most, 1e-5 is allowed.")


def free_form(particles: int, repeats: int) -> None:
    """Question 3."""
    print(
        f"\n## log p along an ODE: {particles} points in the plane, the field of the flow above, rtol {RTOL}, atol {ATOL}\n"
    )
    try:
        from zuko.transforms import FreeFormJacobianTransform
    except ImportError:
        print("zuko is not installed: pip install zuko")
        return
    density = mixture()
    smoothing = density.smoothing
    end = 0.8 * smoothing.least_variance / 2
    exact = fp.denoising_flow(density, end, layers=math.inf)
    y = torch.as_tensor(exact(density.sample(particles)))
    evaluations = 0

    def field(t: float | Tensor, x: Tensor) -> Tensor:
        nonlocal evaluations
        evaluations += 1
        return smoothing.score(-2 * float(t), x)

    def divergence(t: float, x: Tensor) -> Tensor:
        return smoothing.score_and_divergence(-2 * t, x)[1]

    autograd = fp.transport.ODEMap(field, dimension=2, time=end, source=density, rtol=RTOL, atol=ATOL)
    closed = fp.transport.ODEMap(field, 2, time=end, source=density, divergence=divergence, rtol=RTOL, atol=ATOL)
    transform = FreeFormJacobianTransform(field, 0.0, end, atol=ATOL, rtol=RTOL, exact=True)

    def zuko() -> Tensor:
        with torch.no_grad():
            x, log_det = transform.inv.call_and_ladj(y)
            return smoothing.log_prob(0.0, x) + log_det

    functions: dict[str, Callable[[], Tensor]] = {
        "zuko, FreeFormJacobianTransform": zuko,
        "flowplane, ODEMap": lambda: autograd.log_prob(y),
        "flowplane, ODEMap with divergence=": lambda: closed.log_prob(y),
    }
    expected = exact.log_prob(y)
    counts, errors = {}, {}
    for name, function in functions.items():
        evaluations = 0
        found = function()
        counts[name], errors[name] = evaluations, float((found - expected).abs().max())
        # a tolerance is of one step; the errors of the steps add up
        torch.testing.assert_close(found, expected, rtol=100 * RTOL, atol=100 * ATOL)
    times = seconds(functions, repeats)
    peer = times["zuko, FreeFormJacobianTransform"]
    print("| | ms | times faster than the peer | evaluations of the field | largest error |\n|---|---:|---:|---:|---:|")
    for name, spent in times.items():
        print(f"| {name} | {1000 * spent:.0f} | {peer / spent:.2f} | {counts[name]} | {errors[name]:.0e} |")
    print("\nThe error is against log p in closed form. zuko holds log det to 100 times the tolerance.")


def turning_moons() -> fp.transport.ODEMap:
    """A field that is cheap, bent and neither a gradient nor linear."""

    def field(t: float, x: Tensor) -> Tensor:
        return torch.stack([torch.sin(2 * x[:, 1]) - x[:, 0], torch.cos(x[:, 0]) * (1 + t) - 0.5 * x[:, 1]], 1)

    return fp.transport.ODEMap(field, 2, time=1.0, source=fp.densities.two_moons())


def by_hand(flow: fp.transport.ODEMap, x: Tensor, paired: Tensor, times: np.ndarray) -> dict[str, np.ndarray]:
    """What a profile says, by torchdiffeq, autograd and POT alone."""
    import ot
    from torchdiffeq import odeint

    field, instants = flow.velocity_of, torch.from_numpy(times)

    def derivatives(t: Tensor, columns: Tensor) -> Tensor:
        with torch.enable_grad():
            place = columns[:, :2].detach().requires_grad_()
            v = field(float(t), place)
            rows = [torch.autograd.grad(v[:, k].sum(), place, create_graph=True)[0] for k in range(2)]
            divergence = rows[0][:, 0] + rows[1][:, 1]
            (slope,) = torch.autograd.grad(divergence.sum(), place)
        jacobian = torch.stack(rows, 1).detach()
        score = columns[:, 3:5]
        dragged = -torch.einsum("nij,ni->nj", jacobian, score) - slope
        return torch.cat([v.detach(), -divergence.detach().unsqueeze(1), dragged], 1)

    def energies(t: Tensor, columns: Tensor) -> Tensor:
        v = field(float(t), columns[:, :2])
        return torch.cat([v, v.square().sum(1, keepdim=True)], 1)

    source = flow.known_source()
    columns = torch.cat([x, torch.as_tensor(source.log_prob(x)).unsqueeze(1), torch.as_tensor(source.score(x))], 1)
    options = {"norm": lambda part: part.abs().max(), "step_t": instants}
    settings = {"rtol": flow.rtol, "atol": flow.atol, "method": "dopri5", "options": options}
    with torch.no_grad():
        found = odeint(derivatives, columns, instants, **settings)
        spent = odeint(energies, torch.cat([paired, torch.zeros_like(paired[:, :1])], 1), instants, **settings)
    # the profile says the rate of entropy and its error at each time as well
    rates = [float(derivatives(t, part)[:, 2].mean()) for t, part in zip(instants, found, strict=True)]
    start = paired.numpy()
    plans = [ot.emd([], [], ot.dist(start, part[:, :2].numpy()), log=True)[1]["cost"] ** 0.5 for part in spent]
    return {
        "entropy": -found[:, :, 2].mean(1).numpy(),
        "entropy_rate": -np.array(rates),
        "fisher_information": found[:, :, 3:5].square().sum(2).mean(1).numpy(),
        "kinetic_energy": spent[:, :, 2].mean(1).numpy(),
        "wasserstein": np.array(plans),
    }


def profiled(particles: int, repeats: int) -> None:
    """Question 4."""
    from flowplane.core.streams import PROFILE, generator

    flow, times = turning_moons(), np.linspace(0, 1, 21)
    x = flow.known_source().draw(particles, generator(0, PROFILE))
    ours, theirs = flow.profile(particles, times), by_hand(flow, x, x[:1000], times)
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-4, atol=1e-6, err_msg=name)
    functions = {
        "torchdiffeq, autograd and POT": lambda: by_hand(flow, x, x[:1000], times),
        "flow.profile": lambda: flow.profile(particles, times),
    }
    found = seconds(functions, repeats, time.process_time)
    peer = found["torchdiffeq, autograd and POT"]
    print(f"\n## Profile of a flow in the plane: {particles} particles, 21 times, W_2 between 1,000 of them\n")
    print("| | CPU seconds | times the peer's |\n|---|---:|---:|")
    for name, spent in found.items():
        print(f"| {name} | {spent:.2f} | {spent / peer:.2f} |")
    print("\nAim: at most 1.3. Both say the same to 1e-4.")


def matched(steps: int) -> None:
    """Questions 5 and 6."""
    print(f"\n## Flow matching by torchcfm: {steps} steps of 256 pairs, three layers of 64 units (digits: 256)\n")
    try:
        from torchcfm.conditional_flow_matching import ConditionalFlowMatcher, ExactOptimalTransportConditionalFlowMatcher
    except ImportError:
        print("torchcfm is not installed: pip install --no-deps torchcfm==1.0.7")
        return
    moons = torch.as_tensor(fp.densities.two_moons().sample(20_000, seed=0)).float()
    pixels = torch.as_tensor(fp.tasks.digits().inputs).float()
    digits = (pixels - pixels.mean(0)) / pixels.var(0).mean().sqrt()
    print(
        "| data | pairs | energy | transport | coupling | bending | pace | Euler, steps | Heun | report, CPU seconds |\n"
        "|---|---|" + 8 * "---:|"
    )
    for kind, data, width, shape in (("two moons", moons, 64, 2), ("digits", digits, 256, (1, 8, 8))):
        for name, matcher in (
            ("independent", ConditionalFlowMatcher(sigma=0.0)),
            ("optimal in each batch", ExactOptimalTransportConditionalFlowMatcher(sigma=0.0)),
        ):
            flow = fp.transport.model_flow(matching(matcher, data, width, steps), shape=shape)
            spent, needed = flow.budget(), flow.steps().least_steps.values
            terms = [float(spent[term]) for term in ("energy", "transport", "coupling", "bending", "pace")]
            assert abs(sum(terms[1:]) / terms[0] - 1) < 1e-3, "the four terms do not add up"
            star = "*" * bool(spent.coupling_flags)
            numbers = " | ".join(f"{term:.3f}{star * (k in (1, 2))}" for k, term in enumerate(terms))
            with tempfile.TemporaryDirectory() as folder:
                began = time.process_time()
                fp.report(flow, Path(folder) / "flow.html")
                report = time.process_time() - began
            print(f"| {kind} | {name} | {numbers} | {needed[0]:.0f} | {needed[1]:.0f} | {report:.1f} |", flush=True)
    print("\n* few_for_dimension: too few particles to pair starts with ends; transport and coupling say only their sum.")


class Velocity(torch.nn.Module):
    """A small network of x and t."""

    def __init__(self, dimension: int, width: int) -> None:
        super().__init__()
        parts = []
        for left, right in pairwise((dimension + 1, width, width, width)):
            parts += [torch.nn.Linear(left, right), torch.nn.SiLU()]
        self.layers = torch.nn.Sequential(*parts, torch.nn.Linear(width, dimension))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.layers(torch.cat([x.flatten(1), t[:, None]], 1)).reshape(x.shape)


def matching(matcher: Any, data: Tensor, width: int, steps: int) -> torch.nn.Module:
    """A network trained as torchcfm's examples do."""
    torch.manual_seed(0)
    network = Velocity(data.shape[1], width)
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    for _ in range(steps):
        batch = data[torch.randint(len(data), (256,))]
        t, x, u = matcher.sample_location_and_conditional_flow(torch.randn_like(batch), batch)
        loss = (network(x, t) - u).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network


def main() -> None:
    """Answer all six."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=50_000)
    parser.add_argument("--compared", type=int, default=20_000)
    parser.add_argument("--particles", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"{processors} processors, {torch.get_num_threads()} threads of torch {torch.__version__}")
    denoiser(options.points, options.compared)
    solver(options.particles, options.repeats)
    free_form(options.particles, options.repeats)
    profiled(options.particles, options.repeats)
    matched(options.steps)


if __name__ == "__main__":
    main()
