"""Flows that lower a functional of the density or denoise it: shallow, composed, continuous."""
