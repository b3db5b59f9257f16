"""The second lens: how a layer moves its data. Arrays and densities in, maps and numbers out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowplane.core.lazy import lazy

if TYPE_CHECKING:
    from flowplane.transport import densities as densities
    from flowplane.transport.densities import Density as Density
    from flowplane.transport.densities import Empirical as Empirical
    from flowplane.transport.densities import GaussianMixture as GaussianMixture
    from flowplane.transport.densities import Normal as Normal
    from flowplane.transport.flows.denoise import DenoisingFlow as DenoisingFlow
    from flowplane.transport.flows.denoise import denoising_flow as denoising_flow
    from flowplane.transport.flows.denoiser import Denoiser as Denoiser
    from flowplane.transport.flows.descent import GradientFlow as GradientFlow
    from flowplane.transport.flows.descent import gradient_flow as gradient_flow
    from flowplane.transport.flows.functionals import Entropy as Entropy
    from flowplane.transport.flows.functionals import InternalEnergy as InternalEnergy
    from flowplane.transport.flows.functionals import KullbackLeibler as KullbackLeibler
    from flowplane.transport.flows.functionals import NegativeEntropy as NegativeEntropy
    from flowplane.transport.flows.functionals import PotentialEnergy as PotentialEnergy
    from flowplane.transport.flows.functionals import RenyiEntropy as RenyiEntropy
    from flowplane.transport.flows.functionals import TsallisEntropy as TsallisEntropy
    from flowplane.transport.layers.embedding import embed as embed
    from flowplane.transport.layers.embedding import layer_path as layer_path
    from flowplane.transport.layers.entropies import covariance_spectrum as covariance_spectrum
    from flowplane.transport.layers.entropies import gaussian_entropy as gaussian_entropy
    from flowplane.transport.layers.entropies import neighbour_entropy as neighbour_entropy
    from flowplane.transport.layers.entropies import score_energy as score_energy
    from flowplane.transport.layers.paths import embedding_influence as embedding_influence
    from flowplane.transport.layers.paths import path_measures as path_measures
    from flowplane.transport.layers.probes import linear_probe as linear_probe
    from flowplane.transport.layers.probes import neighbour_accuracy as neighbour_accuracy
    from flowplane.transport.layers.separation import class_distances as class_distances
    from flowplane.transport.layers.separation import fisher_ratio as fisher_ratio
    from flowplane.transport.layers.similarity import cka as cka
    from flowplane.transport.layers.similarity import cka_matrix as cka_matrix
    from flowplane.transport.layers.slices import sliced_measures as sliced_measures
    from flowplane.transport.layers.volumes import affine_log_det as affine_log_det
    from flowplane.transport.layers.volumes import dense_log_det as dense_log_det
    from flowplane.transport.learned import Autoencoder as Autoencoder
    from flowplane.transport.learned import DenoisingNetwork as DenoisingNetwork
    from flowplane.transport.learned import LearnedDenoiser as LearnedDenoiser
    from flowplane.transport.learned import LearnedScore as LearnedScore
    from flowplane.transport.learned import LearnedVelocity as LearnedVelocity
    from flowplane.transport.learned import ScoreNetwork as ScoreNetwork
    from flowplane.transport.learned import Stack as Stack
    from flowplane.transport.learned import VelocityNetwork as VelocityNetwork
    from flowplane.transport.learned import denoising_loss as denoising_loss
    from flowplane.transport.learned import load_denoiser as load_denoiser
    from flowplane.transport.learned import load_score as load_score
    from flowplane.transport.learned import load_stack as load_stack
    from flowplane.transport.learned import load_velocity as load_velocity
    from flowplane.transport.learned import optimal_loss as optimal_loss
    from flowplane.transport.learned import rectify as rectify
    from flowplane.transport.learned import stack as stack
    from flowplane.transport.learned import train_denoiser as train_denoiser
    from flowplane.transport.learned import train_score as train_score
    from flowplane.transport.learned import train_velocity as train_velocity
    from flowplane.transport.maps.base import TransportMap as TransportMap
    from flowplane.transport.maps.composition import Composition as Composition
    from flowplane.transport.maps.ode import ODEMap as ODEMap
    from flowplane.transport.maps.straight import AffineMap as AffineMap
    from flowplane.transport.models.diffusers_flow import from_diffusers as from_diffusers
    from flowplane.transport.models.model_flow import ModelFlow as ModelFlow
    from flowplane.transport.models.model_flow import model_flow as model_flow
    from flowplane.transport.models.zuko_flow import from_zuko as from_zuko
    from flowplane.transport.profiles.brenier import brenier_defect as brenier_defect
    from flowplane.transport.profiles.continuity import continuity_residual as continuity_residual
    from flowplane.transport.profiles.history import flow_history as flow_history
    from flowplane.transport.profiles.optimal import optimality as optimality
    from flowplane.transport.profiles.optimal import wasserstein as wasserstein
    from flowplane.transport.profiles.samples import flow_samples as flow_samples
else:
    __getattr__, __dir__, __all__ = lazy(__name__)
