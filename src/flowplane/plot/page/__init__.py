"""Figures on a page: made ready for any width and theme, with a control of their frames, and what they hold to take away."""
