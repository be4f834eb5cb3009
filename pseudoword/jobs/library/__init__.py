"""The words of a host: found, looked at, made of others, changed and saved."""
