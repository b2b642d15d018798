"""The tab: the fight as a moving picture with its controls, the lesson beside it, and the plain tasks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_zoo.plugin import Page, Text
from gan_zoo.plugins.lab import game

if TYPE_CHECKING:
    from gan_zoo.plugins.lab.plugin import Lab

HERE = Path(__file__).parent
WATCH = Text("Watch", "Mirar")
MOST_AT_ONCE = 20  # moves of one call from the page

LESSON = (
    ("", Text(
        "The forger G turns noise into points (violet) and wants them to pass for real ones (green). The police D says "
        "of every place how likely a point there is real: blue near 1, orange near 0, white at one half.",
        "El falsificador G convierte ruido en puntos (violeta) y quiere que pasen por reales (verde). La "
        "policía D dice "
        "de cada lugar cuán probable es que un punto sea real: azul cerca de 1, naranja cerca de 0, blanco "
        "en un medio.",
    )),
    ("d both", Text(
        "D's move: it sees real points with the label 1 and fakes with the label 0, and its error −log D(x) − log(1 − "
        "D(G(z))) changes D's weights. G's weights are not touched.",
        "Turno de D: ve puntos reales con la etiqueta 1 y falsos con la 0; su error −log D(x) − log(1 − "
        "D(G(z))) cambia "
        "los pesos de D. Los de G no se tocan.",
    )),
    ("g both", Text(
        "G's move: D is frozen. The fakes now carry the label 1, and the error −log D(G(z)) flows back through D to G: "
        "the pink arrows show where each fake is pushed.",
        "Turno de G: D está congelado. Las falsas llevan ahora la etiqueta 1 y el error −log D(G(z)) vuelve "
        "a través de D "
        "hasta G: las flechas rosas muestran hacia dónde se empuja cada falsa.",
    )),
    ("", Text(
        "It ends where D answers one half everywhere: then real and fake are spread alike, and the Jensen–Shannon "
        "divergence, which G has been pressing down, is near 0.",
        "Termina cuando D contesta un medio en todas partes: reales y falsas están repartidas igual y la "
        "divergencia de "
        "Jensen–Shannon, que G ha ido bajando, está cerca de 0.",
    )),
    ("", Text(
        "It can go wrong. Mode collapse: G puts all its points where D is fooled for now. D too strong: D is sure of "
        "everything, its map is flat, and G learns nothing from it.",
        "Puede salir mal. Colapso de modos: G pone todos sus puntos donde D se deja engañar. D demasiado fuerte: está "
        "seguro de todo, su mapa es plano y G no aprende nada de él.",
    )),
)  # fmt: skip
DONE = Text("Equilibrium: D can no longer tell.", "Equilibrio: D ya no distingue.")
DRAW = Text("Draw with the pointer on the square.", "Dibuja con el puntero en el cuadrado.")
BUTTONS = (
    ('data-do="play" class="main"', Text("▶ ❚❚ Play / pause", "▶ ❚❚ Jugar / pausa")),
    ('data-do="step" data-what="d"', Text("Step D", "Paso de D")),
    ('data-do="step" data-what="g"', Text("Step G", "Paso de G")),
    ('data-do="step" data-what="both"', Text("Step both", "Paso de ambos")),
    ('data-do="reset"', Text("New seed", "Otra semilla")),
)
SCENES = (
    ("fair", Text("A fair fight", "Una partida igualada")),
    ("collapse", Text("Mode collapse", "Colapso de modos")),
    ("strong", Text("D too strong", "D demasiado fuerte")),
)
CHOICES = (
    ("distribution", Text("Real points", "Puntos reales"), ("ring", "line", "gaussians", "disjoint", "drawn")),
    ("loss", Text("Loss", "Pérdida"), ("logistic", "least-squares")),
    ("optimizer", Text("Optimiser", "Optimizador"), ("adam", "sgd")),
    ("latent", Text("Noise", "Ruido"), ("uniform", "gaussian")),
    ("latent_dim", Text("Noise dimensions", "Dimensiones del ruido"), ("1", "2")),
    ("rate_d", Text("Rate of D", "Tasa de D"), ("0.0005", "0.002", "0.005", "0.02", "0.05")),
    ("rate_g", Text("Rate of G", "Tasa de G"), ("0.0005", "0.001", "0.003", "0.01", "0.03")),
    ("d_steps", Text("D steps a move", "Pasos de D por turno"), ("1", "2", "3", "5", "8")),
    ("g_steps", Text("G steps a move", "Pasos de G por turno"), ("1", "2", "3", "5")),
    ("width_d", Text("Width of D", "Ancho de D"), ("4", "8", "16", "32", "48")),
    ("width_g", Text("Width of G", "Ancho de G"), ("4", "8", "16", "32", "48")),
)
SWITCHES = (
    ("slow", Text("slow motion", "cámara lenta"), False),
    ("push", Text("gradients", "gradientes"), True),
    ("mesh", Text("manifold of G", "variedad de G"), True),
)
CSS = """
.lab { display: grid; grid-template-columns: minmax(280px, 440px) minmax(240px, 1fr); gap: 16px; }
@media (max-width: 760px) { .lab { grid-template-columns: 1fr; } }
canvas { width: 100%; border-radius: 8px; background: var(--background-fill-primary); }
.stage { aspect-ratio: 1; touch-action: none; border: 1px solid var(--border-color-primary); }
.row { display: flex; flex-wrap: wrap; gap: 6px; margin: 8px 0; align-items: center; }
button { padding: 6px 12px; border-radius: 6px; border: 1px solid var(--border-color-primary); cursor: pointer;
         background: var(--button-secondary-background-fill); color: var(--body-text-color); }
button.main { background: var(--button-primary-background-fill); color: var(--button-primary-text-color); }
label { font-size: 13px; display: inline-flex; gap: 4px; align-items: center; }
select { background: var(--input-background-fill); color: var(--body-text-color); border-radius: 6px;
         border: 1px solid var(--border-color-primary); padding: 2px 4px; font-size: 13px; }
.lesson { padding-left: 20px; font-size: 14px; } .lesson li { padding: 4px 8px; border-radius: 6px; margin: 4px 0; }
.lesson li.lit { background: var(--primary-100); } .dark .lesson li.lit { background: var(--primary-800); }
.end { color: var(--primary-600); font-weight: 600; } .note { color: #b3261e; min-height: 1.2em; }
"""


def draw_tab(page: Page, plugin: Lab) -> None:
    import gradio as gr

    page.header()
    with gr.Tabs(elem_classes="zoo-tasks"):
        with page.make(gr.Tab, label=WATCH, id="watch"):
            page.make(
                gr.HTML,
                value="",
                html_template=_template(),
                css_template=CSS,
                js_on_load=(HERE / "lab.js").read_text(encoding="utf-8"),
                server_functions=[_player(plugin)],
                elem_id="lab-watch",
            )
        for name, task in plugin.tasks().items():
            with page.make(gr.Tab, label=task.title, id=name):
                page.panel(name)


def _player(plugin: Lab) -> Any:
    """What the page calls for each picture; a stranger's values are checked as those of the tasks are."""

    def play(run: Any, what: Any = "both", times: Any = 1) -> dict[str, Any]:
        if isinstance(run, list):  # how Gradio hands over several arguments
            run, what, times = [*run, "both", 1][:3]
        try:
            if what not in game.MOVES or type(times) is not int or not 0 <= times <= MOST_AT_ONCE:
                raise ValueError(f"expected one of {', '.join(game.MOVES)}, 0 to {MOST_AT_ONCE} times")
            if not isinstance(run, str) or len(run) > 40_000:
                raise ValueError("run: expected JSON of at most 40,000 characters")
            after, fight = game.take_up(type(plugin), plugin.read(run), what, times)
            return {"run": after, "state": fight.state()}
        except ValueError as error:
            return {"error": str(error)}

    return play


def _template() -> str:
    from gan_zoo.ui.words import both

    buttons = "".join(f'<button type="button" {attributes}>{both(text)}</button>' for attributes, text in BUTTONS)
    scenes = "".join(
        f'<button type="button" data-do="scene" data-scene="{name}">{both(text)}</button>' for name, text in SCENES
    )
    choices = "".join(
        f'<label>{both(text)} <select data-rule="{name}">{"<option>" + "<option>".join(some)}</select></label>'
        for name, text, some in CHOICES
    )
    switches = "".join(
        f'<label><input type="checkbox" name="{name}"{" checked" if on else ""}> {both(text)}</label>'
        for name, text, on in SWITCHES
    )
    lesson = "".join(f'<li data-part="{part}">{both(text)}</li>' for part, text in LESSON)
    return f"""<div class="lab"><div>
<canvas class="stage" width="440" height="440" role="img" aria-label="GAN lab"></canvas>
<div class="row">{buttons}</div><div class="row">{switches}<span>#<span class="step">0</span></span>
<span class="end" hidden>{both(DONE)}</span></div><div class="note" role="status"></div>
<div class="draw-hint" hidden>{both(DRAW)}</div></div>
<div><canvas class="charts" width="520" height="330" role="img" aria-label="charts"></canvas>
<div class="row">{scenes}</div><div class="row">{choices}</div><ol class="lesson">{lesson}</ol></div></div>"""
