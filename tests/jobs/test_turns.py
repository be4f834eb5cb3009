"""Turns at the model: one at a time, and whoever waited longest is next."""

from __future__ import annotations

import threading
import time

from pseudoword.jobs.turns import Turns


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
