"""The terms of a report that not every reader knows."""

from __future__ import annotations

from collections.abc import Mapping

from flowplane.reporting.markup import Markup, element

__all__ = ["FLOW_WORDS", "WORDS", "glossary"]

#: Two dozen words each at most.
WORDS = {
    "bits": "One bit settles a question with two equally likely answers; n distinguishable inputs hold log2 n bits.",
    "nats": "Bits by the natural logarithm: 1 nat is 1.44 bits.",
    "replica": "One of several networks that differ only in their random initialisation and split of the data.",
    "saturated": "Almost every input has a cell to itself: the estimate has reached its ceiling, log2 of the sample size.",
    "⚠ … (92 %)": "The share of the replicas that have this warning at the last epoch.",
    "bounds far apart": "The interval covers most of what is possible, so the number beside it says little.",
    "rms": "Root mean square, here of the distance between a layer's input points and its output points.",
    "optimal": "A layer that moves points no farther than needed to reach the same distribution is 100 % optimal.",
    "directions used": (
        "Participation ratio: how many directions points spread over about their mean; 1 for a line, all units for a ball."
    ),
    "linear-probe accuracy": "The share of held-out points that a linear classifier on the layer puts into the right class.",
    "guessing": "Naming the commonest class every time is right as often as that class occurs: a probe must do better.",
    "embedding “pad”": "Layers of different width are compared in one space by padding the narrower one with zeros.",
}

#: Of a report on flows.
FLOW_WORDS = {
    "units of x": "Those of the points' coordinates; energies and variances are in their squares.",
    "energy": "The mean over particles of ∫|u|² ds, u their velocity, the time s scaled to run from 0 to 1.",
    "W_2": "The root mean square distance of the best pairing of starts with ends: no flow between them takes less.",
    "coupling": "Energy spent because particles end elsewhere than in the best pairing.",
    "bending": "Energy spent because paths are not straight lines.",
    "pace": "Energy spent because particles do not keep a constant speed.",
    "rms": "Root mean square: the root of the mean of the squares.",
    "evaluations": "How often the velocity is computed on the way; for a model, how often it is run.",
    "±": "One standard error over the particles.",
}


def glossary(words: Mapping[str, str] = WORDS) -> Markup:
    """The terms, folded away until the reader opens them."""
    rows = [part for word, meaning in words.items() for part in (element("dt", word), element("dd", meaning))]
    return element("details", element("summary", "What the terms mean"), element("dl", *rows), class_="glossary")
