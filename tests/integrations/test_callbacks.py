"""What both callbacks have in common: arguments, and what is needed to import them."""

import copy
import pickle
import subprocess
import sys

import pytest
import torch

from flowplane.errors import InputError
from flowplane.integrations import lightning, tensorboard, transformers

X = torch.zeros(8, 2)
CALLBACKS = [lightning.RecorderCallback, transformers.RecorderCallback]


def printed(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("callback", CALLBACKS)
def test_a_mistyped_argument_is_named_at_once(callback):
    with pytest.raises(InputError, match=r"argument: found 'layer', expected one of .* \(did you mean 'layers'\?\)"):
        callback(X, layer="net.*")


@pytest.mark.parametrize("callback", CALLBACKS)
def test_the_old_name_says_the_new_one(callback):
    with pytest.raises(TypeError, match=r"has no argument 'total' any more: it is called 'epochs' now"):
        callback(X, total=3)
    with pytest.raises(TypeError, match="positional"):
        callback(X, None, "run.fp")


@pytest.mark.parametrize(
    ("module", "needs", "absent"),
    [
        ("lightning", "Lightning", ("lightning", "lightning.pytorch", "pytorch_lightning")),
        ("transformers", "transformers", ("transformers",)),
    ],
)
def test_without_its_library_the_extra_is_named(module, needs, absent):
    code = (
        f"import sys; sys.modules |= dict.fromkeys({absent})\n"
        "import flowplane.errors\n"
        f"try: import flowplane.integrations.{module}\n"
        "except flowplane.errors.MissingRequirement as error: print(error)"
    )
    assert printed(code) == f"this needs {needs}: pip install 'flowplane[{module}]'\n"


def test_import_flowplane_imports_none_of_them():
    code = (
        "import sys, flowplane.integrations, flowplane.cli, flowplane.recorder\n"
        "print({'lightning', 'pytorch_lightning', 'transformers', 'tensorboard'} & set(sys.modules))"
    )
    assert printed(code) == "set()\n"


class Callback:
    """The events of either library, as far as a callback of ours goes."""

    def __init__(self, callback, model):
        self.callback, self.model = callback, model

    def started(self):
        self.callback._recorder.start(self.model, 3, 0)
        self.callback._recorder.step(1, 10, {"loss": 0.5})
        return self.callback


COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda callback: pickle.loads(pickle.dumps(callback))}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("callback", CALLBACKS)
def test_copies_of_callbacks(callback, copied):
    first = callback(torch.randn(8, 2), torch.arange(8) % 2, layers="0")
    model = torch.nn.Sequential(torch.nn.Linear(2, 3))
    second = Callback(copied(first), model).started()
    with pytest.raises(InputError, match="recording: found a callback whose training has not begun"):
        _ = copied(first).recording
    with pytest.raises(
        InputError, match=r"callback: found a copy of one that is recording, expected one before .* or after"
    ):
        copied(second)
    second.close()
    third = copied(copied(second))
    assert third.recording.epochs.tolist() == [0, 1] and third.recording.layers == second.recording.layers
    third.close()
    with pytest.raises(InputError, match="callback: found one that has recorded a training, expected a new"):
        Callback(third, model).started()


def test_a_writer_of_scalars_is_not_copied(tmp_path):
    with tensorboard.ScalarWriter(tmp_path) as writer:
        for attempt in (copy.deepcopy, pickle.dumps):
            with pytest.raises(
                InputError, match="writer: found a copy or a pickle of a ScalarWriter, which has a file open"
            ):
                attempt(writer)
