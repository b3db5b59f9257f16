"""Running experiments at a scale that takes seconds."""

import json
import math

import pytest
import xarray as xr

import flowplane as fp
from flowplane.cluster.local import LocalWorkers
from flowplane.errors import InputError
from flowplane.experiments import EXPERIMENTS, VERDICTS
from flowplane.experiments.claim import Claim
from flowplane.experiments.dynamics import depth, diffusion, gradient_phases
from flowplane.experiments.information import activations, digits, estimators, information_plane, reference, training_size
from flowplane.experiments.learned import deep_features, learned_dae, score_flow, stacked_dae
from flowplane.experiments.ridgelet import double_limit, ridgelet, trained
from flowplane.experiments.transport import backward_heat, embeddings, gaussian_dae, mixture_dae, planar_dae, transport_cost
from flowplane.information.monte_carlo import MonteCarlo

#: Those that run sweeps.
SWEEPING = ("training-size", "depth", "activations")


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    """One worker process for all sweeps."""
    with LocalWorkers(1, tmp_path_factory.mktemp("workers") / "log") as cluster:
        yield cluster.address


@pytest.fixture
def tiny(monkeypatch):
    for module in (reference, depth, activations):
        monkeypatch.setattr(module, "EPOCHS", {"quick": 200 if module is reference else 40})
        monkeypatch.setattr(module, "REPLICAS", {"quick": 3})
    monkeypatch.setattr(gradient_phases, "CONTROL_REPLICAS", {"quick": 2})
    monkeypatch.setattr(gradient_phases, "CONTROL_EPOCHS", {"quick": 20})
    monkeypatch.setattr(diffusion, "DRAWS", {"quick": 20})
    monkeypatch.setattr(depth, "DEPTHS", {"quick": (1, 2)})
    monkeypatch.setattr(activations, "ACTIVATIONS", {"quick": ("tanh", "relu")})
    monkeypatch.setattr(activations, "SNAPSHOTS", {"quick": 4})
    monkeypatch.setattr(training_size, "FRACTIONS", {"quick": (0.05, 0.45, 0.85)})
    for module in (information_plane, training_size):
        monkeypatch.setattr(module, "EPOCHS", 40)
        monkeypatch.setattr(module, "REPLICAS", {"quick": 3, "full": 3})
        monkeypatch.setattr(module, "CONTROL_REPLICAS", {"quick": 2, "full": 2})
    for module in (estimators, digits):
        monkeypatch.setattr(module, "EPOCHS", {"quick": 20})
        monkeypatch.setattr(module, "REPLICAS", {"quick": 2})
        monkeypatch.setattr(module, "SNAPSHOTS", {"quick": 3})
    few = {"Monte Carlo": MonteCarlo(0.1), "Binned": fp.Binned(30), "GaussianMI": fp.GaussianMI(noise=0.1)}
    for module in (estimators, digits):
        monkeypatch.setattr(module, "every_reader", lambda scale, channel: few)
    monkeypatch.setattr(estimators, "readers_without_channel", lambda scale: {"GaussianMI": fp.GaussianMI()})
    monkeypatch.setattr(estimators, "NOISY_EPOCHS", {"quick": 5})
    monkeypatch.setattr(estimators, "DRAWS", {"quick": 64})
    for module in (gaussian_dae, mixture_dae, planar_dae, backward_heat, transport_cost):
        monkeypatch.setattr(module, "SAMPLES", {"quick": 200})
    monkeypatch.setattr(gaussian_dae, "GAUSSIANS", {"quick": 2})
    monkeypatch.setattr(ridgelet, "PAIRS", {1: ("tanh",), 2: ("gaussian",)})
    monkeypatch.setattr(ridgelet, "NODES", {"quick": {1: (24, 36), 2: (16,)}})
    monkeypatch.setattr(ridgelet, "ORDERS", (("tanh", 3), ("gaussian", 0)))
    monkeypatch.setattr(ridgelet, "EXTENTS", {"quick": (2.0, 4.0)})
    monkeypatch.setattr(ridgelet, "DRAWN", (("tanh", 1),))
    monkeypatch.setattr(ridgelet, "DRAWS", {"quick": 3})
    monkeypatch.setattr(trained, "STEPS", {"quick": 5})
    monkeypatch.setattr(planar_dae, "BALANCE_SAMPLES", {"quick": 200})
    monkeypatch.setattr(planar_dae, "POINTS", {"quick": 21})
    monkeypatch.setattr(backward_heat, "GRIDS", {"quick": (21, 41)})
    monkeypatch.setattr(deep_features, "SPLITS", {"quick": 2})
    monkeypatch.setattr(deep_features, "SIZES", {"quick": (60, 100)})
    monkeypatch.setattr(deep_features, "POINT_DEPTHS", {"quick": (1, 2, math.inf)})
    monkeypatch.setattr(deep_features, "MOON_DEPTHS", {"quick": (1, math.inf)})
    monkeypatch.setattr(deep_features, "PART", 0.3)
    monkeypatch.setattr(embeddings, "EPOCHS", {"quick": 20})
    monkeypatch.setattr(embeddings, "REPLICAS", {"quick": 2})
    monkeypatch.setattr(embeddings, "SAMPLES", {"quick": 50})
    monkeypatch.setattr(transport_cost, "DEPTHS", (1, 2, math.inf))
    for name, value in {"STEPS": 60, "SAMPLES": 30, "DRAWS": 2, "SEEDS": 1, "LOCAL": 10}.items():
        monkeypatch.setattr(stacked_dae, name, {"quick": value})
    monkeypatch.setattr(stacked_dae, "DEPTH", 2)
    monkeypatch.setattr("flowplane.transport.learned.equivalence.LOCAL_NODES", 400)
    monkeypatch.setattr(mixture_dae, "DEPTHS", (1, 2, math.inf))
    monkeypatch.setattr(mixture_dae, "BEYOND", {1: 0.561, 2: 0.790})
    for name, value in {"DEPTHS": (2, 4, 8), "WIDTHS": (64, 256), "DRAWS": 2, "SAMPLES": 30}.items():
        monkeypatch.setattr(double_limit, name, {"quick": value})
    for module in (learned_dae, score_flow):
        monkeypatch.setattr(module, "STEPS", {"quick": 20})
        monkeypatch.setattr(module, "SEEDS", {"quick": 2})
        monkeypatch.setattr(module, "HIDDEN", (8,))
    monkeypatch.setattr(learned_dae, "SAMPLES", {"quick": (100, 200)})
    monkeypatch.setattr(learned_dae, "WIDTHS", {"quick": (2, 4)})
    monkeypatch.setattr(learned_dae, "JUDGES", {"quick": 100})
    monkeypatch.setattr(score_flow, "POINTS", {"quick": 100})
    monkeypatch.setattr(score_flow, "PARTICLES", {"quick": 50})
    monkeypatch.setattr(score_flow, "GRID", {"quick": 11})
    monkeypatch.setattr(score_flow, "TIMES", 2)
    monkeypatch.setattr(score_flow, "PROFILED", 3)
    monkeypatch.setattr(mixture_dae, "LIMIT_DEPTHS", {"nodes": (2, 4, 8), "refit": (2, 4, 8)})


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_leaves_claims_data_and_figure(tiny, tmp_path, name, request):
    cluster = request.getfixturevalue("worker") if name in SWEEPING else None
    result = fp.experiments.run(name, out=tmp_path, cluster=cluster)
    folder = tmp_path / name
    claims = [Claim.from_json(row) for row in json.loads((folder / "claims.json").read_text())]
    assert set(EXPERIMENTS[name].claims) <= {claim.id for claim in claims}
    assert all(claim.verdict in VERDICTS and claim.scale == "quick" and claim.seconds > 0 for claim in claims)
    assert (folder / EXPERIMENTS[name].figure).stat().st_size > 1e6
    for dataset in result.datasets:
        with xr.open_dataset(folder / f"{dataset}.nc", engine="h5netcdf") as stored:
            assert stored.sizes == result.datasets[dataset].sizes
    if name not in ("information-plane", "digits", "depth"):
        return  # one experiment stands for all that recordings are used again, one for several networks, one for sweeps
    before = result.training_seconds
    again = fp.experiments.run(name, out=tmp_path, cluster=cluster)
    assert again.training_seconds == before  # finished recordings are used again
    assert [repr(claim.measured) for claim in again.claims] == [repr(claim.measured) for claim in result.claims]
    refused = "function: found .*seed=1" if cluster else "seed: found 1, expected 0, as in the recording to resume"
    with pytest.raises(InputError, match=refused):
        fp.experiments.run(name, out=tmp_path, seed=1, cluster=cluster)
    other = fp.experiments.run(name, out=tmp_path, seed=1, overwrite=True, cluster=cluster)
    assert not all(other.datasets[name].equals(part) for name, part in result.datasets.items())


def test_without_a_folder_nothing_is_written(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fp.experiments.run("information-plane", out=None)
    assert not any(tmp_path.iterdir())


def test_what_is_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"experiment: found 'information-plan', expected one of .* \(did you mean 'information-plane'\?\)"
    ):
        fp.experiments.run("information-plan")
    with pytest.raises(InputError, match="scale: found 'huge'"):
        fp.experiments.run("information-plane", scale="huge")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="out: found"):
        fp.experiments.run("information-plane", out=tmp_path / "file")
