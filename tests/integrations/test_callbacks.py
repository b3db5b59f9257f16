"""What both callbacks have in common: arguments, and what is needed to import them."""

import subprocess
import sys

import pytest
import torch

from flowplane.errors import InputError
from flowplane.integrations import lightning, transformers

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
