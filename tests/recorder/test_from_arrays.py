"""Activations that are there already, whatever made them."""

import tracemalloc
from collections import namedtuple

import h5py
import numpy as np
import pytest
import torch
import xarray as xr
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import flowplane as fp
from flowplane.errors import InputError, NotRecorded
from flowplane.recording import array_store

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(60, 3)).astype(np.float32)
Y = X[:, 0] > 0
WIDE = np.tanh(X @ GENERATOR.normal(size=(3, 8)).astype(np.float32)).reshape(60, 2, 4)
LAYERS = {"conv": WIDE, "head": X[:, :2]}


class OnlyArray:
    """Only `__array__`, as some libraries have it."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return self.values.astype(dtype or self.values.dtype)


class OnlyDlpack:
    """Only dlpack: an array of a GPU library."""

    def __init__(self, values):
        self.values = torch.as_tensor(values)

    def __dlpack__(self, **named):
        return self.values.__dlpack__(**named)

    def __dlpack_device__(self):
        return self.values.__dlpack_device__()


class Jax:
    """What JAX promises: a shape, slices of its own kind, `__array__`."""

    def __init__(self, values):
        self.values, self.shape, self.dtype = values, values.shape, values.dtype

    def __getitem__(self, key):
        return Jax(self.values[key])

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)


def of_npz(folder):
    np.savez_compressed(folder / "all.npz", **LAYERS)
    return np.load(folder / "all.npz")


def of_hdf5(folder):
    file = h5py.File(folder / "all.h5", "w")
    file.create_group("net").update(LAYERS)
    return file["net"]


def of_memory_map(folder):
    for name, values in LAYERS.items():
        np.save(folder / f"{name}.npy", values)
    return {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in LAYERS}


def of_safetensors(folder):
    save_file({name: torch.from_numpy(values.copy()) for name, values in LAYERS.items()}, folder / "all.safetensors")
    return safe_open(folder / "all.safetensors", "pt")


KINDS = {
    "NumPy": lambda folder: LAYERS,
    "double": lambda folder: {name: values.astype(">f8") for name, values in LAYERS.items()},
    "torch": lambda folder: {name: torch.from_numpy(values).requires_grad_() for name, values in LAYERS.items()},
    "sparse": lambda folder: {name: torch.from_numpy(values).to_sparse() for name, values in LAYERS.items()},
    "__array__": lambda folder: {name: OnlyArray(values) for name, values in LAYERS.items()},
    "dlpack": lambda folder: {name: OnlyDlpack(values) for name, values in LAYERS.items()},
    "JAX": lambda folder: {name: Jax(values) for name, values in LAYERS.items()},
    "flax": lambda folder: {name: (values,) for name, values in LAYERS.items()},
    "lists": lambda folder: {name: values.tolist() for name, values in LAYERS.items()},
    "rows": lambda folder: {"conv": WIDE, "head": [torch.from_numpy(row) for row in X[:, :2]]},
    "xarray": lambda folder: xr.Dataset({name: (list("abc")[: values.ndim], values) for name, values in LAYERS.items()}),
    "tuple": lambda folder: namedtuple("Outputs", LAYERS)(**LAYERS),
    "memory map": of_memory_map,
    ".npz": of_npz,
    ".safetensors": of_safetensors,
    ".h5": of_hdf5,
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_recording_of_every_kind(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(array_store, "BLOCK_BYTES", 7 * 8 * 4)  # seven rows of the wider layer
    rec = fp.from_arrays(KINDS[kind](tmp_path), Y, inputs=X, path=tmp_path / "run.fp")
    for layer, values in LAYERS.items():
        np.testing.assert_array_equal(rec.activations(layer).values[0, 0], values.reshape(60, -1))
    assert rec.layers == fp.open(tmp_path / "run.fp").layers == ("conv", "head") and rec.epochs.tolist() == [0]
    np.testing.assert_array_equal(rec.task.labels, Y)
    np.testing.assert_array_equal(rec.input_points, X)


def test_the_same_numbers_as_of_a_recorder():
    model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))
    with fp.Recorder(model, X, Y) as recorder:
        pass
    seen = recorder.recording
    rec = fp.from_arrays({layer: seen.activations(layer).values[0, 0] for layer in seen.layers}, Y, inputs=X)
    for analysis in (fp.information_plane, fp.layer_transport):
        one, other = analysis(rec), analysis(seen)
        assert list(one.data_vars) == list(other.data_vars)
        for name in one.data_vars:
            np.testing.assert_array_equal(one[name].values, other[name].values, err_msg=str(name))


def test_layers_are_flattened_and_it_is_said():
    rec = fp.from_arrays({"conv": WIDE, "head": X[:, :2], "norm": X[:, 0], "fourier": X[:, :2] + 1j * X[:, 1:]})
    said = {layer["name"]: (layer["shape"], layer["reduce"], layer["width"]) for layer in rec.attrs["layers"]}
    assert said == {
        "conv": ([2, 4], "flattened", 8),
        "head": ([2], "as it is", 2),
        "norm": ([], "as it is", 1),
        "fourier": ([2], "as it is, real and imaginary parts", 4),
    }
    assert rec.activations("conv").attrs["reduce"] == "flattened"
    np.testing.assert_array_equal(rec.activations("fourier").values[0, 0], X[:, [0, 1, 1, 2]])


def test_hidden_states_and_dicts_within_dicts():
    states = tuple(torch.from_numpy(np.roll(X, k, 1)) for k in range(12))
    rec = fp.from_arrays(states)
    assert rec.layers == tuple(map(str, range(12)))
    np.testing.assert_array_equal(rec.activations("11").values[0, 0], states[11])
    rec = fp.from_arrays({"encoder": {"dense": {"__call__": (X,)}}, "head": X[:, :1]})
    assert rec.layers == ("encoder.dense.__call__", "head")


def test_small_floats():
    rec = fp.from_arrays({"a": torch.from_numpy(X).bfloat16(), "b": X.astype(np.float16), "c": Y[:, None]})
    np.testing.assert_array_equal(rec.activations("a").values[0, 0], torch.from_numpy(X).bfloat16().float())
    np.testing.assert_array_equal(rec.activations("b").values[0, 0], X.astype(np.float16))
    np.testing.assert_array_equal(rec.activations("c").values[0, 0, :, 0], Y)


@pytest.mark.parametrize("listed", [False, True])
def test_several_epochs_in_any_order(listed):
    several = np.stack([X, 2 * X, 3 * X])
    given = {
        "fc": list(several) if listed else several,
        "head": [several[:, :, 0].tolist(), torch.from_numpy(several)[..., 0]][listed],
    }
    rec = fp.from_arrays(given, Y, inputs=X, epochs=[100, 0, 10])
    assert rec.epochs.tolist() == [0, 10, 100]
    np.testing.assert_array_equal(rec.activations("fc").values[0, :, 0, 0], X[0, 0] * np.float32([2, 3, 1]))
    np.testing.assert_array_equal(rec.activations("head").values[0, :, :, 0], several[[1, 2, 0], :, 0])
    assert rec.thin(2).epochs.tolist() == [0, 100] and rec.sel(epoch=10, layer="head").layers == ("head",)
    assert len(fp.information_plane(rec).epoch) == 3


def test_a_file_has_no_order_and_the_alphabet_is_none(tmp_path):
    names = [f"h.{k}" for k in range(12)]
    save_file({name: torch.from_numpy(X.copy()) for name in names}, tmp_path / "all.safetensors")
    assert fp.from_arrays(safe_open(tmp_path / "all.safetensors", "np")).layers == tuple(names)
    with pytest.warns(RuntimeWarning, match=r"alphabetical order \(h\.1, h\.10, h\.11, …\)"):
        assert fp.from_arrays(dict.fromkeys(sorted(names), X)).layers == tuple(sorted(names))
    assert fp.from_arrays(dict.fromkeys(reversed(names), X)).layers == tuple(reversed(names))


def test_nan_is_kept_and_flagged():
    broken = np.stack([X, np.where(np.arange(60)[:, None] == 3, np.nan, X)])
    rec = fp.from_arrays({"fc": broken}, Y, epochs=[0, 1])
    assert np.isnan(rec.activations("fc").values).sum() == 3
    with pytest.raises(InputError, match="activations: found NaN or infinite values in layer 'fc' at epoch 1"):
        fp.information_plane(rec, fp.Pairwise(0.1))
    assert np.isfinite(fp.information_plane(rec.sel(epoch=0), fp.Pairwise(0.1)).i_xt).all()


def test_labels_and_inputs_are_those_of_a_recorder():
    assert fp.from_arrays(LAYERS, X[:, 0]).targets.shape == (60, 1)
    assert fp.from_arrays(LAYERS, np.where(Y, "cat", "dog")).attrs["classes"] == ["cat", "dog"]
    torch.manual_seed(1)
    loader = DataLoader(TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), batch_size=7)
    expected = torch.get_rng_state()
    rec = fp.from_arrays(LAYERS, inputs=loader)
    np.testing.assert_array_equal(rec.task.labels, Y)
    assert torch.equal(torch.get_rng_state(), expected)
    without = fp.from_arrays(LAYERS, Y)
    assert without.input_points is None and "own" in without.attrs["inputs"] and "inputs" not in rec.attrs
    assert without.task.input_entropy == pytest.approx(np.log2(60))
    assert np.isfinite(fp.information_plane(without, fp.Pairwise(0.1)).i_xt).all()


def test_what_is_missing_is_named(tmp_path):
    rec = fp.from_arrays(LAYERS, Y, inputs=X)
    with pytest.raises(NotRecorded, match="gradients: found a recording of arrays, which holds activations alone"):
        fp.gradient_phases(rec)
    for analysis in (fp.weight_diffusion, lambda rec: rec.weights, lambda rec: rec.network):
        with pytest.raises(InputError, match=r"rec: found a recording of arrays, 2 layers, expected .* weights"):
            analysis(rec)
    with pytest.raises(InputError, match=r"inputs: found ndarray, expected None: .* no weights"):
        rec.activations("conv", X)
    assert np.isnan(rec.seconds).all() and np.isnan(rec.steps).all()
    assert len(rec.to_dataframe()) == 0 and "2: conv (8), head (2)" in rec._repr_html_()
    fp.report(rec, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Activations of 2 layers, given as arrays" in page and "Gradients were not kept" in page


#: Bytes of a layer, and of a block of its rows, where memory is measured.
LARGE, BLOCK = 24 << 20, 1 << 20


def peak(make):
    tracemalloc.start()
    try:
        make()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_stays_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(array_store, "BLOCK_BYTES", BLOCK)
    fp.from_arrays(LAYERS, path=tmp_path / "first.fp")  # what is imported and made once
    rows = LARGE // (64 * 8)
    mapped = np.lib.format.open_memmap(tmp_path / "all.npy", "w+", np.float64, (2, rows, 64))
    mapped[:, :, 0] = np.arange(rows)
    del mapped
    mapped = np.load(tmp_path / "all.npy", mmap_mode="r")
    # a block as it was, as float32, and on its way to the store; the inputs are two numbers a row
    most = peak(lambda: fp.from_arrays({"a": mapped, "b": mapped}, epochs=[0, 1], path=tmp_path / "mapped.fp"))
    assert most < 8 * BLOCK, f"{most / BLOCK:.1f} blocks"
    assert fp.open(tmp_path / "mapped.fp").activations("b")[0, 1, -1, 0] == rows - 1

    np.savez(tmp_path / "all.npz", **dict.fromkeys("abcd", mapped[0]))
    with np.load(tmp_path / "all.npz") as opened:
        most = peak(lambda: fp.from_arrays(opened, path=tmp_path / "opened.fp"))
    assert most < 1.5 * LARGE, f"{most / LARGE:.1f} layers, read one at a time"


class Objects:
    shape = (60, 2)

    def __getitem__(self, key):
        return np.full((60, 2), None)[key]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("all.npz", r"activations: found a path, all.npz, expected the opened file: np.load"),
        ({"fc": "fc.npy"}, r"activations\['fc'\]: found a path, fc.npy"),
        ({}, r"activations: found no layers, expected \{layer: array\}"),
        ([], "activations: found no layers"),
        (X, r"activations: found ndarray, expected \{layer: array\}"),
        (list(X), r"activations: found a list with items other than arrays \(sample, unit\)"),
        ({"fc": X, "head": X[:59]}, r"activations\['head'\]: found 59 samples, expected 60, as in 'fc'"),
        ({"fc": X[:1]}, r"activations\['fc'\]: found 1 sample, expected two samples or more"),
        ({"fc": X[:0]}, r"activations\['fc'\]: found 0 samples"),
        ({"fc": np.float32(1)}, r"activations\['fc'\]: found one number"),
        ({"fc": X[:, :0]}, r"activations\['fc'\]: found shape \(60, 0\), expected one unit or more"),
        ({"fc": X.astype(object)}, r"activations\['fc'\]: found an array of object"),
        ({"fc": Objects()}, r"activations\['fc'\]: found an array of object"),
        ({"fc": np.array(["a", "b"])}, r"activations\['fc'\]: found an array of <U1"),
        ({"fc": np.zeros(9, [("a", float)])}, r"activations\['fc'\]: found an array of \[\('a'"),
        ({"fc": None}, r"activations\['fc'\]: found an array of object"),
        ({"fc": {}}, r"activations\['fc'\]: found dict"),
        ({"fc": np.ma.masked_less(X, 0)}, r"activations\['fc'\]: found a masked array"),
        ({"fc": [X[:30], X[30:]]}, r"activations\['fc'\]: found a list of 2 arrays, expected one array: join batches"),
        (
            {"fc": X.astype(float) * 1e300},
            r"activations\['fc'\]: found values up to .*e\+300, expected numbers that float32",
        ),
        ({1: X, "1": X}, "activations: found two layers called '1'"),
    ],
)
def test_what_is_refused(given, message, tmp_path):
    with pytest.raises(InputError, match=message):
        fp.from_arrays(given, path=tmp_path / "run.fp")
    # nothing stands in the way of what is right
    fp.from_arrays(LAYERS, path=tmp_path / "run.fp")


@pytest.mark.parametrize(
    ("given", "epochs", "message"),
    [
        (np.stack([X, X]), [0, 1, 2], r"activations\['fc'\]: found 2 epochs, expected 3, as epochs= has"),
        (
            X[:, 0],
            [0],
            r"activations\['fc'\]: found shape \(60,\), expected 1, as epochs= has, in .* \(epoch, sample, \*unit\)",
        ),
        ([X, X[:50]], [0, 1], r"activations\['fc'\]\[1\]: found shape \(50, 3\), expected \(60, 3\), as the first"),
        (np.stack([X, X]), [0, 0], r"epochs: found \[0, 0\], expected different whole numbers"),
        (np.stack([X, X]), [], r"epochs: found \[\]"),
        (np.stack([X, X]), [0, -1], r"epochs\[1\]: found -1"),
        (np.stack([X, X]), [0, 1.5], r"epochs\[1\]: found 1.5"),
        (X, 5, "epochs: found 5, expected a list of epochs"),
    ],
)
def test_epochs_that_are_refused(given, epochs, message):
    with pytest.raises(InputError, match=message):
        fp.from_arrays({"fc": given}, epochs=epochs)


def test_labels_inputs_and_paths_that_are_refused(tmp_path):
    for labels, inputs, message in (
        (Y[:50], None, r"labels: found shape \(50,\), expected 60 labels"),
        (np.arange(180).reshape(60, 3) % 5, None, r"labels: found shape \(60, 3\), expected shape \(60,\)"),
        (None, X[:50], "inputs: found 50 samples, expected 60, as activations have"),
        (None, "text", "inputs: found 'text', expected a tensor"),
    ):
        with pytest.raises(InputError, match=message):
            fp.from_arrays(LAYERS, labels, inputs=inputs)
    fp.from_arrays(LAYERS, path=tmp_path / "run.fp")
    with pytest.raises(InputError, match=r"path: found .*, expected a new path$"):
        fp.from_arrays(LAYERS, path=tmp_path / "run.fp")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.txt").touch()
    with pytest.raises(InputError, match=r"path: found .* this is neither"):
        fp.from_arrays(LAYERS, path=tmp_path / "other")


def test_files_that_cannot_be_read(tmp_path):
    opened = of_npz(tmp_path)
    opened.close()
    with pytest.raises(InputError, match=r"activations\['conv'\]: found a NpzFile that cannot be read"):
        fp.from_arrays(opened, path=tmp_path / "run.fp")
    np.savez(tmp_path / "objects.npz", fc=X, names=np.array([None, "a"], object))
    with np.load(tmp_path / "objects.npz") as opened, pytest.raises(InputError, match=r"activations\['names'\]: found"):
        fp.from_arrays(opened, path=tmp_path / "run.fp")
    with of_safetensors(tmp_path) as handle:
        pass
    with pytest.raises(InputError, match=r"activations: found a safe_open that cannot be read .*closed"):
        fp.from_arrays(handle)
    assert not (tmp_path / "run.fp" / "data").exists()
