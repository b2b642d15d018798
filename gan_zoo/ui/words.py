"""Two languages.

Both are in the page. Passages of HTML hold both and CSS shows one; labels, which are plain text to Gradio, are set in
the browser. So switching asks nothing of the server and loses nothing that was typed.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gan_zoo.plugin import Text

if TYPE_CHECKING:
    from gradio.blocks import Block

LANGUAGES = {"en": "English", "es": "Español"}


def say(value: Any, language: str) -> Any:
    """The value with every Text in it, however deep in lists and tuples, said in one language."""
    if isinstance(value, Text):
        return (value.es if language == "es" else "") or value.en
    if isinstance(value, (list, tuple)):
        return type(value)(say(item, language) for item in value)
    return value


def both(text: Text, tag: str = "span") -> str:
    """HTML that holds both languages."""
    return "".join(
        f'<{tag} lang="{language}" data-say="{language}">{html.escape(say(text, language))}</{tag}>'
        for language in LANGUAGES
    )


class Words:
    """Makes components from properties that may hold Texts, and remembers them for the language switch."""

    def __init__(self) -> None:
        self.said: list[tuple[Block, dict[str, Any]]] = []

    def make(self, component: Callable[..., Any], **properties: Any) -> Any:
        english = {name: say(value, "en") for name, value in properties.items()}
        made = component(**english)
        if texts := {name: value for name, value in properties.items() if say(value, "es") != english[name]}:
            self.said.append((made, texts))
        return made

    def components(self) -> list[Any]:
        return [component for component, _ in self.said]

    def script(self, language: str) -> str:
        """JavaScript expression: a function that gives the updates of `components()` in the language it is told."""
        table = {
            code: [
                {"__type__": "update"} | {name: say(value, code) for name, value in texts.items()}
                for _, texts in self.said
            ]
            for code in LANGUAGES
        }
        return f"() => ({json.dumps(table, ensure_ascii=False)})[zoo.speak({language})]"
