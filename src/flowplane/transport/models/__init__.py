"""Generative models of others as flows: Gaussian paths, what a network predicts, adapters to libraries (§E1)."""
