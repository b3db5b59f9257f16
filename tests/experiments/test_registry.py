"""Running experiments at a scale that takes seconds."""

import json
import subprocess
import sys

import pytest
import xarray as xr

import flowplane as fp
from flowplane.cluster.local import LocalWorkers
from flowplane.errors import InputError
from flowplane.experiments import EXPERIMENTS
from flowplane.experiments.claim import Claim
from flowplane.experiments.papers import PAPER_CLAIMS
from flowplane.reporting.stored import stored_figure

#: Those that take a minute or so even at their smallest scale.
SLOW = ("transport-cost", "double-limit", "deep-features", "budget", "score-flow", "training-size", "stacked-dae", "bridge")
#: Those that run sweeps.
SWEEPING = ("training-size", "depth", "activations", "budget", "steps")


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    """One worker process for all sweeps."""
    with LocalWorkers(1, tmp_path_factory.mktemp("workers") / "log") as cluster:
        yield cluster.address


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """One folder of results, whose experiments share what they train."""
    return tmp_path_factory.mktemp("results")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in EXPERIMENTS])
def test_every_experiment_leaves_claims_data_and_figure(results, name, request):
    cluster = request.getfixturevalue("worker") if name in SWEEPING else None

    def run(**changes):
        return fp.experiments.run(name, scale="tiny", out=results, cluster=cluster, **changes)

    result = run()
    folder = results / name
    claims = [Claim.from_json(row) for row in json.loads((folder / "claims.json").read_text())]
    ids = {claim.id for claim in claims}
    assert set(EXPERIMENTS[name].claims) <= ids
    assert len(ids) == len(claims)
    for claim in claims:
        assert claim.scale == "tiny" and claim.seconds > 0
        assert claim.verdict == "inconclusive"  # a tiny run decides nothing
        assert (claim.role == "headline") == (claim.id in PAPER_CLAIMS)
        assert not claim.statement.startswith(("reported", "control"))  # its role says so
    assert stored_figure(folder / EXPERIMENTS[name].figure).content["data"]
    for dataset in result.datasets:
        with xr.open_dataset(folder / f"{dataset}.nc", engine="h5netcdf") as stored:
            assert stored.sizes == result.datasets[dataset].sizes
    if name not in ("information-plane", "digits", "activations"):
        return  # one experiment stands for all that recordings are used again, one for several networks, one for sweeps
    before = result.training_seconds
    again = run()
    assert again.training_seconds == before  # finished recordings are used again
    assert [repr(claim.measured) for claim in again.claims] == [repr(claim.measured) for claim in result.claims]
    refused = "function: found .*seed=1" if cluster else "seed: found 1, expected 0, as in the recording to resume"
    with pytest.raises(InputError, match=refused):
        run(seed=1)
    other = run(seed=1, overwrite=True)
    assert not all(other.datasets[name].equals(part) for name, part in result.datasets.items())


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fp.experiments.run("information-plane", scale="tiny", out=None)
    assert not any(tmp_path.iterdir())


def test_listing_imports_no_experiment():
    code = (
        "import sys; from flowplane.experiments import EXPERIMENTS; assert len(EXPERIMENTS) > 20\n"
        "assert not {'torch', 'xarray', 'plotly', 'flowplane.experiments.verdicts'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"experiment: found 'information-plan', expected one of .* \(did you mean 'information-plane'\?\)"
    ):
        fp.experiments.run("information-plan")
    with pytest.raises(InputError, match="scale: found 'huge', expected one of quick, full, tiny"):
        fp.experiments.run("information-plane", scale="huge")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="out: found"):
        fp.experiments.run("information-plane", out=tmp_path / "file")
