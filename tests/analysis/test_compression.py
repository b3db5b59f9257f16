"""Compression is said only of a fall from above the start, beyond the error of the same samples at two epochs (§D1)."""

import numpy as np
import pytest

import flowplane as fp
from flowplane.analysis.compression import compression

N = 200
CLASSES = np.arange(N) % 4


def layer_at(seed, spread):
    """Four clusters whose points lie this far from their centres, in ten dimensions."""
    rng = np.random.default_rng(seed)
    return 3.0 * np.eye(10)[CLASSES] + spread * rng.normal(size=(N, 10))


def recorded(spreads):
    return fp.from_arrays(
        {"layer": np.stack([layer_at(0, spread) for spread in spreads])}, CLASSES, epochs=range(len(spreads))
    )


@pytest.mark.parametrize(
    ("spreads", "expected"),
    [
        ([0.5, 2.0, 0.3], True),  # spreads out, then draws together
        ([2.0, 1.0, 0.3], False),  # falls, but from what it was untrained
        ([0.3, 1.0, 2.0], False),
        ([1.0, 1.0, 1.0], False),
    ],
)
def test_only_what_was_gained_can_be_lost(spreads, expected):
    rec = recorded(spreads)
    plane = fp.information_plane(rec)
    found = compression(rec, plane)
    assert bool(found.compresses.sel(layer="layer", resolution=0.1)) is expected
    if expected:
        at = found.sel(layer="layer", resolution=0.1)
        bits = plane.i_xt.sel(resolution=0.1, layer="layer").values[0]
        assert float(at.fall) == pytest.approx(bits[1] - bits[2], abs=1e-9) and float(at.peak) == 1
        assert float(at.fall_lower) > 0.5


def test_the_error_is_paired():
    """Draws at two epochs that differ a little: the difference is known far better than either value."""
    rec = fp.from_arrays({"layer": np.stack([layer_at(0, spread) for spread in (0.5, 1.0, 0.98)])}, CLASSES, epochs=range(3))
    plane = fp.information_plane(rec)
    found = compression(rec, plane).sel(layer="layer", resolution=0.1)
    assert float(found.fall_upper - found.fall) < 0.3 * 1.96 * float(plane.i_xt_error.sel(resolution=0.1)[0, 1, 0])


def test_the_report_says_it(tmp_path):
    page = fp.report(recorded([0.5, 2.0, 0.3]), tmp_path / "report.html").read_text()
    assert "1 of 1 layer compresses" in page and "at resolutions" in page
    page = fp.report(recorded([2.0, 1.0, 0.3]), tmp_path / "report.html").read_text()
    assert "o layer compresses." in page and "I(X;T) falls without having risen first" in page


def test_the_unit_that_holds_the_variance_is_named(tmp_path):
    rows = np.random.default_rng(0).normal(size=(2, N, 10))
    loud = rows * np.r_[np.ones(7), 80.0, 1.0, 1.0]
    rec = fp.from_arrays({"loud": loud, "even": rows}, CLASSES, epochs=range(2))
    assert "Unit 7 holds half of it or more in loud." in fp.explain(fp.information_plane(rec))
    assert "Unit 7 holds half of it or more in loud." in fp.report(rec, tmp_path / "report.html").read_text()
