"""Denoisers and scores by training, beside the exact ones."""

from flowplane.transport.learned.checkpoint import load_denoiser
from flowplane.transport.learned.conditioned import ScoreNetwork
from flowplane.transport.learned.denoiser import LearnedDenoiser
from flowplane.transport.learned.losses import denoising_loss, optimal_loss
from flowplane.transport.learned.networks import Autoencoder, DenoisingNetwork
from flowplane.transport.learned.score import LearnedScore, load_score
from flowplane.transport.learned.score_training import train_score
from flowplane.transport.learned.stacked import Stack
from flowplane.transport.learned.stacking import load_stack, stack
from flowplane.transport.learned.training import train_denoiser

__all__ = [
    "Autoencoder",
    "DenoisingNetwork",
    "LearnedDenoiser",
    "LearnedScore",
    "ScoreNetwork",
    "Stack",
    "denoising_loss",
    "load_denoiser",
    "load_score",
    "load_stack",
    "optimal_loss",
    "stack",
    "train_denoiser",
    "train_score",
]
