"""The command line: `pseudoword train`, `generate`, `convert`, `demo`.

Each command is a module with `add_flags(parser)` and `run(arguments, console)`. A command tells its
console what happens, which shows it to a person or writes it as JSON for a program. Where it cannot go on, it raises
PseudowordError.
"""

from pseudoword.cli.program import main

__all__ = ["main"]
