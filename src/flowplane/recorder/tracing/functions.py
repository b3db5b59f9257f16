"""Which torch functions count as layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from flowplane.recorder.tracing.coordinates import Coordinates
from flowplane.recorder.tracing.operations import CONVOLVED, PRODUCTS, Known

__all__ = ["ADDITION", "STATISTICS", "is_layer", "kind_of_function"]

NONLINEARITIES = {
    *("relu", "relu6", "gelu", "silu", "elu", "selu", "celu", "leaky_relu", "prelu", "rrelu", "tanh", "sigmoid", "hardtanh"),
    *("hardswish", "hardsigmoid", "softplus", "softsign", "softmin", "mish", "logsigmoid", "log_sigmoid", "glu", "softmax"),
    *("log_softmax", "gumbel_softmax", "tanhshrink", "softshrink", "hardshrink", "threshold", "sin", "cos", "erf", "abs"),
    *("clamp", "clamp_min", "clip", "maximum", "minimum", "square", "pow", "exp"),
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


def kind_of_function(name: str, args: Sequence[Any], shape: Sequence[int], owners: Sequence[str]) -> str | None:
    """What kind of layer a call may be: "nonlinearity", "attention", "pooling", "concatenation", "addition", "weights".

    Arguments:
        shape: of what it returned.
        owners: of parameters among its arguments, the modules.

    Returns:
        None for a call that is not a layer, whatever its tensors come from.
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
    tensors = [each for each in args[:2] if isinstance(each, Tensor)]
    if name == "add" and len(tensors) == 2 and not owners:
        return ADDITION if tensors[0].shape == tensors[1].shape else None
    if name in MEANS and tensors and args[0] is tensors[0]:
        return "pooling" if len(shape) < tensors[0].ndim else None
    return None


def is_layer(kind: str, name: str, args: Sequence[Any], found: Coordinates | None, known: Known) -> bool:
    """Whether such a call is a layer, by where its numbers come from: a sum is one of two tensors of the samples, a mean
    one that leaves units.

    Arguments:
        found: coordinates of what it returned.
        known: coordinates of its arguments.
    """
    if kind == ADDITION:
        owns = [known(each) for each in args[:2]]
        return all(own is not None and own.sample is not None for own in owns)
    if kind == "pooling" and name in MEANS:
        return found is not None and found.unit is not None and found.unit.numel() > 1
    return True
