"""Teach a Stable Diffusion model a new word."""

__version__ = "0.1.0"
