"""Gradio panels, built once and shown by every host."""
