"""How slowly plain Blahut-Arimoto steps come to rest: what shows the critical points of the bottleneck (B6, B-9)."""

from __future__ import annotations

from typing import Any

import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from flowplane.bottleneck.blahut_arimoto import step
from flowplane.bottleneck.joint import Merged, check_betas, checked_joint, merged
from flowplane.core.points import check_count, check_positive
from flowplane.core.threads import one_thread

__all__ = ["slowing_down"]


@one_thread()
def slowing_down(joint: Any, betas: Any, *, tolerance: float = 1e-12, most: int = 20_000) -> xr.Dataset:
    """How many plain Blahut-Arimoto steps each β takes: critical slowing down, a peak at each critical β (B6, B-9).

    Every β starts from nearly T = X on the distinct p(y|x), half its own symbol and half what all share, and is at rest when
    a step lowers I(X;T) − βI(T;Y) by less than `tolerance`.

    Arguments:
        joint: p(x, y), rows x; or a Task.
        betas: the order is kept.
        tolerance: nats.
        most: steps after which a β is given up.

    Returns:
        Dataset (beta): `steps`, and `capped` where they were not enough.

    Raises:
        InputError: no joint distribution, β or a tolerance that is not above 0, fewer than one step.

    Example:
        >>> found = slowing_down([[0.4, 0.1], [0.1, 0.4]], [1.5, 1 / 0.36, 6.0])
        >>> int(found.steps.values.argmax()), bool(found.capped.any())
        (1, False)
    """
    law = merged(checked_joint(joint))
    given = check_betas(betas)
    tolerance, most = check_positive("tolerance", tolerance), check_count("most", most)
    n = len(law.mass)
    start = (0.5 * torch.eye(n, dtype=torch.float64) + 0.5 * law.mass).log()
    encoder = start.expand(len(given), -1, -1).clone()
    beta = torch.from_numpy(given)
    steps = torch.full((len(given),), most)
    running = torch.arange(len(given))
    before = _lagrangian(law, encoder, beta)
    for count in range(1, most + 1):
        encoder = step(law.mass, law.conditional, encoder, beta[running])
        now = _lagrangian(law, encoder, beta[running])
        still = before - now >= tolerance
        steps[running[~still]] = count
        if not bool(still.all()):
            encoder, now, running = encoder[still], now[still], running[still]
        before = now
        if len(running) == 0:
            break
    capped = torch.zeros(len(given), dtype=torch.bool).index_fill_(0, running, True)
    return xr.Dataset(
        {"steps": ("beta", steps.numpy()), "capped": ("beta", capped.numpy())},
        {"beta": given},
        {"tolerance": tolerance, "most": most},
    )


def _lagrangian(law: Merged, encoder: Float[Tensor, "beta state cluster"], betas: Tensor) -> Float[Tensor, " beta"]:
    """I(X;T) − βI(T;Y) + βI(X;Y) in nats, of log p(t|x)."""
    together = law.mass[:, None] * encoder.exp()
    joint = together.mT @ law.conditional
    p_t = together.sum(1)
    entropy = torch.special.entr
    i_xt = entropy(p_t).sum(1) - entropy(encoder.exp()).sum(2) @ law.mass
    lost = entropy(joint).sum((1, 2)) - entropy(p_t).sum(1) - entropy(law.conditional).sum(1) @ law.mass  # H(Y|T) − H(Y|X)
    return i_xt + betas * lost
