"""Worker processes that end when the main process does."""

import multiprocessing
import os
import threading


def end_with_main_process() -> None:
    """Have this worker end as soon as the main process has ended or was killed.

    Pools of processes do not do so: their workers would wait for work for ever.
    """
    main = multiprocessing.parent_process()
    assert main is not None

    def watch() -> None:
        main.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
