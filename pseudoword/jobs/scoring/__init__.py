"""Pictures that are scored as jobs: the models, what is asked for, where the pictures come from, and the results."""
