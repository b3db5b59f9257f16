"""The public surface: every name twice in a fresh interpreter, nothing heavy on import."""

import subprocess
import sys

import pytest

import flowplane


def fresh(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", [name for name in flowplane.__all__ if name != "__version__"])
def test_every_name_is_the_same_twice(name):
    code = f"import flowplane as fp; a = fp.{name}; import flowplane.cli, flowplane.plot; print(a is fp.{name})"
    assert fresh(code) == "True\n"


@pytest.mark.parametrize("name", flowplane.plot.__all__)
def test_every_figure_is_the_same_twice(name):
    assert fresh(f"import flowplane as fp; a = fp.plot.{name}; print(a is fp.plot.{name} and callable(a))") == "True\n"


def test_import_loads_nothing_heavy():
    heavy = ["torch", "numba", "numpy", "plotly", "xarray", "zarr", "icechunk", "sklearn", "scipy", "rich", "dask", "ot"]
    assert fresh(f"import sys, flowplane; print([m for m in {heavy} if m in sys.modules])") == "[]\n"


def test_help_loads_nothing_heavy():
    code = "import sys, flowplane.cli; print([m for m in 'torch numba numpy plotly xarray'.split() if m in sys.modules])"
    assert fresh(code) == "[]\n"


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = flowplane.nothing
    assert "train" in dir(flowplane)
