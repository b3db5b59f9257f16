"""The words of a report that are not everybody's."""

from __future__ import annotations

from collections.abc import Mapping

from flowplane.reporting.markup import Markup, element

__all__ = ["FLOW_WORDS", "WORDS", "glossary"]

#: Two dozen words each at most.
WORDS = {
    "bits": "One bit settles a question between two equally likely answers; n inputs told apart hold log2 n bits.",
    "replica": "One of several networks trained alike but for their random start and split of the data.",
    "saturated": "Nearly every input stands alone: the number counts the samples and says nothing of the layer.",
    "bounds far apart": "The interval covers most of what is possible, so the number beside it says little.",
    "rms distance": "The root of the mean squared distance between where a layer finds points and puts them.",
    "optimal": "A step that moves points no farther than needed to reach the same distribution is 100 % optimal.",
    "directions used": (
        "Participation ratio: how many directions points spread over about their mean; 1 for a line, all units for a ball."
    ),
    "told apart by a plane": "Held-out points that a linear probe, a flat boundary, puts into their class.",
    "embedding “pad”": "Layers of different width are put into one space by filling the narrower one up with zeros.",
}

#: Of a report on flows.
FLOW_WORDS = {
    "units of x": "Those of the points' coordinates; energies and variances are in their squares.",
    "energy": "The mean over particles of ∫|u|² ds, u their velocity, the time s scaled to run from 0 to 1.",
    "W_2": "The root mean square distance of the best pairing of starts with ends: what no flow between them can undercut.",
    "coupling": "What is spent because particles go to other places than in the best pairing.",
    "bending": "What is spent because paths are not straight lines.",
    "pace": "What is spent because particles do not keep one speed.",
    "rms": "Root mean square: the root of the mean of the squares.",
    "evaluations": "How often the velocity is computed on the way; for a model, how often it is run.",
    "±": "One standard error over the particles.",
}


def glossary(words: Mapping[str, str] = WORDS) -> Markup:
    """The words, folded away until somebody asks."""
    rows = [part for word, meaning in words.items() for part in (element("dt", word), element("dd", meaning))]
    return element("details", element("summary", "What the words mean"), element("dl", *rows), class_="glossary")
