"""Labels as users have them: classes, tags, targets; one a sample, or one a place."""

import numpy as np
import pytest
import torch
from torch import nn

import flowplane as fp
from flowplane.errors import InputError
from flowplane.recorder.inputs import read_labels

GENERATOR = np.random.default_rng(0)
X = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(40) % 3
MODEL = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))


def test_labels_are_absent_classes_or_targets():
    assert fp.record(MODEL, X).attrs["labels"] == "none" and fp.record(MODEL, X).task.labels is None
    named = read_labels(["b", "a", "b", "a"], 4)
    assert named.classes.tolist() == [1, 0, 1, 0] and named.names == ["a", "b"]
    assert read_labels([5.0, 9.0, 5.0, 9.0], 4).classes.tolist() == [0, 1, 0, 1]
    target = X[:, 0] * 2 + 1
    rec = fp.record(MODEL, X, target)
    assert rec.attrs["labels"] == "targets in 10 classes of about equal size"
    assert (np.bincount(rec.task.labels) == 4).all()
    order = np.argsort(target.numpy())
    assert (np.diff(rec.task.labels[order]) >= 0).all()
    np.testing.assert_allclose(rec.targets[:, 0], target)
    plane = fp.information_plane(fp.record(MODEL, X), fp.Pairwise(0.1))
    assert np.isnan(plane.i_ty).all() and np.isfinite(plane.i_xt).all()
    assert np.isnan(plane.attrs["label_information"])


def test_labels_that_could_be_taken_for_something_else():
    assert read_labels(np.eye(3)[[0, 2, 1, 1]], 4).classes.tolist() == [0, 2, 1, 1]  # one-hot, float or whole
    assert read_labels(np.eye(3, dtype=int)[[0, 2, 1, 1]], 4).about == "classes"
    assert read_labels(np.arange(400), 400).about == "targets in 10 classes of about equal size"
    assert read_labels(np.array(["b", "a"], object), 2).names == ["a", "b"]
    with pytest.raises(InputError, match=r"labels: found 1 of -100, which stands for none"):
        read_labels(np.array([0, 1, -100]), 3)


def test_targets_of_several_numbers_are_cut_along_their_widest_direction():
    angle = np.linspace(0, 1, 50)
    targets = np.stack([3 * angle, -4 * angle], 1)
    found = read_labels(targets, 50)
    assert found.about.endswith("along their first principal component")
    steps = np.diff(found.classes)
    assert (steps <= 0).all() or (steps >= 0).all()


def test_few_combinations_of_tags_are_classes():
    tags = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 1]])[np.arange(40) % 4]
    for given in (tags, tags.astype(float), tags.astype(bool), torch.tensor(tags)):
        found = read_labels(given, 40)
        assert found.about == "classes, the 4 combinations of 3 tags" and found.targets is None
        assert [found.names[k] for k in found.classes[:4]] == ["0+2", "1", "none", "0+1+2"]
    assert fp.record(MODEL, X, tags).attrs["classes"] == found.names


def test_many_combinations_of_tags_are_targets():
    tags = GENERATOR.integers(2, size=(200, 12))
    found = read_labels(tags, 200)
    assert found.about.endswith("combinations of 12 tags, as targets in 10 classes of about equal size, along their first "
                                "principal component")  # fmt: skip
    np.testing.assert_array_equal(found.targets, tags)
    with pytest.raises(InputError, match="labels: found the same tags for all samples"):
        read_labels(np.ones((40, 3)), 40)


def test_zeros_and_ones_of_tokens_are_no_tags():
    marks = GENERATOR.integers(2, size=(40, 6))
    assert read_labels(marks, 40, places=True).classes.shape == (40, 6)
    assert read_labels(marks, 40).classes.ndim == 1


class Pixels(nn.Module):
    """Takes a picture to a point a place, (sample, place, unit)."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(1, 4), nn.Linear(4, 2)

    def forward(self, pictures):
        return self.b(torch.tanh(self.a(pictures.flatten(1).unsqueeze(2))))


def test_a_label_a_place():
    pictures = torch.randn(24, 4, 5, generator=torch.Generator().manual_seed(0))
    maps = (pictures > 0).long()
    maps[:, 0, 0] = -100
    model = Pixels()
    rec = fp.record(model, pictures, maps, reduce="tokens")
    known = maps.flatten() != -100
    np.testing.assert_array_equal(rec.task.labels, maps.flatten()[known])
    np.testing.assert_allclose(rec.activations("b").values[0, 0], model(pictures).detach().flatten(0, 1)[known], atol=1e-6)
    for given in (maps.unsqueeze(1), (pictures > 0).float(), pictures > 0):
        assert read_labels(given, 24, places=True).classes.shape == (24, 20)
    wanted = r"labels: found shape \(24, 4, 5\), expected shape \(24,\), or reduce='tokens', where each token or place is a"
    with pytest.raises(InputError, match=wanted):
        fp.record(model, pictures, maps)


def test_rows_of_unlike_length_are_refused():
    with pytest.raises(
        InputError, match="labels: found rows of unequal length, expected one label per sample; for several tags"
    ):
        read_labels([["a"], ["a", "b"]] * 20, 40)


def test_few_samples_are_said():
    with pytest.warns(RuntimeWarning, match="only 12 probe samples: estimates from this few mean little"):
        fp.record(MODEL, X[:12], Y[:12])
