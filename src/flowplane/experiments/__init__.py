"""The papers, one module per figure or claim."""

from flowplane.experiments.claim import VERDICTS, Claim
from flowplane.experiments.registry import EXPERIMENTS, Experiment, Result, run

__all__ = ["EXPERIMENTS", "VERDICTS", "Claim", "Experiment", "Result", "run"]
