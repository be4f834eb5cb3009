"""Pictures that are found by what they show: the index, made in the background, and what is asked of it."""
