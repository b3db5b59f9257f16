"""Scores learned at all variances, against the exact ones, and the flow that they make (§A3, §A5)."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import flowplane as fp
from flowplane.errors import InputError
from flowplane.transport import LearnedScore, ODEMap, ScoreNetwork, load_score, train_score

MIXTURE = fp.GaussianMixture([0.3, 0.7], [[-1.0, 0.0], [1.0, 0.5]], [0.05, 0.1])
LOW, HIGH = 0.05, 0.8


@pytest.fixture(scope="module")
def learned():
    """From points of its own at every step."""
    return train_score((32, 32), MIXTURE, variances=(LOW, HIGH), steps=2500, device="cpu")


def relative_error(learned, density, s):
    smoothed = density.smoothed(s)
    y = smoothed.sample(5000, 1)
    exact = smoothed.score(y)
    return float(((learned.score(y, s) - exact) ** 2).sum() / (exact**2).sum())


def test_the_learned_score_is_near_the_exact_one_at_every_variance(learned):
    """Within 2 % of E|score|² at the ends and between; another scale's is off by more than a tenth."""
    errors = [relative_error(learned, MIXTURE, s) for s in (LOW, 0.1, 0.2, 0.4, HIGH)]
    assert max(errors) < 0.02
    smoothed = MIXTURE.smoothed(0.1)
    y = smoothed.sample(5000, 1)
    exact = smoothed.score(y)
    assert ((learned.score(y, 0.4) - exact) ** 2).sum() > 0.1 * (exact**2).sum()


def test_an_affine_score_of_a_gaussian():
    """The exact score is among what the network can be. Ten numbers are fitted by Adam to an average of some 10 % of
    1500 · 512 pairs, whose noise is five times the signal at the lowest s: 10/77,000 · 5 = 0.07 %; ten times that is left
    for Adam's steps."""
    gaussian = fp.Normal([1.0, -1.0], 0.5)
    learned = train_score((), gaussian, variances=(0.1, 1.0), steps=1500, device="cpu")
    for s in (0.1, 0.3, 1.0):
        assert relative_error(learned, gaussian, s) < 7e-3


def test_its_denoisers_are_maps(learned):
    s = 0.2
    g, best = learned.denoiser(s), fp.denoising_flow(MIXTURE, s, 1)
    y = MIXTURE.smoothed(s).sample(2000, 3)
    move = best(y) - y
    assert ((g(y) - best(y)) ** 2).sum() < 0.02 * (move**2).sum()
    np.testing.assert_allclose(g(y) - y, s * learned.score(y, s), atol=1e-13)
    assert g.time == pytest.approx(s)
    np.testing.assert_allclose(g.inverse(g(y[:20])), y[:20], atol=1e-8)
    x = torch.from_numpy(y[:3]).requires_grad_()
    learned(x, torch.full((3,), s, dtype=torch.float64)).sum().backward()
    assert x.grad is not None
    assert all(part.grad is not None for part in learned.parameters())


def test_the_flow_follows_the_exact_one(learned):
    flow = learned.flow()
    source = MIXTURE.smoothed(HIGH)
    assert isinstance(flow, ODEMap)
    assert flow.time == pytest.approx((HIGH - LOW) / 2)
    np.testing.assert_allclose(flow.source.covariance, source.covariance)
    x = source.sample(300, 4)
    exact = fp.denoising_flow(source, flow.time, math.inf)
    away, moved = (np.sqrt(((exact(x) - other) ** 2).sum(1).mean()) for other in (flow(x), x))
    assert away < 0.05 * moved
    np.testing.assert_allclose(flow.velocity(0.1, x), learned.score(x, HIGH - 0.2), atol=1e-12)
    y = flow(x[:20])
    np.testing.assert_allclose(flow.inverse(y), x[:20], atol=1e-6)
    np.testing.assert_allclose(flow.log_prob(y), source.log_prob(x[:20]) - flow.log_det_jacobian(x[:20]), atol=1e-5)
    # the trace law: tr Cov falls by 2td; both measured on the same particles
    fall = np.trace(np.cov(x.T) - np.cov(flow(x).T))
    known = np.trace(np.cov(x.T) - np.cov(exact(x).T))
    assert fall == pytest.approx(known, rel=0.03)
    assert learned.flow(0.1).time == 0.1


def test_a_flow_is_a_copy():
    learned = LearnedScore(ScoreNetwork(2, (0.1, 1.0), hidden=(8,)), (0.1, 1.0))
    flow, x = learned.flow(), np.ones((3, 2))
    before, score = flow(x), learned.score(x, 0.5)
    with torch.no_grad():
        for part in learned.parameters():
            part.add_(0.1)
    np.testing.assert_array_equal(flow(x), before)
    assert not np.allclose(learned.score(x, 0.5), score)
    with pytest.raises(InputError, match="source: found None"):
        flow.log_prob(x)


def test_points_make_an_empirical_source():
    points = MIXTURE.sample(50, 0)
    learned = train_score((8,), points, variances=(LOW, HIGH), steps=20, device="cpu")
    np.testing.assert_allclose(
        learned.flow().source.log_prob(points), fp.Empirical(points, kernel_covariance=HIGH).log_prob(points), atol=1e-12
    )
    assert learned.history.held_out_loss.attrs["units"] == "1"
    profile = learned.flow(0.1).profile(samples=50, times=[0.0, 0.1])
    assert np.isfinite(profile.fisher_information).all()


def test_saved_loaded_and_seeded(tmp_path):
    points = MIXTURE.sample(50, 0)
    state = torch.random.get_rng_state()
    one, same, other = (train_score((8,), points, variances=(LOW, HIGH), steps=20, seed=k, device="cpu") for k in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    np.testing.assert_array_equal(one.score(points, 0.3), same.score(points, 0.3))
    assert not np.array_equal(one.score(points, 0.3), other.score(points, 0.3))
    again = load_score(one.save(tmp_path / "score"), source=one.source)
    np.testing.assert_array_equal(again.score(points, 0.3), one.score(points, 0.3))
    np.testing.assert_array_equal(again.flow()(points[:5]), one.flow()(points[:5]))
    assert again.held_out_loss == one.held_out_loss
    with pytest.raises(InputError, match="a score, expected a denoiser that flowplane saved"):
        fp.transport.load_denoiser(tmp_path / "score.safetensors")


class Shrinking(nn.Module):
    """g(x, s) = ax/(a + s), the best for N(0, aI)."""

    def __init__(self):
        super().__init__()
        self.log_variance = nn.Parameter(torch.zeros(()))

    def forward(self, x, s):
        a = self.log_variance.exp()
        return a / (a + s.unsqueeze(1)) * x


def test_a_module_of_ones_own():
    """One parameter: the variance, which N = 2000 points know to √(2/Nd) = 2 %; four of those are allowed."""
    gaussian = fp.Normal([0.0, 0.0, 0.0], 0.4)
    learned = train_score(Shrinking(), gaussian.sample(2000, 0), variances=(0.1, 1.0), steps=600, device="cpu")
    assert float(learned.network.log_variance.detach().exp()) == pytest.approx(0.4, rel=4 * np.sqrt(2 / 6000))


class Writing(nn.Module):
    """x/(1 + s), in place or not."""

    def __init__(self, writes):
        super().__init__()
        self.writes = writes

    def forward(self, x, s):
        if self.writes:
            return x.div_(s.add_(1).unsqueeze(1))
        return x / (1 + s).unsqueeze(1)


def test_a_module_may_write_into_its_arguments():
    pure, writing = (LearnedScore(Writing(writes), (LOW, HIGH), dimension=2) for writes in (False, True))
    x = np.random.default_rng(0).normal(size=(4, 2))
    given, s = torch.from_numpy(x.copy()), torch.full((4,), 0.3, dtype=torch.float64)
    np.testing.assert_array_equal(writing(given, s), pure(given, s))
    np.testing.assert_array_equal(writing.score(given, 0.3), pure.score(given, 0.3))
    np.testing.assert_array_equal(writing.flow()(given), pure.flow()(given))
    np.testing.assert_array_equal(given, x)
    assert (s == 0.3).all()


def test_what_is_refused():
    points = MIXTURE.sample(20, 0)
    learned = LearnedScore(ScoreNetwork(2, (0.1, 1.0), hidden=(8,)), (0.1, 1.0))
    for given in ((1.0, 0.1), (0.0, 1.0), (0.1,), 0.1, "range", (0.1, np.inf)):
        with pytest.raises(InputError, match=r"variances: .*two positive variances \(low, high\), low below high"):
            train_score((8,), points, variances=given)
    with pytest.raises(InputError, match=r"s: found 2\.0, expected a variance in \[0\.1, 1\]"):
        learned.score(points, 2.0)
    with pytest.raises(InputError, match="s: found -1"):
        learned.denoiser(-1)
    with pytest.raises(InputError, match=r"time: found 0\.5, expected a time up to \(high − low\)/2 = 0\.45"):
        learned.flow(0.5)
    with pytest.raises(InputError, match="x: found"):
        learned.score(np.zeros((3, 3)), 0.5)
    with pytest.raises(InputError, match="network: found int"):
        LearnedScore(3, (0.1, 1.0))
    with pytest.raises(InputError, match=r"network: found ReLU, expected a torch\.nn\.Module, or widths"):
        train_score(nn.ReLU, points, variances=(0.1, 1.0))
    with pytest.raises(InputError, match="dimension: found None"):
        LearnedScore(Shrinking(), (0.1, 1.0))
    with pytest.raises(InputError, match="steps: found 0"):
        train_score((8,), points, variances=(0.1, 1.0), steps=0)
    with pytest.raises(InputError, match=r"source: .*a density in 2 dimensions"):
        LearnedScore(ScoreNetwork(2, (0.1, 1.0), hidden=(8,)), (0.1, 1.0), source=fp.Normal(0.0, 1.0))


def test_a_module_that_takes_no_variance_is_named():
    with pytest.raises(InputError, match=r"network: found AtVariance: Linear\.forward"):
        train_score(torch.nn.Linear(2, 2), fp.Normal([0.0, 0.0], 1.0), variances=(0.1, 1.0), steps=2, device="cpu")
