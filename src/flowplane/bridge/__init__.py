"""Information by denoising: what the best denoiser of a layer loses at all noise levels (§C)."""
