"""B-10: is there compression without double saturation? Tanh, ReLU, linear and noisy networks, read by every estimator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from flowplane import plot
from flowplane.analysis.noisy import noisy_information
from flowplane.experiments.claim import Claim
from flowplane.experiments.information.readings import (
    ENOUGH_ROWS,
    NOT_SEEN,
    SEEN,
    at_peak,
    counted,
    curves_of,
    every_reader,
    for_training,
    of_shannon,
    read_by_all,
    readers_without_channel,
    readings,
)
from flowplane.experiments.registry import Context, Result
from flowplane.experiments.verdicts import sign, verdict_of_all
from flowplane.tasks import spherical_rule

__all__ = ["run"]

ACTIVATIONS = ("tanh", "relu", "linear")
#: The headline rests on at least this many estimators.
ENOUGH_ESTIMATORS = 3
#: Variance of the noise that is the channel of the estimators without one, and of that of the noisy network.
CHANNEL, OWN_NOISE = 0.01, 0.05
#: The samples are all the inputs there are: their number does no harm to the bins' plug-in estimate.
WAIVED = dict.fromkeys(("Binned", "Binned, snapshot"), ("too_few_samples",))
#: The share of intervals that must hold the truth, and of how many at least.
COVERED, ENOUGH_VALUES = 0.9, 20
#: The softmax saturates whatever the units before it do.
HIDDEN = slice(0, -1)


@dataclass(frozen=True)
class Scale:
    """What differs from scale to scale, besides `readings.SCALES`."""

    replicas: int
    snapshots: int
    noisy_epochs: int
    #: Outputs from which the information of the noisy network is integrated.
    draws: int
    epochs: int = 8000
    #: Those that are read, None for all: those that compress in the reference (B-1), and the softmax.
    layers: tuple[str, ...] | None = ("layer4", "layer5", "layer6")


SCALES = {
    "quick": Scale(replicas=4, snapshots=4, noisy_epochs=600, draws=1024),
    "full": Scale(replicas=5, snapshots=12, noisy_epochs=3000, draws=4096, layers=None),
    "tiny": Scale(replicas=2, snapshots=3, noisy_epochs=5, draws=64, epochs=20),
}


def run(context: Context) -> Result:
    """The reference network with tanh, ReLU and linear units, and one with noise of its own."""
    task, scale = spherical_rule(), SCALES[context.scale]
    chosen = every_reader(context.scale, CHANNEL)
    tables, rows, accuracy = {}, {}, {}
    for activation in ACTIVATIONS:
        rec = context.train(
            activation, task, activation=activation, replicas=scale.replicas, epochs=scale.epochs, snapshots=scale.snapshots
        )
        rec = rec.sel(layer=scale.layers)
        tables[activation] = read_by_all(rec, chosen, few={"Variational": for_training(rec, context.scale)})
        rows[activation] = readings(tables[activation], WAIVED)
        accuracy[activation] = float(rec.metrics["test_accuracy"].isel(train_epoch=-1).mean())
    noisy = context.train(
        "noisy-tanh",
        task,
        noise_variance=OWN_NOISE,
        replicas=scale.replicas,
        epochs=scale.noisy_epochs,
        snapshots=scale.snapshots,
    ).sel(layer=scale.layers)
    truth = noisy_information(noisy, draws=scale.draws, seed=context.seed)
    few = {"Variational": for_training(noisy, context.scale)}
    noisy_table = read_by_all(noisy, readers_without_channel(context.scale), few)
    rows["noisy tanh"] = readings(noisy_table)
    together = xr.concat(list(tables.values()), xr.Variable("network", list(tables)), combine_attrs="override")
    networks = xr.Variable("network", list(rows))
    verdicts = xr.concat(list(rows.values()), networks, join="outer", fill_value={"reading": "not read"})
    title = "Compression without saturation? The same networks, read by every estimator"
    return Result(
        datasets={"planes": together, "readings": verdicts, "noisy": noisy_table, "noisy-reference": truth},
        figures={
            "estimators": plot.estimator_curves(together, title),
            "noisy": plot.estimator_curves(
                _with_reference(noisy_table, truth), "A network with noise of its own, and the truth"
            ),
            "planes": plot.information_planes(_planes(tables), "The information plane, bins and noise as the channel"),
        },
        claims=_claims(rows, truth, noisy_table, accuracy),
    )


def _planes(tables: dict[str, xr.Dataset]) -> dict[str, xr.Dataset]:
    return {
        f"{activation}: {name}": table.sel(estimator=name)
        for name in ("Binned", "Monte Carlo")
        for activation, table in tables.items()
    }


def _with_reference(table: xr.Dataset, truth: xr.Dataset) -> xr.Dataset:
    """What the estimators say, the truth before them; without what each says of itself, which the truth does not."""
    both = [name for name in table.data_vars if name in truth]
    reference = truth[both].expand_dims(estimator=["Monte Carlo reference"])
    own = [name for name in table.coords if name not in reference.coords]
    return xr.concat([reference, table[both].drop_vars(own)], "estimator", combine_attrs="override")


def _claims(rows: dict[str, xr.Dataset], truth: xr.Dataset, noisy: xr.Dataset, accuracy: dict[str, float]) -> list[Claim]:
    claims = [_headline(rows)]
    for network in (*ACTIVATIONS, "noisy tanh"):
        hidden = of_shannon(rows[network].isel(layer=HIDDEN))
        found = counted(hidden)
        learned = f"; test accuracy {accuracy[network]:.3f}" if network in accuracy else ""
        statement = f"hidden layers of {network} networks compress: rows of {', '.join(found)}{learned}"
        decided = found[SEEN] + found[NOT_SEEN]
        verdict = "inconclusive"
        if decided >= ENOUGH_ROWS and abs(found[SEEN] - found[NOT_SEEN]) > decided / 2:
            verdict = "reproduced" if found[SEEN] > found[NOT_SEEN] else "contradicted"
        claims.append(
            Claim(
                id=f"B-10.{network.replace(' ', '-')}",
                role="reported",
                statement=statement,
                measured=tuple(map(float, found.values())),
                verdict=verdict,
                units="rows",
            )
        )
    return [*claims, _noisy_fall(truth), _held_to_the_truth(truth, noisy)]


def _headline(rows: dict[str, xr.Dataset]) -> Claim:
    """Judged by the estimators of Shannon's information that see compression in some hidden layer of the tanh network:
    others could not see it."""
    tanh = of_shannon(rows["tanh"].isel(layer=HIDDEN))
    able = tanh["estimator"].values[(tanh["reading"] == SEEN).any("layer").values].tolist()
    parts = [rows[name].isel(layer=HIDDEN).sel(estimator=able) for name in ("relu", "linear")]
    found = {key: sum(counted(part)[key] for part in parts) for key in (SEEN, NOT_SEEN)}
    if len(able) < ENOUGH_ESTIMATORS or sum(found.values()) < ENOUGH_ROWS:
        verdict = "inconclusive"
    elif found[SEEN] == 0:
        verdict = "reproduced"
    else:
        verdict = "contradicted" if found[SEEN] >= found[NOT_SEEN] else "inconclusive"
    statement = (
        "no compression without double saturation: hidden layers of ReLU and linear networks in which estimators that see "
        f"it under tanh ({', '.join(able) or 'none'}) see it, and do not see it"
    )
    return Claim(
        id="B-10",
        role="headline",
        statement=statement,
        measured=(float(found[SEEN]), float(found[NOT_SEEN])),
        reference=(0.0, float(sum(found.values()))),
        verdict=verdict,
        units="rows",
    )


def _noisy_fall(truth: xr.Dataset) -> Claim:
    """Where I(X;T) is well defined: the fall of the true value from its peak."""
    i_xt = np.nan_to_num(curves_of(truth.sel(layer=["layer4", "layer5"]), "i_xt"))
    statement = "a tanh network with noise of its own compresses: fall of its true I(X;T) from the peak, layers 4 and 5"
    return Claim(id="B-10.noisy", role="part", statement=statement, **sign(at_peak(i_xt)[0] - i_xt[:, -1]), units="bits")


def _held_to_the_truth(truth: xr.Dataset, table: xr.Dataset) -> Claim:
    """For each estimator of Shannon's information the share of its unflagged intervals that holds the true I(X;T)."""
    names, shares, verdicts = [], [], []
    for name in (name for name in ("KSG", "GaussianMI", "Variational") if name in table["estimator"]):
        part = table.sel(estimator=name)
        usable = np.isfinite(part["i_xt_lower"].values) & ((part["i_xt_flags"] | part["i_ty_flags"]).values == 0)
        reference = truth["i_xt"].transpose(*part["i_xt"].dims).values
        held = (part["i_xt_lower"].values <= reference) & (reference <= part["i_xt_upper"].values)
        names.append(f"{name} ({int(usable.sum())} values)")
        shares.append(float(held[usable].mean()) if usable.any() else np.nan)
        verdicts.append(coverage_verdict(int(held[usable].sum()), int(usable.sum())))
    return Claim(
        id="B-10.truth",
        role="part",
        statement=f"unflagged 95 % intervals hold the true I(X;T) of the noisy network: share, {', '.join(names)}",
        measured=tuple(shares),
        reference=(0.95,) * len(shares),
        tolerance=(0.05,) * len(shares),
        verdict=verdict_of_all(verdicts),
        units="share",
    )


def coverage_verdict(held: int, values: int) -> str:
    """Whether the intervals hold the truth as often as ones of 90 % or more would; few values decide nothing.

    Example:
        >>> coverage_verdict(5, 6), coverage_verdict(30, 60), coverage_verdict(57, 60)
        ('inconclusive', 'contradicted', 'reproduced')
    """
    from scipy.stats import binom

    if values and binom.cdf(held, values, COVERED) < 0.05:
        return "contradicted"
    return "reproduced" if values >= ENOUGH_VALUES and held >= COVERED * values else "inconclusive"
