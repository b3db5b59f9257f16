"""What the lens' results say of themselves: names, units of time, the metric, how far Monte-Carlo numbers may be off."""

import inspect
import math

import numpy as np
import pytest
import torch

import flowplane as fp
from flowplane import ridgelet, transport
from flowplane.core.renamed import RENAMED
from flowplane.core.results import quantities, result_of
from flowplane.transport import AffineMap, Autoencoder, LearnedDenoiser, ODEMap, Stack

PLANE = fp.GaussianMixture([0.4, 0.6], [[-1.0, 0.2], [1.0, 0.0]], [0.5, 0.4])
D = [[1.0, 0.4], [0.4, 0.6]]
RNG = np.random.default_rng(0)
PATH = np.cumsum(RNG.normal(size=(3, 40, 3)), axis=0)


def shrinking(**options):
    return ODEMap(lambda t, x: -x, 2, time=0.5, source=PLANE, **options)


def stacked(size=1.0):
    layers = [LearnedDenoiser(Autoencoder(2, 2, hidden=(), seed=k).double(), size) for k in range(2)]
    return Stack(layers, source=PLANE)


FLOWS = {
    "continuous": (lambda: fp.denoising_flow(PLANE, 0.1, math.inf), "variance of noise", "identity"),
    "anisotropic": (lambda: fp.denoising_flow(PLANE, 0.1, 2, noise_covariance=D), "variance of noise", "noise_covariance"),
    "ODE": (shrinking, "1", "identity"),
    "ODE with units": (lambda: shrinking(time_units="s"), "s", "identity"),
    "affine": (lambda: AffineMap(2.0, [0.0, 0.0], source=PLANE), "1", "identity"),
    "trained": (lambda: LearnedDenoiser(Autoencoder(2, 2), 0.1, source=PLANE), "variance of noise", "identity"),
    "trained, anisotropic": (lambda: LearnedDenoiser(Autoencoder(2, 2), D, source=PLANE), "variance of noise", "noise_cov"),
    "stack": (stacked, "variance of noise", "identity"),
    "two units": (lambda: shrinking() @ fp.denoising_flow(PLANE, 0.1, 1), "1", "identity"),
    "two denoisers": (lambda: shrinking_denoiser(D, D), "variance of noise", "noise_covariance"),
    "two metrics": (lambda: shrinking_denoiser(D, None), "variance of noise", "identity"),
    "descent": (lambda: fp.gradient_flow(transport.Entropy(), PLANE, 0.1), "variance of noise", "identity"),
    "Fokker–Planck": (
        lambda: fp.gradient_flow(transport.KullbackLeibler(fp.Normal([0.0, 0.0], 1.0)), PLANE, 0.1),
        "squared units of x",
        "identity",
    ),
    "downhill": (
        lambda: fp.gradient_flow(transport.PotentialEnergy(lambda x: x.square().sum(1)), PLANE, 0.1),
        "1",
        "identity",
    ),
}


def shrinking_denoiser(first, second):
    one, other = (fp.denoising_flow(PLANE, 0.05, 1, noise_covariance=each) for each in (first, second))
    return other @ one


@pytest.mark.parametrize("name", FLOWS)
def test_time_and_metric_are_the_flows_own(name):
    make, units, metric = FLOWS[name]
    flow = make()
    assert flow.time_units == units
    assert (flow.metric is None) == (metric == "identity")
    last = [0.0, flow.time]
    profile = flow.profile(samples=20, times=last)
    history = transport.flow_history(flow, 4, times=last, points=5)
    for found in (profile, history):
        assert found["time"].attrs["units"] == found.attrs["time_units"] == units
        assert found.attrs["metric"].startswith(metric)
        assert ("noise_covariance" in found.coords) == (flow.metric is not None)
    assert ("D" in profile["fisher_information"].attrs["long_name"]) == (flow.metric is not None)


def test_fisher_information_in_the_metric_that_it_says():
    """A stack has another D in each layer: its Fisher information is that of the identity."""
    flow = fp.denoising_flow(PLANE, 0.1, 1, noise_covariance=D)
    profile = flow.profile(samples=4000, times=[0.0], seed=1)
    np.testing.assert_allclose(profile["noise_covariance"], D)
    x = PLANE.sample(200_000, seed=2)
    score = PLANE.score(x)
    expected = np.einsum("ni,ij,nj->n", score, D, score).mean()
    assert abs(float(profile["fisher_information"][0]) - expected) < 4 * float(profile["fisher_information_error"][0])
    plain = stacked().profile(samples=4000, times=[0.0], seed=1)
    expected = np.square(score).sum(1).mean()
    assert abs(float(plain["fisher_information"][0]) - expected) < 4 * float(plain["fisher_information_error"][0])
    assert plain["fisher_information"].attrs["long_name"] == "E|s|², s = ∇log p_t"


def test_the_equation_of_anisotropic_noise():
    """∂p = −∇·(D∇p): the residual falls with the square of the spacing."""
    flow = fp.denoising_flow(fp.Normal([0.0, 0.0], [[1.0, 0.3], [0.3, 0.8]]), 0.1, math.inf, noise_covariance=D)
    norms = [
        transport.continuity_residual(flow, 0.05, points=points, extent=(-4, 4)).attrs["backward_heat_norm"]
        for points in (41, 81)
    ]
    assert 3.4 < norms[0] / norms[1] < 4.6


MADE = {
    "flow_profile": lambda: shrinking().profile(samples=5, times=[0.1]),
    "flow_history": lambda: transport.flow_history(shrinking(), 3, times=[0.1], points=5),
    "continuity_residual": lambda: transport.continuity_residual(shrinking(), 0.2, points=9),
    "path_measures": lambda: transport.path_measures(PATH),
    "sliced_measures": lambda: transport.sliced_measures(PATH, 6),
    "embedding_influence": lambda: transport.embedding_influence(list(PATH), draws=2),
    "class_distances": lambda: transport.class_distances(PATH[0], np.arange(40) % 3),
    "training_history": lambda: transport.train_denoiser((), PLANE, noise_covariance=0.1, steps=2, device="cpu").history,
    "ridgelet_spectrum": lambda: ridgelet.transform(
        np.exp(-(np.linspace(-3, 3, 50) ** 2)), np.linspace(-3, 3, 50), extent=(3.0, 10.0), grid=(6, 9)
    ).to_dataset(),
}


@pytest.mark.parametrize("name", MADE)
def test_every_dataset_says_what_it_is(name, tmp_path):
    made = MADE[name]()
    assert result_of(made) == name
    assert all(made[variable].attrs.get("units") for variable in quantities(made))
    assert ("seed" in made.attrs) == (name not in ("continuity_residual", "ridgelet_spectrum"))
    made.to_netcdf(tmp_path / "made.nc", engine="h5netcdf")  # nothing in it that a file cannot hold


def test_a_stacks_history_says_what_it_is():
    made = transport.stack((), PLANE, depth=2, noise_covariance=0.1, steps=2, device="cpu")
    assert result_of(made.history) == "training_history"
    assert made.held_out_loss == made.layers[-1].held_out_loss > 0


#: Enough to know a standard deviation to a tenth.
DRAWS = 50


def close(values, errors, rel=0.4):
    """Whether the errors that are claimed are the scatter of the values over draws."""
    assert np.mean(errors) == pytest.approx(np.std(values, ddof=1), rel=rel, abs=1e-12)


@pytest.mark.parametrize("d", [1, 2])
def test_errors_of_a_profile_are_its_scatter(d):
    """A fold of the line and a shear that turns: far from optimal, and no straight paths."""
    if d == 1:
        source = fp.GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], 0.3)
        flow = ODEMap(lambda t, x: -4 * x + 9 * t * torch.sin(2 * x), 1, time=0.8, source=source, rtol=1e-4, atol=1e-4)
    else:
        turn = torch.tensor([[0.0, -1.5], [1.0, 0.2]], dtype=torch.float64)
        flow = ODEMap(lambda t, x: x @ turn.T, 2, time=2.0, source=PLANE, rtol=1e-4, atol=1e-4)
    found = [flow.profile(samples=80, times=[flow.time], seed=seed).isel(time=0) for seed in range(DRAWS)]
    for name in ("wasserstein", "optimality", "benamou_brenier_gap", "straightness", "cost", "kinetic_energy"):
        close([float(each[name]) for each in found], [float(each[f"{name}_error"]) for each in found])


def test_errors_of_paths_are_their_scatter():
    turn, found = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), []
    for seed in range(DRAWS):
        x = np.random.default_rng(seed).normal(size=(100, 3)) * [2.0, 1.5, 0.5]
        found.append(transport.path_measures(np.stack([x, np.tanh(x) + 1.0, 2 * x @ turn])).isel(layer=2))
    for name in ("cost", "wasserstein", "optimality", "turning", "participation", "straightness"):
        close([float(each[name]) for each in found], [float(each[f"{name}_error"]) for each in found])


def test_errors_of_classes_are_their_scatter():
    found = []
    for seed in range(DRAWS):
        rng, labels = np.random.default_rng(seed), np.arange(120) % 3
        x = rng.normal(size=(120, 2)) * [1.0, 2.0] + 2.0 * np.array([[0, 0], [1, 0], [0, 2]])[labels]
        found.append(transport.class_distances(x, labels, samples=40))
    close([float(each["ratio"]) for each in found], [float(each["ratio_error"]) for each in found], 0.5)
    pairs = [(float(each["wasserstein"][0, 1]), float(each["wasserstein_error"][0, 1])) for each in found]
    close(*zip(*pairs, strict=True), 0.5)


def test_errors_of_slices_are_the_scatter_over_directions():
    """With whole bases, and with fewer directions than there are dimensions."""
    x = np.random.default_rng(0).normal(size=(60, 8)) * np.arange(1, 9)
    path = np.stack([x, np.tanh(x)])
    for slices in (40, 4):
        found = [transport.sliced_measures(path, slices, seed=seed).isel(layer=1) for seed in range(DRAWS)]
        for name in ("wasserstein_sliced", "optimality_sliced"):
            close([float(each[name]) for each in found], [float(each[f"{name}_error"]) for each in found], 0.5)
    assert np.isnan(transport.sliced_measures(path, 8)["wasserstein_sliced_error"][1])  # one basis tells no scatter


@pytest.mark.parametrize("name", ["gaussian_entropy", "score_energy", "neighbour_entropy"])
def test_errors_of_entropies_are_their_scatter(name):
    clouds = [np.random.default_rng(seed).normal(size=(300, 2)) * [1.0, 3.0] for seed in range(DRAWS)]
    found = [getattr(transport, name)(cloud) for cloud in clouds]
    close(found, [each.standard_error for each in found])


#: What DESIGN lists may have three positional arguments.
THREE = {
    "denoising_flow",
    "gradient_flow",
    "model_flow",
    "train_velocity",
    "wasserstein",
    "network",
    "GaussianMixture",
    "DenoisingFlow",
    "GradientFlow",
}


@pytest.mark.parametrize("part", [transport, ridgelet, fp.densities])
def test_two_arguments_may_be_positional(part):
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    for name in part.__all__:
        thing = getattr(part, name)
        if inspect.ismodule(thing) or (inspect.isclass(thing) and issubclass(thing, tuple)):
            continue
        positional = [each for each in inspect.signature(thing).parameters.values() if each.kind in kinds]
        assert len(positional) <= (3 if name in THREE else 2), name


@pytest.mark.parametrize(
    ("call", "old"),
    [
        (lambda **old: fp.denoising_flow(PLANE, 0.1, 1, **old), "covariance"),
        (lambda **old: fp.Empirical([[0.0], [1.0]], **old), "bandwidth"),
        (lambda **old: transport.train_denoiser((), PLANE, **old), "covariance"),
        (lambda **old: transport.stack((), PLANE, depth=1, **old), "covariance"),
        (lambda **old: transport.denoising_loss(shrinking(), PLANE, **old), "covariance"),
        (lambda **old: transport.optimal_loss(PLANE, **old), "covariance"),
        (lambda **old: LearnedDenoiser(Autoencoder(2, 2), **old), "covariance"),
        (lambda **old: stacked().composition(PLANE, **old), "noise"),
    ],
)
def test_old_names_are_told_the_new_ones(call, old):
    new = {"covariance": "noise_covariance", "bandwidth": "kernel_covariance", "noise": "noise_covariances"}[old]
    with pytest.raises(TypeError, match=rf"has no argument '{old}' any more: it is called '{new}' now"):
        call(**{old: 0.1})
    assert any(names.get(old) == new for names in RENAMED.values())
