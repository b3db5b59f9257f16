"""Which torch functions count as layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from flowplane.recorder.tracing.coordinates import Coordinates
from flowplane.recorder.tracing.rules import CONVOLVED, PRODUCTS, Known

__all__ = ["ADDITION", "STATISTICS", "kind_of_function"]

NONLINEARITIES = {
    *("relu", "relu6", "gelu", "silu", "elu", "selu", "celu", "leaky_relu", "prelu", "rrelu", "tanh", "sigmoid", "hardtanh"),
    *("hardswish", "hardsigmoid", "softplus", "softsign", "softmin", "mish", "logsigmoid", "log_sigmoid", "glu", "softmax"),
    *("log_softmax", "gumbel_softmax", "tanhshrink", "softshrink", "hardshrink", "threshold", "sin", "cos"),
}
ATTENTION = {"scaled_dot_product_attention", "multi_head_attention_forward"}
POOLING = {
    f"{kind}_pool{d}d" for kind in ("max", "avg", "lp", "adaptive_avg", "adaptive_max", "fractional_max") for d in (1, 2, 3)
} | {f"{name}_with_indices" for name in ("max_pool1d", "max_pool2d", "max_pool3d")}
MEANS = {"mean", "amax", "max"}
#: Functions that take a mean or a maximum, of some places or of all.
STATISTICS = {
    "mean": {"mean", *(name for name in POOLING if "avg" in name)},
    "max": {"amax", "max", *(name for name in POOLING if "max" in name)},
}
WEIGHTED = {"linear", "bilinear", "embedding", *CONVOLVED, *PRODUCTS}
ADDITION = "addition"


def kind_of_function(
    name: str, args: Sequence[Any], found: Coordinates | None, owners: Sequence[str], known: Known | None
) -> str | None:
    """What kind of layer a call is: "nonlinearity", "attention", "pooling", "concatenation", "addition", "weights"; None.

    Arguments:
        found: coordinates of what it returned.
        owners: of parameters among its arguments, the modules.
        known: coordinates of its arguments; None where none are carried.
    """
    if name in NONLINEARITIES:
        return "nonlinearity"
    if name in ATTENTION:
        return "attention"
    if name in POOLING:
        return "pooling"
    if name in ("cat", "concat", "concatenate"):
        return "concatenation"
    if owners and name in WEIGHTED:
        return "weights"
    if name == "add" and len(args) > 1 and all(isinstance(each, Tensor) for each in args[:2]):
        return ADDITION if args[0].shape == args[1].shape and _both(args, known) else None
    if name in MEANS and known is not None and isinstance(args[0], Tensor):
        own = known(args[0])
        fewer = found is not None and own is not None and len(found.shape) < len(own.shape)
        units = found is not None and found.unit is not None and found.unit.numel() > 1
        return "pooling" if fewer and units else None
    return None


def _both(args: Sequence[Any], known: Known | None) -> bool:
    if known is None or any(isinstance(each, nn.Parameter) for each in args[:2]):
        return known is None
    owns = [known(each) for each in args[:2]]
    return all(own is not None and own.sample is not None for own in owns)
