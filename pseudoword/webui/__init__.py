"""The door to AUTOMATIC1111's WebUI: what its callbacks call, and where it keeps things."""
