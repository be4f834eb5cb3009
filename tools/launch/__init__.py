"""What run.py does: pinned environments, and commands run inside them. Standard library only.

commands.py      which command line does what
environment.py   a virtual environment that holds exactly the packages of one lock file
pip_log.py       one sentence from a failed installation's log
failure.py       the one kind of error that run.py shows
pythons.py       another Python on this machine, by version
inside.py        the first thing to run inside an environment
"""
