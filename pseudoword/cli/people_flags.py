"""The flags that a server for several people is started with: who may come in, who may do what, and how much."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from ..errors import SettingsError
from ..jobs.host import CPU_JOBS
from ..jobs.server.limits import EXAMPLE, Limits, parse_limits
from ..jobs.server.people import People, check_login, user_let_in


@dataclass(frozen=True)
class ChosenPeople:
    """What the flags say: passwords by name in `logins`, how people are `told_apart`, and what is allowed.

    `is_alone` where nobody but who sits at this computer comes in.
    """

    logins: Mapping[str, str]
    told_apart: People
    limits: Limits
    is_alone: bool


def add_people_flags(parser: argparse.ArgumentParser) -> None:
    """`--login`, `--admin`, `--proxied`, `--limit`, `--resume` and `--cpu-jobs`."""
    parser.add_argument(
        "--login",
        action="append",
        default=[],
        metavar="NAME:PASSWORD",
        help="let in only those who give such a name and password; may be given several times [default: everybody]",
    )
    parser.add_argument(
        "--admin",
        action="append",
        default=[],
        metavar="NAME",
        help="somebody with a login who may steer, see and delete everybody's jobs; may be given several times",
    )
    parser.add_argument(
        "--proxied",
        action="store_true",
        help="others come in through a proxy on this computer: tell people apart by their browsers, as with --address",
    )
    parser.add_argument(
        "--limit",
        nargs="+",
        default=[],
        metavar="NAME=NUMBER",
        help=f"what is allowed at most, some of: {EXAMPLE} (jobs are those of one person that have not ended, disk is "
        "that of all runs) [default: no limits]",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="after a restart jobs that were under way go on by themselves [default: they are paused]",
    )
    parser.add_argument(
        "--cpu-jobs",
        type=int,
        default=CPU_JOBS,
        metavar="N",
        help="how many folders are scored or read for the search at a time, by all people together "
        f"[default: {CPU_JOBS}]",
    )


def chosen_people(arguments: argparse.Namespace) -> ChosenPeople:
    """What the flags say. Raises SettingsError where they contradict each other."""
    logins = dict(check_login(pair) for pair in arguments.login)
    for name in arguments.admin:
        if name not in logins:
            raise SettingsError(f"--admin names {name!r}, who has no login; give --login {name}:PASSWORD, too.")
    if arguments.cpu_jobs < 1:
        raise SettingsError(f"--cpu-jobs is {arguments.cpu_jobs}; give 1 or more.")
    by_browser = arguments.proxied or not listens_to_itself(arguments.address)
    people = People(
        user_of=user_let_in if logins else lambda request: None,
        by_browser=lambda: by_browser,
        admins=lambda: arguments.admin,
    )
    return ChosenPeople(logins, people, parse_limits(arguments.limit), not (by_browser or logins))


def listens_to_itself(address: str) -> bool:
    """Whether a server at `address` is for this computer alone."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
