"""Turns at the model: one at a time, and whoever waited longest is next."""

from __future__ import annotations

import threading
import time

import pytest

from pseudoword.jobs.slices import Interrupted
from pseudoword.jobs.turns import Turns, WantedTurns


def test_who_waits_is_next_even_where_the_holder_comes_back_at_once() -> None:
    turns, order = Turns(), list[str]()
    waits, is_over = threading.Event(), threading.Event()

    def train() -> None:
        while not is_over.is_set():
            with turns:
                order.append("training")
                waits.wait()

    def generate() -> None:
        waits.set()
        with turns:
            order.append("generation")
        is_over.set()

    training, generation = threading.Thread(target=train), threading.Thread(target=generate)
    training.start()
    while not order:
        time.sleep(0.001)
    generation.start()
    generation.join(10)
    training.join(10)
    # The generation may come to wait only after a few turns; from then on it waits for no more than one.
    assert is_over.is_set()
    assert order.count("generation") == 1


def test_turns_are_given_in_the_order_in_which_they_were_asked_for() -> None:
    turns, order, threads = Turns(), list[int](), list[threading.Thread]()

    def take(number: int) -> None:
        with turns:
            order.append(number)

    with turns:
        for number in range(5):
            thread = threading.Thread(target=take, args=(number,))
            thread.start()
            while len(turns._waiting) <= number:
                time.sleep(0.001)
            threads.append(thread)
        assert order == []
    for thread in threads:
        thread.join(10)
    assert order == [0, 1, 2, 3, 4]


def test_a_turn_ends_also_with_an_error() -> None:
    turns = Turns()
    try:
        with turns:
            raise ValueError
    except ValueError:
        pass
    with turns:
        pass


def test_who_no_longer_wants_a_turn_leaves_the_line_at_once() -> None:
    turns, wanted = Turns(), [True]
    waits, left = WantedTurns(turns, lambda: wanted[0]), threading.Event()

    def take() -> None:
        with pytest.raises(Interrupted), waits:
            raise AssertionError("it was not wanted any more")
        left.set()

    with turns:
        thread = threading.Thread(target=take)
        thread.start()
        while not turns._waiting:
            time.sleep(0.001)
        waits.look_again()  # nothing has changed: it waits on
        wanted[0] = False
        waits.look_again()
        assert left.wait(10) and not turns._waiting
    thread.join(10)
    wanted[0] = True
    with waits:
        assert turns._is_taken
    assert not turns._is_taken


def test_a_turn_that_brings_another_lock_gives_both_back() -> None:
    turns, model = Turns(), Turns()
    with WantedTurns(turns, lambda: True, model):
        assert turns._is_taken and model._is_taken
    assert not turns._is_taken and not model._is_taken
