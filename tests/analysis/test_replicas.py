"""The spread of replicas: against everything done by hand, and what must hold of it."""

import numpy as np
import pytest
import torch

import flowplane as fp
from flowplane.analysis.replicas import _unrelated
from flowplane.dynamics.alignment import weight_distance
from flowplane.errors import InputError


@pytest.fixture(scope="module")
def found(rec):
    return fp.replica_spread(rec)


def by_hand(rec, epoch):
    """(weight, bias) by layer, the last one centred, for each replica."""
    nets = []
    for packed in rec.weights.sel(epoch=epoch).values.astype(float):
        layers = [(w.numpy().copy(), b.numpy().copy()) for w, b in rec.network.unpack(torch.from_numpy(packed))]
        weight, bias = layers[-1]
        nets.append([*layers[:-1], (weight - weight.mean(0), bias - bias.mean())])
    return nets


def test_unaligned_distances_by_hand(rec, found):
    nets = by_hand(rec, 40)
    for k, (i, j) in enumerate(zip(found["first"].values, found["second"].values, strict=True)):
        a, b = (np.concatenate([np.append(w, c) for w, c in nets[n]]) for n in (i, j))
        wanted = np.linalg.norm(a - b) / np.sqrt((a @ a + b @ b) / 2)
        assert float(found.distance_unaligned[k]) == pytest.approx(wanted)


def test_alignment_only_brings_nearer(found):
    assert (found.distance < found.distance_unaligned).all()
    assert found.pair.size == 3
    assert sorted(zip(found["first"].values.tolist(), found["second"].values.tolist(), strict=True)) == [
        (0, 1),
        (0, 2),
        (1, 2),
    ]


def test_layers_make_up_the_whole(rec, found):
    sizes = np.array([[(w**2).sum() + (b**2).sum() for w, b in net] for net in by_hand(rec, 40)])
    for name in ("distance", "distance_unaligned", "distance_random"):
        for k, (i, j) in enumerate(zip(found["first"].values, found["second"].values, strict=True)):
            mean = (sizes[i] + sizes[j]) / 2
            whole = np.sqrt((found[f"{name}_layer"].values[k] ** 2 * mean).sum() / mean.sum())
            assert float(found[name][k]) == pytest.approx(whole)


def test_unrelated_networks_have_the_trained_norms(rec):
    trained = by_hand(rec, 40)[0]
    control = _unrelated(rec.network, trained, 7, 0)
    for (w, b), (v, c) in zip(trained, control, strict=True):
        assert np.linalg.norm(v) == pytest.approx(np.linalg.norm(w))
        assert np.linalg.norm(c) == pytest.approx(np.linalg.norm(b))
    assert np.allclose(control[-1][0].sum(0), 0)
    # directions of 294 weights: the cosine of independent ones has a standard deviation of at most that of the largest layer
    assert abs(weight_distance(trained, control)[0] - np.sqrt(2)) < 0.4


def test_spread_in_the_plane(rec, found):
    plane = fp.information_plane(rec)
    assert found.epoch.values.tolist() == [0, 40]
    for name, ceiling in (("xt", 12.0), ("ty", rec.task.information)):
        wanted = plane[f"i_{name}"].sel(epoch=[0, 40]).values.std(axis=0, ddof=1)
        assert np.allclose(found[f"spread_{name}"], wanted)
        assert np.allclose(found[f"relative_{name}"], wanted / ceiling)
    assert fp.replica_spread(rec, plane).identical(found)


def test_agreement_by_hand(rec, found):
    classes = rec.activations("layer6").sel(epoch=40).values.argmax(-1)
    for k, (i, j) in enumerate(zip(found["first"].values, found["second"].values, strict=True)):
        assert float(found.agreement[k]) == pytest.approx((classes[i] == classes[j]).mean())


def test_copies_are_at_no_distance(task):
    """Networks of one seed and no differing data agree in all: replicas 0 of two recordings are the same network."""
    one, two = (fp.train(task, replicas=1, epochs=3, snapshots=2) for _ in range(2))
    assert weight_distance(by_hand(one, 3)[0], by_hand(two, 3)[0])[0] == 0


def test_a_view_shows_its_part(rec, found):
    part = fp.replica_spread(rec.sel(replica=[2, 0], layer=["layer6", "layer3"]))
    assert part["first"].values.tolist() == [2] and part["second"].values.tolist() == [0]
    assert part.layer.values.tolist() == ["layer6", "layer3"]
    pair = 1  # replicas 0 and 2
    assert float(part.distance_unaligned[0]) == pytest.approx(float(found.distance_unaligned[pair]))
    assert float(part.agreement[0]) == float(found.agreement[pair])
    wanted = found.distance_unaligned_layer[pair].sel(layer=part.layer)
    assert np.allclose(part.distance_unaligned_layer[0], wanted)


def test_epochs_and_seeds(rec, found):
    middle = int(rec.epochs[4])
    part = fp.replica_spread(rec, epoch=middle)
    assert part.epoch.values.tolist() == [0, middle]
    assert not np.allclose(part.distance, found.distance)
    other = fp.replica_spread(rec, seed=3)
    assert np.allclose(other.distance_unaligned, found.distance_unaligned)
    assert not np.allclose(other.distance_random, found.distance_random)


def test_a_sample_of_pairs(rec, found):
    few = fp.replica_spread(rec, pairs=2)
    assert few.sizes["pair"] == 2 and few.attrs["pairs_possible"] == 3
    assert set(few.distance_unaligned.values) <= set(found.distance_unaligned.values)
    assert few.identical(fp.replica_spread(rec, pairs=2))


def test_other_networks():
    task = fp.tasks.spherical_rule()
    for given in ({"activation": "relu"}, {"hidden": ()}, {"noise_variance": 0.01}):
        rec = fp.train(task, replicas=2, epochs=2, snapshots=2, **({"hidden": (5, 4)} | given))
        part = fp.replica_spread(rec, fp.information_plane(rec, fp.GaussianMI()) if "noise_variance" in given else None)
        assert (part.distance <= part.distance_unaligned).all()
        assert 0 <= float(part.agreement[0]) <= 1


def test_what_is_refused(rec):
    with pytest.raises(InputError, match=r"^rec: found Dataset"):
        fp.replica_spread(rec.metrics)
    with pytest.raises(InputError, match=r"^rec: found one replica"):
        fp.replica_spread(rec.sel(replica=0))
    with pytest.raises(InputError, match=r"^epoch: found .*, expected one recorded epoch after the first, which is 0"):
        fp.replica_spread(rec, epoch=0)
    with pytest.raises(InputError, match=r"^epoch: found 39"):
        fp.replica_spread(rec, epoch=39)
    with pytest.raises(InputError, match=r"^epoch: found"):
        fp.replica_spread(rec.sel(epoch=40))
    for name in ("starts", "pairs"):
        with pytest.raises(InputError, match=rf"^{name}"):
            fp.replica_spread(rec, **{name: 0})
    with pytest.raises(InputError, match=r"^plane: found epochs"):
        fp.replica_spread(rec, fp.information_plane(rec.sel(epoch=[0])))
