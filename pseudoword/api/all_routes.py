"""All routes under `/pseudoword/v1`: those that the page asks for, and those for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI

from ..jobs.library.inspector import Inspector
from ..jobs.scoring.scorings import Scorings
from ..jobs.training.trainings import Trainings
from .inspection_program_routes import add_inspection_program_routes
from .job_routes import add_job_routes
from .layer_routes import add_layer_routes
from .library_routes import add_library_routes
from .program_routes import add_program_routes
from .score_program_routes import add_score_program_routes
from .score_routes import add_score_routes
from .search_program_routes import add_search_program_routes
from .search_routes import add_search_routes
from .set_check_program_routes import add_set_check_program_routes
from .set_check_routes import add_set_check_routes
from .strip_routes import add_strip_routes
from .training_routes import add_training_routes
from .word_routes import add_word_routes


def add_routes_of_page(
    app: FastAPI, trainings: Trainings, inspector: Inspector, scorings: Scorings, dependencies: Sequence[Any] = ()
) -> None:
    """Add those that the page asks for to `app`, behind `dependencies` of FastAPI."""
    add_training_routes(app, trainings, dependencies)
    add_job_routes(app, trainings, dependencies)
    add_library_routes(app, inspector, dependencies)
    add_word_routes(app, inspector, dependencies)
    add_strip_routes(app, inspector.strips, dependencies)
    add_layer_routes(app, inspector, dependencies)
    add_score_routes(app, scorings, dependencies)
    add_search_routes(app, scorings.search, dependencies)
    add_set_check_routes(app, trainings.checks, dependencies)


def add_routes_for_programs(
    app: FastAPI, trainings: Trainings, inspector: Inspector, scorings: Scorings, dependencies: Sequence[Any] = ()
) -> None:
    """Add those for programs to `app`, behind `dependencies` of FastAPI."""
    add_program_routes(app, trainings, dependencies)
    add_inspection_program_routes(app, inspector, dependencies)
    add_score_program_routes(app, scorings, dependencies)
    add_search_program_routes(app, scorings.search, dependencies)
    add_set_check_program_routes(app, trainings.checks, dependencies)
