"""The page as a plugin sees it: what one that draws its own tab can place there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol


class Panel(NamedTuple):
    """The Gradio components of a task: its arguments and its results by name, and the button between them.

    `then(function, inputs, outputs, **options)` is a follower: it runs after each result, whatever asked for it.
    `after(event)` runs the task, with what its inputs hold by then, when another event has succeeded; `fit=True` first
    puts an example that fits those inputs in the place of one that does not.
    """

    inputs: dict[str, Any]
    button: Any
    outputs: dict[str, Any]
    then: Callable[..., None]
    after: Callable[..., Any]
    editor: Any = None  # what the panel's editor gave


class Page(Protocol):
    """A plugin's tab while it is drawn, inside the context of its `gr.Tab`."""

    preset: Any  # the picker's component; its value is the preset's name. None before header(), and without presets

    def header(self) -> None:
        """Title, summary, paper, and the picker of trained models with licence and data."""
        ...

    def panel(
        self,
        name: str,
        *,
        editor: Callable[[], Any] | None = None,
        result: Callable[[], Any] | None = None,
        behind: Sequence[str] = (),
        hidden: Sequence[str] = (),
    ) -> Panel:
        """A task's arguments, its button and its results, joined by the endpoint `/<slug>_<task>`; once a task.

        editor: draws what fills some of the arguments by other means, over them. behind: names of arguments that it
        fills, which are then put into a drawer. result: draws over the results what shows them by other means. hidden:
        arguments and results that stand there in such another form alone.
        """
        ...

    def opening(self, function: Callable[[str | None], list[Any]], outputs: Sequence[Any]) -> None:
        """Once a visit, when the `gr.Tab` that is being drawn is first open: the values of `outputs`, from the name of
        the preset. For a tab whose first sight is no panel's.
        """
        ...

    def infer(self, task: str, preset: str | None = None, **arguments: Any) -> Any:
        """A task's result, within the bounds of strangers; what fails is a gr.Error."""
        ...

    def standard(self) -> None:
        """The tab of a plugin that draws none: the header, and a panel for each task."""
        ...

    def make(self, component: Callable[..., Any], **properties: Any) -> Any:
        """A Gradio component whose properties may be Texts, which follow the language switch."""
        ...

    def answering(self, function: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        """The function as a `server_functions` of a gr.HTML: with the time limit of tasks; what fails is answered as
        {"error": line}.
        """
        ...
