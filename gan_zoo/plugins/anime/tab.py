"""The tab: a form per task, with swatches to order by; faces to go on from by a click; this visit's pictures below."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from gan_zoo import images
from gan_zoo.labels import ANY
from gan_zoo.plugin import Page, Panel, Plugin, Text
from gan_zoo.plugins.anime.attributes import ATTRIBUTES, BUILT_IN
from gan_zoo.plugins.anime.drawn import draw_character

KEPT = 48  # pictures of a visit
HISTORY = Text("This visit's pictures", "Imágenes de esta visita")
CHOOSE = Text("What to change", "Qué cambiar")
ONWARD = {  # from a face that was clicked: the task, what its button says, its field for the seed
    "variations": (Text("Variations", "Variaciones"), "seed"),
    "interpolate": (Text("Film from here", "Película desde aquí"), "seed_a"),
    "directions": (Text("Directions", "Direcciones"), "seed"),
}
CLICKED = Text("Click a face to go on from it:", "Haz clic en una cara para seguir desde ella:")
SWATCHES = Path(__file__).parent / "swatches"  # drawn beforehand: it takes half a second
MODEL = 11  # the character on whose face hair styles, expressions and glasses are shown
CSS = """
.name { font-size: 13px; margin: 6px 0 3px; color: var(--body-text-color-subdued); }
.row { display: flex; flex-wrap: wrap; gap: 5px; }
button { cursor: pointer; padding: 0; border-radius: 8px; border: 2px solid var(--border-color-primary);
         background: none; width: 30px; height: 30px; overflow: hidden; }
button.picture { width: 52px; height: 52px; } button img { width: 100%; height: 100%; display: block; }
button[aria-pressed=true] { border-color: var(--color-accent); box-shadow: 0 0 0 2px var(--color-accent); }
button:focus-visible { outline: 3px solid var(--color-accent); outline-offset: 1px; }
"""
TOUCHED = f"""(touched, ...now) => {{
    const {{name, value}} = JSON.parse(touched || '{{}}');
    return {json.dumps(list(ATTRIBUTES))}.map((field, i) =>
        field !== name ? now[i] : now[i] === value ? '{ANY}' : value);
}}"""
REMEMBER = f"""(result, kept) => ({{
    __type__: 'update',
    value: [...(Array.isArray(result) ? result : [{{image: result}}]), ...(kept ?? [])].slice(0, {KEPT}),
}})"""
MENUS = 6  # labels of the data's own that the form has menus for; wishes in words ask for more
SPOKEN = f"""((names, values) => names
    .map((name, i) => values[i] && values[i] !== '{ANY}' ? `${{name}}=${{values[i]}}` : '').filter(Boolean))"""
TOLD = f"(names, ...now) => {SPOKEN}(JSON.parse(names), now).join(', ') || '{ANY}'"
SHOWN = f"""(names, wishes) => {{
    const pairs = (wishes ?? '').split(',').map((pair) => pair.split('=').map((part) => part.trim()));
    const [asked, known] = [Object.fromEntries(pairs), JSON.parse(names)];
    return [...Array({MENUS}).keys()].map((i) => asked[known[i]] ?? '{ANY}');
}}"""


def draw_tab(page: Page, plugin: Plugin) -> None:
    import gradio as gr

    page.header()
    tasks, presets = plugin.tasks(), [preset.name for preset in plugin.presets]
    panels: dict[str, Panel] = {}
    onward: list[tuple[str, Any]] = []
    with gr.Tabs(elem_classes="zoo-tasks") as tabs:
        for name, task in tasks.items():
            with page.make(gr.Tab, label=task.title, id=name):
                if name == "change":
                    panels[name] = page.panel(name, editor=lambda: _choice(page), hidden=["to"])
                elif name == "order":
                    panels[name] = page.panel(name, editor=lambda: _order_editor(page), behind=(*ATTRIBUTES, "wishes"))
                else:
                    panels[name] = page.panel(name)
                if name in ("generate", "order"):
                    onward.append((name, _onward_buttons(page)))
    with page.make(gr.Accordion, label=HISTORY, open=False):
        history = gr.Gallery(
            show_label=False, format="png", columns=8, height="auto", object_fit="contain", interactive=False,
            buttons=["download", "fullscreen"],
        )  # fmt: skip

    to, (chosen, own) = panels["change"].inputs["to"], panels["change"].editor
    for menu in (chosen, own):
        panels["change"].after(menu.input(None, menu, to, js="(pair) => pair ?? ''"))
    to.change(None, to, chosen, js=f"(to) => ({json.dumps([pair for _, pair in _changes()])}).includes(to) ? to : null")
    to.change(None, to, own, js="(to) => /^[^=]+=[^=]+$/.test(to) ? to : null")
    _order_by_swatches(panels["order"])
    _order_by_menus(panels["order"])
    _show_what_can_be_asked(page, plugin, panels)
    for name, buttons in onward:
        _go_on(panels, name, buttons, tabs)
    for panel in panels.values():
        for output in panel.outputs.values():
            if isinstance(output, (gr.Gallery, gr.Image)):  # kept by the browser alone, as the files that they are
                panel.then(None, [output, history], history, js=REMEMBER)

    fields = [(name, field) for name, panel in panels.items() if name != "restore" for field in panel.inputs]

    def fill(made: dict[str, Any] | None) -> list[Any]:
        """The preset, and what each field of the forms becomes: as the picture was made, else as it is."""
        made = made or {}
        arguments = made.get("arguments", {})
        preset = made.get("preset")
        filled = [arguments[f] if made.get("task") == name and f in arguments else gr.skip() for name, f in fields]
        return [preset if preset in presets else gr.skip(), *filled]

    panels["restore"].then(
        fill,
        panels["restore"].outputs["result"],
        [page.preset, *(panels[name].inputs[field] for name, field in fields)],
        api_visibility="private",
        show_progress="hidden",
    )


def _choice(page: Page) -> tuple[Any, Any]:
    """The menu of changes of drawn characters, and that of weights with labels of their own."""
    import gradio as gr

    own = page.make(gr.Dropdown, label=CHOOSE, choices=[], value=None, visible=False)
    return page.make(gr.Dropdown, label=CHOOSE, choices=_changes(), value=None), own


def _changes() -> list[tuple[Text, str]]:
    """Every change that can be asked for: (its name, "attribute=value")."""
    return [
        (Text(*(f"{of}: {to}" for of, to in zip(attribute.text, value.text))), f"{name}={key}")
        for name, attribute in ATTRIBUTES.items()
        for key, value in attribute.values.items()
    ]


# ---------------------------------------------------------------------------------------------------------------------
# Swatches


def _swatches(page: Page) -> Any:
    """A `gr.HTML` that tells which swatch was touched last."""
    import gradio as gr

    from gan_zoo.ui.words import both

    rows = []
    for name, attribute in ATTRIBUTES.items():
        colours = attribute.option.endswith("Color")
        buttons = "".join(
            _swatch(name, key, value.options[0] if colours else "") for key, value in attribute.values.items()
        )
        rows.append(f'<div class="name">{both(attribute.text)}</div><div class="row">{buttons}</div>')
    script = Path(__file__).with_name("swatches.js").read_text(encoding="utf-8")
    return page.make(
        gr.HTML, value="", html_template="".join(rows), css_template=CSS, js_on_load=script, elem_id="anime-swatches"
    )


def _swatch(name: str, key: str, colour: str) -> str:
    text = ATTRIBUTES[name].values[key].text
    label = f'data-name="{name}" data-value="{key}" aria-pressed="false" aria-label="{text.en}"'
    label += f' title="{text.en} · {text.es}"'
    if colour:
        return f'<button type="button" {label} style="background: {colour}"></button>'
    picture = images.data_address((SWATCHES / f"{name}-{key}.png").read_bytes(), "image/png")
    return f'<button type="button" class="picture" {label}><img alt="" src="{picture}"></button>'


def draw_swatch(name: str, key: str) -> Image.Image:
    """A drawn character (Lorelei, CC0) with that value, as it stands in `swatches/NAME-KEY.png`."""
    size, part = (96, (0, 0, 96, 96)) if name == "hair_style" else (160, (42, 48, 138, 144))  # or the face alone
    return draw_character(MODEL, size, {"glasses": "none", name: key}).crop(part).quantize(32)


def _order_by_swatches(panel: Panel) -> None:
    """A touch sets the form's field, or frees it again, and orders; whatever changes a field marks its swatches."""
    fields = [panel.inputs[name] for name in ATTRIBUTES]
    swatches = panel.editor.swatches
    panel.after(swatches.change(None, [swatches, *fields], fields, js=TOUCHED))
    for name, field in zip(ATTRIBUTES, fields):
        script = f"""(value) => document.querySelectorAll('#anime-swatches [data-name={name}]').forEach(
            (button) => button.setAttribute('aria-pressed', button.dataset.value === value))"""
        field.change(None, field, None, js=script)


# ---------------------------------------------------------------------------------------------------------------------
# Labels of the data's own


class Editor(NamedTuple):
    """What an order is made by: swatches of drawn characters, or a menu for each label that the weights learned."""

    swatches: Any
    row: Any  # of the menus
    menus: list[Any]
    names: Any  # of the labels, as JSON, one for each menu that is seen


def _order_editor(page: Page) -> Editor:
    import gradio as gr

    swatches = _swatches(page)
    with gr.Row(visible=False) as row:
        menus = [gr.Dropdown(choices=[ANY], value=ANY, visible=False, min_width=120) for _ in range(MENUS)]
    return Editor(swatches, row, menus, gr.Textbox("[]", visible=False))


def _order_by_menus(panel: Panel) -> None:
    """A choice becomes wishes in words, and orders; whatever else changes those is shown by the menus."""
    editor, wishes = panel.editor, panel.inputs["wishes"]
    for menu in editor.menus:
        panel.after(menu.input(None, [editor.names, *editor.menus], wishes, js=TOLD))
    for changed in (wishes, editor.names):
        changed.change(None, [editor.names, wishes], editor.menus, js=SHOWN)


def _show_what_can_be_asked(page: Page, plugin: Plugin, panels: Mapping[str, Panel]) -> None:
    """With another preset, the menus and changes that its weights know."""
    import gradio as gr

    editor, (drawn, own) = panels["order"].editor, panels["change"].editor

    def known(preset: str) -> list[Any]:
        try:
            vocabulary = plugin.ready(plugin.preset(preset).name).vocabulary  # of a preset: strangers name no folders
        except ValueError:  # whoever asks these weights for a picture is told why
            return [gr.skip() for _ in seen]
        labels = {} if vocabulary is BUILT_IN else dict(list(vocabulary.shares.items())[:MENUS])
        menus = [gr.Dropdown(choices=[ANY, *values], value=ANY, label=n, visible=True) for n, values in labels.items()]
        changes = [(f"{name}: {value}", f"{name}={value}") for name, values in labels.items() for value in values]
        return [
            gr.HTML(visible=not labels),
            gr.Row(visible=bool(labels)),
            *menus,
            *[gr.Dropdown(visible=False)] * (MENUS - len(menus)),
            json.dumps(list(labels)),
            gr.Dropdown(visible=not labels),
            gr.Dropdown(choices=changes, visible=bool(labels)),
        ]

    seen = [editor.swatches, editor.row, *editor.menus, editor.names, drawn, own]
    page.preset.change(known, page.preset, seen, api_visibility="private", show_progress="hidden")


# ---------------------------------------------------------------------------------------------------------------------
# Going on from a face


def _onward_buttons(page: Page) -> dict[str, Any]:
    import gradio as gr

    with gr.Row(elem_classes="zoo-onward"):
        page.make(gr.Markdown, value=CLICKED)
        seed = gr.Number(visible=False)
        buttons = {
            task: page.make(gr.Button, value=text, size="sm", min_width=90, scale=0, interactive=False)
            for task, (text, _) in ONWARD.items()
        }
    return {"seed": seed, **buttons}


def _go_on(panels: dict[str, Panel], name: str, parts: dict[str, Any], tabs: Any) -> None:
    """A click on a face of the grid makes it the one from which the buttons go on: its seed, and what was asked."""
    import gradio as gr

    def picked(event: gr.SelectData) -> list[Any]:
        seed = int(event.value["caption"])
        return [seed, *(gr.Button(interactive=True) for _ in ONWARD)]

    picked.__annotations__["event"] = gr.SelectData  # Gradio asks for the class, and here it is only known inside
    gallery = panels[name].outputs["result"]
    buttons = [parts[task] for task in ONWARD]
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    gallery.select(picked, None, [parts["seed"], *buttons], **quiet)
    wanted = [panels[name].inputs[field] for field in ("wishes", *ATTRIBUTES)] if name == "order" else []
    for task, (_, field) in ONWARD.items():
        inputs = panels[task].inputs
        asked = f"""(seed, own, ...now) => [seed,
            {SPOKEN}({json.dumps([*ATTRIBUTES])}, now).concat(own && own !== '{ANY}' ? own : []).join(', ') || '{ANY}',
            {{__type__: 'update', selected: '{task}'}}]"""
        moved = parts[task].click(None, [parts["seed"], *wanted], [inputs[field], inputs["wishes"], tabs], js=asked)
        panels[task].after(moved)
