"""A batch in parts side by side, each on processors of its own, which is faster than all processors at one operation.

With few processors an encoder's operations are short, and all wait for the slowest at the end of each: two parts on
one processor each took two thirds of the time of one batch on two (ViT-B-32, and less beside other work).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier

import torch
from torch import Tensor

_LEAST = 4  # rows of a part; fewer take longer for each


def side_by_side(encode: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor:
    """`encode` of the rows of `batch`, computed in parts on the CPU, by as many threads as torch would use.

    `encode` must treat each row for itself, and is called in other threads, where gradients are recorded by default.
    """
    threads = torch.get_num_threads()
    parts = min(threads, len(batch) // _LEAST)
    if parts < 2:
        return encode(batch)
    return torch.cat(list(_workers(parts, threads // parts).map(encode, batch.tensor_split(parts))))


@cache
def _workers(count: int, threads: int) -> ThreadPoolExecutor:
    """`count` threads, each of which computes with `threads` of torch's."""
    of_all, started = torch.get_num_threads(), Barrier(count)

    def start() -> None:
        torch.get_num_threads()  # torch sets up a thread when it is first asked, and would forget what was set before
        torch.set_num_threads(threads)

    pool = ThreadPoolExecutor(count, thread_name_prefix="encoding", initializer=start)
    for _ in pool.map(lambda _: started.wait(), range(count)):
        pass  # every thread has been started
    torch.set_num_threads(of_all)  # it is each thread's own, but the last one set is that of threads to come
    return pool
