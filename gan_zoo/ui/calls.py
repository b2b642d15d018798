"""Calls of strangers: their time, their errors, and their results as Gradio takes them."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
import torch
from gradio import processing_utils, utils

from gan_zoo import gate, hub, images
from gan_zoo.plugin import Film, Plugin, Task

log = logging.getLogger(__name__)
CALL_SECONDS = 60  # of computing, for one call
STREAM_SECONDS = 240  # and for one that shows what it has so far
STREAMS = 4  # such calls per plugin: a long one must not keep out the next visitor
AT_ONCE = max(1, (os.cpu_count() or 1) // 2)  # calls per plugin: one on two cores, since PyTorch uses both
SPACES = importlib.util.find_spec("spaces") is not None  # the package that Hugging Face Spaces install
plugins: dict[str, Plugin] = {}  # those of the page, by slug


class _Deadline(threading.local):
    moment = float("inf")


_deadline = _Deadline()


class TooLong(RuntimeError):
    """A call that used up its time."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Stops the networks of this thread at the first layer that begins after `seconds`, by raising TooLong.

    Threads cannot be stopped from outside, and a caller who gives up does not free the processor: so every module asks
    for the time before its forward pass.
    """
    _watch_modules()
    _deadline.moment = time.monotonic() + seconds
    try:
        yield
    finally:
        _deadline.moment = float("inf")


@cache
def _watch_modules() -> None:
    torch.nn.modules.module.register_module_forward_pre_hook(_check_time)


def _check_time(_module: Any, _inputs: Any) -> None:
    if time.monotonic() > _deadline.moment:
        raise TooLong


def on_gpu(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as ZeroGPU Spaces want it: decorated where the package `spaces` is, unchanged elsewhere."""
    if not SPACES:
        return function
    import spaces  # pyright: ignore[reportMissingImports]

    def seconds(slug: str, task: str, *_: Any) -> int:
        return plugins[slug].tasks()[task].gpu_seconds

    return spaces.GPU(duration=seconds)(function)


def infer(slug: str, task: str, preset: str | None, arguments: dict[str, Any]) -> Any:
    """Runs a task for a stranger. Whatever fails becomes a gr.Error of one line.

    A task without weights keeps its state in this process, where `spaces.GPU` would run it in another.
    """
    run = _infer if plugins[slug].tasks()[task].needs_weights else _here
    return run(slug, task, preset, arguments)


def _here(slug: str, task: str, preset: str | None, arguments: dict[str, Any]) -> Any:
    """On ZeroGPU this runs in another process, once a call: so it takes names, not objects, and raises nothing but
    gr.Error, the only one whose text comes back from there.
    """
    with told(f"{slug}.{task}", CALL_SECONDS), time_limit(CALL_SECONDS):
        return plugins[slug].infer(task, preset, bounds="page", **arguments)


_infer = on_gpu(_here)
END = object()


def stream(plugin: Plugin, task: Task, preset: str | None, arguments: dict[str, Any]) -> Iterator[Any]:
    """The results of a task that streams, for a stranger; the time it may take is that of computing them all."""
    left, results = float(STREAM_SECONDS), None
    while True:
        begun = time.monotonic()  # each result may be asked for in another thread, and late
        with told(f"{plugin.slug}.{task.name}", STREAM_SECONDS), time_limit(left):
            if results is None:
                results = iter(plugin.infer(task.name, preset, bounds="page", **arguments))
            result = next(results, END)
        left -= time.monotonic() - begun
        if result is END:
            return
        yield as_outputs(task, result)


@contextmanager
def told(what: str, seconds: float) -> Iterator[None]:
    """Turns whatever fails inside into a gr.Error of one line."""
    try:
        yield
    except ValueError as error:  # ImageError and WeightsError among them: they say what to do
        line = without_paths(str(error)).encode("utf-8", "backslashreplace").decode()
        raise gr.Error(line, duration=20, print_exception=False) from error
    except TooLong:
        raise gr.Error(f"stopped after {seconds} seconds: ask for less", print_exception=False) from None
    except Exception as error:
        log.exception("%s failed", what)
        raise gr.Error(gate.what_went_wrong(error), print_exception=False) from error


def answering(plugin: Plugin, function: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """A function that a script of a plugin's own tab calls: with the time limit and the error lines of tasks.

    Gradio hands over several arguments as one list; what failed is answered as {"error": line}.
    """

    def answer(*given: Any) -> dict[str, Any]:
        try:
            with told(f"{plugin.slug}, {function.__name__}", CALL_SECONDS), time_limit(CALL_SECONDS):
                return function(*(given[0] if len(given) == 1 and isinstance(given[0], list) else given))
        except gr.Error as error:
            return {"error": error.message}

    answer.__name__ = function.__name__
    return answer


def load_on_gpu(plugin: Plugin) -> None:
    """Loads all presets of a plugin at once where a Space has a GPU.

    ZeroGPU wants models on "cuda" before the page opens: what a call loads is lost with the call's process. Elsewhere
    models wait for their first call.
    """
    if not (SPACES and torch.cuda.is_available()):
        return
    for preset in plugin.presets:
        try:
            plugin.ready(preset.name)
        except Exception as error:  # one preset must not take the others down; who asks for it is told why
            log.warning("%s/%s is not loaded: %s", plugin.slug, preset.name, error)


def without_paths(line: str) -> str:
    """A message for strangers, who need not know where on this machine things are: `weights/...`, or a bare name."""
    if (root := hub.weights_root()).is_absolute():
        line = line.replace(str(root), "weights")
    return re.sub(r"(?<![\w/:.~-])(?:/[\w.@+~-]+)+/(?=[\w.@+-])", "", line)


def answer(plugin: Plugin, task: Task, preset: str | None, arguments: dict[str, Any]) -> Any:
    """The result of a call as Gradio's components take it. Raises gr.Error."""
    return as_outputs(task, infer(plugin.slug, task.name, preset, arguments))


def as_outputs(task: Task, result: Any) -> Any:
    shown = [_as_shown(value) for value in (result if len(task.outputs) > 1 else [result])]
    return shown if len(shown) > 1 else shown[0]


def _as_shown(value: Any) -> Any:
    if isinstance(value, list):  # a picture's caption is also what tells of it to who cannot see
        return [(picture, picture.info["caption"]) if "caption" in picture.info else picture for picture in value]
    if not isinstance(value, Film):
        return value
    with tempfile.TemporaryDirectory() as folder:
        path = images.save_film(value, Path(folder) / "film.mp4")
        return processing_utils.save_file_to_cache(path, utils.get_upload_folder())
