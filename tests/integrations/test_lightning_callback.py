"""Lightning's own Trainer, of both packages, with a tiny module."""

import lightning.pytorch
import numpy as np
import pytest
import pytorch_lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import flowplane as fp
from flowplane.errors import InputError
from flowplane.integrations.lightning import RecorderCallback

PACKAGES = {"lightning": lightning.pytorch, "pytorch_lightning": pytorch_lightning}
X = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()

pytestmark = pytest.mark.filterwarnings(
    r"ignore:The '(train|val)_dataloader' does not have many workers",
    r"ignore:You defined a `validation_step` but have no `val_dataloader`",
    r"ignore:GPU available but not used",
    r"ignore:`isinstance\(treespec, LeafSpec\)` is deprecated:FutureWarning",  # torch's, met by Lightning
)


def network():
    return nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 2))


def module(package, *, forward=True, **hooks):
    """A LightningModule around a small network."""

    class Classifier(package.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = network()

        def training_step(self, batch, index):
            loss = nn.functional.cross_entropy(self.net(batch[0]), batch[1])
            self.log("train_loss", loss, on_epoch=True)
            return loss

        def validation_step(self, batch, index):
            self.log("val/loss", nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    if forward:
        Classifier.forward = lambda self, x: self.net(x)
    for name, hook in hooks.items():
        setattr(Classifier, name, hook)
    torch.manual_seed(0)
    return Classifier()


def trainer(package, folder, callbacks, epochs=3, **arguments):
    return package.Trainer(
        max_epochs=epochs,
        callbacks=callbacks,
        accelerator="cpu",
        logger=False,
        default_root_dir=folder,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **arguments,
    )


def loader(shuffle=False):
    return DataLoader(TensorDataset(X, Y), batch_size=16, shuffle=shuffle)


@pytest.fixture(params=PACKAGES)
def package(request):
    return PACKAGES[request.param]


def test_a_fit_is_recorded_epoch_by_epoch(package, tmp_path):
    model, callback = module(package), RecorderCallback(X, Y, path=tmp_path / "run.fp")
    before = [part.detach().clone() for part in model.parameters()]
    trainer(package, tmp_path, [callback]).fit(model, loader(), loader())
    rec = fp.open(tmp_path / "run.fp")
    assert rec.epochs.tolist() == callback.recording.epochs.tolist() == [0, 1, 2, 3]
    assert rec.attrs["epochs"] == 3
    assert rec.layers == ("net.0", "net.1", "net.2")
    with torch.no_grad():  # the first and the last snapshot are the model before and after
        last = model.net(X)
        first = X @ before[0].T + before[1]
    np.testing.assert_allclose(rec.activations("net.2")[0, -1], last, atol=1e-6)
    np.testing.assert_allclose(rec.activations("net.0")[0, 0], first, atol=1e-6)
    assert rec.steps.values[1:].tolist() == [4, 8, 12]
    gradients = rec.gradients["gradient_mean"].sel(layer="net.0").values[0]
    assert np.isfinite(gradients[1:]).all()
    assert np.isnan(gradients[0])


def test_logs_are_metrics_of_their_own_epoch(package, tmp_path):
    """The validation loss that Lightning logs after an epoch is the loss of the model that is recorded there."""
    callback = RecorderCallback(X, Y)
    trainer(package, tmp_path, [callback], epochs=4).fit(module(package), loader(), loader())
    rec = callback.recording
    assert set(rec.metrics.data_vars) == {"train_loss", "val/loss"}
    logits = torch.tensor(rec.activations("net.2").values[0, 1:])
    expected = [nn.functional.cross_entropy(values, Y).item() for values in logits]
    np.testing.assert_allclose(rec.metrics["val/loss"][0], expected, rtol=1e-5)
    assert rec.metrics["train_epoch"].values.tolist() == [1, 2, 3, 4]


def test_training_is_the_same_with_and_without(package, tmp_path):
    ends = []
    for callbacks in ([], [RecorderCallback(X, Y)]):
        model = module(package)
        torch.manual_seed(1)
        trainer(package, tmp_path, callbacks).fit(model, loader(shuffle=True), loader())
        ends.append(torch.cat([part.detach().flatten() for part in model.parameters()]))
    assert torch.equal(*ends)


def test_a_part_of_the_module(package, tmp_path):
    callback = RecorderCallback(X, Y, module="net", layers=nn.Tanh)
    trainer(package, tmp_path, [callback], epochs=1).fit(module(package, forward=False), loader())
    assert (callback.recording.layers, callback.recording.attrs["model"]) == (("1",), "Sequential")


def test_a_module_without_forward_is_named(package, tmp_path):
    callback = RecorderCallback(X, Y)
    with pytest.raises(InputError, match=r"module: found Classifier, which has no forward, expected .* one of net"):
        trainer(package, tmp_path, [callback], epochs=1).fit(module(package, forward=False), loader())
    with pytest.raises(InputError, match=r"module: found 'nett', expected one of .* \(did you mean 'net'\?\)"):
        trainer(package, tmp_path, [RecorderCallback(X, Y, module="nett")], epochs=1).fit(module(package), loader())


def test_a_training_that_fails_keeps_what_was_recorded(package, tmp_path):
    def fail(self):
        if self.current_epoch == 2:
            raise ZeroDivisionError

    callback = RecorderCallback(X, Y, path=tmp_path / "run.fp")
    with pytest.raises(ZeroDivisionError):
        trainer(package, tmp_path, [callback]).fit(module(package, on_train_epoch_start=fail), loader())
    assert fp.open(tmp_path / "run.fp").epochs.tolist() == [0, 1, 2]
    again = RecorderCallback(X, Y, path=tmp_path / "run.fp", mode="overwrite")  # the lock is free
    trainer(package, tmp_path, [again], epochs=1).fit(module(package), loader())
    assert again.recording.epochs.tolist() == [0, 1]


def test_a_training_goes_on_from_a_checkpoint(package, tmp_path):
    path = tmp_path / "run.fp"
    first = trainer(package, tmp_path, [RecorderCallback(X, Y, path=path, epochs=4)], epochs=2)
    first.fit(module(package), loader())
    first.save_checkpoint(tmp_path / "two.ckpt")
    second = trainer(package, tmp_path, [RecorderCallback(X, Y, path=path, mode="resume")], epochs=4)
    second.fit(module(package), loader(), ckpt_path=tmp_path / "two.ckpt", weights_only=True)
    assert fp.open(path).epochs.tolist() == [0, 1, 2, 3, 4]
    third = trainer(package, tmp_path, [RecorderCallback(X, Y)], epochs=4)
    with pytest.raises(InputError, match=r"a training that continues after epoch 2, expected mode='resume'"):
        third.fit(module(package), loader(), ckpt_path=tmp_path / "two.ckpt", weights_only=True)


def test_the_check_of_the_validation_loop_is_no_epoch(package, tmp_path):
    callback = RecorderCallback(X, Y)
    trainer(package, tmp_path, [callback], epochs=1, num_sanity_val_steps=2).fit(module(package), loader(), loader())
    assert callback.recording.epochs.tolist() == [0, 1]
    assert callback.recording.metrics.sizes["train_epoch"] == 1


def test_another_process_records_nothing(package, tmp_path):
    """All but the first process ask for the metrics, which takes all of them, and record nothing."""
    callback, asked = RecorderCallback(X, Y, path=tmp_path / "run.fp"), []

    class Second:
        max_epochs, is_global_zero, current_epoch, global_step, strategy = 1, False, 0, 4, object()

        @property
        def callback_metrics(self):
            asked.append(True)
            return {}

    callback.on_train_start(Second(), None)
    callback.on_train_epoch_end(Second(), None)
    callback.on_train_end(Second(), None)
    assert asked == [True]
    assert not (tmp_path / "run.fp").exists()


def test_a_strategy_that_splits_the_model_is_refused(package):
    class FSDPStrategy:
        pass

    class Sharded:
        strategy, is_global_zero = FSDPStrategy(), True

    with pytest.raises(InputError, match="strategy: found 'FSDPStrategy'"):
        RecorderCallback(X).on_train_start(Sharded(), None)


def test_one_callback_records_one_training(package, tmp_path):
    callback = RecorderCallback(X, Y)
    trainer(package, tmp_path, [callback], epochs=1).fit(module(package), loader())
    with pytest.raises(InputError, match="callback: found one that has recorded a training"):
        trainer(package, tmp_path, [callback], epochs=1).fit(module(package), loader())
