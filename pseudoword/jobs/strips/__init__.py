"""Strips of pictures that show what something does: made in the background, watched, and kept as one sheet."""
