"""What the experiments on the information bottleneck's bound make of layers made to be judged."""

import numpy as np
import pytest
import xarray as xr

from flowplane.experiments.information.critical_points import placement_test
from flowplane.experiments.information.ib_bound import claims_of


def layers(below=0.01, residual=0.02, fall=0.5, spread=0.001, replicas=8):
    rng = np.random.default_rng(0)
    shape = (replicas, 2, 3)
    dims = ("replica", "epoch", "layer")

    def around(values):
        return (dims, values + spread * rng.normal(size=shape))

    star = 10 ** (2.0 - fall * np.arange(3) + spread * rng.normal(size=shape))
    edge = np.zeros(shape, int)
    edge[..., 0] = 1
    return xr.Dataset(
        {
            "beta_star": (dims, star),
            "edge": (dims, edge),
            "residual": around(residual),
            "residual_merged": around(0.5 * residual),
            "i_xt": (dims, np.ones(shape)),
            "distance_vertical": around(below),
            "distance_horizontal": around(0.3),
        },
        {"replica": range(replicas), "epoch": [0, 10], "layer": ["layer1", "layer2", "layer3"]},
    )


@pytest.mark.parametrize(
    ("changes", "verdicts"),
    [
        ({}, {"B-4": "reproduced", "B-4.near": "reproduced", "B-4.equations": "reproduced", "B-4.depth": "reproduced"}),
        ({"residual": 0.4}, {"B-4": "contradicted", "B-4.near": "reproduced", "B-4.equations": "contradicted"}),
        ({"below": 0.2}, {"B-4": "contradicted", "B-4.near": "contradicted", "B-4.equations": "reproduced"}),
        ({"below": 0.049, "spread": 0.01}, {"B-4": "inconclusive", "B-4.near": "inconclusive"}),
        ({"fall": -0.5}, {"B-4": "reproduced", "B-4.depth": "contradicted"}),
    ],
)
def test_the_bounds_verdicts(changes, verdicts):
    claims = {claim.id: claim for claim in claims_of(layers(**changes))}
    for name, verdict in verdicts.items():
        assert claims[name].verdict == verdict, name
    assert len(claims["B-4.depth"].measured) == 2  # the first layer's β* is beyond the search, but above the second's


def test_placements_find_what_is_near_and_only_that():
    points = np.array([0.1, 0.5, 0.8])
    near = placement_test(np.repeat(points, 20) + 0.002, points, 0.0, 1.0)
    assert near[0] == pytest.approx(0.002)
    assert near[2] < 0.001
    far = placement_test(np.array([0.3, 0.31, 0.65, 0.66]), points, 0.0, 1.0)
    assert far[2] > 0.7


def test_p_values_of_random_points_are_uniform():
    """600 draws: each decile's count is 60 ± 7.3; the greatest deviation of ten stays below 4 of these."""
    rng = np.random.default_rng(1)
    layer_values = rng.uniform(0.0, 1.0, 30)
    chance = placement_test(layer_values, np.zeros(4), 0.0, 1.0)[1]
    p = np.array(
        [
            (1 + (chance <= np.abs(layer_values[:, None] - rng.uniform(0.0, 1.0, 4)).min(1).mean()).sum())
            / (1 + len(chance))
            for _ in range(600)
        ]
    )
    counts = np.histogram(p, bins=10, range=(0, 1))[0]
    assert np.abs(counts - 60).max() < 4 * 7.35
