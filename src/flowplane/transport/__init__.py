"""The second lens: how a layer moves its data. Arrays and densities in, maps and numbers out."""

from flowplane.transport.brenier import brenier_defect
from flowplane.transport.composition import Composition
from flowplane.transport.continuity import continuity_residual
from flowplane.transport.denoise import DenoisingFlow, denoising_flow
from flowplane.transport.descent import GradientFlow, gradient_flow
from flowplane.transport.embedding import embed
from flowplane.transport.functionals import (
    Entropy,
    InternalEnergy,
    KullbackLeibler,
    NegativeEntropy,
    PotentialEnergy,
    RenyiEntropy,
    TsallisEntropy,
)
from flowplane.transport.history import flow_history
from flowplane.transport.layered import embedding_influence, path_measures
from flowplane.transport.maps import TransportMap
from flowplane.transport.ode import ODEMap
from flowplane.transport.optimal import optimality, wasserstein
from flowplane.transport.probes import linear_probe, neighbour_accuracy
from flowplane.transport.separation import class_distances, fisher_ratio
from flowplane.transport.straight import AffineMap, Denoiser
from flowplane.transport.widths import layer_path

__all__ = [
    "AffineMap",
    "Composition",
    "Denoiser",
    "DenoisingFlow",
    "Entropy",
    "GradientFlow",
    "InternalEnergy",
    "KullbackLeibler",
    "NegativeEntropy",
    "ODEMap",
    "PotentialEnergy",
    "RenyiEntropy",
    "TransportMap",
    "TsallisEntropy",
    "brenier_defect",
    "class_distances",
    "continuity_residual",
    "denoising_flow",
    "embed",
    "embedding_influence",
    "fisher_ratio",
    "flow_history",
    "gradient_flow",
    "layer_path",
    "linear_probe",
    "neighbour_accuracy",
    "optimality",
    "path_measures",
    "wasserstein",
]
