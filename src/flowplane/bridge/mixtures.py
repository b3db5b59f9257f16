"""A normal for each class: the part of a label's denoisers that is not learned (§A3 in closed form, §C3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from flowplane.bridge.training import Guess, taken
from flowplane.information.probes.folds import Fold

__all__ = ["STRAYING", "Mixtures"]

#: Principal components at most, and samples to each of them at least.
COMPONENTS, SAMPLES = 40, 9
#: How far the covariance of a class is shrunk to that of all classes; how much it is widened, until classes can hardly be
#: told apart; and the share of the mean variance that is added to it.
SHARED, WIDENED, ROUNDED = (1.0, 0.6, 0.3, 0.1, 0.03), (1.0, 1.5, 2.5, 5.0, 10.0, 1e6), 1e-2
#: Share of the samples of a class that its density takes to be like those of all, so that no one sample costs much.
STRAYING = 1e-3
#: Draws of noise for each sample that is judged.
DRAWS = 8


@dataclass(frozen=True, eq=False)
class Mixtures:
    """Samples along the principal components that each model was fitted to, and there a normal for each class.

    The density of class y, Σ_k w_k^y N(μ_k, Σ_k), strays a little to the other classes; weighted by the classes' shares
    these add up to Σ_k w_k N(μ_k, Σ_k). Their denoisers are the unlearned part of learned ones.
    """

    classes: Int[Tensor, " sample"]
    places: Float[Tensor, "model sample component"]
    shares: Float[Tensor, "model class"]
    means: Float[Tensor, "model class component"]
    #: Of the normals' covariances: variances, and their axes in rows.
    variances: Float[Tensor, "model class component"]
    axes: Float[Tensor, "model class component component"]
    #: Of all samples along the components, and within classes.
    spread: Float[Tensor, "model component"]
    inside: Float[Tensor, "model component"]

    @classmethod
    def chosen(
        cls,
        t: Float[Tensor, "sample unit"],
        classes: Int[Tensor, " sample"],
        fold: Fold,
        noise: float,
        random: torch.Generator,
    ) -> tuple[Mixtures, Mixtures]:
        """One model, with the covariances that fit the choosing rows best: fitted to those that are searched alone,
        and to both."""
        state = random.get_state()

        def gain(shared: float, widened: float) -> float:
            random.set_state(state)
            return float(cls.fitted(t, classes, fold.search, shared, widened).gains(fold.choice, noise, random).mean())

        shared = max(SHARED, key=lambda share: gain(share, 1.0))
        widened = max(WIDENED, key=lambda factor: gain(shared, factor))
        alone, both = (cls.fitted(t, classes, rows, shared, widened) for rows in (fold.search, fold.training))
        return alone, both

    @classmethod
    def fitted(cls, t: Tensor, classes: Tensor, rows: Tensor, shared: float, widened: float) -> Mixtures:
        """One model, by the moments of some rows; of each class at least one."""
        centre, count = t[rows].mean(0), int(classes.max()) + 1
        most = min(COMPONENTS, max(1, len(t) // SAMPLES))  # as many for all folds
        places = (t - centre) @ torch.linalg.svd(t[rows] - centre, full_matrices=False).Vh[:most].T
        own, y = places[rows], classes[rows]
        sizes = torch.bincount(y, minlength=count).double().clamp_min(1.0)
        means = own.new_zeros(count, own.shape[1]).index_add_(0, y, own) / sizes[:, None]
        apart = own - means[y]
        inside = apart.T @ apart / len(rows)
        each = torch.stack([apart[y == k].T @ apart[y == k] / size for k, size in enumerate(sizes)])
        level = float(inside.diagonal().mean()) or float(own.var(0).mean()) or 1.0
        rounded = ROUNDED * level * torch.eye(own.shape[1], dtype=t.dtype, device=t.device)
        variances, axes = torch.linalg.eigh(widened * ((1 - shared) * each + shared * inside + rounded))
        spread = own.square().mean(0) + ROUNDED * level
        parts = (places, sizes / sizes.sum(), means, variances, axes.mT, spread, inside.diagonal() + ROUNDED * level)
        return cls(classes, *(part[None] for part in parts))

    @classmethod
    def together(cls, models: Sequence[Mixtures]) -> Mixtures:
        """Several as one, along as many components as all have."""
        names = ("places", "shares", "means", "variances", "axes", "spread", "inside")
        return replace(models[0], **{name: torch.cat([getattr(one, name) for one in models]) for name in names})

    @property
    def features(self) -> int:
        """Values, unlearned means, whether the class is given, and which it is."""
        return 2 * self.places.shape[2] + 1 + self.means.shape[1]

    def clean(self, rows: Int[Tensor, "model row"]) -> Float[Tensor, "model row component"]:
        """The samples of these numbers."""
        return taken(self.places, rows)

    def guess(
        self,
        noisy: Float[Tensor, "model row component"],
        level: Float[Tensor, "model row"],
        rows: Int[Tensor, "model row"],
        given: Bool[Tensor, "model row"],
    ) -> Guess:
        """The mixtures' posterior means, in the dtype of the noisy values."""
        kind = noisy.dtype
        logs, pulls = self._normals(noisy, level)
        y = self.classes[rows]
        shares = (logs + torch.where(given[:, :, None], self._straying(y), self.shares.log()[:, None]).to(kind)).softmax(2)
        pulled = (shares[:, :, :, None] * pulls).flatten(2)
        mean = noisy - level[:, :, None].to(kind) * (pulled @ self.axes.flatten(1, 2).to(kind))
        spread, inside = self.spread[:, None].to(kind), self.inside[:, None].to(kind)
        known = torch.where(given[:, :, None], inside, spread)
        scale = (known / (known + level[:, :, None])).to(kind)
        told = torch.nn.functional.one_hot(y, self.means.shape[1]).to(kind) * given[:, :, None]
        size = (spread + level[:, :, None]).sqrt().to(kind)
        features = torch.cat([noisy / size, mean / spread.sqrt(), given[:, :, None].to(kind), told], 2)
        return Guess(mean, (scale * level[:, :, None]).sqrt().to(kind), features)

    def gains(self, rows: Int[Tensor, " row"], noise: float, random: torch.Generator) -> Float[Tensor, "model row"]:
        """E ln q_t(t̃|y)/q_t(t̃) of these rows over the noise, for the mixtures' densities q: what knowing the class saves in
        the loss of their denoisers, integrated over all noise from t on, in nats."""
        clean = self.places[:, rows]
        y = self.classes[rows].expand(len(clean), -1)[:, :, None]
        found = clean.new_zeros(clean.shape[:2])
        draws = DRAWS if noise > 0 else 1
        for _ in range(draws):
            drawn = torch.randn(clean.shape[1:], generator=random, dtype=torch.float64, device=random.device)
            logs = self.logs(clean + math.sqrt(noise) * drawn.to(clean.device), torch.full_like(found, noise))
            found += logs.gather(2, y)[:, :, 0] - (logs + self.shares.log()[:, None]).logsumexp(2)
        return found / draws

    def logs(
        self, noisy: Float[Tensor, "model row component"], level: Float[Tensor, "model row"]
    ) -> Float[Tensor, "model row class"]:
        """ln q_t(t̃|k) of each class, up to a constant."""
        logs = self._normals(noisy, level)[0]
        all_classes = (logs + self.shares.log()[:, None]).logsumexp(2, keepdim=True)
        return torch.logaddexp(logs + math.log1p(-STRAYING), all_classes + math.log(STRAYING))

    def _straying(self, y: Int[Tensor, "model row"]) -> Float[Tensor, "model row class"]:
        """ln w_k^y, of the class of each row."""
        sure = torch.nn.functional.one_hot(y, self.means.shape[1]).double()
        return ((1 - STRAYING) * sure + STRAYING * self.shares[:, None]).log()

    def _normals(
        self, noisy: Float[Tensor, "model row component"], level: Float[Tensor, "model row"]
    ) -> tuple[Float[Tensor, "model row class"], Float[Tensor, "model row class component"]]:
        """ln N(x; μ_k, Σ_k + τI) up to a constant, and (Σ_k + τI)⁻¹(x − μ_k) in the axes of Σ_k."""
        kind, (models, count, components) = noisy.dtype, self.means.shape
        turned = noisy @ self.axes.flatten(1, 2).mT.to(kind)
        offsets = (self.axes @ self.means[:, :, :, None])[:, :, :, 0].to(kind)
        along = turned.reshape(models, -1, count, components) - offsets[:, None]
        widths = self.variances[:, None].to(kind) + level[:, :, None, None].to(kind)
        pulls = along / widths
        return -0.5 * ((along * pulls).sum(3) + widths.log().sum(3)), pulls
