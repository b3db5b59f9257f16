"""Depth and width at once: residual networks built from a field without training (§A11)."""

from __future__ import annotations

from typing import Any

from flowplane.ridgelet.limit import WideLimit
from flowplane.ridgelet.pairs import Pair
from flowplane.ridgelet.residual import ResidualNetwork

__all__ = ["network"]


def network(
    field: Any,
    layers: int,
    width: int,
    shared_units: bool = True,
    *,
    points: Any = None,
    time: float | None = None,
    pair: Pair | None = None,
    margin: float | None = None,
    extent: tuple[float, float] | float | None = None,
    grid: tuple[int, int] | None = None,
    seed: int = 0,
) -> ResidualNetwork:
    """A residual network that follows a field, built without training: L time steps, each of N units drawn from the field's
    ridgelet transform.

    Where χ = 1, v_t(x) = ∫T_t(a,b) σ(a·x − b) da db with T_t = R[χ v_t; ρ]/K. Units (a_i, b_i) are drawn from a density q;
    layer l is x + Δt·(1/N) Σ_i T_t(a_i,b_i)/q(a_i,b_i) σ(a_i·x − b_i), t = lΔt. Here q ∝ |T_t(a,b)|·rms σ(a·x − b), which
    has the least variance; where units are shared |T_t| is its root mean square over the times. The root mean square error
    against the flow is O(1/L) in time, N^{−1/2} in width if units are shared, (NL)^{−1/2} if not, besides what lies
    beyond the extent. (SM; docs/papers.md §A11.)

    Arguments:
        field: a flow (with `velocity`, `time` and `source`, as `fp.denoising_flow` makes), or a function v(t, x) of a float
            and a float64 tensor (n, d); d = 1, 2 or 3.
        layers, width: L and N.
        shared_units: whether all layers have the same (a_i, b_i); otherwise each draws its own.
        points: (n, d), where trajectories begin; None draws 1,000 of the flow's source. χ is 1 in the box that they cross.
        time: how long the field is followed; None is the flow's time.
        pair: σ and ρ; None is Pair("tanh").
        margin: over which χ falls to 0 outside the box, in units of x; None is half the box's width, each way.
        extent: A, or (A, B): units have |a| < A, |b| < B. None begins with 8 over the margin and doubles A until the
            quadrature's error is below 1 %, or it has too many nodes.
        grid: nodes of the quadrature along |a| and along b; None makes it as fine as the extent asks for.
        seed: of the units, and of the points where they are drawn.

    Returns:
        The network; its weights are parameters and can be trained. `field_error` is the quadrature's own relative error,
        which no width cures: root mean square against the field, at points on trajectories.

    Raises:
        InputError: more than three dimensions, a field that is not finite or of another shape, counts that are no whole
            numbers.

    Example:
        >>> import flowplane as fp
        >>> flow = fp.denoising_flow(fp.Normal(0.0, 1.0), time=0.3, layers=None)
        >>> net = fp.ridgelet.network(flow, layers=8, width=2000, pair=Pair("gaussian"))
        >>> bool(abs(net([[1.0]]) - flow([[1.0]])).item() < 0.1)
        True
    """
    limit = WideLimit(field, points=points, time=time, pair=pair, margin=margin, extent=extent, grid=grid, seed=seed)
    return limit.network(layers, width, shared_units, seed)
