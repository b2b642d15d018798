"""The tab: a form per task, the pictures of this visit below them, and forms that a dropped picture fills in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gan_zoo.plugin import Page, Panel, Task, Text
from gan_zoo.plugins.anime.attributes import ATTRIBUTES

KEPT = 48  # pictures of a visit
HISTORY = Text("This visit's pictures", "Imágenes de esta visita")
CHOOSE = Text("What to change", "Qué cambiar")
REMEMBER = f"""(result, kept) => ({{
    __type__: 'update',
    value: [...(Array.isArray(result) ? result : [{{image: result}}]), ...(kept ?? [])].slice(0, {KEPT}),
}})"""


def draw_tab(page: Page, tasks: Mapping[str, Task], presets: Sequence[str]) -> None:
    import gradio as gr

    page.header()
    panels: dict[str, Panel] = {}
    with gr.Tabs(elem_classes="zoo-tasks"):
        for name, task in tasks.items():
            with page.make(gr.Tab, label=task.title, id=name):
                if name == "change":
                    chosen = page.make(gr.Dropdown, label=CHOOSE, choices=_changes(), value=None)
                panels[name] = page.panel(name)
    with page.make(gr.Accordion, label=HISTORY, open=False):
        history = gr.Gallery(
            show_label=False, format="png", columns=8, height="auto", object_fit="contain", interactive=False,
            buttons=["download", "fullscreen"],
        )  # fmt: skip

    chosen.change(None, chosen, panels["change"].inputs["to"], js="(pair) => pair ?? ''")
    for panel in panels.values():
        for output in panel.outputs.values():
            if isinstance(output, (gr.Gallery, gr.Image)):  # kept by the browser alone, as the files that they are
                panel.done.success(None, [output, history], history, js=REMEMBER)

    fields = [(name, field) for name, panel in panels.items() if name != "restore" for field in panel.inputs]

    def fill(made: dict[str, Any] | None) -> list[Any]:
        """The preset, and what each field of the forms becomes: as the picture was made, else as it is."""
        made = made or {}
        arguments = made.get("arguments", {})
        preset = made.get("preset")
        filled = [arguments[f] if made.get("task") == name and f in arguments else gr.skip() for name, f in fields]
        return [preset if preset in presets else gr.skip(), *filled]

    panels["restore"].done.success(
        fill,
        panels["restore"].outputs["result"],
        [page.preset, *(panels[name].inputs[field] for name, field in fields)],
        api_visibility="private",
        show_progress="hidden",
    )


def _changes() -> list[tuple[Text, str]]:
    """Every change that can be asked for: (its name, "attribute=value")."""
    return [
        (Text(*(f"{of}: {to}" for of, to in zip(attribute.text, value.text))), f"{name}={key}")
        for name, attribute in ATTRIBUTES.items()
        for key, value in attribute.values.items()
    ]
