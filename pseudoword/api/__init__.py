"""HTTP routes, the same in the studio and in the WebUI."""
