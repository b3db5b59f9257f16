"""What training does to the weights: drift and diffusion, relaxation, the spread of replicas (arrays in, numbers out)."""
