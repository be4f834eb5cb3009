"""The checkpoint that is loaded in AUTOMATIC1111's WebUI (1.10.1): only here and in `pseudoword.webui` is it known."""
