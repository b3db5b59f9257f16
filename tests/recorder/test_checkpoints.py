"""A recording from saved weights."""

import pickle
import tarfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import flowplane as fp
from flowplane.errors import InputError

X = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))
Y = torch.arange(30) % 2


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))


@pytest.fixture
def run(tmp_path):
    """The same training, recorded and saved after each epoch in different ways."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.5)
    paths = []

    def save(epoch):
        state = model.state_dict()
        if epoch % 2:
            paths.append(tmp_path / f"epoch{epoch}.safetensors")
            save_file(state, paths[-1])
        else:
            paths.append(tmp_path / f"epoch={epoch}-step={7 * epoch}.ckpt")
            torch.save({"epoch": epoch, "state_dict": {f"module.{name}": part for name, part in state.items()}}, paths[-1])

    with fp.Recorder(model, X, Y) as recorder:
        save(0)
        for epoch in range(1, 11):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(X), Y).backward()
            optimizer.step()
            recorder.step()
            save(epoch)
    return recorder.recording, paths, tmp_path


def test_the_same_recording_as_while_training(run):
    expected, paths, folder = run
    model = network(seed=9)
    before = {name: part.clone() for name, part in model.state_dict().items()}
    rng = torch.get_rng_state()
    for given in (paths[::-1], folder, str(folder / "epoch*")):
        rec = fp.from_checkpoints(model, given, X, Y)
        assert rec.epochs.tolist() == list(range(11)) and rec.layers == expected.layers and rec.kind == "model"
        for layer in rec.layers:
            np.testing.assert_array_equal(rec.activations(layer).values, expected.activations(layer).values)
    assert all(torch.equal(part, before[name]) for name, part in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), rng) and model.training
    with pytest.raises(InputError, match="gradients: found a recording that keeps activations"):
        _ = rec.gradients
    fp.information_plane(rec, fp.Pairwise(0.1))


def test_to_a_folder_and_further(run, tmp_path):
    _, paths, _ = run
    rec = fp.from_checkpoints(network(), paths[2:5], X, Y, path=tmp_path / "some.fp", layers=["3"], dtype="float16")
    assert fp.open(tmp_path / "some.fp").epochs.tolist() == rec.epochs.tolist() == [2, 3, 4]
    more = fp.from_checkpoints(
        network(), paths, X, Y, path=tmp_path / "some.fp", layers=["3"], dtype="float16", mode="resume"
    )
    assert more.epochs.tolist() == list(range(2, 11))
    assert fp.from_checkpoints(network(), paths[:2], X, at=[50, 20]).epochs.tolist() == [20, 50]


def test_names_without_numbers_are_taken_in_order(tmp_path):
    for name in ("start", "middle"):
        save_file(network().state_dict(), tmp_path / f"{name}.safetensors")
    assert fp.from_checkpoints(
        network(), [tmp_path / "start.safetensors", tmp_path / "middle.safetensors"], X
    ).epochs.tolist() == [0, 1]


def test_a_pickle_is_never_run(tmp_path):
    path = tmp_path / "evil.pt"
    ran = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return open, (str(ran), "w")

    torch.save({"weights": Evil()}, path)
    with pytest.raises(InputError, match=r"paths: found .*evil.pt', expected weights alone.*never runs a pickle"):
        fp.from_checkpoints(network(), path, X)
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(InputError, match="paths: found"):
        fp.from_checkpoints(network(), path, X)
    assert not ran.exists()


def test_a_recording_holds_no_pickle(run, tmp_path):
    _, paths, _ = run
    fp.from_checkpoints(network(), paths, X, Y, path=tmp_path / "run.fp")
    for file in (tmp_path / "run.fp").rglob("*"):
        assert not file.is_file() or not file.read_bytes().startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "nothing.pt", "it does not exist"),
        (lambda folder: folder, "where there are none"),
        (lambda folder: [], "where there are none"),
        (lambda folder: folder / "x.txt", "files that end in .pt"),
        (lambda folder: folder / "broken.safetensors", "a readable checkpoint"),
        (lambda folder: folder / "list.pt", "a checkpoint that holds a state_dict"),
        (lambda folder: folder / "lacks.pt", "which lacks '3.weight'"),
        (lambda folder: folder / "more.pt", "which holds 'other' as well"),
        (lambda folder: folder / "shape.pt", "weights of this model"),
        (lambda folder: 7, "expected a path"),
    ],
)
def test_what_is_refused(tmp_path, make, message):
    given = make(tmp_path)
    state = network().state_dict()
    if given != tmp_path and not isinstance(given, list | int):
        (tmp_path / "x.txt").write_text("x")
        (tmp_path / "broken.safetensors").write_text("x")
        torch.save([1, 2], tmp_path / "list.pt")
        torch.save({name: part for name, part in state.items() if name != "3.weight"}, tmp_path / "lacks.pt")
        torch.save(state | {"other": torch.zeros(2)}, tmp_path / "more.pt")
        torch.save(state | {"3.weight": torch.zeros(2, 9)}, tmp_path / "shape.pt")
    with pytest.raises(InputError, match=message):
        fp.from_checkpoints(network(), given, X)


def test_arguments_that_belong_to_a_recorder_only(run):
    with pytest.raises(InputError, match="argument: found 'total', expected one of layers"):
        fp.from_checkpoints(network(), run[1], X, total=5)
    with pytest.raises(InputError, match="at: found 1 different numbers, expected 11"):
        fp.from_checkpoints(network(), run[1], X, at=[1])


def test_the_old_name_says_the_new_one(run):
    with pytest.raises(TypeError, match=r"from_checkpoints\(\) has no argument 'epochs' any more: it is called 'at' now"):
        fp.from_checkpoints(network(), run[1], X, epochs=[1])


def saved(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for place, name in enumerate(names):
        path = folder / name
        state = network(seed=place).state_dict()
        if path.suffix:
            torch.save(state, path)
        else:
            path.mkdir()
            save_file(state, path / "model.safetensors")
    return folder


def test_epochs_are_read_from_names(tmp_path):
    def epochs(*names):
        folder = saved(tmp_path / str(len(list(tmp_path.iterdir()))), *names)
        return fp.from_checkpoints(network(), folder, X).epochs.tolist()

    assert epochs("epoch=8-step=80.ckpt", "epoch=11-step=110.ckpt", "epoch=9-step=90.ckpt") == [8, 9, 11]
    assert epochs("model_3.pt", "model_20.pt") == [3, 20]
    assert epochs("checkpoint-2", "checkpoint-10", "model.safetensors.pt") == [2, 10]
    for names in (("epoch9.pt", "best.pt"), ("model-001-val0.90.pt", "model-002-val0.50.pt"), ("last.ckpt", "epoch=1.ckpt")):
        with pytest.raises(InputError, match=r"at: found none for .*, expected at=\[…\]"):
            epochs(*names)
    with pytest.raises(InputError, match="at: found the same epoch for two checkpoints"):
        epochs("a_epoch3.pt", "b_epoch3.pt")


def test_numbers_in_names(tmp_path):
    def taken(*names, **arguments):
        folder = saved(tmp_path / str(len(list(tmp_path.iterdir()))), *names)
        rec = fp.from_checkpoints(network(), [folder / name for name in names], X, **arguments)
        return rec.epochs.tolist(), rec.attrs["order"]

    by_name = "checkpoints by the number in their names"
    assert taken("20k.pt", "1M.pt", "500.pt") == ([500, 20_000, 1_000_000], f"{by_name}, 500.pt to 1M.pt")
    assert taken("resnet18_v2-3.pth.tar", "resnet18_v2-20.pth.tar")[0] == [3, 20]
    assert taken("m_1.5M.tar", "m_0.5M.tar")[0] == [500_000, 1_500_000]
    by_step = "checkpoints by the number after 'step' in their names"
    assert taken("v2-step_20k.bin", "v2-step_900.bin") == ([900, 20_000], f"{by_step}, v2-step_900.bin to v2-step_20k.bin")
    assert taken("gpt2-124M-10epochs.pt", "gpt2-124M-9epochs.pt")[0] == [9, 10]
    assert taken("ckpt7.pt", "ckpt12.pt")[0] == [7, 12] and taken("net_iter_3.pt", "net_iter_12.pt")[0] == [3, 12]
    in_order = "checkpoints by their order in paths, resnet18_z.pt to resnet18_a.pt"
    assert taken("resnet18_z.pt", "resnet18_a.pt") == ([0, 1], in_order)
    assert taken("v9.pt", "v2.pt", at=[4, 1]) == ([1, 4], "checkpoints by at=, v2.pt to v9.pt")
    assert taken("resnet18.pth") == ([0], "checkpoint resnet18.pth")
    for names in (("7b.pt", "13.pt"), ("20kb.pt", "30.pt"), ("3-4.pt", "5.pt"), ("loss0.5.pt", "3.pt"), ("2.5.pt", "3.pt")):
        with pytest.raises(InputError, match=r"at: found none for .*, expected at=\[…\]"):
            taken(*names)
    with pytest.raises(InputError, match=r"at: found numbers that count epochs in epoch1.pt and steps in step900.pt"):
        taken("epoch1.pt", "step900.pt")
    with pytest.raises(InputError, match=r"at: found none for v10\.pt"):  # a folder has no order
        fp.from_checkpoints(network(), saved(tmp_path / "versions", "v2.pt", "v10.pt"), X)


def test_the_order_is_said(run, tmp_path):
    rec = fp.from_checkpoints(network(), run[1], X, path=tmp_path / "run.fp")
    order = "checkpoints by the number after 'epoch' in their names, epoch=0-step=0.ckpt to epoch=10-step=70.ckpt"
    assert order in repr(fp.open(tmp_path / "run.fp")) and "checkpoints by" in rec._repr_html_()
    fp.report(rec, tmp_path / "page.html")
    assert "order of snapshots" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("zipped", [True, False])
def test_pth_tar(zipped, tmp_path):
    """What torchvision's and the ImageNet example's loops write, of old and of new torch."""
    state = {f"module.{name}": part for name, part in network(seed=4).state_dict().items()}
    whole = {"epoch": 3, "arch": "resnet18", "state_dict": state, "best_acc1": torch.tensor(0.5), "optimizer": {"state": {}}}
    torch.save(whole, tmp_path / "checkpoint_0003.pth.tar", _use_new_zipfile_serialization=zipped)
    rec = fp.from_checkpoints(network(), tmp_path, X)
    assert rec.epochs.tolist() == [3]
    np.testing.assert_allclose(rec.activations("3").values[0, 0], network(seed=4).eval()(X).detach(), rtol=1e-5, atol=1e-6)


def test_an_archive_of_other_things(tmp_path):
    (tmp_path / "x.txt").write_text("x")
    with tarfile.open(tmp_path / "epoch1.tar", "w") as archive:
        archive.add(tmp_path / "x.txt", "x.txt")
    with pytest.raises(InputError, match=r"paths: found .*epoch1.tar', expected a readable checkpoint"):
        fp.from_checkpoints(network(), tmp_path / "epoch1.tar", X)


def test_a_trainers_folder(tmp_path):
    folder = saved(tmp_path / "out", "checkpoint-5", "checkpoint-10")
    save_file(network(seed=3).state_dict(), folder / "model.safetensors")
    torch.save({"step": torch.tensor(1)}, folder / "optimizer.pt")
    assert fp.from_checkpoints(network(), folder, X).epochs.tolist() == [5, 10]
    assert fp.from_checkpoints(network(), str(tmp_path / "*" / "checkpoint-*"), X).epochs.tolist() == [5, 10]


def test_what_a_wrapper_keeps_beside_the_model(tmp_path):
    state = {f"model.{name}": part for name, part in network(seed=4).state_dict().items()}
    torch.save({"state_dict": state | {"loss.weight": torch.ones(2)}}, tmp_path / "epoch1.ckpt")
    rec = fp.from_checkpoints(network(), tmp_path, X)
    expected = network(seed=4).eval()(X).detach()
    np.testing.assert_allclose(rec.activations("3").values[0, 0], expected, rtol=1e-5, atol=1e-6)
