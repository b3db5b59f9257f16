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
from flowplane.transport.learned import (
    Autoencoder,
    DenoisingNetwork,
    LearnedDenoiser,
    Stack,
    denoising_loss,
    load_denoiser,
    load_stack,
    optimal_loss,
    stack,
    train_denoiser,
)
from flowplane.transport.maps import TransportMap
from flowplane.transport.ode import ODEMap
from flowplane.transport.optimal import optimality, wasserstein
from flowplane.transport.straight import AffineMap, Denoiser

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
    "NegativeEntropy",
    "ODEMap",
    "PotentialEnergy",
    "RenyiEntropy",
    "Stack",
    "TransportMap",
    "TsallisEntropy",
    "brenier_defect",
    "continuity_residual",
    "denoising_flow",
    "denoising_loss",
    "embed",
    "flow_history",
    "gradient_flow",
    "load_denoiser",
    "load_stack",
    "optimal_loss",
    "optimality",
    "stack",
    "train_denoiser",
    "wasserstein",
]
