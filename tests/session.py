"""One small session of everything: each public entry point called once, the user's own arrays and models made the same way
whatever the process' modes are."""

import copy
import math
import os
import pickle
from functools import cache, partial

import numpy as np
import torch
import xarray as xr
from makers import JOINT, MAKERS, layer
from torch import nn

import flowplane as fp
from flowplane.analysis.estimators import usual_estimators

X = np.random.default_rng(1).normal(size=(60, 2))
LINE = np.linspace(-6, 6, 100)
BUMP = np.exp(-(LINE**2) / 2)
FORMULAS = fp.tasks.spherical_rule()


def tensor(values):
    """A user's float32 on the CPU."""
    return torch.from_numpy(np.asarray(values)).float()


def network():
    """A user's model, made under no mode at all."""
    with torch.inference_mode(False), torch.device("cpu"):
        model = nn.Sequential(
            nn.Linear(2, 3, dtype=torch.float32), nn.Tanh(), nn.Linear(3, 3, dtype=torch.float32), nn.ReLU()
        )
        model.append(nn.Linear(3, 2, dtype=torch.float32))
        draw = np.random.default_rng(0)
        with torch.no_grad():
            for part in model.parameters():
                part.copy_(tensor(draw.normal(size=part.shape)))
    return model


def made(kind, folder=None):
    """A small recording of a kind, in memory or at a path relative to the working directory."""
    path = None if folder is None else os.path.join(folder, f"{kind}.fp")
    if kind == "ensemble":
        return fp.train(fp.tasks.spherical_rule(), hidden=(4,), replicas=2, epochs=20, snapshots=8, path=path)
    if kind == "soft":
        task = fp.tasks.spherical_rule(information=0.99)
        return fp.train(task, hidden=(4,), replicas=1, epochs=4, snapshots=3, path=path)
    if kind == "arrays":
        return fp.from_arrays({"a": X, "b": np.tanh(X)}, X[:, 0] > 0, inputs=X, path=path)
    if kind == "frozen":
        return fp.record(network(), tensor(X), X[:, 0] > 0, path=path)
    return recorded(path)


@cache
def shared(kind):
    """A recording in memory, made once in each state."""
    return made(kind)


def recorded(path):
    """A recording of a training loop; the loop, which is the user's, computes gradients."""
    model, inputs, labels = network(), tensor(X), torch.from_numpy((X[:, 0] > 0).astype(int))
    with torch.inference_mode(False):
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        inputs, labels = inputs.clone(), labels.clone()
    measures = [fp.Binned(8, range=(-1, 1))]
    with fp.Recorder(model, inputs, labels, path=path, epochs=2, measures=measures) as recorder:
        for epoch in range(2):
            with torch.inference_mode(False), torch.enable_grad():
                for rows in (slice(0, 30), slice(30, 60)):
                    loss = nn.functional.cross_entropy(model(inputs[rows]), labels[rows])
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
            recorder.step(epoch=epoch + 1, loss=loss)
    return recorder.recording


def of_map(flow):
    """Everything that a map of one dimension can be asked."""
    x = np.array([[-1.0], [0.5], [2.0]])
    times = [0.0, 0.5 * float(flow.time), float(flow.time)]
    return [
        flow(x), flow(tensor(x)), flow.inverse(x), flow.log_det_jacobian(x), flow.velocity(0.0, x), flow.log_prob(x),
        flow.trajectory(x, times), flow.profile(samples=50),
    ]  # fmt: skip


def of_density(p):
    """Everything that a density can be asked."""
    x = p.sample(20, seed=0)
    t = torch.from_numpy(np.asarray(x)).float()
    return [x, p.log_prob(x), p.score(x), p.log_prob(t), p.score(t), p.mean, p.covariance, p.smoothed(0.1).score(x)]


def of_kind(kind, folder):
    """What is read of a recording, and measured of it."""
    rec = made(kind)
    return [
        *(rec.activations(name) for name in rec.layers), rec.metrics, fp.information_plane(rec), rec.measure(fp.Binned(8)),
        fp.layer_geometry(rec), fp.layer_transport(rec.sel(replica=rec.replicas[:1]), samples=40),
    ]  # fmt: skip


def reopened(folder):
    """A recording at a relative path, read from another working directory, copied there and pickled."""
    here = os.getcwd()
    os.chdir(folder)
    try:
        rec = made("arrays", "")
        os.makedirs("elsewhere")
        with fp.Recorder(network(), tensor(X), path="moved.fp", snapshots=9) as recorder:
            os.chdir("elsewhere")
            recorder.step(loss=1.0)
        copies = [copy.deepcopy(rec), pickle.loads(pickle.dumps(rec)), rec, fp.open(os.path.join(folder, "arrays.fp"))]
        return [part.activations("a").values for part in copies] + [recorder.recording.activations("2").values]
    finally:
        os.chdir(here)


def shown(folder):
    """Every kind of file that is written."""
    rec = made("model")
    figure = fp.plot.show(fp.information_plane(rec))
    page = fp.report(rec, os.path.join(folder, "report.html"))
    return [
        fp.plot.save(figure, os.path.join(folder, "figure.html")).exists(),
        page.exists(),
        fp.explain(rec.measure(fp.KSG())),
    ]


def checkpoints(folder):
    """A model's weights that were saved on the way."""
    model = network()
    for epoch in (1, 2):
        torch.save(model.state_dict(), os.path.join(folder, f"epoch{epoch}.pt"))
    paths = [os.path.join(folder, f"epoch{epoch}.pt") for epoch in (1, 2)]
    rec = fp.from_checkpoints(model, paths, tensor(X), X[:, 0] > 0)
    return [rec.activations(name) for name in rec.layers]


def learned(folder):
    """Networks that are trained, saved and loaded."""
    p = fp.Normal([0.0, 0.0], [[2.0, 0.5], [0.5, 1.0]])
    g = fp.transport.train_denoiser((4,), p, noise_covariance=0.2, steps=10)
    score = fp.transport.train_score((4,), p, variances=(0.1, 1.0), steps=10)
    s = fp.transport.stack((4,), p, depth=2, noise_covariance=0.3, steps=10)
    same = fp.transport.load_denoiser(g.save(os.path.join(folder, "g")))
    return [
        g(X), same(X), g.history, score.score(X, 0.3), score.flow()(X[:3]), s(X), s.history,
        fp.transport.load_score(score.save(os.path.join(folder, "score"))).score(X, 0.5),
        fp.transport.load_stack(s.save(os.path.join(folder, "s")))(X), s.features(X, 1), s.composition(p)(X),
        fp.transport.denoising_loss(g, p, noise_covariance=0.2), fp.transport.optimal_loss(p, 0.2),
    ]  # fmt: skip


def ridgelets(folder):
    """Networks as integrals over hidden units."""
    x, f = torch.from_numpy(LINE), torch.from_numpy(BUMP)
    spectrum = fp.ridgelet.transform(f, x, grid=(16, 32))
    flow = fp.denoising_flow(fp.Normal(0.0, 1.0), 0.3, math.inf)
    fitted = fp.ridgelet.least_squares_network(spectrum, f, points=x, units=10)
    with torch.inference_mode(False), torch.device("cpu"):
        plain = nn.Sequential(nn.Linear(1, 5, dtype=torch.float32), nn.Tanh(), nn.Linear(5, 1, dtype=torch.float32))
    return [
        spectrum.reconstruct(LINE),
        fp.ridgelet.monte_carlo_transform(f, x, units=100, extent=(5.0, 25.0)).reconstruct([0.0]),
        fp.ridgelet.finite_network(spectrum, 50)(x[:3, None]), fitted(x[:3, None]), fp.ridgelet.units_of(plain)[0].shape,
        fp.ridgelet.network(flow, layers=2, width=50, pair=fp.ridgelet.Pair("gaussian"))([[1.0]]),
        fp.ridgelet.WideLimit(flow, pair=fp.ridgelet.Pair("gaussian")).field_error,
        fp.ridgelet.activation_transform("relu", [2.0]),
        fp.ridgelet.missed_share(fp.ridgelet.Pair("tanh"), [0.5, 1.0], largest=10.0),
        [fp.ridgelet.Pair(name).integral for name in ("tanh", "relu", "gaussian")],
    ]  # fmt: skip


def layers(folder):
    """Arrays of layers as transport."""
    path, classes = [X, np.tanh(X), X[:, :1]], X[:, 0] > 0
    t = fp.transport
    return [
        t.layer_path(path, "procrustes"), t.embed([[1.0, 2.0]], [[3.0]]), t.cka(X, np.tanh(X)), t.cka_matrix(path),
        t.fisher_ratio(X, classes), t.linear_probe(X, classes, test=X, test_labels=classes),
        t.neighbour_accuracy(X, classes, test=X, test_labels=classes, k=1), t.affine_log_det(X, np.tanh(X)),
        t.dense_log_det(X, [[2.0, 0.0], [0.0, 1.0]], bias=[0.0, 0.0], activation="tanh"), t.covariance_spectrum(X),
        t.gaussian_entropy(X), t.neighbour_entropy(X), t.score_energy(X), t.score_energy(X, smoothing=1.0),
        t.optimality(X, np.tanh(X)), t.AffineMap([[2.0]], [1.0])([[1.0]]),
        *(fp.wasserstein(X, np.tanh(X), method=method) for method in ("exact", "sliced", "gaussian")),
    ]  # fmt: skip


def movements(folder):
    """Weights, gradients and curves over training."""
    d, draw = fp.dynamics, np.random.default_rng(0)
    line = np.arange(10.0)[:, None] * np.ones(5)
    weights = [(draw.normal(size=(3, 2)), draw.normal(size=3)), (draw.normal(size=(2, 3)), draw.normal(size=2))]
    crossing = np.array([[10.0], [20.0], [30.0], [40.0], [50.0]])
    curve = 2 + 3 * np.exp(-np.arange(400) / 40)
    path = np.cumsum(draw.normal(size=(6, 3)), 0)
    return [
        d.against_wiener(line[None], np.arange(10), 0, draws=19), d.align(weights, weights, "tanh").permutations,
        d.coincidence(crossing, 2 * crossing), d.compression_start([[1.0, 3.0], [2.0, 3.0], [1.5, 2.95]], [0, 10, 100]),
        d.diffusion_exponent([[1.0, 10.0, 100.0]], [1.0, 10.0, 100.0]), d.drift_norm([5.0, 1.0], [6.0, 6.0], 4),
        d.fit_laws([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [21.0, 38.0, 85.0, 160.0, 310.0, 650.0]),
        d.mean_squared_displacement(path[None], np.arange(6), 0), d.per_weight([1.0, 0.0], [2.0, 0.0]),
        d.median_crossing(np.array([[3.0, 0.3], [4.0, 0.4], [2.0, 0.2]])[:, :, None], [1, 100]),
        d.phase_crossing([[4.0, 0.5], [2.0, 0.5], [0.5, 0.5]], [1, 10, 1000]), d.layer_compression([12.0, 9.5, 6.0], 12.0),
        d.relaxation_delays(curve[None, :, None], np.arange(400)), d.compression_costs([3.0, 3.0, 4.0]),
        d.slope_interval(np.linspace(1, 5, 5) + np.zeros((8, 1)), np.exp(draw.normal(size=(8, 5))), draws=50),
        d.update_spectrum(path, np.arange(6), 0), d.velocity_autocorrelation(path, np.arange(6), 0),
        d.weight_distance(weights, weights), d.wiener([0.0, 1.0]), d.ornstein_uhlenbeck([0.0, 1.0], rate=1.0),
    ]  # fmt: skip


def bounds(folder):
    """What the information bottleneck says of an encoder."""
    curve, joint = fp.ib_curve(JOINT, [1.5, 3.0, 5.0]), np.array(JOINT)
    return [
        fp.bottleneck.encoder_beta([[0.9, 0.1], [0.1, 0.9]], joint), fp.bottleneck.symbol_beta([0, 1], joint),
        fp.bottleneck.curve_distance([0.6], [0.15], curve, joint),
    ]  # fmt: skip


def flows(folder):
    """Maps of a density, of every kind."""
    p = fp.GaussianMixture([0.3, 0.7], [[-1.0], [1.0]], [[[0.2]], [[0.3]]])
    found = [of_map(fp.denoising_flow(p, 0.05, count)) for count in (1, 2, math.inf)]
    found.append(of_map(fp.gradient_flow(fp.transport.KullbackLeibler(fp.Normal(0.0, 1.0)), fp.Normal(1.0, 2.0), 0.2)))
    entropy = fp.gradient_flow(fp.transport.TsallisEntropy(2.0), fp.Normal(0.0, 1.0), 0.05)
    ode = fp.transport.ODEMap(lambda t, x: -x, 1, time=0.5)
    attention = fp.denoising_flow(fp.Empirical(X, 0.1), 0.05, 2)
    x = np.array([[0.5], [1.0]])
    return [found, entropy(x), ode(x), ode.inverse(x), (ode @ ode)(x), attention(X[:5]), attention.log_det_jacobian(X[:5])]


def densities(folder):
    """Densities of every kind."""
    d = fp.densities
    named = [d.two_moons(noise=0.2)]
    mixture = fp.GaussianMixture([0.3, 0.7], [[-1.0, 0.0], [1.0, 0.0]], [np.eye(2), 0.3 * np.eye(2)])
    fitted = fp.GaussianMixture.fit(np.concatenate([X, X + 5.0]), 2)
    every = [fp.Normal([0.0, 1.0], [[2.0, 0.5], [0.5, 1.0]]), mixture, fitted, fp.Empirical(X, 0.1), *named]
    return [*(of_density(p) for p in every), fp.Normal(0.0, 1.0).entropy(), mixture.entropy(samples=100)]


def maker(name):
    """One of the small results."""

    def call(folder):
        rec = shared("soft" if name == "layer_betas" else "ensemble")
        return MAKERS[name](rec, rec, fp.denoising_flow(fp.Normal(0.0, 1.0), 0.4, layers=1))

    return call


def each_estimator(name):
    """An estimator with usual parameters, of arrays and of tensors."""

    def call(folder):
        given = layer(60)
        estimator = usual_estimators()[name]
        as_tensors = {key: torch.from_numpy(value) for key, value in given.items()}
        return [
            estimator(**given),
            estimator(**as_tensors),
            estimator(**given | {"activations": given["activations"].astype("f4")}),
        ]

    return call


def denoisers(folder):
    """Networks of the bridge, trained for a few steps, and points."""
    from flowplane.bridge.classes import class_gap
    from flowplane.bridge.layers import upper_bound
    from flowplane.bridge.pairs import pair_information
    from flowplane.bridge.training import Schedule
    from flowplane.core.modes import own_modes
    from flowplane.information.probes.folds import Folds

    with own_modes():  # as behind every public call
        given, short = layer(60), Schedule(hidden=(8,), steps=20, snapshots=2)
        values = torch.from_numpy(given["activations"].astype(np.float64))[None]
        y = torch.from_numpy(np.unique(given["labels"], return_inverse=True)[1].astype(np.int64))
        folds = Folds.of(y.numpy(), np.arange(60), 0, values.device)
        noise = torch.tensor([0.1], dtype=torch.float64, device="cpu")
        pair = pair_information(values[0], torch.from_numpy(X[:60].astype(np.float64)), schedule=short)
        return [
            upper_bound(values, folds, noise[:, None], 0, short).terms,
            class_gap(values, y, folds, noise, 0, short).loss,
            pair.value,
            fp.Denoising(0.1, "points")(given["activations"], given["labels"]),
        ]


#: What no recording is needed for, which a fork cannot read; on another number of threads some sums are rounded otherwise.
ROUNDED = (
    "learned",
    "flows",
    "densities",
    "Variational",
    "Decodable",
    "Denoising",
    "denoisers",
    "denoising_spectrum",
    "pointwise_information",
    "all estimators",
    "layers",
    "bounds",
    "embedding_influence",
)
WITHOUT_RECORDINGS = (*usual_estimators(), "ib_curve", "movements", *ROUNDED)
ENTRIES = {
    **{name: maker(name) for name in MAKERS},
    **{name: each_estimator(name) for name in usual_estimators()},
    "MonteCarlo": lambda folder: fp.information.MonteCarlo(0.1)(layer(60)["activations"], layer(60)["labels"]),
    "all estimators": lambda folder: fp.compare_estimators(**layer(60)),
    "numbers say of numbers": lambda folder: fp.mutual_information(X, np.tanh(X)),
    **{kind: partial(of_kind, kind) for kind in ("ensemble", "arrays", "frozen", "model")},
    **{
        f.__name__: f
        for f in (reopened, shown, checkpoints, learned, denoisers, ridgelets, layers, movements, bounds, flows, densities)
    },
    "tasks": lambda folder: [fp.tasks.digits().inputs[:3], fp.tasks.spherical_rule().joint],
}


def flat(found, place=""):
    """The arrays, numbers and words of a result by their places, seconds of work left out; each as text, to the last bit."""
    if isinstance(found, xr.Dataset | xr.DataArray):
        inside = (
            {name: found[name].variable for name in found.variables} if isinstance(found, xr.Dataset) else {"": found.values}
        )
        found = inside | {"attrs": found.attrs}
    if isinstance(found, xr.Variable):
        found = {"values": found.values, "attrs": found.attrs}
    if isinstance(found, torch.Tensor):
        found = {f"on {found.device}": found.detach().cpu().numpy()}
    if isinstance(found, list | tuple):
        found = dict(enumerate(found))
    if isinstance(found, dict):
        known = {key: value for key, value in found.items() if "seconds" not in str(key)}
        return {at: text for key, value in known.items() for at, text in flat(value, f"{place}.{key}").items()}
    return {place: f"{found.dtype} {found.tolist()}" if isinstance(found, np.ndarray) else repr(found)}
