"""How slowly plain Blahut–Arimoto steps converge, which shows the critical points of the bottleneck (§B6, B-9)."""

from __future__ import annotations

from typing import Any

import torch
import xarray as xr

from flowplane.bottleneck.blahut_arimoto import step
from flowplane.bottleneck.joint import check_betas, checked_joint, merged
from flowplane.core.points import check_count, check_positive
from flowplane.core.results import stamp
from flowplane.core.threads import one_thread

__all__ = ["slowing_down"]


@one_thread()
def slowing_down(joint: Any, betas: Any, *, tolerance: float = 1e-10, most: int = 20_000) -> xr.Dataset:
    """How many plain Blahut–Arimoto steps each β takes: critical slowing down, a peak at each critical β (§B6, B-9).

    Every β starts from nearly T = X on the distinct p(y|x), half its own symbol and half what all share, and ends when a
    step moves no p(t|x) by `tolerance` in total variation. That must be small: where a cluster enters, a step moves it by
    1e-7 in the reference task, and lowers the Lagrangian by the square of that, while it still has far to go.

    Arguments:
        joint: p(x, y), rows x; or a Task.
        betas: the order is kept.
        tolerance: of the total variation, a probability.
        most: steps after which the iteration at a β stops.

    Returns:
        Dataset (beta): `steps`, and `capped` where they were not enough.

    Raises:
        InputError: not a joint distribution, β or a tolerance that is not above 0, fewer than one step.

    Example:
        >>> found = slowing_down([[0.4, 0.1], [0.1, 0.4]], [1.5, 1 / 0.36, 6.0])
        >>> int(found.steps.values.argmax()), found.capped.values.tolist()
        (1, [False, True, False])
    """
    law = merged(checked_joint(joint))
    given = check_betas(betas)
    tolerance, most = check_positive("tolerance", tolerance), check_count("most", most)
    n = len(law.mass)
    start = (0.5 * torch.eye(n, dtype=torch.float64, device="cpu") + 0.5 * law.mass).log()
    encoder = start.expand(len(given), -1, -1).clone()
    beta = torch.from_numpy(given)
    steps = torch.full((len(given),), most, device="cpu")
    running = torch.arange(len(given), device="cpu")
    for count in range(1, most + 1):
        following = step(law.mass, law.conditional, encoder, beta[running])
        still = (following.exp() - encoder.exp()).abs().sum(2).amax(1) / 2 >= tolerance
        steps[running[~still]] = count
        encoder, running = following[still], running[still]
        if len(running) == 0:
            break
    capped = torch.zeros(len(given), dtype=torch.bool, device="cpu").index_fill_(0, running, True)
    found = {"steps": ("beta", steps.numpy()), "capped": ("beta", capped.numpy())}
    dataset = xr.Dataset(found, {"beta": given}, {"tolerance": tolerance, "most": most})
    return stamp(dataset, "critical_slowing_down")
