"""The tasks against B1's figures, and everything that `Task` and `load` refuse."""

import h5py
import numpy as np
import pytest
from scipy.io import savemat

import flowplane as fp
from flowplane.errors import InputError
from flowplane.tasks import Task, icosahedron, spherical_strength


def test_published_labels(task):
    strength = spherical_strength(task.inputs)
    assert len(np.unique(strength)) == 53
    assert strength.mean() == pytest.approx(7.61347, abs=5e-6)
    assert (task.labels.sum(), (task.labels == 0).sum()) == (2118, 1978)
    assert task.information == pytest.approx(0.99916, abs=5e-6)
    assert task.input_entropy == pytest.approx(12.0)
    assert task.conditional is None
    assert set(np.unique(task.inputs)) == {0, 1}
    assert len(np.unique(task.inputs, axis=0)) == 4096


def test_labels_are_pure_on_the_64_classes(task):
    distance = np.round(icosahedron() @ icosahedron().T, 6)
    first, second = np.unique(distance)[[2, 1]]
    pairs = [np.triu(np.isclose(distance, value), 1) for value in (first, second, -1.0)]
    counts = [task.inputs.sum(1)] + [np.einsum("si,ij,sj->s", task.inputs, pair, task.inputs) for pair in pairs]
    classes = np.unique(np.stack(counts, axis=1), axis=0, return_inverse=True)[1].ravel()
    assert classes.max() + 1 == 64
    for k in range(64):
        assert len(np.unique(task.labels[classes == k])) == 1


def test_labels_do_not_change_under_rotation(task):
    turn = 2 * np.pi / 5
    axis = icosahedron()[0]
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    rotation = np.eye(3) + np.sin(turn) * cross + (1 - np.cos(turn)) * cross @ cross
    moved = icosahedron() @ rotation.T
    order = np.array([np.argmin(np.linalg.norm(icosahedron() - vertex, axis=1)) for vertex in moved])
    assert sorted(order) == list(range(12))
    code = (task.inputs[:, order] @ (1 << np.arange(12))).astype(int)
    assert (task.labels[code] == task.labels).all()


@pytest.mark.parametrize(("information", "gamma"), [(0.99, 52.35), (0.9, None), (1e-3, None)])
def test_soft_rule(task, information, gamma):
    soft = fp.tasks.spherical_rule(information=information)
    assert soft.information == pytest.approx(information, abs=1e-9)
    assert (soft.labels == task.labels).all()
    assert soft.conditional.shape == (4096, 2)
    assert soft.conditional.sum(1) == pytest.approx(1)
    if gamma:
        distance = spherical_strength(task.inputs) - spherical_strength(task.inputs).mean()
        at = np.abs(distance).argmin()
        log_odds = np.log(soft.conditional[at, 1] / soft.conditional[at, 0])
        assert log_odds / distance[at] == pytest.approx(gamma, abs=0.005)


@pytest.mark.parametrize("information", [0.0, -1, 1.0, 0.99916, float("nan")])
def test_impossible_information_is_refused(information):
    with pytest.raises(InputError, match="information: found"):
        fp.tasks.spherical_rule(information=information)


def test_joint_and_shuffled(task):
    soft = fp.tasks.spherical_rule(information=0.9)
    assert soft.joint.shape == (4096, 2)
    assert soft.joint.sum() == pytest.approx(1)
    control = soft.shuffled(3)
    assert sorted(control.labels) == sorted(soft.labels)
    assert (control.labels != soft.labels).any()
    assert ((control.conditional[:, 1] > 0.5) == (control.labels == 1)).all()
    assert control.digest != soft.digest
    assert fp.tasks.spherical_rule().digest == task.digest


def test_equal_inputs_are_one_x():
    inputs = np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    assert Task(inputs, np.array([0, 1, 0, 1])).information == pytest.approx(0, abs=1e-12)
    same = Task(inputs, np.array([0, 0, 1, 1]))
    assert (same.information, same.input_entropy) == (pytest.approx(1), pytest.approx(1))
    plane = fp.information_plane(fp.train(same, hidden=(3,), replicas=2, epochs=2, snapshots=2, train_fraction=0.5))
    assert (plane.i_xt <= plane.attrs["input_entropy"] + 1e-12).all()


def test_digits():
    digits = fp.tasks.digits()
    assert digits.inputs.shape == (1797, 64)
    assert digits.inputs.min() == 0
    assert digits.inputs.max() == 1
    assert digits.classes == 10


def test_arguments_are_copied_and_fields_are_frozen():
    inputs, labels = np.eye(4), np.array([0, 1, 1, 0])
    task = Task(inputs, labels)
    inputs[0, 0] = 7
    assert task.inputs[0, 0] == 1
    with pytest.raises(AttributeError):
        task.labels = labels


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [0, 1, 1]}, r"labels: found shape \(3,\), expected shape \(4,\)"),
        ({"labels": [1, 1, 1, 1]}, "one class only"),
        ({"labels": [0, 1, 0.5, 1]}, "whole class numbers"),
        ({"labels": [0, 1, -1, 1]}, "whole class numbers"),
        ({"labels": [0, 1, float("nan"), 1]}, "labels: found 1 value that is NaN"),
        ({"labels": ["a", "b", "a", "b"]}, "an array of numbers"),
        ({"inputs": np.full((4, 2), np.nan)}, "inputs: found 8 values that are NaN"),
        ({"inputs": np.full((4, 2), 1e300)}, "inputs: found 8 values that are NaN or infinite"),
        ({"inputs": np.zeros(4)}, "inputs: found shape"),
        ({"inputs": np.zeros((0, 2))}, "inputs: found shape"),
        ({"probability": [0.5, 0.5, 0.5, 0.5]}, "probability: found 0 negative entries and a sum of 2"),
        ({"probability": [1.0]}, "probability: found shape"),
        ({"conditional": np.ones((4, 2))}, "conditional: found rows"),
        ({"conditional": np.ones((4, 1))}, "conditional: found shape"),
    ],
)
def test_bad_tasks_are_refused(changes, message):
    arguments = {"inputs": np.eye(4), "labels": np.array([0, 1, 1, 0])} | changes
    with pytest.raises(InputError, match=message):
        Task(**{key: np.asarray(value) for key, value in arguments.items()})


def test_load(tmp_path, task):
    np.savez(tmp_path / "own.npz", inputs=task.inputs, labels=task.labels)
    np.savez(tmp_path / "one_hot.npz", F=task.inputs, y=np.eye(2)[task.labels])
    savemat(tmp_path / "published.mat", {"F": task.inputs.astype(float), "y": task.labels[None].astype(float)})
    soft = fp.tasks.spherical_rule(information=0.9)
    np.savez(tmp_path / "soft.npz", inputs=soft.inputs, labels=soft.labels, conditional=soft.conditional)
    for name in ("own.npz", "one_hot.npz", "published.mat"):
        loaded = fp.tasks.load(tmp_path / name)
        assert loaded.digest == task.digest
        assert loaded.name == name.split(".")[0]
    assert fp.tasks.load(tmp_path / "soft.npz").information == pytest.approx(0.9)


def test_load_matlab_7_3(tmp_path, task):
    path = tmp_path / "newer.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["F"] = task.inputs.T.astype(float)
        file["y"] = task.labels[:, None].astype(float)
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    assert fp.tasks.load(path).digest == task.digest


def test_load_refuses(tmp_path, task):
    np.savez(tmp_path / "keys.npz", patterns=task.inputs)
    np.savez(tmp_path / "half.npz", inputs=task.inputs)
    np.savez(tmp_path / "short.npz", inputs=task.inputs, labels=task.labels[:-1])
    np.savez(tmp_path / "pickled.npz", inputs=np.array([{}], dtype=object), labels=np.array([0]))
    (tmp_path / "broken.npz").write_bytes(b"no archive")
    (tmp_path / "broken.mat").write_bytes(b"no matrices either, but long enough to be looked at" * 4)
    (tmp_path / "table.csv").write_text("1,2")
    (tmp_path / "empty.npz").touch()
    (tmp_path / "empty.mat").touch()
    whole = (tmp_path / "short.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    np.savez(tmp_path / "scalars.npz", inputs=3, labels=1)
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    for name, message in (
        ("keys.npz", r"keys \['patterns'\]"),
        ("half.npz", "the keys inputs and labels"),
        ("short.npz", "labels: found shape"),
        ("pickled.npz", "plain arrays"),
        ("broken.npz", "path: found"),
        ("broken.mat", "path: found"),
        ("table.csv", "ends in .npz or .mat"),
        ("missing.npz", "that exists"),
        ("empty.npz", "a whole .npz file"),
        ("empty.mat", "a whole .mat file"),
        ("cut.npz", "a whole .npz file"),
        ("scalars.npz", "inputs: found shape"),
        ("one.npz", "a whole .npz file"),
    ):
        with pytest.raises(InputError, match=message):
            fp.tasks.load(tmp_path / name)
