"""Turns on a lock that behaves as the WebUI's does; on the WebUI's own in `tests.webui`."""

from __future__ import annotations

import threading
import time
from collections import deque

import pytest

from pseudoword.hosts.webui import queue_turns
from pseudoword.hosts.webui.queue_turns import QueueTurns


class WakingLock:
    """Wakes whoever waits longest and then lets go, so that whoever comes just then is faster: as the WebUI's does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._guard = threading.Lock()
        self._pending_threads: deque[threading.Event] = deque()

    def acquire(self) -> bool:
        with self._guard:
            if self._lock.acquire(False):
                return True
            woken = threading.Event()
            self._pending_threads.append(woken)
        woken.wait()
        return self._lock.acquire()

    def release(self) -> None:
        with self._guard:
            if self._pending_threads:
                self._pending_threads.popleft().set()
            self._lock.release()


def test_whoever_waits_has_the_turn_before_it_is_taken_again() -> None:
    lock, order = WakingLock(), list[str]()
    turns = QueueTurns(lock)

    def other() -> None:
        lock.acquire()
        order.append("other")
        time.sleep(3 * queue_turns.MOMENT_S)  # as long as somebody's turn is seen, and far less than a generation's
        lock.release()

    for _ in range(20):
        thread = threading.Thread(target=other)
        with turns:
            thread.start()
            while not lock._pending_threads:
                time.sleep(0.001)
            order.append("we")
        with turns:
            order.append("we again")
        thread.join()
    assert order == ["we", "other", "we again"] * 20


def test_whoever_was_woken_and_is_slow_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_turns, "MOMENT_S", 0.3)  # slow may be slower where tests run
    for _ in range(3):
        lock, order, stands_there = WakingLock(), list[str](), threading.Event()
        turns = QueueTurns(lock)

        def slow(
            lock: WakingLock = lock, order: list[str] = order, stands_there: threading.Event = stands_there
        ) -> None:
            stands_there.set()
            lock._lock.acquire()
            order.append("slow")
            lock.release()

        def we(turns: QueueTurns = turns, order: list[str] = order) -> None:
            with turns:
                order.append("we")

        lock.acquire()
        threads = [threading.Thread(target=slow), threading.Thread(target=we)]
        for thread in threads:
            thread.start()
        stands_there.wait()
        while not lock._pending_threads:
            time.sleep(0.001)
        time.sleep(0.1)
        lock.release()
        for thread in threads:
            thread.join()
        assert order == ["slow", "we"]


def test_where_nobody_waits_the_turn_can_be_taken_again_at_once() -> None:
    turns = QueueTurns(WakingLock())
    for _ in range(3):
        with turns:
            pass
