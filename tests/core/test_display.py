"""What a notebook shows of flows, results of experiments and tasks."""

import math

import numpy as np
import pytest
from balanced_html import Balanced

import flowplane as fp
from flowplane.core.display import frame_html, shortened
from flowplane.experiments.claim import Claim
from flowplane.experiments.registry import Result

NORMAL = fp.Normal([0.0, 0.0], 1.0)
EVIL = "<script>alert(1)</script>&"


def text_of(thing):
    html = thing._repr_html_()
    page = Balanced(html)
    assert "script" not in page.tags and "#" not in html and "rgb" not in html  # the notebook's own colours
    return page.text


@pytest.mark.parametrize(("layers", "said"), [(1, "one layer"), (4, "4: 4 Denoiser"), (math.inf, "a velocity field")])
def test_a_flow_says_what_it_moves_for_how_long_and_by_which_layers(layers, said):
    text = text_of(fp.denoising_flow(NORMAL, 0.4, layers))
    for part in ("flowplane.DenoisingFlow", "Normal(2 dimensions)", "0 to 0.4, variance of noise", said):
        assert part in text
    assert "covariance of its own" not in text


def test_a_flow_with_a_noise_covariance_says_so():
    assert "covariance of its own" in text_of(fp.denoising_flow(NORMAL, 0.1, 1, noise_covariance=np.diag([1.0, 2.0])))


def test_maps_of_several_kinds_are_counted():
    shallow, continuous = (fp.denoising_flow(NORMAL, 0.2, layers) for layers in (1, math.inf))
    assert "2: 2 DenoisingFlow" in text_of(shallow @ continuous)


def test_a_model_says_what_it_predicts_and_a_flow_without_source_that_it_knows_none():
    model = fp.transport.model_flow(lambda x, t: -x, "linear", "velocity", shape=3)
    assert "predicts velocity, path linear" in text_of(model)
    field = fp.transport.ODEMap(lambda t, x: -x, 1, time=2.0)
    text = text_of(field)
    assert "not known" in text and "0 to 2 " in text


def test_a_trained_flow_is_shown_as_a_flow_and_not_as_a_module():
    learned = fp.transport.train_velocity((), fp.Normal(0.0, 1.0), fp.Normal(3.0, 4.0), steps=5)
    assert "flowplane.LearnedVelocity" in text_of(learned)


def test_text_of_a_flow_is_escaped():
    class Odd(fp.Normal):
        def __repr__(self):
            return EVIL

    assert "<script>alert(1)" in text_of(fp.denoising_flow(Odd([0.0], 1.0), 0.1, 1))


def test_a_result_counts_its_verdicts_and_lists_its_claims():
    verdicts = ("reproduced", "reproduced", "contradicted")
    claims = [
        Claim(id=f"A-{k}", role="headline", statement=EVIL, measured=(0.25,), verdict=verdict)
        for k, verdict in enumerate(verdicts)
    ]
    text = text_of(Result({EVIL: fp.gaussian_ib(1.0, 1.0, 0.8)}, {"plane": None}, claims))
    for part in ("3: 2 reproduced, 1 contradicted", "A-1", "0.25", "plane", "<script>"):
        assert part in text
    assert "claims" not in text_of(Result({}, {}, []))


def test_a_task_says_its_size_and_what_its_label_holds():
    text = text_of(fp.tasks.spherical_rule(information=0.5))
    for part in ("spherical rule", "4,096 of 12 features", "2 classes", "I(X;Y) = 0.5 bits"):
        assert part in text
    bare = text_of(fp.tasks.Task(np.eye(3), name=EVIL))
    assert "none" in bare and "p(y|x)" not in bare


def test_long_text_and_long_tables_stay_short():
    pandas = pytest.importorskip("pandas")
    assert len(shortened(10_000 * "x")) == 81
    assert frame_html(pandas.DataFrame({"n": range(10_000)})).count("<tr>") < 110
