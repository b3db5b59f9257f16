"""Learned denoisers against the exact ones of two normal classes."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from oracles_bridge import errors

from flowplane.bridge.evaluation import judge
from flowplane.bridge.training import Guess, Range, Rows, Schedule, train

#: T | Y = ±1 ~ N(±1, v).
VARIANCE = 0.25
LEVELS = Range.same(lowest=-5.0, highest=4.0, centre=-1.0, spread=1.5, device=torch.device("cpu"))
QUICK = Schedule(hidden=(48, 48), steps=500)


@dataclass(frozen=True)
class Normal:
    """The best linear denoiser, with Y as a feature only."""

    t: torch.Tensor
    y: torch.Tensor
    features: int = 3

    def clean(self, rows):
        return self.t[rows]

    def guess(self, noisy, level, rows, given):
        whole, told = 1 + VARIANCE, given[:, :, None]
        shrink = whole / (whole + level[:, :, None])
        told = told.to(noisy.dtype)
        features = torch.cat([noisy / (whole + level[:, :, None]).sqrt(), self.y[rows].to(noisy.dtype) * told, told], 2)
        return Guess(shrink * noisy, (shrink * level[:, :, None]).sqrt(), features)


def classes(n, seed, shuffled=False):
    rng = np.random.default_rng(seed)
    y = rng.choice([-1.0, 1.0], (n, 1))
    t = y + np.sqrt(VARIANCE) * rng.standard_normal((n, 1))
    return Normal(torch.from_numpy(t), torch.from_numpy(rng.permutation(y) if shuffled else y))


def split(n, models=2):
    """A fifth is held out, a tenth chooses; each model another one."""
    place = (torch.arange(n) + torch.arange(models)[:, None] * n // models) % n
    return Rows.of(place >= 3 * n // 10), Rows.of((place >= n // 5) & (place < 3 * n // 10)), Rows.of(place < n // 5)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def learned(base, schedule=QUICK):
    training, choosing, held = split(len(base.t))
    return train(base, LEVELS, training, choosing, schedule, generator()), held


def test_errors_are_those_of_the_exact_denoisers():
    denoiser, held = learned(classes(4000, 0))
    nodes = torch.linspace(-3.0, 2.0, 6)
    judged = judge(denoiser, held, nodes.expand(2, -1), 4, generator(1))
    exact = np.array([errors(level, VARIANCE) for level in nodes.double().exp().numpy()]).T / nodes.double().exp().numpy()
    # the standard error of a mean square over 800 rows and their noises is about 5 %
    for found, truth in zip(judged.learned, exact, strict=True):
        np.testing.assert_allclose(found.mean((0, 1)), truth, atol=0.02, rtol=0.12)
    excess = judged.base.given.mean((0, 1)).numpy() - exact[1]
    assert np.abs(judged.learned.given.mean((0, 1)).numpy() - exact[1]).sum() < 0.2 * excess.sum()


def test_integral_of_the_errors_is_no_less_than_that_of_the_best():
    denoiser, held = learned(classes(4000, 1))
    nodes = torch.linspace(-3.0, 2.0, 6)
    judged = judge(denoiser, held, nodes.expand(2, -1), 4, generator(2))
    best = [errors(level, VARIANCE)[0] / level for level in nodes.double().exp().numpy()]
    found = judged.learned.without.sum(2).flatten()
    assert found.mean() > sum(best) - 3 * found.std() / len(found) ** 0.5


def test_condition_that_says_nothing_is_left_out():
    denoiser, held = learned(classes(600, 2, shuffled=True))
    judged = judge(denoiser, held, torch.zeros(2, 1), 8, generator(3))
    # by the choice on rows held out of training, what is left is far below what the class would tell: .41
    assert judged.learned.gap.mean() < 0.02


def test_networks_of_no_steps_leave_the_unlearned_part():
    denoiser, held = learned(classes(200, 3), replace(QUICK, steps=0))
    judged = judge(denoiser, held, torch.zeros(2, 1), 1, generator())
    assert all(torch.equal(base, found) for base, found in zip(judged.base, judged.learned, strict=True))


def test_nothing_depends_on_global_settings():
    base = classes(200, 4)
    schedule = replace(QUICK, steps=14)
    first, held = learned(base, schedule)
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(9)
    try:
        with torch.no_grad():
            second, _ = learned(base, schedule)
            found = judge(second, held, torch.zeros(2, 1), 1, generator())
    finally:
        torch.set_default_dtype(dtype)
    assert torch.equal(first.share, second.share)
    assert torch.equal(found.learned.given, judge(first, held, torch.zeros(2, 1), 1, generator()).learned.given)


@pytest.mark.gpu
def test_gpu_learns_the_same():
    base = classes(2000, 5)
    here, held = learned(base)
    training, choosing, there_held = (Rows(*(part.cuda() for part in rows)) for rows in split(2000))
    levels = Range(*(part.cuda() for part in (LEVELS.lowest, LEVELS.highest, LEVELS.centre, LEVELS.spread)))
    there = train(Normal(base.t.cuda(), base.y.cuda()), levels, training, choosing, QUICK, generator())
    found = judge(there, there_held, torch.zeros(2, 1, device="cuda"), 4, generator(1)).learned.given.mean().cpu()
    assert abs(found - judge(here, held, torch.zeros(2, 1), 4, generator(1)).learned.given.mean()) < 0.02


def test_rows_of_models_with_different_numbers():
    rows = Rows.of(torch.tensor([[True, False, True, True], [False, False, True, False]]))
    assert rows.counts.tolist() == [3, 1]
    assert rows.own.tolist() == [[True, True, True], [True, False, False]]
    assert rows.places.tolist() == [[0, 2, 3], [2, 2, 2]]


def test_levels_are_drawn_in_their_range_and_mostly_around_the_integrand():
    drawn = LEVELS.draw(2, 10000, generator())
    assert drawn.min() >= LEVELS.lowest and drawn.max() <= LEVELS.highest
    near = ((drawn - LEVELS.centre).abs() < LEVELS.spread).double().mean()
    # 68 % of seven tenths, and a third of three tenths
    assert near == pytest.approx(0.7 * 0.6827 + 0.3 * 3 / 9, abs=0.015)
    assert LEVELS.place(torch.tensor([-5.0, 4.0])).tolist() == [-1.0, 1.0]


def test_models_may_have_levels_of_their_own():
    lowest = torch.tensor([[-5.0], [0.0]])
    drawn = replace(LEVELS, lowest=lowest, centre=lowest + 1).draw(2, 5000, generator())
    assert (drawn >= lowest).all() and drawn[1].min() < 0.1 and drawn[0].min() < -4.9
