"""What the experiment on the bridge makes of readings made to be judged."""

import numpy as np
import pytest
import xarray as xr

from flowplane.experiments.bridge import bridge
from flowplane.experiments.bridge.pairs import PAIRS
from flowplane.information.ksg import KSG

DIMS = ("replica", "epoch", "layer")


def plane(shift=0.0, error=0.001):
    values = np.linspace(1.0, 9.0, 12).reshape(2, 2, 3)
    found = {"i_xt": (DIMS, values + shift), "i_ty": (DIMS, values / 10)}
    ends = {f"{name}_{side}": (DIMS, found[name][1] + sign * 1.96 * error) for name in found for side, sign in ENDS}
    return xr.Dataset(found | ends)


ENDS = (("lower", -1), ("upper", 1))


@pytest.mark.parametrize(
    ("shift", "error", "verdict"),
    [(0.005, 0.001, "reproduced"), (0.1, 0.001, "contradicted"), (-0.1, 0.001, "contradicted"), (0.1, 0.05, "reproduced")],
)
def test_the_same_plane_twice(shift, error, verdict):
    claim = bridge._exact(plane(shift, error), plane(0.0, error))
    assert claim.verdict == verdict
    assert claim.measured[0] == pytest.approx(abs(shift)) and claim.measured[1] == 0


@pytest.mark.parametrize(("above", "verdict"), [(0.5, "reproduced"), (0.0, "contradicted"), (-0.5, "contradicted")])
def test_what_is_not_the_best_denoiser(above, verdict):
    assert bridge._untrained(plane(), plane(above)).verdict == verdict


@pytest.mark.parametrize(("bent", "verdict"), [(0.0, "reproduced"), (0.3, "contradicted")])
def test_entropy_and_fisher_information(bent, verdict):
    share = np.geomspace(0.01, 10, 13)
    bits = 0.5 * np.log2(1 + 1 / share)[None, None, None]
    dims = (*DIMS, "resolution")
    found = {
        "information": (dims, bits),
        "information_lower": (dims, bits - 0.002),
        "information_upper": (dims, bits + 0.002),
        "information_by_density": (dims, bits * (1 + bent)),
        "information_by_density_error": (dims, np.full(bits.shape, 0.001)),
    }
    assert bridge._de_bruijn(xr.Dataset(found, {"resolution": share})).verdict == verdict


@pytest.mark.parametrize(
    ("value", "label", "verdicts"),
    [(20.1, 0.001, ("reproduced",) * 2), (9.0, 0.001, ("contradicted", "reproduced")), (23.0, 0.2, ("contradicted",) * 2)],
)
def test_the_ceiling(value, label, verdicts):
    dims = ("estimator", "slice")
    found = xr.Dataset(
        {"i_xt": (dims, [[8.9, 8.9], [value, value]]), "i_ty": (dims, [[0.5, 0.5], [label, label]])},
        {"estimator": ["Pairwise", "Denoising"]},
    )
    assert tuple(claim.verdict for claim in bridge._ceiling(found)) == verdicts


@pytest.mark.parametrize(
    ("off", "shuffled", "verdicts"), [(0.05, 0.01, ("reproduced",) * 2), (0.3, 0.2, ("contradicted",) * 2)]
)
def test_the_benchmark(off, shuffled, verdicts):
    dims = ("estimator", "target")
    found = xr.Dataset(
        {
            "value": (dims, [[0.4 + off, 0.4 - off], [0.3, 0.3]]),
            "shuffled": (dims, [[shuffled, np.nan], [np.nan, np.nan]]),
            "truth": ("target", [0.4, 0.4]),
        },
        {"estimator": ["Denoising", "KSG"]},
    )
    assert tuple(claim.verdict for claim in bridge._benchmark(found, 2000)) == verdicts


@pytest.mark.parametrize("name", ["wiggly 1 + 1", "half-cube 1 + 1", "Student 1 + 1, ν = 1", "normal 2 + 2"])
def test_pairs_hold_what_they_are_said_to(name):
    """By nearest neighbours, of the ranks where tails are heavy: they have the same information."""
    x, t = PAIRS[name].sample(3000, 0)
    x, t = (values.argsort(0).argsort(0) / len(values) for values in (x, t))
    found = KSG()(t, inputs=x)
    assert abs(float(found.i_xt) * np.log(2) - PAIRS[name].nats) < 0.08
