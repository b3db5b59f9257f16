"""The papers, one module a figure or claim."""

from flowplane.experiments.claim import VERDICTS, Claim
from flowplane.experiments.registry import EXPERIMENTS, Experiment, Result, run

__all__ = ["EXPERIMENTS", "VERDICTS", "Claim", "Experiment", "Result", "run"]
