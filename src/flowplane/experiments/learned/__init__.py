"""Trained, stacked and classified: denoising autoencoders that are learned."""
