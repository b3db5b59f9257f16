"""What SGD does: drift, diffusion, relaxation, depth."""
