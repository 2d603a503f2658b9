"""A stand-in for ZeroGPU: a generator runs in a forked process; what goes in and out is pickled, as ``spaces`` does.

As there, an exception that is no ``gr.Error`` arrives as the name of its class alone, and what cannot be pickled ends
the call.
"""

from __future__ import annotations

import multiprocessing
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

FORK = multiprocessing.get_context("fork")


def lend(task: Callable[..., Iterator[Any]], calls: list[bytes] | None = None) -> Callable[..., Iterator[Any]]:
    """``spaces.GPU(task)``; the pickled arguments of each call are appended to ``calls``."""

    def lent(*arguments: Any) -> Iterator[Any]:
        packed = pickle.dumps(arguments)
        if calls is not None:
            calls.append(packed)
        receiver, sender = FORK.Pipe(duplex=False)
        process = FORK.Process(target=_work, args=(task, packed, receiver, sender), daemon=True)
        process.start()
        sender.close()
        try:
            while True:
                try:
                    kind, value = pickle.loads(receiver.recv_bytes())
                except EOFError:
                    raise gr.Error("GPU task aborted", title="ZeroGPU worker error", print_exception=False) from None
                if kind == "end":
                    return
                if kind == "error":
                    raise gr.Error(value, title="ZeroGPU worker error", print_exception=False)
                yield value
        finally:
            receiver.close()
            process.terminate()
            process.join(10)

    return lent


def _work(task: Callable[..., Iterator[Any]], packed: bytes, receiver: Any, sender: Any) -> None:
    receiver.close()

    def run() -> None:
        try:
            for value in task(*pickle.loads(packed)):
                sender.send_bytes(pickle.dumps(("value", value)))
        except Exception as error:  # noqa: BLE001 - as spaces does
            sender.send_bytes(pickle.dumps(("error", type(error).__name__)))
        else:
            sender.send_bytes(pickle.dumps(("end", None)))

    thread = threading.Thread(target=run)  # a new thread, as there: the forked one may hold the state of a pool
    thread.start()
    thread.join()
