"""The model behind it all: a standalone checkpoint (`diffusers`) or the one loaded in the WebUI."""
