"""Shapes in signatures are checked by beartype while the tests run; shared small recordings."""

from jaxtyping import install_import_hook

install_import_hook(
    [
        "flowplane.core.network",
        *(f"flowplane.bridge.{name}" for name in ["canonical", "evaluation", "network", "pairs", "training"]),
        "flowplane.core.stacked",
        "flowplane.information.symbols",
        "flowplane.experiments.information.readings",
        "flowplane.experiments.verdicts",
        *(
            f"flowplane.bottleneck.{name}"
            for name in [
                "accelerate",
                "blahut_arimoto",
                "codebook",
                "deterministic",
                "grid",
                "joint",
                "peaks",
                "polish",
                "solve",
                "weights",
            ]
        ),
        *(
            f"flowplane.transport.{name}"
            for name in [
                "densities.smoothing",
                "densities.attention",
                "flows.denoiser",
                "flows.running",
                "maps.straight",
                "maps.composition",
                "flows.heat",
                "maps.wrapped",
                "flows.blobs",
                "flows.fokker_planck",
                "models.network",
                "profiles.budget",
                "learned.networks",
                "learned.score_network",
                "learned.velocity_network",
                "learned.decoders",
                "learned.anisotropic",
                "learned.equivalence",
            ]
        ),
        *(f"flowplane.ridgelet.{name}" for name in ["derivatives", "quadrature", "spectrum", "spreading", "cutoff"]),
        *(
            f"flowplane.dynamics.{name}"
            for name in ["alignment", "comparison", "crossing", "diffusion", "laws", "processes", "relaxation", "timing"]
        ),
    ],
    "beartype.beartype",
)

import os  # noqa: E402

import hypothesis  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

import flowplane as fp  # noqa: E402

# the same examples in every run; `pytest --hypothesis-profile search` looks for others
hypothesis.settings.register_profile("same", deadline=None, derandomize=True, database=None)
hypothesis.settings.register_profile("search", deadline=None, max_examples=400)
hypothesis.settings.load_profile("same")

# the workers of pytest-xdist share the cores: threads of each that wait for those of the others cost tenfold
torch.set_num_threads(max(1, torch.get_num_threads() // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))))


@pytest.fixture(scope="session")
def task() -> fp.tasks.Task:
    """The reference task."""
    return fp.tasks.spherical_rule()


@pytest.fixture(scope="session")
def rec(task: fp.tasks.Task) -> fp.Recording:
    """A small recording of the reference task, in memory."""
    return fp.train(task, replicas=3, epochs=40, snapshots=8)


@pytest.fixture(scope="session")
def soft():
    return fp.train(fp.tasks.spherical_rule(information=0.99), hidden=(4,), replicas=2, epochs=4, snapshots=3)


@pytest.fixture(scope="session")
def flow():
    return fp.denoising_flow(fp.Normal(0.0, 1.0), 0.4, layers=1)


class AtOnce:
    """A failure is said when it happens, not only at an end that may not come."""

    def __init__(self, terminal):
        self.terminal = terminal

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.terminal.write_line(f"\n{report.nodeid} ({report.when})\n{report.longreprtext}")


@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    if (terminal := config.pluginmanager.get_plugin("terminalreporter")) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(AtOnce(terminal))


def pytest_collection_modifyitems(items):
    """Tests for a GPU are skipped where there is none, so that `make test-slow` runs anywhere."""
    if not torch.cuda.is_available():
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="no GPU here"))
