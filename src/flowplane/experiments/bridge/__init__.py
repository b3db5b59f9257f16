"""Where both papers are one law: information by denoising."""
