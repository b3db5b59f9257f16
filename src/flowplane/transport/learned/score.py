"""A trained score at every variance of the noise: denoisers at all of them, and the flow between two (§A3, §A5)."""

from __future__ import annotations

import copy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from flowplane.core.modes import in_own_modes
from flowplane.core.points import check_count, check_positive
from flowplane.errors import InputError, Text
from flowplane.transport.densities import Density
from flowplane.transport.learned.checkpoint import (
    Trained,
    build_network,
    describe_network,
    fill,
    history_of,
    last_numbers,
    read,
)
from flowplane.transport.learned.denoiser import LearnedDenoiser
from flowplane.transport.learned.score_network import AtVariance, as_variances
from flowplane.transport.maps.ode import ODEMap

__all__ = ["LearnedScore", "load_score"]

#: A variance may be outside the range by this much, relatively: rounding.
SLACK = 1e-9


class LearnedScore(Trained):
    """s ↦ (g(x, s) − x)/s ≈ ∇log(p * N(0, sI))(x) for variances s in a range, g a network; what `train_score` makes.

    As a module it takes floating tensors x (n, d) and s (n,) to scores (n, d), differentiable in both and in the parameters.

    Arguments:
        network: a module (x, s) ↦ g, rows (n, d) and variances (n,) to rows (n, d).
        variances: (low, high), where it can be trusted.
        dimension: d, where the network's own `dimension` does not say it.
        source: p * N(0, high·I), the density that `flow` begins with.

    Raises:
        InputError: not a module, not a range, a source of another dimension.

    Example:
        >>> from flowplane.transport import ScoreNetwork
        >>> score = LearnedScore(ScoreNetwork(2, (0.01, 1.0)), (0.01, 1.0))
        >>> score.score([[1.0, 2.0]], 0.5).shape, score.flow().time
        ((1, 2), 0.495)
    """

    kind = "score"

    def __init__(
        self, network: nn.Module, variances: Any, *, dimension: int | None = None, source: Density | None = None
    ) -> None:
        super().__init__()
        if not isinstance(network, nn.Module):
            raise InputError("network", Text(type(network).__name__), "a torch.nn.Module of (x, s)")
        self.network, self.variances = network, as_variances(variances)
        self.dimension = check_count("dimension", getattr(network, "dimension", None) if dimension is None else dimension)
        if source is not None and (not isinstance(source, Density) or source.dimension != self.dimension):
            raise InputError("source", source, f"a density in {self.dimension} dimensions")
        self.source = source
        self.denoiser(self.variances[0])  # refuses a module that is not a map of R^d

    def forward(self, x: Float[Tensor, "sample feature"], s: Float[Tensor, " sample"]) -> Float[Tensor, "sample feature"]:
        """(g(x, s) − x)/s."""
        found: Tensor = (self.network(x.clone(), s.clone()) - x) / s.unsqueeze(1)
        return found

    @in_own_modes
    def score(self, x: Any, s: float) -> Any:
        """∇log(p * N(0, sI)) as learned, shape (…, d) for points x of shape (…, d).

        Raises:
            InputError: bad points, a variance outside the range.
        """
        return self.denoiser(s).score(x)

    def denoiser(self, s: float) -> LearnedDenoiser:
        """g(·, s) as a transport map; it shares the network's numbers.

        Raises:
            InputError: a variance outside the range.
        """
        value = check_positive("s", s)
        low, high = self.variances
        if not low * (1 - SLACK) <= value <= high * (1 + SLACK):
            raise InputError("s", s, f"a variance in [{low:g}, {high:g}], the range of training")
        made = LearnedDenoiser(AtVariance(self.network, value, self.dimension), value, dimension=self.dimension)
        return made.train(self.training)

    def flow(
        self, time: float | None = None, *, rtol: float = 1e-6, atol: float = 1e-7, max_step: float | None = None
    ) -> ODEMap:
        """dx/dt = ∇log p_t(x) as learned: the continuous denoiser of p_0 = p * N(0, high·I) (§A5).

        The network gives the score of p_t = p * N(0, (high − 2t)I). It is copied: training it further does not change a
        flow.

        Arguments:
            time: at most (high − low)/2, which None means.
            rtol, atol: of the solver; finer than the error that training leaves.
            max_step: the longest step of the solver, as in `ODEMap`: without it what the score does only within a step
                may be passed over.

        Raises:
            InputError: a time, tolerance or step out of range.
        """
        low, high = self.variances
        last = (high - low) / 2
        end = last if time is None else check_positive("time", time)
        if end > last * (1 + SLACK):
            raise InputError("time", time, f"a time up to (high − low)/2 = {last:g}")
        network = copy.deepcopy(self.network).requires_grad_(False).eval()
        part = next(self.network.parameters(), torch.zeros((), dtype=torch.float64, device="cpu"))

        def velocity(t: float, x: Tensor) -> Tensor:
            s = max(high - 2 * t, low)
            rows = x.to(part.device, part.dtype)
            return ((network(rows.clone(), torch.full_like(rows[:, 0], s)) - rows) / s).to(x)

        made = ODEMap(
            velocity,
            self.dimension,
            time=min(end, last),
            source=self.source,
            rtol=rtol,
            atol=atol,
            max_step=max_step,
            time_units="variance of noise",
        )
        if self.source is None:
            made.device = part.device
        if part.dtype == torch.float32:
            made.rtol, made.atol = max(made.rtol, 1e-4), max(made.atol, 1e-5)
        return made

    def describe(self) -> dict[str, Any]:
        """What a file says of it besides its numbers."""
        return {
            "dimension": self.dimension,
            "variances": self.variances,
            "network": describe_network(self.network),
            "history": last_numbers(self.history),
        }


def load_score(path: Any, network: nn.Module | None = None, *, source: Density | None = None) -> LearnedScore:
    """A score as `LearnedScore.save` wrote it: the same numbers, on the CPU.

    Arguments:
        path: the file.
        network: a module built like the one that was trained, where that was not given by widths; it is copied.
        source: p * N(0, high·I), with which the flow is to begin; files hold none.

    Raises:
        InputError: as in `load_denoiser`.

    Example:
        >>> import tempfile
        >>> from flowplane.transport import LearnedScore, ScoreNetwork
        >>> score = LearnedScore(ScoreNetwork(1, (0.1, 1.0), hidden=(4,)), (0.1, 1.0))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     same = load_score(score.save(f"{folder}/score.safetensors"))
        >>> bool((same.score([[1.0]], 0.3) == score.score([[1.0]], 0.3)).all())
        True
    """
    about, tensors = read(path, "score")
    built = build_network(about["network"], network)
    made = LearnedScore(built, about["variances"], dimension=about["dimension"], source=source)
    made.history = history_of(about["history"])
    return fill(made, tensors)
