"""The estimators that read the networks of an experiment, and how much of them each is given."""

from __future__ import annotations

import numpy as np

from flowplane.information.binned import Binned
from flowplane.information.estimator import Estimator
from flowplane.information.gaussian import GaussianMI
from flowplane.information.ksg import KSG
from flowplane.information.monte_carlo import MonteCarlo
from flowplane.information.pairwise import Pairwise
from flowplane.information.renyi import MatrixRenyi
from flowplane.information.sliced import SlicedMI
from flowplane.information.variational import Variational
from flowplane.recording import Recording

__all__ = ["every_reader", "for_training", "readers_without_channel"]

#: Slices of SlicedMI.
SLICES = {"quick": 8, "full": 32}
#: Epochs and replicas that the variational estimator is given.
VARIATIONAL = {"quick": (3, 1), "full": (6, 2)}


def every_reader(scale: str, channel: float) -> dict[str, Estimator]:
    """Every estimator of §B4; those without a channel of their own get the same Gaussian noise."""
    return {
        "Monte Carlo": MonteCarlo(channel),
        "Binned": Binned(30),
        "Pairwise": Pairwise(channel),
        "Pairwise, relative": Pairwise(channel, relative="recording"),
        "KSG": KSG(noise_variance=channel),
        "GaussianMI": GaussianMI(noise_variance=channel),
        "MatrixRenyi": MatrixRenyi(),
        "SlicedMI": SlicedMI(slices=SLICES[scale], noise_variance=channel),
        "Variational": Variational(noise_variance=channel),
    }


def readers_without_channel(scale: str) -> dict[str, Estimator]:
    """Those that a network with noise of its own can be read by: they take the inputs and need no channel."""
    return {
        "KSG": KSG(),
        "GaussianMI": GaussianMI(),
        "MatrixRenyi": MatrixRenyi(),
        "SlicedMI": SlicedMI(slices=SLICES[scale]),
        "Variational": Variational(),
    }


def for_training(rec: Recording, scale: str) -> Recording:
    """The replicas and epochs, spread over training, that an estimator is given which trains networks itself."""
    epochs, replicas = VARIATIONAL[scale]
    # the first epoch has nothing to lose yet
    places = np.unique(np.linspace(1, len(rec.epochs) - 1, min(epochs, len(rec.epochs))).round().astype(int))
    return rec.sel(replica=rec.replicas[:replicas].tolist(), epoch=rec.epochs[places].tolist())
