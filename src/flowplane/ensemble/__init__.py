"""Ensembles: many replicas of one network trained at once, recorded as they go."""

from flowplane.ensemble.training import train

__all__ = ["train"]
