"""The tab: a skeleton to drag in front of the plain arguments of `transfer`; films; the pose of a picture."""

from __future__ import annotations

import json
from pathlib import Path

from gan_zoo.plugin import Page, Text
from gan_zoo.plugins.pose import poses, skeleton

HERE = Path(__file__).parent
TITLES = {"transfer": Text("Pose", "Postura"), "animate": Text("Film", "Película"), "estimate": Text("Find", "Buscar")}
GUIDE = Text(
    "Drag the joints, or move one with the arrow keys; or begin with a pose.",
    "Arrastra las articulaciones o mueve una con las flechas; o empieza con una postura.",
)
NAMES = {
    "standing": Text("standing", "de pie"),
    "walking": Text("walking", "andando"),
    "running": Text("running", "corriendo"),
    "waving": Text("waving", "saludando"),
    "arms_up": Text("arms up", "brazos arriba"),
    "arms_out": Text("arms out", "brazos en cruz"),
    "side": Text("from the side", "de lado"),
    "back": Text("from behind", "de espaldas"),
}
MIRROR, UNDO = Text("mirror", "reflejar"), Text("undo", "deshacer")
MISUSE = Text(
    "Use only pictures of people who agree to it, and say that the result was generated.",
    "Usa solo imágenes de personas que estén de acuerdo y di que el resultado es generado.",
)
CSS = """
.both { display: flex; gap: 8px; }
svg { flex: 1 1 140px; min-width: 0; max-width: 180px; aspect-ratio: 1 / 2; touch-action: none; overflow: visible;
      border-radius: 8px; display: block; background: var(--background-fill-secondary); }
circle { cursor: grab; } circle:focus-visible { outline: none; stroke: var(--color-accent); stroke-width: 3; }
.row { display: flex; flex-direction: column; gap: 4px; flex: 0 0 auto; }
button { padding: 2px 8px; border-radius: 6px; border: 1px solid var(--border-color-primary); cursor: pointer;
         background: var(--button-secondary-background-fill); color: var(--body-text-color); font-size: 13px; }
"""


def draw_tab(page: Page) -> None:
    import gradio as gr

    page.header()
    with gr.Tabs(elem_classes="zoo-tasks"):
        for name, title in TITLES.items():
            with page.make(gr.Tab, label=title, id=name):
                edited = name == "transfer"
                panel = page.panel(name, editor=(lambda: _editor(page)) if edited else None, behind=["pose"] * edited)
                if panel.editor is not None:
                    panel.editor.change(None, panel.editor, panel.inputs["pose"], js="(pose) => pose")
    page.make(gr.Markdown, value=MISUSE)


def _editor(page: Page):
    """A `gr.HTML` whose value is the pose as OpenPose JSON; "change" follows each move."""
    import gradio as gr

    built_in = {name: _pixels(name) for name in poses.POSES}
    constants = {"POSES": built_in, "LIMBS": skeleton.LIMBS, "NAMES": skeleton.JOINTS}
    script = "".join(f"const {name} = {json.dumps(value)};\n" for name, value in constants.items())
    buttons = "".join(_button(text, "pose", name) for name, text in NAMES.items())
    page.make(gr.Markdown, value=GUIDE)
    return page.make(
        gr.HTML,
        value="",
        html_template=f'<div class="both"><svg viewBox="0 0 128 256"></svg><div class="row">{buttons}'
        f"{_button(MIRROR, 'mirror')}{_button(UNDO, 'undo')}</div></div>",
        css_template=CSS,
        js_on_load=script + (HERE / "editor.js").read_text(encoding="utf-8"),
        elem_id="pose-editor",
        elem_classes="zoo-beside",
    )


def _button(text: Text, action: str, pose: str = "") -> str:
    from gan_zoo.ui.words import both

    return f'<button type="button" data-do="{action}" data-pose="{pose}">{both(text)}</button>'


def _pixels(name: str) -> list[list[float]]:
    """A built-in pose in pixels of 128 x 256."""
    return [[round(float(x) * 128, 1), round(float(y) * 256, 1), float(there)] for x, y, there in poses.POSES[name]()]
