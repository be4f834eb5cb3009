"""Tests stay on this machine, and libraries know it."""

from __future__ import annotations

import os
import socket

import pytest


def test_the_network_is_out_of_reach() -> None:
    with socket.socket() as far, pytest.raises(PermissionError, match="192.0.2.1"):
        far.connect(("192.0.2.1", 80))


def test_this_machine_is_in_reach() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as near:
        near.connect(server.getsockname())


def test_hubs_are_told_that_there_is_none() -> None:
    assert os.environ["HF_HUB_OFFLINE"] == "1"
