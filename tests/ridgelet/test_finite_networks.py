"""Units drawn from the transform, refitted, and read off trained networks."""

import numpy as np
import pytest
import torch
from torch import nn

from flowplane.errors import InputError
from flowplane.ridgelet import (
    Pair,
    ShallowNetwork,
    finite_network,
    least_squares_network,
    monte_carlo_transform,
    transform,
    units_of,
)

X = torch.linspace(-5, 5, 201, dtype=torch.float64)
F = torch.exp(-(X**2) / 2)
SPECTRUM = transform(F, X, extent=(5.0, 40.0), grid=(60, 120))


def error(network, target):
    with torch.no_grad():
        return float((network(X[:, None]) - target).norm() / F.norm())


def test_drawn_units_scatter_around_the_grid_with_the_root_of_their_number():
    """RMS error over seeds ∝ N^{−1/2}, about the reconstruction itself: 16 times the units, a quarter of the error."""
    target = SPECTRUM.reconstruct(X)
    rms = [
        np.sqrt(np.mean([error(finite_network(SPECTRUM, n, seed=seed), target) ** 2 for seed in range(40)]))
        for n in (50, 800)
    ]
    # 40 draws know a root mean square to about a tenth
    assert np.log(rms[1] / rms[0]) / np.log(16) == pytest.approx(-0.5, abs=0.12)
    with torch.no_grad():
        mean = torch.stack([finite_network(SPECTRUM, 800, seed=seed)(X[:, None]) for seed in range(40)])
    z = (mean.mean(0) - target) / (mean.std(0) / np.sqrt(40))
    assert float(z.square().mean()) < 4


def test_all_units_weigh_alike():
    """q ∝ |R|: |c_i| = Z/(K N), the same for every unit, whatever the seed."""
    c = finite_network(SPECTRUM, 30, seed=5).output.detach().abs()
    z = float((SPECTRUM.coefficients[..., 0].abs() * SPECTRUM.weights).sum())
    torch.testing.assert_close(c, torch.full_like(c, z / (abs(SPECTRUM.constant) * 30)))


def test_least_squares_does_better_with_the_same_units():
    for n in (30, 100):
        drawn = finite_network(SPECTRUM, n, seed=1)
        fitted = least_squares_network(SPECTRUM, F, points=X, units=n, seed=1)
        torch.testing.assert_close(drawn.hidden, fitted.hidden)
        torch.testing.assert_close(drawn.offsets, fitted.offsets)
        assert error(fitted, F) < 0.05 * error(drawn, F)


def test_least_squares_solves_its_normal_equations():
    ridge = 1e-3
    network = least_squares_network(SPECTRUM, F, points=X, units=20, ridge=ridge)
    with torch.no_grad():
        h = network.features(X[:, None])
        gradient = h.T @ (h @ network.output[:, 0] - F) / len(X) + ridge * network.output[:, 0]
    assert float(gradient.abs().max()) < 1e-12


def test_channels_and_drawn_nodes():
    f = torch.stack([F, X * F], 1)
    spectrum = monte_carlo_transform(f, X, units=500, pair=Pair("gaussian"), extent=(4.0, 20.0))
    network = least_squares_network(spectrum, f, points=X, units=100)
    assert network(X[:, None]).shape == (201, 2)
    assert error(network, f) < 0.1
    assert len(set(network.offsets.tolist())) > 30  # of 500 nodes, most where R is small


def test_a_network_can_be_trained_further():
    network = finite_network(SPECTRUM, 50)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    before = error(network, F)
    for _ in range(50):
        optimizer.zero_grad()
        (network(X[:, None]) - F).square().mean().backward()
        optimizer.step()
    assert error(network, F) < 0.5 * before
    assert "tanh, inputs=1, units=50, outputs=1" in repr(network)


def test_units_are_in_the_sign_of_the_paper():
    network = nn.Sequential(nn.Linear(2, 7), nn.Tanh(), nn.Linear(7, 3))
    a, b, c = units_of(network)
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.tanh(x @ a.T - b), network[1](network[0](x)))
    torch.testing.assert_close(c, network[2].weight.norm(dim=0).detach())
    bare = nn.Sequential(nn.Linear(2, 7, bias=False), nn.ReLU(), nn.Linear(7, 1))
    assert units_of(bare).offsets.abs().max() == 0
    own = units_of(finite_network(SPECTRUM, 9))
    assert own.hidden.shape == (9, 1) and not own.sizes.requires_grad


def test_what_is_refused():
    zero = transform(torch.zeros_like(X), X, extent=(1.0, 5.0), grid=(4, 4))
    with pytest.raises(InputError, match="spectrum: found coefficients that are 0"):
        finite_network(zero, 3)
    with pytest.raises(InputError, match="units: found 0"):
        finite_network(SPECTRUM, 0)
    with pytest.raises(InputError, match="ridge: found 0"):
        least_squares_network(SPECTRUM, F, points=X, units=3, ridge=0)
    with pytest.raises(InputError, match=r"values: found shape \(201, 1\), expected \(201,\)"):
        least_squares_network(SPECTRUM, F[:, None], points=X, units=3)
    for wrong in (nn.Linear(1, 1), nn.Sequential(nn.Linear(1, 2), nn.Linear(2, 1)), nn.Sequential(nn.Tanh())):
        with pytest.raises(InputError, match="network: found"):
            units_of(wrong)
    with pytest.raises(InputError, match="hidden, offsets, output"):
        ShallowNetwork(Pair(), [[1.0]], offsets=[0.0, 1.0], output=[[1.0]])
    with pytest.raises(InputError, match="output: found 1 value"):
        ShallowNetwork(Pair(), [[1.0]], offsets=[0.0], output=[[np.nan]])
