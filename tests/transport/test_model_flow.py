"""Models of others as flows: every parametrisation in closed form, and what a model is asked."""

import copy
import functools
import math

import numpy as np
import oracles_flows as oracle
import pytest
import torch
from slower import first_ones
from torch import nn

import flowplane as fp
from flowplane.errors import InputError
from flowplane.transport import model_flow
from flowplane.transport.models.paths import PATHS, as_path

MEAN, COVARIANCE = np.array([1.0, -0.5]), np.array([[1.0, 0.6], [0.6, 2.0]])
ORACLES = {"linear": oracle.linear, "vp": oracle.vp, "ve": oracle.ve}
#: From the noise to the data.
INTERVALS = {"linear": (0.05, 0.98), "vp": (0.97, 0.02), "ve": (30.0, 0.01)}
KINDS = ("velocity", "noise", "denoised", "score", "v")


def best(kind, path):
    """The best model of Gaussian data, in double precision."""

    def model(x, t):
        assert x.dtype == t.dtype == torch.float64 and t.shape == (len(x),)
        return torch.from_numpy(oracle.predicted(kind, x.detach().numpy(), MEAN, COVARIANCE, path(float(t[0]))))

    return model


def source_of(path, tau):
    alpha, sigma = path(tau)[:2]
    return fp.Normal(alpha * MEAN, alpha**2 * COVARIANCE + sigma**2 * np.eye(2))


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_parametrisation_is_the_same_flow(name, kind):
    path, ends = ORACLES[name], INTERVALS[name]
    flow = model_flow(best(kind, path), name, kind, source=source_of(path, ends[0]), times=ends)
    x = flow.source.sample(20, seed=0)
    points = [path(tau) for tau in (ends[0], ends[0] + 0.6 * (ends[1] - ends[0]), ends[1])]
    scale = np.abs(x).max()
    np.testing.assert_allclose(flow(x), oracle.moved(x, MEAN, COVARIANCE, points[0], points[2]), atol=1e-6 * scale)
    halfway = flow.trajectory(x, [0.6])[0]
    np.testing.assert_allclose(halfway, oracle.moved(x, MEAN, COVARIANCE, *points[:2]), atol=1e-6 * scale)
    np.testing.assert_allclose(flow.inverse(flow(x)), x, atol=1e-5 * scale)
    rate = oracle.predicted("velocity", halfway, MEAN, COVARIANCE, points[1]) * (ends[1] - ends[0])
    np.testing.assert_allclose(flow.velocity(0.6, halfway), rate, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["linear", "vp"])
def test_functions_make_the_path_that_a_name_does(name):
    path, ends = PATHS[name], INTERVALS[name]
    for pair in (
        (path.alpha, path.sigma),
        {
            "linear": (lambda t: t, lambda t: 1 - t),
            "vp": (lambda t: (t * math.pi / 2).cos(), lambda t: (t * math.pi / 2).sin()),
        }[name],
    ):
        given, named = as_path(pair, "noise", None), as_path(name, "noise", None)
        np.testing.assert_allclose((given.noise, given.data), (named.noise, named.data), atol=1e-12)
        for tau in [*np.linspace(*ends, 7).tolist(), named.noise, named.data]:
            np.testing.assert_allclose(given.at(tau), named.at(tau), atol=1e-9)


def test_ends_are_those_that_can_be_reached():
    assert (as_path("linear", "velocity", None).noise, as_path("linear", "velocity", None).data) == (0.0, 1.0)
    for kind in KINDS[1:]:
        path = as_path("linear", kind, None)
        np.testing.assert_allclose((path.noise, path.data), (1e-3, 1 - 1e-3), rtol=1e-9)
        assert min(path.at(path.noise)[:2]) >= 1e-3 and min(path.at(path.data)[:2]) >= 1e-3
    assert (as_path("ve", "noise", None).noise, as_path("ve", "noise", None).data) == (80.0, 0.002)
    assert as_path("vp", "noise", None).noise == pytest.approx(1 - 2 / math.pi * math.asin(1e-3))
    assert as_path("linear", "noise", (0.9, 0.2)).data == 0.9


WEIGHTS, MEANS, VARIANCES = [0.3, 0.7], [[-2.0, 0.0], [1.5, 1.0]], [0.2, 0.4]
MIXTURE = fp.GaussianMixture(WEIGHTS, MEANS, VARIANCES)


def mixed(name):
    """The best denoiser of a mixture, differentiable."""
    path = PATHS[name]

    def model(x, t):
        p = path.at(float(t[0]))
        smooth = fp.GaussianMixture(
            WEIGHTS, p.alpha * np.array(MEANS), p.alpha**2 * np.array(VARIANCES) + p.sigma**2
        ).smoothing
        return (x + p.sigma**2 * smooth.score(0.0, x)) / p.alpha

    return model


@pytest.mark.parametrize("name", first_ones(1, ORACLES))
def test_all_paths_reach_the_density_of_the_data(name):
    """From the exact density at the noise's end to that at the data's: log p along the way is the mixture's own."""
    ends = INTERVALS[name]
    first, last = (PATHS[name].at(tau) for tau in ends)
    at = lambda p: fp.GaussianMixture(  # noqa: E731
        WEIGHTS, p.alpha * np.array(MEANS), p.alpha**2 * np.array(VARIANCES) + p.sigma**2
    )
    x = MIXTURE.sample(30, seed=2)
    model = mixed(name)
    known = oracle.mixture_denoised(x, WEIGHTS, MEANS, VARIANCES, first.alpha, first.sigma)
    np.testing.assert_allclose(model(torch.from_numpy(x), torch.full((30,), ends[0], dtype=torch.float64)), known, atol=1e-9)
    flow = model_flow(model, name, "denoised", source=at(first), times=ends)
    y = at(last).sample(30, seed=3)
    np.testing.assert_allclose(flow.log_prob(y), at(last).log_prob(y), atol=2e-5)
    told = flow.bits_per_dimension(y)
    np.testing.assert_allclose(told.log_prob, at(last).log_prob(y), atol=2e-5)
    np.testing.assert_allclose(told.bits_per_dimension, -at(last).log_prob(y) / 2 / math.log(2), atol=2e-5)
    assert (told.log_prob_error == 0).all()


class Watched(nn.Module):
    """Images in single precision, with everything that a mode can change."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Conv2d(4, 2, 1))
        self.seen = []

    def forward(self, x, t, label=None, kind="plain"):
        self.seen.append((tuple(x.shape), x.dtype, t.dtype, tuple(t.shape), float(t[0]), label, kind, self.training))
        x.mul_(1.0)  # it may write into what it is given
        return torch.tanh(self.layers(x)) * (1 if label is None else label.reshape(-1, 1, 1, 1))


def watched():
    torch.manual_seed(0)
    return Watched()


def test_a_model_is_asked_in_its_own_shape_precision_and_time():
    net = watched()
    flow = model_flow(net, shape=(2, 4, 4), clock=lambda tau: 999 * tau, conditions={"label": 2.0, "kind": "other"})
    x = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    y = flow(x)
    assert y.shape == x.shape and y.dtype == torch.float32
    *first, _, label, kind, training = net.seen[-1]
    assert first == [(3, 2, 4, 4), torch.float32, torch.float32, (3,)]
    assert kind == "other" and not training
    assert label.tolist() == [2.0] * 3 and label.dtype == torch.float32
    assert max(seen[4] for seen in net.seen) == pytest.approx(999)
    rows = flow(x.reshape(3, 32).double().numpy())
    assert rows.shape == (3, 32) and rows.dtype == np.float64
    np.testing.assert_allclose(rows.reshape(3, 2, 4, 4), y, atol=1e-6)
    assert flow.trajectory(x, [0.0, 1.0]).shape == (2, 3, 2, 4, 4)
    assert flow.log_prob(x).shape == (3,)
    whole = model_flow(net, shape=(2, 4, 4), clock=lambda tau: round(999 * tau))
    whole.velocity(0.5, x)
    assert net.seen[-1][2] == torch.int64 and net.seen[-1][4] == 500


class Small(nn.Module):
    """In single precision, with dropout that is on."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 2))

    def forward(self, x, t):
        return self.layers(torch.cat([x, t[:, None]], 1))


class Holder:
    """An object with a network in it."""

    def __init__(self, net):
        self.net = net

    def velocity(self, x, t):
        return self.net(x, t)

    __call__ = velocity


SMALL = Small()


def test_a_function_has_the_precision_and_mode_of_the_networks_that_it_uses():
    net = SMALL.train()
    x = np.array([[0.3, -1.0]])
    plain = model_flow(net, shape=2)(x)
    functions = {
        "local": lambda x, t: 1 * net(x, t),
        "global": lambda x, t: 1 * SMALL(x, t),
        "default": lambda x, t, model=net: model(x, t),
        "partial": functools.partial(lambda model, x, t: model(x, t), net),
        "bound": net.forward,
        "held": Holder(net).velocity,
        "object": Holder(net),
        "decorated": torch.no_grad()(lambda x, t: 1 * net(x, t)),
    }
    for name, function in functions.items():
        flow = model_flow(function, shape=2)
        np.testing.assert_array_equal(flow(x), plain, err_msg=name)
        assert flow.rtol == 1e-5 and net.training, name


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_solved_as_finely_as_it_answers(dtype):
    net = Small().to(dtype)
    seen = []
    flow = model_flow(lambda x, t: seen.append(1) or net(x, t), shape=2)
    exact = model_flow(copy.deepcopy(net).double(), shape=2)
    x = np.random.default_rng(0).normal(size=(50, 2))
    seen.clear()
    np.testing.assert_allclose(flow(x), exact(x), atol=0.02)
    assert len(seen) < 100


def test_points_one_at_a_time():
    flow = model_flow(SMALL, shape=2)
    x = np.random.default_rng(0).normal(size=(5, 2))
    np.testing.assert_allclose(np.stack([flow(row) for row in x]), flow(x), atol=1e-5)
    one, all_ = flow.bits_per_dimension(x[:1]), flow.bits_per_dimension(x)
    np.testing.assert_allclose(one.log_prob, all_.log_prob[:1], atol=1e-4)


def test_no_mode_changes_it_and_none_is_changed():
    net = watched().train()
    net.layers[1].eval()
    flow = model_flow(net, shape=(2, 4, 4))
    x = torch.randn(3, 2, 4, 4)
    plain = flow.velocity(0.5, x)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with torch.inference_mode():
        assert torch.equal(flow.velocity(0.5, x), plain)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(flow.velocity(0.5, x), plain)
    net.eval()
    assert torch.equal(flow.velocity(0.5, x), plain) and not plain.requires_grad
    net.train()
    net.layers[1].eval()
    flow.log_det_jacobian(x)
    assert [part.training for part in net.layers] == [True, False, True, True] and net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(part.grad is None for part in net.parameters())
    with pytest.raises(InputError):
        model_flow(lambda x, t: x * float("nan"), shape=2)([[0.0, 0.0]])
    assert torch.is_grad_enabled()


def test_no_more_points_go_together_than_the_memory_holds():
    net = watched()
    whole = model_flow(net, shape=(2, 4, 4))
    x = torch.randn(40, 2, 4, 4)
    expected, log_det = whole.velocity(0.5, x), whole.log_det_jacobian(x)
    assert max(seen[0][0] for seen in net.seen) == 40
    net.seen.clear()
    few = model_flow(net, shape=(2, 4, 4), memory=20_000)
    np.testing.assert_allclose(few.velocity(0.5, x), expected, atol=1e-6)
    np.testing.assert_allclose(few.log_det_jacobian(x), log_det, atol=1e-4)
    assert max(seen[0][0] for seen in net.seen) <= 10


def test_guidance_is_a_flow_of_no_path():
    def model(x, t, shift):
        return 0 * x + shift.unsqueeze(1)

    flow = model_flow(
        model, shape=1, conditions={"shift": 2.0}, guidance=3.0, unconditional={"shift": 0.5}, source=fp.Normal(0.0)
    )
    np.testing.assert_allclose(flow([[1.0]]), [[1.0 + 0.5 + 3 * 1.5]], atol=1e-8)
    spent = flow.budget(samples=10)
    assert spent.attrs["path"] == "none, for linear is guided with weight 3" and "guided by 3" in repr(flow)
    assert float(spent.energy) == pytest.approx(25.0)
    with pytest.raises(InputError, match="guidance: found one alone"):
        model_flow(model, shape=1, guidance=3.0)


def constant(x, t):
    return 0 * x


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": 3}, "model: found int"),
        ({"path": "cosine"}, "path: found 'cosine', expected one of linear, vp, ve"),
        ({"path": (1, 2)}, "path: found"),
        ({"predicts": "eps"}, "predicts: found 'eps'"),
        ({"shape": None}, "shape: found None"),
        ({"shape": (2, 0)}, "shape: found 0"),
        ({"source": fp.Normal(0.0)}, r"source: .* a density in 2 dimensions"),
        ({"source": 3}, "source: found int"),
        ({"source": fp.Normal(np.zeros(2)), "path": "ve", "predicts": "noise"}, r"variance 1 on average, .* σ² = 6.4e\+03"),
        ({"clock": 3}, "clock: found int"),
        ({"clock": lambda tau: None}, "clock: found None at τ = 0, expected one finite number"),
        ({"clock": math.log}, "clock: found .* at τ = 0, expected one finite number"),
        ({"clock": lambda tau: 1 / (1 - tau)}, "clock: found .* at τ = 1, expected one finite number"),
        ({"clock": lambda tau: torch.ones(2)}, "clock: found .* at τ = 0, expected one finite number"),
        ({"conditions": [1]}, r"conditions: found \[1\]"),
        ({"guidance": math.nan, "unconditional": {}}, "guidance: found nan"),
        ({"shape": 2.5}, "shape: found 2.5"),
        ({"path": (math.log, lambda t: t)}, "path: found alpha: .* at τ = 0, expected two functions"),
        ({"memory": 0}, "memory: found 0"),
        ({"times": (0.0, 1.0), "predicts": "noise"}, r"times: found τ = 0, where α = 0 .* times from 0.001 to 0.999"),
        ({"times": (0.5, 1.0), "predicts": "score"}, r"times: found τ = 1, where .* σ = 0, expected times from 0.001"),
        ({"times": (0.5, 1.1)}, "times: found τ = 1.1"),
        ({"times": (0.5, 0.5)}, "times: found"),
        ({"times": (0.5, 0.9)}, r"source: found None, expected the density at τ = 0.5, where α = 0.5"),
        ({"path": (lambda t: 0 * t, lambda t: t), "predicts": "noise"}, "α and σ of 0.001 or more"),
        ({"path": (lambda t: t, lambda t: 1 / (t - 1)), "predicts": "noise"}, "path: found sigma = -?inf"),
        (
            {"model": lambda x, t: x[:, 0]},
            r"model: found an answer of shape \(1,\) in float64, expected an answer of shape \(1, 2\)",
        ),
        ({"model": lambda x, t: x + 1j}, r"model: found an answer of shape \(1, 2\) in complex128"),
        ({"model": lambda x, t: None}, "model: found NoneType"),
        ({"model": lambda x: x}, "model: found <lambda>: .* and t = 0.5, in this order"),
        ({"model": lambda x, t: {}[0]}, r"model: found <lambda>: 0, expected one that takes x of shape \(1, 2\) in float64"),
        ({"model": lambda x, t: x + torch.randn_like(x)}, "model: found different answers to the same x and t"),
        ({"model": lambda x, t: x - x.mean(0)}, "model: found answers that depend on the other points of a batch"),
        ({"model": nn.Linear(3, 2, device="meta")}, "model: found Linear without weights"),
        ({"model": nn.Linear(3, 2)}, "model: found Linear"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        model_flow(**({"model": constant, "shape": 2} | arguments))


def test_what_is_refused_on_the_way():
    late = model_flow(lambda x, t: torch.where(t[:, None] > 0.7, torch.nan, x), shape=2)
    with pytest.raises(InputError, match=r"model: found \d+ values that are NaN or infinite at τ = 0\.[7-9]"):
        late([[0.0, 1.0]])
    with pytest.raises(InputError, match=r"t: found 1.5"):
        late.velocity(1.5, [[0.0, 1.0]])
    with pytest.raises(InputError, match=r"x: found shape \(3,\)"):
        late([0.0, 1.0, 2.0])
