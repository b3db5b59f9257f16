"""Is a map the gradient of a convex function, as the optimal one is? (§A7, Brenier)"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.core.points import check_count, check_seed
from flowplane.core.streams import SYMMETRY, generator
from flowplane.transport.estimate import Estimate
from flowplane.transport.maps.base import TransportMap

__all__ = ["brenier_defect"]

#: Step of the differences, as a part of the source's standard deviation.
STEP = 1e-3


def brenier_defect(flow: TransportMap, samples: int = 1000, *, seed: Any = 0) -> Estimate:
    """E‖A‖²/E‖J‖², A the antisymmetric part of the map's Jacobian J: 0 for a gradient, at most 1 (§A7).

    The optimal map is the gradient of a convex function, so that its Jacobian is symmetric (Brenier). Between particles the
    exact plan cannot see a small defect: it is the identity as long as the particles move less than they are apart. The
    Jacobian sees it.

    Arguments:
        flow: with a source density.
        samples: points of the source at which J is taken, by central differences.
        seed: of the points.

    Raises:
        InputError: a flow without source, samples below 2.

    Example:
        >>> import flowplane as fp
        >>> shallow = fp.denoising_flow(fp.Normal([0.0, 0.0], [[1.0, 0.6], [0.6, 1.5]]), 0.1, layers=1)
        >>> bool(brenier_defect(shallow) < 1e-12)
        True
    """
    source = flow.known_source()
    x = source.draw(check_count("samples", samples, 2), generator(check_seed(seed), SYMMETRY))
    jacobian = _jacobian(flow, x)
    skew = (jacobian - jacobian.transpose(1, 2)).square().sum((1, 2)) / 4
    size = jacobian.square().sum((1, 2)).mean()
    error = float(skew.std() / size) / samples**0.5
    return Estimate(float(skew.mean() / size), error, f"central differences at {samples} points", "1")


def _jacobian(flow: TransportMap, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature feature"]:
    step = STEP * float(x.std(0).mean())
    columns = []
    for direction in torch.eye(flow.dimension, dtype=x.dtype, device=x.device):
        ahead, behind = flow.forward(torch.cat([x + step * direction, x - step * direction])).chunk(2)
        columns.append((ahead - behind) / (2 * step))
    return torch.stack(columns, 2)
