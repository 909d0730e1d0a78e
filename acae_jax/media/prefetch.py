"""Work ahead in a thread: the next items are made while the last one is used."""

import queue
import threading
from collections.abc import Generator, Iterable
from contextlib import suppress
from typing import TypeVar

Item = TypeVar("Item")
PATIENCE_SECONDS = 5.0  # for the thread to end; a camera may never answer


class _Failed:
    """What stopped the making, to be raised where the item would have come out."""

    def __init__(self, error: BaseException):
        self.error = error


_END = object()


def prefetched(items: Iterable[Item], depth: int) -> Generator[Item, None, None]:
    """The same items, of which up to `depth` wait ready; closing it ends the thread.

    An error comes out where its item would have. `items` is closed in the thread too, if it can be.
    """
    return _made_ahead(items, queue.Queue(depth), drop_old=False)


def newest(items: Iterable[Item]) -> Generator[Item, None, None]:
    """Always the item made last, skipping those made meanwhile: for a camera that does not wait."""
    return _made_ahead(items, queue.Queue(1), drop_old=True)


def _made_ahead(
    items: Iterable[Item], waiting: queue.Queue, drop_old: bool
) -> Generator[Item, None, None]:
    stop = threading.Event()

    def put(item: object) -> None:
        drop = drop_old and item is not _END  # the last item is wanted too
        while not stop.is_set():
            try:
                return waiting.put(item, timeout=0 if drop else 0.1)
            except queue.Full:
                if drop:
                    with suppress(queue.Empty):
                        waiting.get_nowait()

    def make() -> None:
        try:
            for item in items:
                put(item)
                if stop.is_set():
                    break
            put(_END)
        except BaseException as error:
            put(_Failed(error))
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not _END:
            if isinstance(item, _Failed):
                raise item.error
            yield item
    finally:
        stop.set()
        thread.join(PATIENCE_SECONDS)
