"""The public surface: every name in a fresh interpreter, nothing heavy on import."""

import inspect
import pkgutil
import subprocess
import sys

import pytest

import flowplane
from flowplane.core.lazy import lazy
from flowplane.plot import figures
from flowplane.plot.registry import registered

FACES = ["", ".analysis", ".bottleneck", ".cluster", ".dynamics", ".information", ".plot", ".ridgelet", ".transport"]
HEAVY = ["torch", "numba", "numpy", "plotly", "xarray", "zarr", "icechunk", "sklearn", "scipy", "rich", "dask", "ot"]

#: In a fresh interpreter: a face's names before and after all of its modules are imported.
NAMES = """
import importlib, pkgutil, types
names = {face: importlib.import_module(f"flowplane{face}").__all__ for face in FACES}
def found():
    faces = {face: importlib.import_module(f"flowplane{face}") for face in FACES}
    return {(face, name): getattr(faces[face], name) for face in FACES for name in names[face]}
def everything():
    for face in FACES[1:]:
        package = importlib.import_module(f"flowplane{face}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
"""


def fresh(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", f"FACES = {FACES}\n{code}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_name_is_the_same_whatever_else_is_imported():
    before = fresh(
        NAMES + "first = found(); everything(); second = found(); print([k for k in first if first[k] is not second[k]])"
    )
    after = fresh(
        NAMES
        + "everything(); modules = {n for (f, n), value in found().items() if isinstance(value, types.ModuleType)}\n"
        + "print(sorted(modules))"
    )
    assert before == "[]\n"
    packages = (
        "analysis bottleneck bridge cluster densities dynamics errors experiments information plot ridgelet tasks transport"
    )
    assert after == f"{packages.split()}\n"


def test_import_loads_nothing_heavy():
    for face in FACES:
        assert fresh(f"import sys, flowplane{face}; print([m for m in {HEAVY} if m in sys.modules])") == "[]\n"


def test_help_loads_nothing_heavy():
    code = "import sys, flowplane.cli; print([m for m in 'torch numba numpy plotly xarray'.split() if m in sys.modules])"
    assert fresh(code) == "[]\n"


def test_unknown_names():
    with pytest.raises(AttributeError, match=r"^module 'flowplane' has no attribute 'qqq'$"):
        _ = flowplane.qqq
    with pytest.raises(AttributeError, match="no attribute 'critical_beta'; did you mean 'critical_betas'"):
        _ = flowplane.bottleneck.critical_beta
    assert not hasattr(flowplane, "__wrapped__")
    assert "train" in dir(flowplane) and "ib_curve" in dir(flowplane.bottleneck)


def test_names_that_are_gone_say_the_new_one():
    with pytest.raises(
        AttributeError, match="has no attribute 'transport_profile' any more: it is called 'layer_transport'"
    ):
        _ = flowplane.plot.transport_profile
    for old, new in flowplane.plot.RENAMED.items():
        assert old not in flowplane.plot.__all__ and new in flowplane.plot.__all__


def test_star_imports_all_of_it():
    assert fresh("from flowplane.plot import *; print(callable(show) and callable(information_plane))") == "True\n"


def test_a_lens_shows_its_classes():
    for name in ("Binned", "GaussianMI", "KSG", "MatrixRenyi", "MonteCarlo", "Pairwise", "SlicedMI", "Variational"):
        assert getattr(flowplane.information, name).__name__ == name
        assert getattr(flowplane, name, None) in (None, getattr(flowplane.information, name))


def test_every_figure_of_a_result_is_public():
    for result, drawers in registered().items():
        assert all(getattr(flowplane.plot, figure.__name__) is figure for figure in drawers)
        others = {"measure", "noisy_information", "deterministic_ib", "gaussian_ib", "mutual_information"}
        assert drawers[0].__name__ == result or result in others


def test_a_face_is_made_of_its_imports(tmp_path, monkeypatch):
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from shop import bread as bread\n"
        "    from shop.bread import bake as bake\n    from shop.bread import slice_ as cut\n"
    )
    (package / "bread.py").write_text("def bake(): return 'loaf'\ndef slice_(): return 'slice'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import shop

    get, names, public = lazy("shop", {"roast": "bake"})
    assert names() == public == ["bake", "bread", "cut"]
    assert (get("bake")(), get("cut")(), get("bread").__name__) == ("loaf", "slice", "shop.bread")
    assert shop.cut is get("cut")
    with pytest.raises(AttributeError, match="'shop' has no attribute 'roast' any more: it is called 'bake' now"):
        get("roast")


def test_figures_take_a_dataset_and_one_more_by_place():
    kinds = inspect.Parameter
    for file in pkgutil.iter_modules(figures.__path__):
        figure = getattr(flowplane.plot, file.name)
        first, *rest = inspect.signature(figure).parameters.values()
        assert (first.name, first.kind, first.default) == ("dataset", kinds.POSITIONAL_OR_KEYWORD, kinds.empty), file.name
        assert [other.kind for other in rest[1:]] == [kinds.KEYWORD_ONLY] * len(rest[1:]), file.name
        assert all(other.default is not kinds.empty for other in rest), file.name
    with pytest.raises(TypeError, match="no argument 'plane' any more: it is called 'dataset' now"):
        flowplane.plot.information_plane(plane=None)
