"""Finitely many units: drawn from the ridgelet transform, refitted by least squares, or read off a trained network
(§A10).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from flowplane.core.arrays import as_tensor, require_finite
from flowplane.core.points import as_points, check_count, check_positive, check_seed
from flowplane.core.streams import UNITS, torch_generator
from flowplane.errors import InputError, Text
from flowplane.ridgelet.pairs import Pair
from flowplane.ridgelet.spectrum import Spectrum, column

__all__ = ["ShallowNetwork", "Units", "drawn_nodes", "finite_network", "least_squares_network", "units_of"]


class Units(NamedTuple):
    """Hidden units in the paper's notation, σ(a·x − b): a (unit, m), b (unit,), and |c| (unit,) over the outputs."""

    hidden: Float[Tensor, "unit feature"]
    offsets: Float[Tensor, " unit"]
    sizes: Float[Tensor, " unit"]


class ShallowNetwork(nn.Module):
    """x ↦ Σ_i c_i σ(a_i·x − b_i), float64, every parameter trainable (§A10).

    Arguments:
        pair: names σ.
        hidden: a, (N, m).
        offsets: b, (N,).
        output: c, (N, channels).
        scalar: answer (…,) and not (…, 1) for one channel.

    Example:
        >>> a, c = [[1.0], [-1.0]], [[1.0], [1.0]]
        >>> network = ShallowNetwork(Pair("relu"), a, offsets=[0.0, 0.0], output=c, scalar=True)
        >>> network(torch.tensor([[-2.0], [3.0]], dtype=torch.float64)).tolist()  # |x|
        [2.0, 3.0]
    """

    def __init__(self, pair: Pair, hidden: Any, *, offsets: Any, output: Any, scalar: bool = False) -> None:
        super().__init__()
        a, b, c = (
            as_tensor(name, part).to(torch.float64)
            for name, part in (("hidden", hidden), ("offsets", offsets), ("output", output))
        )
        if a.ndim != 2 or b.shape != a.shape[:1] or c.ndim != 2 or c.shape[0] != a.shape[0]:
            found = Text(f"shapes {tuple(a.shape)}, {tuple(b.shape)}, {tuple(c.shape)}")
            raise InputError("hidden, offsets, output", found, "(N, m), (N,) and (N, channels)")
        for name, part in (("hidden", a), ("offsets", b), ("output", c)):
            require_finite(name, part)
        self.pair, self.scalar = pair, scalar and c.shape[1] == 1
        self.hidden, self.offsets, self.output = (nn.Parameter(part.clone()) for part in (a, b, c))

    def forward(self, x: Any) -> Any:
        """The outputs at x (…, m): (…, channel), or (…,); in the kind of x, of a tensor differentiable.

        Raises:
            InputError: another dimension, no points, NaN.
        """
        rows, form = as_points("x", x, self.hidden.shape[1], self.hidden.dtype, self.hidden.device)
        if isinstance(x, Tensor):
            values = self.features(x) @ self.output
            return values.squeeze(-1) if self.scalar else values
        with torch.no_grad():
            values = self.features(rows) @ self.output
        return form.values(values[:, 0]) if self.scalar else form.points(values)

    def features(self, x: Tensor) -> Tensor:
        """σ(a_i·x − b_i), (…, N)."""
        return self.pair.activation_values(x.to(self.hidden.dtype) @ self.hidden.T - self.offsets)

    def extra_repr(self) -> str:
        """What `print` says of it."""
        (n, m), channels = self.hidden.shape, self.output.shape[1]
        return f"{self.pair.activation}, inputs={m}, units={n}, outputs={channels}"


def finite_network(spectrum: Spectrum, units: int, *, seed: Any = 0) -> ShallowNetwork:
    """N units drawn from q ∝ |R|: f(x) ≈ Σ_i c_i σ(a_i·x − b_i) with c_i = R(a_i, b_i)/(K q(a_i, b_i) N) (§A10).

    Units are nodes of the spectrum, drawn with replacement with probability ∝ |R|·weight, |R| over channels. The mean over
    draws is `spectrum.reconstruct`; the error around it falls like N^{−1/2}.

    Arguments:
        spectrum: from `transform` or `monte_carlo_transform`.
        units: N.
        seed: of the draw.

    Returns:
        A torch module on the spectrum's device.

    Raises:
        InputError: units that are not a positive whole number, or coefficients that are 0 everywhere.

    Example:
        >>> from flowplane.ridgelet import transform
        >>> x = torch.linspace(-6, 6, 400, dtype=torch.float64)
        >>> network = finite_network(transform(torch.exp(-(x**2) / 2), x), 20_000)
        >>> abs(network(torch.zeros(1, 1)).item() - 1) < 0.1
        True
    """
    if not isinstance(spectrum, Spectrum):
        raise InputError("spectrum", Text(type(spectrum).__name__), "what fp.ridgelet.transform makes")
    count = check_count("units", units)
    rng = torch_generator(check_seed(seed), UNITS)
    mass = (spectrum.coefficients.norm(dim=2) * spectrum.weights.abs()).flatten()
    if not bool(mass.any()):
        raise InputError("spectrum", Text("coefficients that are 0 everywhere"), "a transform of a function that is not 0")
    nodes, density = drawn_nodes(mass, count, rng)
    row, offset = nodes // spectrum.offsets.shape[1], nodes % spectrum.offsets.shape[1]
    weighted = spectrum.coefficients[row, offset] * spectrum.weights[row, offset].unsqueeze(1)
    output = weighted / (spectrum.constant * count * density.unsqueeze(1))
    return ShallowNetwork(
        spectrum.pair, spectrum.hidden[row], offsets=spectrum.offsets[row, offset], output=output, scalar=spectrum.scalar
    )


def drawn_nodes(
    mass: Float[Tensor, " node"], count: int, rng: torch.Generator
) -> tuple[Int[Tensor, " unit"], Float[Tensor, " unit"]]:
    """Nodes drawn with replacement with probability ∝ their mass, which is somewhere above 0, and that probability.

    Example:
        >>> nodes, shares = drawn_nodes(torch.tensor([1.0, 0.0, 3.0]), 100, torch.Generator().manual_seed(0))
        >>> sorted(set(nodes.tolist())), shares.unique().tolist()
        ([0, 2], [0.25, 0.75])
    """
    running = mass.cumsum(0)
    places = (torch.rand(count, generator=rng, dtype=torch.float64, device="cpu") * float(running[-1])).to(running)
    # rounding may put the last place at the very end, past nodes without mass
    nodes = torch.searchsorted(running, places, right=True).clamp(max=int(mass.nonzero().max()))
    return nodes, mass[nodes] / running[-1]


def least_squares_network(
    spectrum: Spectrum, values: Any, *, points: Any, units: int, ridge: float = 1e-8, seed: Any = 0
) -> ShallowNetwork:
    """The units of `finite_network`, with c that minimises (1/n) Σ_j |f(x_j) − Σ_i c_i σ(a_i·x_j − b_i)|² + λ|c|².

    Arguments:
        spectrum, units, seed: as for `finite_network`.
        values, points: f(x_j), (n,) or (n, channels), at x_j, (n, m) or (n,) for m = 1.
        ridge: λ > 0. The same node may be drawn twice, and neighbours are nearly alike.

    Raises:
        InputError: as `finite_network`; shapes that do not fit, or λ ≤ 0.

    Example:
        >>> from flowplane.ridgelet import transform
        >>> x = torch.linspace(-6, 6, 400, dtype=torch.float64)
        >>> f = torch.exp(-(x**2) / 2)
        >>> network = least_squares_network(transform(f, x), f, points=x, units=50)
        >>> float((network(x[:, None]) - f).detach().abs().max()) < 0.02
        True
    """
    ridge = check_positive("ridge", ridge)
    network = finite_network(spectrum, units, seed=seed)
    device = spectrum.hidden.device
    x, _ = as_points("points", column(points, spectrum.dimension), spectrum.dimension, device=device)
    f = as_tensor("values", values).to(device, torch.float64)
    channels = spectrum.coefficients.shape[2]
    if f.shape != ((len(x),) if spectrum.scalar else (len(x), channels)):
        expected = f"({len(x)},)" if spectrum.scalar else f"({len(x)}, {channels})"
        raise InputError("values", Text(f"shape {tuple(f.shape)}"), f"{expected}, as the spectrum's function and the points")
    require_finite("values", f)
    with torch.no_grad():
        h = network.features(x)
        root = math.sqrt(ridge * len(x)) * torch.eye(h.shape[1], dtype=h.dtype, device=h.device)
        target = torch.cat([f.reshape(len(x), channels), h.new_zeros(h.shape[1], channels)])
        # rows for λ make the matrix of full rank: QR, and not the normal equations that square its condition
        network.output.copy_(torch.linalg.lstsq(torch.cat([h, root]), target, driver="gels").solution)
    return network


def units_of(network: nn.Module) -> Units:
    """(a, b, |c|) of a network with one hidden layer, in the sign of σ(a·x − b): b is minus the bias.

    Arguments:
        network: a `ShallowNetwork`, or an nn.Sequential of Linear, an activation and Linear.

    Returns:
        Units: a (unit, m), b (unit,), |c| (unit,), the norm over outputs; detached, on the network's device.

    Raises:
        InputError: another network.

    Example:
        >>> network = nn.Sequential(nn.Linear(1, 5), nn.Tanh(), nn.Linear(5, 1))
        >>> bool((units_of(network).offsets == -network[0].bias).all())
        True
    """
    if isinstance(network, ShallowNetwork):
        return Units(network.hidden.detach(), network.offsets.detach(), network.output.detach().norm(dim=1))
    layers = list(network) if isinstance(network, nn.Sequential) else []
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    if len(layers) != 3 or len(linear) != 2 or isinstance(layers[1], nn.Linear):
        names = ", ".join(type(layer).__name__ for layer in layers) or "no Sequential"
        found = Text(f"{type(network).__name__} of {names}")
        raise InputError("network", found, "nn.Sequential(Linear, activation, Linear), or a ShallowNetwork")
    first, last = linear
    bias = first.weight.new_zeros(first.out_features) if first.bias is None else first.bias
    return Units(first.weight.detach(), -bias.detach(), last.weight.detach().norm(dim=0))
