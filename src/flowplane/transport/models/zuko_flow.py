"""zuko's normalising flows as transport maps: layers one after another, or an ODE (§E)."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from flowplane.core.arrays import as_tensor, require_finite
from flowplane.errors import InputError, Text
from flowplane.transport.densities import Density, Normal
from flowplane.transport.maps.base import TransportMap
from flowplane.transport.maps.composition import Composition
from flowplane.transport.maps.ode import ODEMap
from flowplane.transport.maps.straight import StraightMap, inverse_and_log_det
from flowplane.transport.models.network import in_evaluation

__all__ = ["from_zuko"]


def from_zuko(flow: Any, context: Any = None, *, source: Density | None = None) -> TransportMap:
    """A normalising flow of zuko from its base to the data: `log_prob` is the flow's own (docs/papers.md §E).

    Each transformation is a layer of time 1 that moves points along straight lines; a free-form one (`zuko.flows.CNF`) is
    followed as the ODE that it is, exactly up to ten dimensions. The flow is called in evaluation mode, and not copied.

    Arguments:
        flow: such as zuko.flows.NSF(2); also a lazy flow made of transformations.
        context: of a conditional flow, one vector.
        source: the base as a density, where it is not a normal distribution with independent coordinates.

    Raises:
        InputError: not a flow of zuko, a context or a source that does not fit.

    Example:
        >>> import torch, zuko
        >>> import flowplane as fp
        >>> theirs = zuko.flows.NICE(2, transforms=2)
        >>> ours = fp.transport.from_zuko(theirs)
        >>> x = torch.tensor([[0.3, -1.0]])
        >>> bool((ours.log_prob(x) - theirs().log_prob(x)).abs() < 1e-5), ours.time
        (True, 2.0)
    """
    if not isinstance(flow, nn.Module) or not hasattr(flow, "transform") or not hasattr(flow, "base"):
        raise InputError("flow", Text(type(flow).__name__), "a flow of zuko, such as zuko.flows.NSF(2)")
    part = next(flow.parameters(), torch.zeros((), dtype=torch.float64, device="cpu"))
    with in_evaluation([flow]), torch.no_grad():
        made = flow(None if context is None else _context(context).to(part.device, part.dtype))
    start = _base(made.base) if source is None else source
    dimension = int(made.base.event_shape[0])
    if start is not None and start.dimension != dimension:
        raise InputError("source", start, f"a density in {dimension} dimensions")
    transforms = getattr(made.transform, "transforms", [made.transform])
    maps = [_map(flow, each, dimension, part) for each in reversed(transforms)]
    maps[0].source = start
    return maps[0] if len(maps) == 1 else Composition(maps)


class ZukoLayer(StraightMap):
    """The inverse of one of zuko's transformations, from the side of the base to that of the data."""

    def __init__(self, flow: nn.Module, transform: Any, dimension: int, part: Tensor) -> None:
        self.flow, self.transform, self.dimension = flow, transform, dimension
        self.precision, self.device, self.time, self.source = part.dtype, part.device, 1.0, None

    def displacement(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """g(x) − x."""
        with in_evaluation([self.flow]), torch.no_grad():
            return self.transform.inv(x.to(self.precision)).to(x) - x

    def displacement_jacobian(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature feature"]:
        """∇g − I: the inverse of the transformation's own Jacobian, which is one backward pass per coordinate."""
        with in_evaluation([self.flow]), torch.enable_grad():
            place = (x + self.displacement(x)).to(self.precision).requires_grad_()
            found = self.transform(place)
            rows = [
                torch.autograd.grad(found[:, i].sum(), place, retain_graph=True, allow_unused=True, materialize_grads=True)[
                    0
                ]
                for i in range(self.dimension)
            ]
        jacobian = inverse_and_log_det(torch.stack(rows, 1).to(x))[0]
        return jacobian - torch.eye(self.dimension, dtype=x.dtype, device=x.device)

    def displacement_hessian(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature feature feature"]:
        """Unknown."""
        return torch.full((1,) * 4, torch.nan, dtype=x.dtype, device=x.device).expand(len(x), *(self.dimension,) * 3)

    def log_det(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, " sample"]:
        """That of the transformation, where g arrives."""
        return super().log_det(x) if self.fraction < 1 else self.backward(self.forward(x))[1]

    def backward(
        self, y: Float[Tensor, "sample feature"]
    ) -> tuple[Float[Tensor, "sample feature"], Float[Tensor, " sample"]]:
        """The transformation itself."""
        if self.fraction < 1:
            return super().backward(y)
        with in_evaluation([self.flow]), torch.no_grad():
            x, log_det = self.transform.call_and_ladj(y.to(self.precision))
        # one that acts on each coordinate alone gives a number for each
        return x.to(y), -log_det.to(y).reshape(len(y), -1).sum(1)


def _map(flow: nn.Module, transform: Any, dimension: int, part: Tensor) -> TransportMap:
    if type(transform).__name__ != "FreeFormJacobianTransform":
        return ZukoLayer(flow, transform, dimension, part)
    begin, end = float(transform.t1), float(transform.t0)  # zuko goes from the data to the base

    def velocity(t: float, x: Tensor) -> Tensor:
        with in_evaluation([flow]):
            now = torch.tensor(begin + t * (end - begin), dtype=part.dtype, device=part.device)
            return (end - begin) * transform.f(now, x.to(part.device, part.dtype)).to(x)

    single = part.dtype != torch.float64
    made = ODEMap(velocity, dimension, time=1.0, rtol=1e-6 if single else 1e-8, atol=1e-6 if single else 1e-9)
    made.device = part.device
    return made


def _context(context: Any) -> Tensor:
    given = as_tensor("context", context)
    require_finite("context", given)
    if given.ndim != 1:
        raise InputError("context", Text(f"shape {tuple(given.shape)}"), "one vector: a flow is that of one condition")
    return given


def _base(base: Any) -> Density | None:
    """Independent normal coordinates as a density; None for anything else."""
    inner = getattr(base, "base_dist", None)
    if not isinstance(inner, torch.distributions.Normal):
        return None
    mean, scale = (part.detach().double().cpu().numpy() for part in (inner.loc, inner.scale))
    same = bool((scale == scale[0]).all())
    return Normal(mean, float(scale[0]) ** 2 if same else torch.diag(torch.from_numpy(scale**2)).numpy())
