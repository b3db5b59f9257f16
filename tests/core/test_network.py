"""The packed network against the plain one."""

import numpy as np
import pytest
import torch
from oracles import PlainNetwork

from flowplane.core.network import ACTIVATIONS, Network
from flowplane.errors import InputError


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_forward(activation):
    network = Network((5, 4, 3, 2), activation)
    rng = np.random.default_rng(0)
    weights = torch.tensor(rng.normal(size=(3, network.parameters)), dtype=torch.float32)
    inputs = torch.tensor(rng.normal(size=(20, 5)), dtype=torch.float32)
    outputs = network.forward(weights, inputs)
    for k in range(3):
        expected = PlainNetwork(weights[k].numpy(), network.sizes, activation).layers(inputs.numpy())
        for mine, theirs in zip(outputs, expected, strict=True):
            assert mine[k].numpy() == pytest.approx(theirs, rel=1e-5, abs=1e-5)
    assert len(network.forward(weights, inputs, layers=1)) == 1


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_forward_has_the_same_bits_in_any_company(activation):
    network = Network((12, 10, 7, 5, 4, 3, 2), activation)
    weights = torch.randn(7, network.parameters)
    inputs = torch.randint(0, 2, (500, 12)).float()
    together = network.forward(weights, inputs)
    for k in range(7):
        for mine, all_of_them in zip(network.forward(weights[k : k + 1], inputs), together, strict=True):
            assert torch.equal(mine[0], all_of_them[k])


def test_initial_weights():
    network = Network((400, 300, 2), "tanh")
    weights = network.initial_weights(0, 0)
    (first, bias), (second, _) = network.unpack(torch.tensor(weights))
    assert (bias == 0).all()
    for matrix, fan_in in ((first, 400), (second, 300)):
        scaled = matrix.numpy() * np.sqrt(fan_in)
        assert np.abs(scaled).max() <= 2 + 1e-6
        # a normal truncated at ±2 has standard deviation 0.8796
        assert scaled.std() == pytest.approx(0.8796, abs=4 * 0.8796 / np.sqrt(2 * scaled.size))
        assert scaled.mean() == pytest.approx(0, abs=4 * 0.8796 / np.sqrt(scaled.size))


def test_layers_keep_their_weights_in_networks_of_other_depth():
    deep, shallow = Network((12, 10, 7, 2), "tanh"), Network((12, 10, 7), "tanh")
    assert np.array_equal(deep.initial_weights(0, 5)[: shallow.parameters], shallow.initial_weights(0, 5))
    assert not np.array_equal(shallow.initial_weights(0, 5), shallow.initial_weights(0, 6))
    assert not np.array_equal(shallow.initial_weights(1, 5), shallow.initial_weights(0, 5))


def test_names():
    network = Network((12, 10, 2), "relu")
    assert network.layers == ("layer1", "layer2")
    assert [network.activation_of(layer) for layer in network.layers] == ["relu", "softmax"]
    with pytest.raises(InputError, match=r"layer: found 'layer3', expected one of layer1, layer2 \(did you mean"):
        network.index("layer3")
