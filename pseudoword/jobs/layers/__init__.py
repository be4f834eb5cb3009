"""The text encoder's layers: compared as a job, looked into, and remembered for each checkpoint."""
