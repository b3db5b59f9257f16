"""Denoisers and scores by training, beside the exact ones."""

from flowplane.transport.learned.denoiser import LearnedDenoiser, load_denoiser
from flowplane.transport.learned.denoiser_training import train_denoiser
from flowplane.transport.learned.losses import denoising_loss, optimal_loss
from flowplane.transport.learned.networks import Autoencoder, DenoisingNetwork
from flowplane.transport.learned.score import LearnedScore, load_score
from flowplane.transport.learned.score_network import ScoreNetwork
from flowplane.transport.learned.score_training import train_score
from flowplane.transport.learned.stack_training import stack
from flowplane.transport.learned.stacks import Stack, load_stack
from flowplane.transport.learned.velocity import LearnedVelocity, load_velocity
from flowplane.transport.learned.velocity_network import VelocityNetwork
from flowplane.transport.learned.velocity_training import rectify, train_velocity

__all__ = [
    "Autoencoder",
    "DenoisingNetwork",
    "LearnedDenoiser",
    "LearnedScore",
    "LearnedVelocity",
    "ScoreNetwork",
    "Stack",
    "VelocityNetwork",
    "denoising_loss",
    "load_denoiser",
    "load_score",
    "load_stack",
    "load_velocity",
    "optimal_loss",
    "rectify",
    "stack",
    "train_denoiser",
    "train_score",
    "train_velocity",
]
