"""How exact denoising autoencoders move their data."""
