"""The second lens: how a layer moves its data. Arrays and densities in, maps and numbers out."""

from flowplane.transport.flows.denoise import DenoisingFlow, denoising_flow
from flowplane.transport.flows.denoiser import Denoiser
from flowplane.transport.flows.descent import GradientFlow, gradient_flow
from flowplane.transport.flows.functionals import (
    Entropy,
    InternalEnergy,
    KullbackLeibler,
    NegativeEntropy,
    PotentialEnergy,
    RenyiEntropy,
    TsallisEntropy,
)
from flowplane.transport.layers.embedding import embed, layer_path
from flowplane.transport.layers.entropies import covariance_spectrum, gaussian_entropy, neighbour_entropy, score_energy
from flowplane.transport.layers.paths import embedding_influence, path_measures
from flowplane.transport.layers.probes import linear_probe, neighbour_accuracy
from flowplane.transport.layers.separation import class_distances, fisher_ratio
from flowplane.transport.layers.similarity import cka, cka_matrix
from flowplane.transport.layers.slices import sliced_measures
from flowplane.transport.layers.volumes import affine_log_det, dense_log_det
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
from flowplane.transport.maps.base import TransportMap
from flowplane.transport.maps.composition import Composition
from flowplane.transport.maps.ode import ODEMap
from flowplane.transport.maps.straight import AffineMap
from flowplane.transport.profiles.brenier import brenier_defect
from flowplane.transport.profiles.continuity import continuity_residual
from flowplane.transport.profiles.history import flow_history
from flowplane.transport.profiles.optimal import optimality, wasserstein

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
    "affine_log_det",
    "brenier_defect",
    "cka",
    "cka_matrix",
    "class_distances",
    "continuity_residual",
    "covariance_spectrum",
    "denoising_flow",
    "denoising_loss",
    "dense_log_det",
    "embed",
    "embedding_influence",
    "fisher_ratio",
    "flow_history",
    "gaussian_entropy",
    "gradient_flow",
    "layer_path",
    "linear_probe",
    "load_denoiser",
    "load_score",
    "load_stack",
    "neighbour_accuracy",
    "neighbour_entropy",
    "optimal_loss",
    "optimality",
    "path_measures",
    "score_energy",
    "sliced_measures",
    "stack",
    "train_denoiser",
    "train_score",
    "wasserstein",
]
