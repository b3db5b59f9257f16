"""What is handed out: an sdist and a wheel that hold what they need and nothing else, and work outside the tree."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from flowplane.version import __version__

ROOT = Path(__file__).parents[1]
#: Beside the package, in an sdist.
BESIDE = {"LICENSE", "PKG-INFO", "README.md", "pyproject.toml", "setup.cfg", "src"}
PYTHONS = ("3.11", "3.12", "3.13")
#: A first report, as a new user makes one.
FIRST = """
import flowplane as fp
task = fp.tasks.Task([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]] * 5, [0, 1, 1, 0] * 5)
rec = fp.train(task, hidden=(3,), replicas=2, epochs=20, path="run.fp")
print(fp.report("run.fp", "report.html").stat().st_size > 1e5, fp.__file__, fp.__version__)
"""


def run(command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist, and the wheel that is made of it, from a copy of the tracked files."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in ("LICENSE", "README.md", "pyproject.toml", "CITATION.cff"):
        shutil.copy(ROOT / name, source)
    leave = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", source / "src", ignore=leave)
    run([sys.executable, "-m", "build", "--outdir", out, source])
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return sdist, wheel


def package_files():
    """All files of the package, as a wheel names them."""
    found = (ROOT / "src").rglob("*")
    names = {str(path.relative_to(ROOT / "src")) for path in found if path.is_file()}
    return {name for name in names if "__pycache__" not in name and ".egg-info" not in name}


def test_the_wheel_holds_the_package_and_nothing_else(built):
    _, wheel = built
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if f"flowplane-{__version__}.dist-info" not in name}
        about = archive.read(f"flowplane-{__version__}.dist-info/METADATA").decode()
    assert names == package_files()
    assert {"flowplane/py.typed", "flowplane/analysis/references.bib", "flowplane/reporting/page.css"} <= names
    assert f"Version: {__version__}" in about and "License-File: LICENSE" in about


def test_the_sdist_holds_the_package_and_what_builds_it(built):
    sdist, _ = built
    with tarfile.open(sdist) as archive:
        names = [Path(member.name).relative_to(f"flowplane-{__version__}") for member in archive if member.isfile()]
    assert {name.parts[0] for name in names} <= BESIDE
    assert {str(name.relative_to("src")) for name in names if name.parts[0] == "src"} - package_files() <= {
        f"flowplane.egg-info/{name}"
        for name in ("PKG-INFO", "SOURCES.txt", "dependency_links.txt", "entry_points.txt", "requires.txt", "top_level.txt")
    }


def test_a_wheel_makes_a_report_outside_the_tree(built, tmp_path):
    """Unpacked, with the packages of this environment and without the tree's own source."""
    with zipfile.ZipFile(built[1]) as archive:
        archive.extractall(tmp_path / "installed")
    said = run([sys.executable, "-c", FIRST], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path / "installed")})
    assert said.split() == ["True", str(tmp_path / "installed" / "flowplane" / "__init__.py"), __version__]


def interpreter(version):
    """The newest interpreter of a version on this machine, from the path or pyenv; None where there is none."""
    there = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    return shutil.which(f"python{version}") or (there[-1] if there else None)


@pytest.mark.slow
@pytest.mark.parametrize("version", PYTHONS)
def test_a_wheel_installs_into_an_empty_environment(built, tmp_path, version):
    """With the newest of everything that resolves today: minutes, and a registry of packages is needed."""
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    run([python, "-m", "venv", tmp_path / "env"])
    run([tmp_path / "env" / "bin" / "python", "-m", "pip", "install", "--quiet", built[1]])
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    said = run([tmp_path / "env" / "bin" / "python", "-c", FIRST], cwd=tmp_path, env=bare)
    assert said.split()[0] == "True" and str(tmp_path / "env") in said
    shown = run([tmp_path / "env" / "bin" / "flowplane", "--version"], cwd=tmp_path, env=bare)
    assert shown == f"flowplane {__version__}\n"
