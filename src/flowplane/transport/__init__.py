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
from flowplane.transport.learned import (
    Autoencoder,
    DenoisingNetwork,
    LearnedDenoiser,
    LearnedScore,
    ScoreNetwork,
    Stack,
    denoising_loss,
    load_denoiser,
    load_score,
    load_stack,
    optimal_loss,
    stack,
    train_denoiser,
    train_score,
)
from flowplane.transport.maps import TransportMap
from flowplane.transport.ode import ODEMap
from flowplane.transport.optimal import optimality, wasserstein
from flowplane.transport.probes import linear_probe, neighbour_accuracy
from flowplane.transport.separation import class_distances, fisher_ratio
from flowplane.transport.straight import AffineMap, Denoiser
from flowplane.transport.widths import layer_path

__all__ = [
    "AffineMap",
    "Autoencoder",
    "Composition",
    "Denoiser",
    "DenoisingFlow",
    "DenoisingNetwork",
    "Entropy",
    "GradientFlow",
    "InternalEnergy",
    "KullbackLeibler",
    "LearnedDenoiser",
    "LearnedScore",
    "NegativeEntropy",
    "ODEMap",
    "PotentialEnergy",
    "RenyiEntropy",
    "ScoreNetwork",
    "Stack",
    "TransportMap",
    "TsallisEntropy",
    "brenier_defect",
    "class_distances",
    "continuity_residual",
    "denoising_flow",
    "denoising_loss",
    "embed",
    "embedding_influence",
    "fisher_ratio",
    "flow_history",
    "gradient_flow",
    "layer_path",
    "linear_probe",
    "load_denoiser",
    "load_score",
    "load_stack",
    "neighbour_accuracy",
    "optimal_loss",
    "optimality",
    "path_measures",
    "stack",
    "train_denoiser",
    "train_score",
    "wasserstein",
]
