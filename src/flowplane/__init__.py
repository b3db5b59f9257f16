"""flowplane looks inside deep networks: what each layer knows, and how each layer moves its data.

Every public name is imported when it is first used, so that `import flowplane` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from flowplane.version import __version__

#: Where each public name lives; a name without a colon is a module.
_PUBLIC = {
    "Binned": "flowplane.information.binned:Binned",
    "Empirical": "flowplane.transport.densities:Empirical",
    "GaussianMI": "flowplane.information.gaussian:GaussianMI",
    "GaussianMixture": "flowplane.transport.densities:GaussianMixture",
    "KSG": "flowplane.information.ksg:KSG",
    "MatrixRenyi": "flowplane.information.renyi:MatrixRenyi",
    "Normal": "flowplane.transport.densities:Normal",
    "Pairwise": "flowplane.information.pairwise:Pairwise",
    "Recorder": "flowplane.recorder.recorder:Recorder",
    "Recording": "flowplane.recording:Recording",
    "SlicedMI": "flowplane.information.sliced:SlicedMI",
    "Variational": "flowplane.information.variational:Variational",
    "bottleneck": "flowplane.bottleneck",
    "cluster": "flowplane.cluster",
    "compare_estimators": "flowplane.analysis.comparison:compare_estimators",
    "critical_betas": "flowplane.bottleneck.bifurcation:critical_betas",
    "denoising_flow": "flowplane.transport:denoising_flow",
    "densities": "flowplane.transport.densities",
    "dynamics": "flowplane.dynamics",
    "errors": "flowplane.errors",
    "experiments": "flowplane.experiments",
    "explain": "flowplane.analysis.explaining:explain",
    "from_checkpoints": "flowplane.recorder.checkpoints:from_checkpoints",
    "gaussian_ib": "flowplane.bottleneck.gaussian:gaussian_ib",
    "gradient_flow": "flowplane.transport:gradient_flow",
    "gradient_phases": "flowplane.analysis.phases:gradient_phases",
    "ib_curve": "flowplane.bottleneck.curve:ib_curve",
    "information": "flowplane.information",
    "information_plane": "flowplane.analysis.plane:information_plane",
    "layer_betas": "flowplane.analysis.betas:layer_betas",
    "layer_transport": "flowplane.analysis.transport.layers:layer_transport",
    "open": "flowplane.recording:open_recording",
    "plot": "flowplane.plot",
    "relaxation_times": "flowplane.analysis.relaxation:relaxation_times",
    "replica_spread": "flowplane.analysis.replicas:replica_spread",
    "report": "flowplane.reporting.making:report",
    "ridgelet": "flowplane.ridgelet",
    "sweep": "flowplane.cluster.sweeping:sweep",
    "tasks": "flowplane.tasks",
    "train": "flowplane.ensemble:train",
    "transport": "flowplane.transport",
    "wasserstein": "flowplane.transport:wasserstein",
    "weight_diffusion": "flowplane.analysis.diffusion:weight_diffusion",
}

__all__ = ["__version__", *_PUBLIC]  # noqa: PLE0604

if TYPE_CHECKING:
    from flowplane import bottleneck, cluster, dynamics, errors, experiments, information, plot, ridgelet, tasks, transport
    from flowplane.analysis.betas import layer_betas
    from flowplane.analysis.comparison import compare_estimators
    from flowplane.analysis.diffusion import weight_diffusion
    from flowplane.analysis.explaining import explain
    from flowplane.analysis.phases import gradient_phases
    from flowplane.analysis.plane import information_plane
    from flowplane.analysis.relaxation import relaxation_times
    from flowplane.analysis.replicas import replica_spread
    from flowplane.analysis.transport.layers import layer_transport
    from flowplane.bottleneck.bifurcation import critical_betas
    from flowplane.bottleneck.curve import ib_curve
    from flowplane.bottleneck.gaussian import gaussian_ib
    from flowplane.cluster.sweeping import sweep
    from flowplane.ensemble import train
    from flowplane.information.binned import Binned
    from flowplane.information.gaussian import GaussianMI
    from flowplane.information.ksg import KSG
    from flowplane.information.pairwise import Pairwise
    from flowplane.information.renyi import MatrixRenyi
    from flowplane.information.sliced import SlicedMI
    from flowplane.information.variational import Variational
    from flowplane.recorder.checkpoints import from_checkpoints
    from flowplane.recorder.recorder import Recorder
    from flowplane.recording import Recording
    from flowplane.recording import open_recording as open
    from flowplane.reporting.making import report
    from flowplane.transport import denoising_flow, densities, gradient_flow, wasserstein
    from flowplane.transport.densities import Empirical, GaussianMixture, Normal


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'flowplane' has no attribute {name!r}")
    module, _, attribute = _PUBLIC[name].partition(":")
    value = import_module(module)
    if attribute:
        value = getattr(value, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
