"""The estimators that read the networks of an experiment, and how much of them each is given."""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True)
class Scale:
    """What differs from scale to scale."""

    #: Of SlicedMI.
    slices: int
    #: Those that an estimator is given which trains networks itself.
    epochs: int
    replicas: int
    #: Those that read; None for all.
    names: tuple[str, ...] | None = None

    def chosen(self, readers: dict[str, Estimator]) -> dict[str, Estimator]:
        """Those of them that read."""
        return {name: reader for name, reader in readers.items() if self.names is None or name in self.names}


SCALES = {
    "quick": Scale(slices=8, epochs=3, replicas=1),
    "full": Scale(slices=32, epochs=6, replicas=2),
    "tiny": Scale(slices=2, epochs=2, replicas=1, names=("Monte Carlo", "Binned", "GaussianMI")),
}


def every_reader(scale: str, channel: float) -> dict[str, Estimator]:
    """Every estimator of §B4; those without a channel of their own get the same Gaussian noise."""
    at = SCALES[scale]
    readers: dict[str, Estimator] = {
        "Monte Carlo": MonteCarlo(channel),
        "Binned": Binned(30),
        "Pairwise": Pairwise(channel),
        "Pairwise, relative": Pairwise(channel, relative="recording"),
        "KSG": KSG(noise_variance=channel),
        "GaussianMI": GaussianMI(noise_variance=channel),
        "MatrixRenyi": MatrixRenyi(),
        "SlicedMI": SlicedMI(slices=at.slices, noise_variance=channel),
        "Variational": Variational(noise_variance=channel),
    }
    return at.chosen(readers)


def readers_without_channel(scale: str) -> dict[str, Estimator]:
    """Those that a network with noise of its own can be read by: they take the inputs and need no channel."""
    at = SCALES[scale]
    readers: dict[str, Estimator] = {
        "KSG": KSG(),
        "GaussianMI": GaussianMI(),
        "MatrixRenyi": MatrixRenyi(),
        "SlicedMI": SlicedMI(slices=at.slices),
        "Variational": Variational(),
    }
    return at.chosen(readers)


def for_training(rec: Recording, scale: str) -> Recording:
    """The replicas and epochs, spread over training, that an estimator is given which trains networks itself."""
    at = SCALES[scale]
    # the first epoch has nothing to lose yet
    places = np.unique(np.linspace(1, len(rec.epochs) - 1, min(at.epochs, len(rec.epochs))).round().astype(int))
    return rec.sel(replica=rec.replicas[: at.replicas].tolist(), epoch=rec.epochs[places].tolist())
