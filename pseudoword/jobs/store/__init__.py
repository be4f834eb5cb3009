"""The list of jobs in its SQLite file: the states of a job, what is kept of each, and how the list is made anew."""
