"""Probes: what a simple rule reads from a layer, judged on samples that it was not fitted to (§D2)."""
