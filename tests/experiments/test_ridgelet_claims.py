"""Verdicts on the integral representation, from data made to deserve them."""

import numpy as np
import pytest
import torch
import xarray as xr

from flowplane.experiments.ridgelet.reconstruction import (
    gaussian,
    gaussian_spectrum,
    origin_error,
    relative_error,
    truncated_gaussian,
)
from flowplane.experiments.ridgelet.ridgelet import WIDTHS, UncheckedPair, falls, truncation_verdict, width_claims, within
from flowplane.experiments.ridgelet.trained import NETWORKS, QUANTILES, share_above, units_claim
from flowplane.experiments.transport.flows import order_of
from flowplane.ridgelet import Pair, Units, transform


def test_sizes_within_a_limit():
    assert within(np.array([0.1, -0.2]), 0.2, fine=False) == "reproduced"
    assert within(np.array([0.1, 0.3]), 0.2, fine=True) == "contradicted"
    assert within(np.array([0.1, np.nan]), 0.2, fine=False) == "inconclusive"


def test_errors_that_fall():
    good = np.array([[1.0, 0.1, 0.01, np.nan], [0.5, 0.01, 0.009, 0.0095]])
    assert falls(good, 0.01, fine=True) == "reproduced"  # below the limit they may move
    assert falls(np.array([[1.0, 2.0, 0.01]]), 0.01, fine=True) == "contradicted"
    assert falls(np.array([[1.0, 0.5, 0.1]]), 0.01, fine=True) == "contradicted"
    assert falls(np.array([[1.0, 0.5, 0.1]]), 0.01, fine=False) == "inconclusive"


def test_verdicts_on_truncation():
    powers, reference = np.array([-2.95, -1.02]), np.array([-3.0, -1.0])
    assert truncation_verdict(powers, reference, 0.1, 0.001, fine=True) == "reproduced"
    assert truncation_verdict(powers + 1, reference, 0.1, 0.001, fine=True) == "contradicted"
    assert truncation_verdict(powers + 1, reference, 0.1, 0.001, fine=False) == "inconclusive"
    assert truncation_verdict(powers, reference, 0.1, 0.2, fine=True) == "inconclusive"


def claims_of(exponent, ratio, noise=0.1):
    rng = np.random.default_rng(0)
    drawn = np.array(WIDTHS, float)[:, None] ** exponent * np.exp(noise * rng.normal(size=(1, len(WIDTHS), 50)))
    fitted = drawn * ratio
    fitted[:, 3:], fitted[:, :, 20:] = np.nan, np.nan
    return width_claims(drawn, fitted, ["tanh"])


def test_verdicts_on_the_width():
    assert claims_of(-0.5, 0.01)[0].verdict == "reproduced"
    assert claims_of(-1.0, 0.01)[0].verdict == "contradicted"
    assert claims_of(-0.5, 0.01, noise=3.0)[0].verdict == "inconclusive"
    width, fitted = claims_of(-0.5, 0.01)
    assert width.measured[0] == pytest.approx(-0.5, abs=0.05)
    assert fitted.measured[0] == pytest.approx(-2) and fitted.verdict == "reproduced"
    assert "300 units" in fitted.statement and claims_of(-0.5, 2.0)[1].verdict == "inconclusive"


def test_powers():
    widths = np.array([10.0, 40.0, 200.0])
    np.testing.assert_allclose(order_of(widths, np.stack([widths**-0.5, 3 / widths])), [-0.5, -1.0])


def units_of_shares(own, other, untrained):
    rng = np.random.default_rng(1)
    share = 0.01 * rng.normal(size=(len(NETWORKS), 2, len(QUANTILES), 8))
    share[0] += untrained
    share[1:, 0] += own
    share[1:, 1] += other
    dims = ("network", "function", "quantile", "seed")
    coords = {"network": list(NETWORKS), "function": ["its own", "another"], "quantile": list(QUANTILES)}
    return units_claim(xr.Dataset({"share": (dims, share)}, coords))


def test_trained_units_count_only_beyond_both_controls():
    assert units_of_shares(0.6, 0.3, 0.1).verdict == "reproduced"
    assert units_of_shares(0.6, 0.6, 0.1).verdict == "inconclusive"
    assert units_of_shares(0.1, 0.0, 0.1).verdict == "inconclusive"
    claim = units_of_shares(0.6, 0.3, 0.1)
    assert claim.measured == pytest.approx((0.6, 0.6, 0.1, 0.3) * 2, abs=0.02)
    assert claim.role == "reported"


def test_even_units_have_their_share_by_chance():
    x = torch.linspace(-1, 1, 200, dtype=torch.float64)
    f = torch.sin(2 * torch.pi * x)
    spectrum = transform(f, x, grid=(60, 100))
    rng = torch.Generator().manual_seed(0)
    n = 4000
    # as even as the nodes are: by rows of the grid, which is not even in a
    row, offset = (torch.randint(size, (n,), generator=rng) for size in (60, 100))
    units = Units(spectrum.hidden[row], spectrum.offsets[row, offset], torch.ones(n))
    for quantile in (0.5, 0.9):
        expected = 1 - quantile
        deviation = np.sqrt(quantile * expected / n)
        assert share_above(spectrum, x, f, units, quantile) == pytest.approx(expected, abs=4 * deviation)


def test_what_truncation_keeps_is_what_comes_back():
    for m, grid in ((1, (60, 300)), (2, (40, 100))):
        x = np.random.default_rng(0).normal(size=(20, m))
        spectrum = gaussian_spectrum(Pair("gaussian"), m, 3.0, grid, 30)
        assert relative_error(spectrum.reconstruct(x), truncated_gaussian(Pair("gaussian"), x, 3.0)) < 1e-4
        assert relative_error(gaussian(x), truncated_gaussian(Pair("gaussian"), x, 3.0)) > 0.02
    for pair in (Pair("tanh"), Pair("relu")):
        expected = 1 - truncated_gaussian(pair, np.zeros((1, 2)), 4.0)[0]
        assert origin_error(pair, 4.0, 48) == pytest.approx(expected, rel=1e-3)


def test_nobody_checks_a_forced_pair():
    assert UncheckedPair("relu", 1).integral == pytest.approx(-0.5)
