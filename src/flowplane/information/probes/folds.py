"""Cross-fitting: who is held out where, with all rows of one sample together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from flowplane.core.streams import SUBSETS, generator
from flowplane.information.known import Known

__all__ = ["FOLDS", "Fold", "Folds", "grouped_error", "held_together"]

#: Folds, and parts of each training set of which one chooses strength and temperature.
FOLDS, INNER = 5, 4


@dataclass(frozen=True)
class Fold:
    """Rows of one fold: those that are judged, and the training set, of which a quarter chooses for the rest."""

    held: Int[Tensor, " held"]
    training: Int[Tensor, " training"]
    search: Int[Tensor, " search"]
    choice: Int[Tensor, " choice"]


@dataclass(frozen=True)
class Folds:
    """Folds, five of them, stratified by class; the rows of one group are never apart."""

    fold: Int[Tensor, " row"]
    part: Int[Tensor, " row"]
    count: int = FOLDS

    @classmethod
    def of(
        cls,
        classes: Int[np.ndarray, " row"],
        groups: Int[np.ndarray, " row"],
        seed: int,
        device: torch.device,
        count: int = FOLDS,
    ) -> Folds:
        """Groups, in random order within the class of their first row, are dealt to folds and parts one after the other.

        Example:
            >>> folds = Folds.of(np.repeat([0, 1], 10), np.arange(20), 0, torch.device("cpu"))
            >>> torch.bincount(folds.fold[:10]).tolist(), torch.bincount(folds.fold).tolist()
            ([2, 2, 2, 2, 2], [4, 4, 4, 4, 4])
        """
        _, first, place = np.unique(groups, return_index=True, return_inverse=True)
        shuffled = generator(seed, SUBSETS).permutation(len(first))
        order = shuffled[np.argsort(classes[first][shuffled], kind="stable")]
        rank = np.empty(len(first), np.int64)
        rank[order] = np.arange(len(first))
        dealt = torch.from_numpy(rank[place.ravel()]).to(device)
        # along both, so that few groups too leave each fold some to choose by
        return cls(dealt % count, (dealt // count + dealt % count) % INNER, count)

    def __iter__(self) -> Iterator[Fold]:
        for k in range(self.count):
            held, chosen = self.fold == k, self.part == -k % INNER
            yield Fold(*(_rows(mask) for mask in (held, ~held, ~held & ~chosen, ~held & chosen)))

    @property
    def training(self) -> Bool[Tensor, "row fold"]:
        """Whether a row is in the training set of each fold."""
        return self.fold[:, None] != torch.arange(self.count, device=self.fold.device)

    @property
    def search(self) -> Bool[Tensor, "row fold"]:
        """Whether a row is in the part of it that strengths are tried on."""
        chosen = self.part[:, None] == -torch.arange(self.count, device=self.fold.device) % INNER
        return self.training & ~chosen


def _rows(mask: Bool[Tensor, " row"]) -> Int[Tensor, " some"]:
    return mask.nonzero()[:, 0]


def held_together(known: Known) -> Int[np.ndarray, " sample"]:
    """A number from 0 on for rows that are held out together: of one sample, or of equal inputs."""
    links = [part.cpu().numpy() for part in (known.groups, known.symbols) if part is not None]
    if not links:
        return np.arange(known.samples)
    if len(links) == 1:
        return np.unique(links[0], return_inverse=True)[1].ravel()
    from scipy.sparse import coo_array  # a tenth of a second
    from scipy.sparse.csgraph import connected_components

    rows = np.arange(known.samples)
    ends = np.concatenate([known.samples + links[0], known.samples + links[0].max() + 1 + links[1]])
    size = int(ends.max()) + 1
    graph = coo_array((np.ones(len(ends)), (np.concatenate([rows, rows]), ends)), shape=(size, size))
    found = connected_components(graph, directed=False)[1][: known.samples]
    return np.unique(found, return_inverse=True)[1].ravel()


def grouped_error(each: Float[Tensor, "batch sample"], groups: Int[Tensor, " sample"]) -> Float[Tensor, " batch"]:
    """The standard error of the mean over samples, those of one group drawn together: sd/√n where each is alone."""
    sums = torch.zeros((len(each), int(groups.max()) + 1), dtype=torch.float64, device=each.device)
    sums.index_add_(1, groups, each - each.mean(1, keepdim=True))
    return sums.square().sum(1).sqrt() / each.shape[1]
