"""Denoisers and scores by training, beside the exact ones."""

from flowplane.transport.learned.checkpoint import load_denoiser
from flowplane.transport.learned.denoiser import LearnedDenoiser
from flowplane.transport.learned.losses import denoising_loss, optimal_loss
from flowplane.transport.learned.networks import Autoencoder, DenoisingNetwork
from flowplane.transport.learned.training import train_denoiser

__all__ = [
    "Autoencoder",
    "DenoisingNetwork",
    "LearnedDenoiser",
    "denoising_loss",
    "load_denoiser",
    "optimal_loss",
    "train_denoiser",
]
