"""How near the layers of a recording come to the information bottleneck's bound."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Bool, Float

from flowplane.analysis.reading import BINS
from flowplane.bottleneck.curve import ib_curve
from flowplane.bottleneck.distance import CurveLine, curve_line
from flowplane.bottleneck.encoder import symbol_beta
from flowplane.core.measure import LayerFacts
from flowplane.core.renamed import renamed
from flowplane.core.results import stamp, with_flags
from flowplane.errors import InputError, Text
from flowplane.information.arguments import checked_labelling
from flowplane.information.binned import Binned
from flowplane.recording import Recording, kept_value, require_recording
from flowplane.tasks import Task

__all__ = ["layer_betas"]

_SOFT = (
    "a task with a soft rule, such as fp.tasks.spherical_rule(information=0.99), or rule= with one, p(y|x) (sample, class)"
)


@renamed
def layer_betas(
    rec: Recording, *, estimator: Binned | None = None, betas: Any = None, curve: xr.Dataset | None = None, rule: Any = None
) -> xr.Dataset:
    """For every layer the β whose self-consistent equations its binned encoder p(t|x) fits best, how well, and how far it
    is from the curve (§B6).

    β* = argmin_β E_x KL(p(t|x) ‖ p_β(t|x)), where p_β(t|x) ∝ p(t) exp(−β KL(p(y|x) ‖ p(y|t))) is made of the layer's own
    p(t) and p(y|t), over all of the task's inputs. The residual is that divergence: 0 for a solution, at most I(X;T), which
    it is at β = 0.

    See also: Shwartz-Ziv and Tishby (2017), arXiv 1703.00810, claims B-4 and B-9 of docs/papers.md;
    `flowplane.bottleneck.encoder.encoder_beta` for your own encoders.

    Arguments:
        rec: of networks without noise of their own; `rec.thin(20)` shows twenty of its snapshots.
        estimator: the bins; `fp.Binned(30)` if None.
        betas: the least and the greatest of these bound the search; 0.01 and 10,000 if None.
        curve: from `fp.ib_curve`, of the same p(x, y); computed if None.
        rule: p(y|x), (sample, class), in place of the task's own; equal inputs get their mean.

    Returns:
        Dataset (replica, epoch, layer): `beta_star`; `edge`, 1 where it is the greatest β (a layer with T = X has β* = ∞),
        −1 the least, else 0; `residual`, `residual_merged` = what is left of it without I(X;T|p(y|x)), which no solution
        keeps; `i_xt`, `i_ty`, `distance_vertical` = I(T;Y) on the curve at this I(X;T) less
        I(T;Y), and `distance_horizontal` = I(X;T) less the least that leaves this I(T;Y), in bits; `flags` of the
        estimator. Attributes: `betas` searched, `information` = I(X;Y) in bits, the bins and the estimator.

    Raises:
        InputError: not a Recording, hard labels without a rule, an invalid or hard rule, an estimator other than Binned or
            one that corrects, noisy networks, or what `curve_line` refuses.

    Example:
        >>> import flowplane as fp
        >>> from flowplane.bottleneck.curve import ib_curve
        >>> task = fp.tasks.spherical_rule(information=0.99)
        >>> rec = fp.train(task, hidden=(4,), replicas=2, epochs=2, snapshots=3, labels="sampled")
        >>> found = layer_betas(rec.thin(2), curve=ib_curve(task.joint, [1.1, 2.0, 10.0]))
        >>> dict(found.beta_star.sizes), found.residual.units, bool((found.residual <= found.i_xt).all())
        ({'replica': 2, 'epoch': 2, 'layer': 2}, 'bits', True)
    """
    rec = require_recording(rec)
    binned = BINS if estimator is None else estimator
    if not isinstance(binned, Binned) or binned.correction is not None:
        raise InputError("estimator", binned, "fp.Binned without a correction: its bins make the encoder p(t|x)")
    possible, joint = _law(rec.task, rule)
    computed = kept_value(rec, ("ib_curve", joint), lambda: ib_curve(joint)) if curve is None else curve
    line = curve_line(computed, joint)
    found = rec.measure(_LayerBeta(binned, possible, joint, line, betas))
    return stamp(found, "layer_betas", rule="the task's" if rule is None else "given", **rec.identity)


@dataclass(frozen=True, eq=False)
class _LayerBeta:
    """β*, residual and distances of a layer, as a measure."""

    estimator: Binned
    possible: Bool[np.ndarray, " sample"]
    joint: Float[np.ndarray, "x class"]
    line: CurveLine
    betas: Any

    def prepared(self, layer: LayerFacts) -> _LayerBeta:
        return replace(self, estimator=self.estimator.prepared(layer))

    def __call__(self, activations: Any, labels: Any = None, **known: Any) -> xr.Dataset:
        plane = self.estimator(activations, labels, **known)
        found = symbol_beta(self.estimator.cells(activations[..., self.possible, :]), self.joint, self.betas)
        bits = {"units": "bits"}
        below = self.line.information(found.i_xt.values) - found.i_ty.values
        beyond = found.i_xt.values - self.line.compression(found.i_ty.values)
        found["distance_vertical"] = (found.i_xt.dims, below, {**bits, "long_name": "curve at I(X;T), less I(T;Y)"})
        found["distance_horizontal"] = (found.i_xt.dims, beyond, {**bits, "long_name": "I(X;T) less the least for I(T;Y)"})
        for name in ("i_xt", "i_ty"):
            found[name].attrs |= plane[name].attrs
            found[f"{name}_flags"] = plane[f"{name}_flags"]
        return with_flags(found)


def _law(task: Task, rule: Any) -> tuple[Bool[np.ndarray, " sample"], Float[np.ndarray, "x class"]]:
    """Which samples can occur, and p(x, y) of those, one row per sample; samples with equal inputs share their p(y|x)."""
    if rule is None and task.conditional is None:
        raise InputError("rec", Text("a recording of a task with hard labels"), _SOFT)
    given = task.conditional if rule is None else rule
    try:
        soft = checked_labelling(None, given, len(task), torch.device("cpu"))[1]
    except InputError as error:
        raise InputError("rule", error.found, error.expected) from error
    assert soft is not None
    place = np.unique(task.inputs, axis=0, return_inverse=True)[1].ravel()
    joint = np.zeros((place.max() + 1, soft.shape[1]))
    np.add.at(joint, place, task.probability[:, None] * soft.numpy())
    mass = joint.sum(1)
    possible = task.probability > 0
    shared = joint[place[possible]] / mass[place[possible], None]
    if ((shared == 0) | (shared == 1)).all():
        raise InputError("rule", Text("a hard rule: each p(y|x) is 0 or 1"), _SOFT)
    return possible, task.probability[possible, None] * shared
