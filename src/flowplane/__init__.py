"""flowplane looks inside deep networks: what each layer knows, and how each layer moves its data.

Every public name is imported when it is first used, so that `import flowplane` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowplane.core.lazy import lazy

if TYPE_CHECKING:
    from flowplane import analysis as analysis
    from flowplane import bottleneck as bottleneck
    from flowplane import bridge as bridge
    from flowplane import cluster as cluster
    from flowplane import dynamics as dynamics
    from flowplane import errors as errors
    from flowplane import experiments as experiments
    from flowplane import information as information
    from flowplane import plot as plot
    from flowplane import ridgelet as ridgelet
    from flowplane import tasks as tasks
    from flowplane import transport as transport
    from flowplane.analysis import cite as cite
    from flowplane.analysis import compare_estimators as compare_estimators
    from flowplane.analysis import denoising_spectrum as denoising_spectrum
    from flowplane.analysis import explain as explain
    from flowplane.analysis import gradient_phases as gradient_phases
    from flowplane.analysis import information_plane as information_plane
    from flowplane.analysis import layer_betas as layer_betas
    from flowplane.analysis import layer_budget as layer_budget
    from flowplane.analysis import layer_geometry as layer_geometry
    from flowplane.analysis import layer_transport as layer_transport
    from flowplane.analysis import mutual_information as mutual_information
    from flowplane.analysis import pointwise_information as pointwise_information
    from flowplane.analysis import relaxation_times as relaxation_times
    from flowplane.analysis import replica_spread as replica_spread
    from flowplane.analysis import weight_diffusion as weight_diffusion
    from flowplane.bottleneck import critical_betas as critical_betas
    from flowplane.bottleneck import gaussian_ib as gaussian_ib
    from flowplane.bottleneck import ib_curve as ib_curve
    from flowplane.bridge import Denoising as Denoising
    from flowplane.cluster import sweep as sweep
    from flowplane.ensemble import train as train
    from flowplane.information import KSG as KSG
    from flowplane.information import Binned as Binned
    from flowplane.information import Decodable as Decodable
    from flowplane.information import GaussianMI as GaussianMI
    from flowplane.information import MatrixRenyi as MatrixRenyi
    from flowplane.information import Pairwise as Pairwise
    from flowplane.information import SlicedMI as SlicedMI
    from flowplane.information import Variational as Variational
    from flowplane.recorder import Recorder as Recorder
    from flowplane.recorder import from_arrays as from_arrays
    from flowplane.recorder import from_checkpoints as from_checkpoints
    from flowplane.recorder import record as record
    from flowplane.recording import Recording as Recording
    from flowplane.recording import open_recording as open  # noqa: F401
    from flowplane.reporting.live import watch as watch
    from flowplane.reporting.making import report as report
    from flowplane.transport import Empirical as Empirical
    from flowplane.transport import GaussianMixture as GaussianMixture
    from flowplane.transport import Normal as Normal
    from flowplane.transport import denoising_flow as denoising_flow
    from flowplane.transport import densities as densities
    from flowplane.transport import gradient_flow as gradient_flow
    from flowplane.transport import wasserstein as wasserstein
    from flowplane.version import __version__ as __version__
else:
    __getattr__, __dir__, __all__ = lazy(__name__)
