"""What β* and its residual must satisfy."""

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles_encoder import best_beta, divergence, indicator, point, solution

from flowplane.bottleneck.encoder import encoder_beta, symbol_beta
from flowplane.errors import InputError


def some_joint(x=6, y=3, seed=0, concentration=0.6):
    return np.random.default_rng(seed).dirichlet(np.full(x * y, concentration)).reshape(x, y)


def binary_joint(states=8, repeats=3, gamma=2.0):
    """States with p(y=1|x) on a sigmoid, each shared by several x, p(x) not uniform."""
    rule = np.repeat(1 / (1 + np.exp(-gamma * np.linspace(-2, 2.5, states))), repeats)
    mass = np.random.default_rng(0).dirichlet(np.full(states * repeats, 5.0))
    return mass[:, None] * np.stack([1 - rule, rule], 1)


@pytest.mark.parametrize("seed", range(6))
def test_soft_encoders_against_a_grid(seed):
    joint = some_joint(seed=seed)
    encoder = np.random.default_rng(seed).dirichlet(np.full(4, 0.4), 6)
    found = encoder_beta(encoder, joint)
    beta, residual = best_beta(encoder, joint, 0.01, 1e4)
    assert int(found.edge) == 0
    assert float(found.beta_star) == pytest.approx(beta, rel=1e-5)
    assert float(found.residual) == pytest.approx(residual, abs=1e-10)
    np.testing.assert_allclose([found.i_xt, found.i_ty], point(encoder, joint), atol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_symbols_against_a_grid_of_the_unmerged_encoder(seed):
    joint = binary_joint()
    symbols = np.random.default_rng(seed).integers(0, 9, len(joint))
    found = symbol_beta(symbols, joint)
    beta, residual = best_beta(indicator(symbols), joint, 0.01, 1e4)
    assert int(found.edge) == 0
    assert float(found.beta_star) == pytest.approx(beta, rel=1e-5)
    assert float(found.residual) == pytest.approx(residual, abs=1e-10)
    np.testing.assert_allclose([found.i_xt, found.i_ty], point(indicator(symbols), joint), atol=1e-12)
    soft = encoder_beta(indicator(symbols), joint)
    for name in found:
        assert float(found[name]) == pytest.approx(float(soft[name]), rel=1e-9, abs=1e-12)


def test_the_merged_residual_is_that_of_the_mean_over_equal_x():
    joint = binary_joint()
    symbols = np.random.default_rng(5).integers(0, 9, len(joint))
    found = symbol_beta(symbols, joint)
    shared = (joint.sum(1)[:, None] * indicator(symbols)).reshape(8, 3, -1).sum(1)  # eight states of three x each
    merged_joint = joint.reshape(8, 3, 2).sum(1)
    beta, residual = best_beta(shared / merged_joint.sum(1, keepdims=True), merged_joint, 0.01, 1e4)
    assert float(found.beta_star) == pytest.approx(beta, rel=1e-5)
    assert float(found.residual_merged) == pytest.approx(residual, abs=1e-10)
    assert float(found.residual_merged) < float(found.residual)


@pytest.mark.parametrize("beta", [2.5, 5.0, 30.0])
def test_a_solution_has_its_own_beta_and_no_residual(beta):
    joint = some_joint(x=7, y=3, seed=11)
    encoder = solution(joint, beta, clusters=5)
    found = encoder_beta(encoder, joint)
    assert float(found.i_xt) > 0.05
    assert float(found.beta_star) == pytest.approx(beta, rel=1e-6)
    assert float(found.residual) < 1e-11


@given(st.integers(0, 10_000))
@settings(max_examples=40)
def test_the_residual_is_the_least(seed):
    rng = np.random.default_rng(seed)
    joint = some_joint(x=5, y=int(rng.integers(2, 4)), seed=seed)
    encoder = rng.dirichlet(np.full(3, 0.5), 5)
    found = encoder_beta(encoder, joint, [0.1, 100.0])
    assert 0 <= float(found.residual) <= float(found.i_xt) + 1e-12  # at β = 0 it is I(X;T)
    for beta in (*rng.uniform(0.1, 100.0, 3), float(found.beta_star)):
        assert float(found.residual) <= divergence(encoder, joint, beta) / np.log(2) + 1e-10


def test_no_compression_is_the_greatest_beta():
    joint = binary_joint()
    found = symbol_beta(np.arange(len(joint)), joint, betas=[0.5, 200.0])
    assert (int(found.edge), float(found.beta_star)) == (1, 200.0)
    expected = divergence(np.eye(len(joint)), joint, 200.0) / np.log(2)
    assert float(found.residual) == pytest.approx(expected, abs=1e-10)
    assert float(found.i_ty) == pytest.approx(found.attrs["information"], abs=1e-12)


def test_a_layer_that_knows_nothing_is_the_least_beta():
    constant = symbol_beta(np.zeros(24, int), binary_joint())
    assert (int(constant.edge), float(constant.residual), float(constant.i_xt)) == (-1, 0.0, 0.0)
    blind = encoder_beta(np.full((24, 3), 1 / 3), binary_joint())
    assert int(blind.edge) == -1 and float(blind.residual) < 1e-12
    # two symbols that say the same of y: no β explains their I(X;T)
    joint = np.repeat([[0.05, 0.2], [0.2, 0.05]], 2, axis=0)
    lost = symbol_beta([0, 1, 0, 1], joint)
    assert int(lost.edge) == -1 and float(lost.residual) == pytest.approx(1.0)


def test_what_a_symbol_excludes_has_no_probability_under_beta():
    joint = np.zeros((6, 3))
    joint[[0, 1, 1, 2, 3, 3, 4, 5], [0, 0, 1, 1, 1, 2, 2, 1]] = [0.2, 0.1, 0.2, 0.12, 0.1, 0.1, 0.1, 0.08]
    symbols = [0, 0, 1, 1, 1, 0]  # x = 2 and 5 could be either
    found = symbol_beta(symbols, joint)
    beta, residual = best_beta(indicator(symbols), joint, 0.01, 1e4)
    assert float(found.residual) == pytest.approx(residual, abs=1e-10)
    assert float(found.beta_star) == pytest.approx(beta, rel=1e-4)
    hard = symbol_beta([0, 0, 1], np.array([[0.5, 0.0], [0.25, 0.0], [0.0, 0.25]]))
    assert np.isfinite(float(hard.residual))


def test_splitting_x_and_renaming_symbols_change_nothing():
    joint, symbols = binary_joint(), np.random.default_rng(3).integers(0, 6, 24)
    found = symbol_beta(symbols, joint)
    share = np.random.default_rng(4).uniform(0.2, 0.8, 24)[:, None]
    twice = symbol_beta(np.tile((symbols + 2) % 6, 2), np.concatenate([joint * share, joint * (1 - share)]))
    for name in found:
        assert float(found[name]) == pytest.approx(float(twice[name]), rel=1e-9, abs=1e-12)


def test_batches_and_names():
    joint = some_joint()
    encoders = np.random.default_rng(0).dirichlet(np.full(3, 0.5), (2, 4, 6))
    array = xr.DataArray(encoders, dims=("seed", "beta", "x", "cluster"), coords={"beta": [1.0, 2.0, 3.0, 4.0]})
    found = encoder_beta(array, joint)
    assert found.beta_star.dims == ("seed", "beta") and found.beta.values.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert float(found.beta_star[1, 2]) == float(encoder_beta(torch.tensor(encoders[1, 2]), joint).beta_star)
    assert symbol_beta(np.zeros((5, 6), int), joint).beta_star.dims == ("batch",)
    assert all(found[name].attrs["units"] == "bits" for name in ("residual", "i_xt", "i_ty"))


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda joint: encoder_beta(np.ones((6, 2)), joint), "p_t_given_x"),
        (lambda joint: encoder_beta(np.ones((5, 1)), joint), "p_t_given_x"),
        (lambda joint: encoder_beta(np.full((6, 1), np.nan), joint), "p_t_given_x"),
        (lambda joint: encoder_beta([[1.5, -0.5]] * 6, joint), "p_t_given_x"),
        (lambda joint: encoder_beta(np.ones((6, 1)), joint * 2), "joint"),
        (lambda joint: encoder_beta(np.ones((6, 1)), joint, [3.0]), "betas"),
        (lambda joint: encoder_beta(np.ones((6, 1)), joint, [0.0, 3.0]), "betas"),
        (lambda joint: symbol_beta([0, 1, 2, 3, 4, 6], joint), "symbols"),
        (lambda joint: symbol_beta([0, 1, 2, 3, 4, -1], joint), "symbols"),
        (lambda joint: symbol_beta([0.0] * 6, joint), "symbols"),
        (lambda joint: symbol_beta([0] * 5, joint), "symbols"),
    ],
)
def test_bad_input_is_named(call, argument):
    with pytest.raises(InputError) as raised:
        call(some_joint())
    assert raised.value.argument == argument
