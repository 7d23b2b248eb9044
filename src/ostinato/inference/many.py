"""Call a function on many items in threads; the results come in the order of the items."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from ostinato.errors import OstinatoError

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 2  # items begun for each thread: none of them waits for whoever reads the results
_MOST = 4096  # items that wait for the first of them


def in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    n_threads: int,
    quick: Callable[[Item], bool] = lambda _: False,
) -> Iterator[tuple[Item, Result | OstinatoError]]:
    """Call ``function`` on each item, several at a time; an OstinatoError becomes the result.

    Unlike :func:`ostinato.parallel.run` it takes items without end: those begun, or done and not
    yet read, are at most twice as many as there are threads. Items that are ``quick`` are not worth
    a thread: the function is called on them at once, and some thousand of them may wait for others.
    """

    def tried(item: Item) -> Result | OstinatoError:
        try:
            return function(item)
        except OstinatoError as error:
            return error

    if n_threads == 1:  # without a thread, whose memory would be returned and asked for each time
        for item in items:
            yield item, tried(item)
        return
    rest = iter(items)
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="ostinato")
    begun: deque[tuple[Item, Result | OstinatoError | Future[Result | OstinatoError]]] = deque()
    n_slow = 0  # of those begun
    try:
        while True:
            for item in rest:
                if quick(item):
                    begun.append((item, tried(item)))
                else:
                    begun.append((item, pool.submit(tried, item)))
                    n_slow += 1
                if n_slow == _AHEAD * n_threads or not n_slow or len(begun) == _MOST:
                    break
            if not begun:
                return
            item, result = begun.popleft()
            if isinstance(result, Future):
                n_slow -= 1
                result = result.result()
            yield item, result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
