"""Trained maps on disk: the same numbers afterwards, and no other file taken for one."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

import flowplane as fp
from flowplane.errors import InputError
from flowplane.transport import Autoencoder, DenoisingNetwork, LearnedDenoiser, load_denoiser, train_denoiser

POINTS = fp.densities.two_moons(0.1).sample(200, 0)
NOISE = np.array([[0.1, 0.02], [0.02, 0.05]])


@pytest.fixture(scope="module")
def denoiser():
    return train_denoiser((8, 8), POINTS, noise_covariance=NOISE, steps=30, activation="tanh", device="cpu")


@pytest.mark.parametrize("network", [(8, 8), (), Autoencoder(2, 3, hidden=(8,), decoder_hidden=(4,)), nn.Linear(2, 2)])
def test_the_same_numbers_after_loading(tmp_path, network):
    made = train_denoiser(network, POINTS, noise_covariance=NOISE, steps=20, device="cpu")
    place = made.save(tmp_path / "map")
    assert place == tmp_path / "map.safetensors"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.safetensors"]
    same = load_denoiser(place, network=network if type(network) is nn.Linear else None)
    np.testing.assert_array_equal(same(POINTS), made(POINTS))
    np.testing.assert_array_equal(same.score(POINTS), made.score(POINTS))
    np.testing.assert_array_equal(same.noise_covariance.numpy(), NOISE)
    assert (same.time, same.dimension, same.affine) == (made.time, 2, made.affine)
    assert same.held_out_loss == made.held_out_loss
    assert dict(same.history.sizes) == {"step": 1}
    assert float(same.history.training_loss[0]) == float(made.history.training_loss[-1])
    assert not same.training
    # it can be trained on: what it knows of the data's size is kept
    on = train_denoiser(same, POINTS, noise_covariance=NOISE, steps=1, learning_rate=1e-12, device="cpu")
    np.testing.assert_allclose(on(POINTS), made(POINTS), atol=1e-5)


def test_parts_of_the_way_single_precision_and_sources(tmp_path, denoiser):
    part = denoiser.at(denoiser.time / 2)
    np.testing.assert_array_equal(load_denoiser(part.save(tmp_path / "part"))(POINTS), part(POINTS))
    single = load_denoiser(denoiser.save(tmp_path / "whole")).float()
    again = load_denoiser(single.save(tmp_path / "single"))
    assert again.noise_covariance.dtype == torch.float32
    np.testing.assert_array_equal(again(POINTS), single(POINTS))
    moons = fp.densities.two_moons(0.1)
    assert load_denoiser(tmp_path / "whole.safetensors", source=moons).source is moons
    with pytest.raises(InputError, match="source"):
        load_denoiser(tmp_path / "whole.safetensors").log_prob(POINTS)


def test_the_header_is_json_that_says_what_it_is(tmp_path, denoiser):
    raw = denoiser.save(tmp_path / "map.safetensors").read_bytes()
    length = int.from_bytes(raw[:8], "little")
    about = json.loads(json.loads(raw[8 : 8 + length])["__metadata__"]["flowplane"])
    assert about["kind"] == "denoiser"
    assert about["version"] == 1
    assert about["library"] == fp.__version__
    assert about["network"] == {
        "kind": "perceptron",
        "dimension": 2,
        "hidden": [8, 8],
        "activation": "tanh",
        "standardised": True,
    }
    assert about["covariance"] == NOISE.tolist()
    assert about["history"]["attrs"]["held_out_loss"] == denoiser.held_out_loss


def test_what_is_no_checkpoint(tmp_path, denoiser):
    place = denoiser.save(tmp_path / "map")
    with pytest.raises(InputError, match=r"path: found '.*none\.safetensors', expected an existing file"):
        load_denoiser(tmp_path / "none.safetensors")
    with pytest.raises(InputError, match="in a folder that does not exist, expected a file in an existing folder"):
        denoiser.save(tmp_path / "missing" / "map")
    with pytest.raises(InputError, match="a folder, expected a file"):
        (tmp_path / "folder.safetensors").mkdir()
        denoiser.save(tmp_path / "folder.safetensors")
    with pytest.raises(InputError, match="path: found 3, expected a path"):
        load_denoiser(3)
    whole = place.read_bytes()
    for name, content in (
        ("cut", whole[:-10]),
        ("head", whole[:50]),
        ("text", b"hello, this is no checkpoint"),
        ("none", b""),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="not a safetensors file or one that is cut off"):
            load_denoiser(tmp_path / name)
    save_file({"a": torch.zeros(2)}, tmp_path / "other")
    with pytest.raises(InputError, match="a safetensors file of something else, expected a denoiser that flowplane saved"):
        load_denoiser(tmp_path / "other")
    for change, match in (
        ({"version": 99}, r"of format 99, by flowplane .*, expected format 1 or older: a newer flowplane reads it"),
        ({"kind": "score"}, "a score, expected a denoiser that flowplane saved"),
    ):
        about = {"kind": "denoiser", "version": 1, "library": "9.9"} | change
        save_file({"a": torch.zeros(2)}, tmp_path / "changed", metadata={"flowplane": json.dumps(about)})
        with pytest.raises(InputError, match=match):
            load_denoiser(tmp_path / "changed")


def test_a_module_of_ones_own_has_to_be_given(tmp_path):
    place = LearnedDenoiser(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2)), np.eye(2)).save(tmp_path / "own")
    with pytest.raises(InputError, match=r"network: found None, expected network=…, a Sequential built like the one"):
        load_denoiser(place)
    with pytest.raises(InputError, match=r"network: .*expected a module built like the one that was trained"):
        load_denoiser(place, network=nn.Linear(2, 2))
    with pytest.raises(InputError, match=r"network: found tuple, expected a torch\.nn\.Module"):
        load_denoiser(place, network=(3,))
    given = DenoisingNetwork(2, (3,))
    before = given.perceptron.skip.weight.clone()
    with pytest.raises(InputError, match="network: "):
        load_denoiser(place, network=given)
    assert torch.equal(given.perceptron.skip.weight, before)


def test_a_name_without_ending_is_found_and_damage_is_named(tmp_path):
    made = LearnedDenoiser(DenoisingNetwork(1, (4,)), 0.1)
    made.save(tmp_path / "moons")
    assert load_denoiser(tmp_path / "moons")([[1.0]]) == made([[1.0]])
    with pytest.raises(InputError, match="a folder"):
        made.save(tmp_path)
    with safe_open(tmp_path / "moons.safetensors", framework="pt") as file:
        header, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, tmp_path / "no-json.safetensors", metadata={"flowplane": "{"})
    save_file(tensors, tmp_path / "no-kind.safetensors", metadata={"flowplane": "{}"})
    first = next(name for name, part in tensors.items() if part.is_floating_point())
    save_file(tensors | {first: tensors[first] * float("nan")}, tmp_path / "nan.safetensors", metadata=header)
    for name, said in (("no-json", "not JSON"), ("no-kind", "neither kind nor version"), ("nan", "holds NaN")):
        with pytest.raises(InputError, match=said):
            load_denoiser(tmp_path / f"{name}.safetensors")
