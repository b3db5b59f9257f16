"""The one form in which every information estimator answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from flowplane.core.results import CONFIDENCE, Flags, with_flags

__all__ = ["FLAGS", "QUANTITIES", "estimate_dataset", "parameters_text"]

#: What an estimator gives, and what a sentence calls it.
QUANTITIES = {"i_xt": "I(X;T)", "i_ty": "I(T;Y)", "h_t": "H(T)"}

#: Why a value may not be trustworthy, and what to do.
FLAGS = Flags(
    {
        "saturated": (
            "almost every input occupies its own cell; the estimate has saturated at log2 n",
            "It reflects the number of samples, not what the layer knows: use wider bins, more noise, more samples, or "
            "Denoising, which does not stop there.",
        ),
        "clipped": (
            "values fell outside the range of the bins and went into the end bins",
            "Bins that cover all values (range='data') would resolve more.",
        ),
        "constant_units": (
            "at least one unit is constant over the samples",
            "Constant units carry no information, and a layer in which units died (ReLU stuck at 0) looks like one that "
            "compresses: check its activations; a lower learning rate or another initialisation may help.",
        ),
        "ties": (
            "equal values where the estimator assumes a continuous distribution",
            "Add noise (noise_variance=), which makes the values continuous, or use an estimator of discrete values "
            "(Binned). Decodable cuts a label whose values repeat into ten classes, and its bound stands.",
        ),
        "too_few_samples": (
            "too few samples for the dimension or the number of occupied bins",
            "The value is biased by more than its interval says: use more samples, fewer dimensions (SlicedMI) or coarser "
            "bins.",
        ),
        "ill_conditioned": (
            "the covariance is close to singular",
            "Some units are linear functions of others, or of x, and the value rests on rounding errors: leave such units "
            "out, or use noise (Pairwise).",
        ),
        "no_inputs": (
            "I(X;T) needs the inputs, which were not given",
            "Pass inputs=, or an estimator whose channel makes every sample its own x (Binned, Pairwise).",
        ),
        "no_labels": ("I(T;Y) needs labels or their conditional, which were not given", "Pass labels= or conditional=."),
        "deterministic": (
            "I(X;T) of a deterministic network is infinite without bins or noise",
            "A finite number would describe the estimator, not the network. Use bins, or noise_variance=, as a channel.",
        ),
        "weighted": (
            "p(x) is not uniform, and this estimator takes samples without weights",
            "Draw samples from p(x), or use Binned, Pairwise, GaussianMI or MatrixRenyi.",
        ),
        "not_gaussian": (
            "the samples are not normally distributed, as this estimator assumes",
            "The value is that of a normal distribution with the same covariance, and the truth may lie on either side: "
            "compare with KSG or Denoising.",
        ),
        "batch_ceiling": (
            "the value is so near log2 of the batch size that a variational estimate may have stopped short",
            "The truth may be much larger: use a larger batch_size, or an estimator without this ceiling.",
        ),
        "heavy_tails": (
            "a few values lie so far out that their nearest neighbours say little of the density there",
            "Transform the values (their ranks have the same information), or use Binned(range='quantiles').",
        ),
        "not_converged": (
            "the network did not learn to do better on samples held out, did much better on those it learned from, was "
            "still learning when it was stopped, or two ways to read it lie far apart",
            "The truth may be larger: use more samples or, for a critic, more epochs.",
        ),
        "unequal_scales": (
            "some coordinates vary so much less than others that distances hardly depend on them",
            "What the smaller ones know is lost: rescale all to the same spread, which does not change the information.",
        ),
        "labels_only": (
            "this estimator reads only I(T;Y)",
            "For I(X;T) and H(T) use another, such as Pairwise(0.1, relative='total').",
        ),
        "rare_classes": (
            "classes with fewer than five samples of their own cannot be held out and count as not decodable",
            "The bound holds, but is lower because of them: use more samples of those classes.",
        ),
        "not_a_function": (
            "T is not a function of x: equal or close inputs have different values, and this noise counts as information",
            "Use an estimator that takes the inputs as they are (KSG, Variational).",
        ),
        "few_directions": (
            "fewer than two directions hold the layer's variance, and the resolution is a share of that",
            "What the other directions distinguish is hidden: look at smaller resolutions, or at decodable information.",
        ),
        "width_limited": (
            "the noise per unit is so large that the value only adds up the units' variances: a wider layer reads higher",
            "Use noise in proportion to the total variance (relative='total'), which means the same in every layer.",
        ),
        "contradicted": (
            "a probe decodes more about the label than this estimate, with its interval, allows",
            "The estimate is wrong here. Use the decodable information (Decodable), a lower bound on the same quantity.",
        ),
        "hidden_by_channel": (
            "a probe decodes more about the label than passes through this estimate's bins or noise",
            "Not a contradiction: the layer holds more than the channel lets through. Use finer bins, or less noise.",
        ),
        "loose": (
            "denoisers fitted to other samples do so much worse that this upper bound is loose",
            "It holds, but lies above that of a normal with the same covariance: use more samples, or more noise.",
        ),
        "impossible": (
            "the denoisers read more than a label with this number of classes can carry",
            "They have not learned the layer's density: use more samples, or Decodable, a lower bound.",
        ),
        "no_noise": (
            "the entropy of a layer without noise cannot be found by denoising",
            "Add noise to the layer (noise_variance above 0), or use KSG.",
        ),
    }
)


def estimate_dataset(
    dims: tuple[str, ...],
    coords: dict[str, Any],
    values: Mapping[str, np.ndarray],
    flags: Mapping[str, np.ndarray],
    *,
    intervals: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
    errors: Mapping[str, np.ndarray] | None = None,
    about: Mapping[str, Any],
) -> xr.Dataset:
    """`i_xt`, `i_ty`, `h_t` in bits, each with `_lower` and `_upper` (NaN where there is no interval) and `_flags`.

    Arguments:
        values: the three quantities; one that the estimator cannot give is NaN, with a flag.
        flags: of each quantity, bits of `FLAGS`.
        errors: standard errors, where they are given.
        about: `channel`, the bins or the noise that make the information finite, `estimator`, `parameters` and what else is
            to be said of all quantities; under the name of a quantity, what holds for that one alone, such as `bound`.
    """
    of_all = {key: value for key, value in about.items() if key not in QUANTITIES}
    variables: dict[str, Any] = {}
    for name, value in values.items():
        title = QUANTITIES[name]
        own = {"units": "bits", "long_name": title, "bound": "estimate", **of_all, **about.get(name, {})}
        variables[name] = (dims, value, own)
        bounds = (intervals or {}).get(name, (np.full_like(value, np.nan),) * 2)
        for side, end in zip(("lower", "upper"), bounds, strict=True):
            variables[f"{name}_{side}"] = (dims, end, {"units": "bits", "long_name": f"{title}, {side} end"})
        if errors is not None:
            variables[f"{name}_error"] = (dims, errors[name], {"units": "bits", "long_name": f"{title}, standard error"})
        variables[f"{name}_flags"] = (dims, np.asarray(flags[name]).astype(np.int32), FLAGS.attrs(title))
    return with_flags(xr.Dataset(variables, coords, {"confidence": CONFIDENCE}))


def parameters_text(parameters: Mapping[str, Any]) -> str:
    """Arguments of an estimator as one reads them.

    Example:
        >>> parameters_text({"bins": 30, "range": "activation"})
        "bins=30, range='activation'"
    """
    return ", ".join(f"{name}={value!r}" for name, value in parameters.items())
