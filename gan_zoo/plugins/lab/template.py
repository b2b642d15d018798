"""What the page of a fight shows: the words, the lesson, the diagram and the controls. Loaded with the page."""

from __future__ import annotations

from typing import Any

from gan_zoo.plugin import Text
from gan_zoo.ui.words import both

TRAINED = Text("Already trained", "Ya entrenado")
ANSWERS = Text(
    "D's answers, from 0 (fake) to 1 (real): green of real faces, violet of fakes. Frames: blue believed, orange not.",
    "Respuestas de D, de 0 (falsa) a 1 (real): verde, de caras reales; violeta, de falsas. Marcos: azul, creída; "
    "naranja, no.",
)
WHAT_POINTS = Text(
    "The forger G turns noise into points (violet) and wants them to pass for real ones (green). The police D says of "
    "every place how likely a point there is real: blue near 1, orange near 0, white at one half. Pink arrows show "
    "where a step of G would push each fake.",
    "El falsificador G convierte ruido en puntos (violeta) y quiere que pasen por reales (verde). La policía D dice de "
    "cada lugar cuán probable es que un punto sea real: azul cerca de 1, naranja cerca de 0, blanco en un medio. Las "
    "flechas rosas muestran hacia dónde empujaría a cada falso un paso de G.",
)
WHAT_FACES = Text(
    "The forger G turns noise into faces and wants them to pass for real ones, such as those of the first row. The "
    "police D says of every face how likely it is real: its frame is blue near 1, orange near 0, white at one half.",
    "El falsificador G convierte ruido en caras y quiere que pasen por reales, como las de la primera fila. La policía "
    "D dice de cada cara cuán probable es que sea real: su marco es azul cerca de 1, naranja cerca de 0, blanco en un "
    "medio.",
)
LESSON = (  # the moves that light a passage, and the passage
    ("d both", Text(
        "D's move: it sees real ones with the label 1 and fakes with the label 0, and its error −log D(x) − "
        "log(1 − D(G(z))) changes D's weights. G's weights are not touched: their digits stay.",
        "Turno de D: ve los reales con la etiqueta 1 y los falsos con la 0; su error −log D(x) − log(1 − D(G(z))) "
        "cambia los pesos de D. Los de G no se tocan: sus cifras no cambian.",
    )),
    ("g both", Text(
        "G's move: D is frozen. The fakes now carry the label 1, and the error −log D(G(z)) flows back through D to G.",
        "Turno de G: D está congelado. Los falsos llevan ahora la etiqueta 1 y el error −log D(G(z)) vuelve a través "
        "de D hasta G.",
    )),
    ("", Text(
        "It ends where D answers one half everywhere: then real and fake are spread alike, and the Jensen–Shannon "
        "divergence, which G has been pressing down, is near 0.",
        "Termina cuando D contesta un medio en todas partes: reales y falsos están repartidos igual y la divergencia "
        "de Jensen–Shannon, que G ha ido bajando, está cerca de 0.",
    )),
    ("", Text(
        "It can go wrong. Mode collapse: G puts all it makes where D is fooled for now, and moves on once D notices. "
        "D too strong: it is sure of everything, 1 here and 0 there, and G, never told what would be a little better, "
        "hardly moves. Penalty and falling rates, which a fair fight has, are against both.",
        "Puede salir mal. Colapso de modos: G pone todo lo que hace donde D se deja engañar, y se muda cuando D lo "
        "nota. D demasiado fuerte: está seguro de todo, 1 aquí y 0 allá, y G, a quien nadie dice qué sería un poco "
        "mejor, apenas se mueve. La penalización y las tasas decrecientes de una partida igualada van contra ambos.",
    )),
)  # fmt: skip
DONE = Text("Equilibrium: D can no longer tell.", "Equilibrio: D ya no distingue.")
DRAW = Text(
    "Draw with the pointer on the square; or with arrow keys, space for a point, Enter to begin.",
    "Dibuja con el puntero en el cuadrado; o con las flechas, espacio para un punto, Intro para empezar.",
)
BUTTONS = (
    ('data-do="play" class="main"', Text("▶ ❚❚ Play / pause", "▶ ❚❚ Jugar / pausa")),
    ('data-do="step" data-what="d"', Text("Step D", "Paso de D")),
    ('data-do="step" data-what="g"', Text("Step G", "Paso de G")),
    ('data-do="step" data-what="both"', Text("Step both", "Paso de ambos")),
    ('data-do="reset"', Text("New seed", "Otra semilla")),
    ('data-do="film"', Text("⬇ Film", "⬇ Película")),
)
SCENES = (
    ("fair", Text("A fair fight", "Una partida igualada")),
    ("collapse", Text("Mode collapse", "Colapso de modos")),
    ("strong", Text("D too strong", "D demasiado fuerte")),
)
LOSS = ("loss", Text("Loss", "Pérdida"), ("logistic", "least-squares"))
OPTIMIZER = ("optimizer", Text("Optimiser", "Optimizador"), ("adam", "sgd"))
RATE_D, RATE_G = Text("Rate of D", "Tasa de D"), Text("Rate of G", "Tasa de G")
WIDTH_D, WIDTH_G = Text("Width of D", "Ancho de D"), Text("Width of G", "Ancho de G")
STEPS = (
    ("d_steps", Text("D steps a move", "Pasos de D por turno"), ("1", "2", "3", "5", "8")),
    ("g_steps", Text("G steps a move", "Pasos de G por turno"), ("1", "2", "3", "5")),
)
CALMING = (
    ("penalty", Text("Penalty on D's slope", "Penalización de la pendiente de D"), ("0", "0.02", "0.1", "1", "10")),
    ("cooling", Text("Rates halve after", "Las tasas se reducen a la mitad tras"), ("0", "100", "300", "500", "2000")),
)
POINTS_CHOICES = (
    ("distribution", Text("Real points", "Puntos reales"), ("ring", "line", "gaussians", "disjoint", "drawn")),
    LOSS,
    OPTIMIZER,
    ("latent", Text("Noise", "Ruido"), ("uniform", "gaussian")),
    ("latent_dim", Text("Noise dimensions", "Dimensiones del ruido"), ("1", "2")),
    ("rate_d", RATE_D, ("0.0005", "0.002", "0.005", "0.012", "0.05")),
    ("rate_g", RATE_G, ("0.0005", "0.001", "0.003", "0.01", "0.03")),
    *STEPS,
    ("width_d", WIDTH_D, ("4", "8", "16", "32", "48")),
    ("width_g", WIDTH_G, ("4", "8", "16", "32", "48")),
    *CALMING,
)
FACES_CHOICES = (
    LOSS,
    OPTIMIZER,
    ("latent_dim", Text("Noise dimensions", "Dimensiones del ruido"), ("2", "8", "32", "64")),
    ("rate_d", RATE_D, ("0.0005", "0.001", "0.002", "0.004", "0.01")),
    ("rate_g", RATE_G, ("0.0005", "0.001", "0.002", "0.004", "0.01")),
    *STEPS,
    ("width_d", WIDTH_D, ("8", "16", "32", "48")),
    ("width_g", WIDTH_G, ("8", "16", "32", "48")),
    *CALMING,
)
SLOW = ("slow", Text("slow motion: D, then G", "cámara lenta: D, luego G"), False)
SWITCHES = (
    SLOW,
    ("push", Text("gradients", "gradientes"), True),
    ("mesh", Text("manifold of G", "variedad de G"), True),
)
CSS = """
.lab { display: grid; grid-template-columns: minmax(280px, 440px) minmax(280px, 1fr); gap: 16px; }
@media (max-width: 760px) { .lab { grid-template-columns: 1fr; } }
canvas, .stage, svg { width: 100%; border-radius: 8px; background: var(--background-fill-primary); }
.stage { display: block; margin: 0; touch-action: none; border: 1px solid var(--border-color-primary); }
canvas.stage { aspect-ratio: 1; } img.stage { aspect-ratio: 432 / 366; background: #fff; }
.row { display: flex; flex-wrap: wrap; gap: 6px; margin: 8px 0; align-items: center; }
button { padding: 6px 12px; border-radius: 6px; border: 1px solid var(--border-color-primary); cursor: pointer;
         background: var(--button-secondary-background-fill); color: var(--body-text-color); }
button.main { background: var(--button-primary-background-fill); } button.main span { color: #fff; }
button:focus-visible, select:focus-visible, .stage:focus-visible { outline: 3px solid var(--color-accent); }
label { font-size: 13px; display: inline-flex; gap: 4px; align-items: center; }
select { background: var(--input-background-fill); color: var(--body-text-color); border-radius: 6px;
         border: 1px solid var(--border-color-primary); padding: 2px 4px; font-size: 13px; }
.answers-hint { font-size: 13px; margin-top: 8px; }
.lesson { padding-left: 20px; font-size: 14px; } .lesson li { padding: 4px 8px; border-radius: 6px; margin: 4px 0; }
.lesson li.lit { background: color-mix(in srgb, var(--color-accent) 18%, transparent); }
.end { color: var(--color-accent); font-weight: 600; } .note { color: #d0453b; min-height: 1.2em; }
svg text { fill: var(--body-text-color); font-size: 13px; text-anchor: middle; }
svg text.small { font-size: 11px; fill: var(--body-text-color-subdued); }
svg text.weights { font: 11px monospace; fill: var(--body-text-color-subdued); }
svg text.weights.moved { fill: var(--color-accent); font-weight: 700; }
svg rect { fill: var(--background-fill-secondary); stroke: var(--border-color-primary); }
svg path { stroke: var(--border-color-primary); stroke-width: 2; fill: none; }
svg path.error { stroke-dasharray: 5 4; }
svg .lit rect, svg .lit path { stroke: var(--color-accent); stroke-width: 2.5; }
svg path.lock { visibility: hidden; fill: var(--body-text-color-subdued); stroke: none; }
svg .at-g, svg[data-what="g"] .at-d { display: none; } svg[data-what="g"] .at-g { display: inline; }
svg path.head { stroke: none; fill: context-stroke; }
svg[data-what="d"] .lock-g, svg[data-what="g"] .lock-d { visibility: visible; }
"""


def points_template() -> str:
    stage = f"""<canvas class="stage" width="440" height="440" role="img" aria-label="GAN lab"></canvas>
<div class="draw-hint" hidden>{both(DRAW)}</div>"""
    return _template(stage, "ring", POINTS_CHOICES, SWITCHES, (("", WHAT_POINTS), *LESSON))


def faces_template() -> str:
    stage = f"""<img class="stage" alt="">
<div class="answers-hint">{both(ANSWERS)}</div><canvas class="answers" width="440" height="90" role="img"></canvas>"""
    return _template(stage, "faces", FACES_CHOICES, (SLOW,), (("", WHAT_FACES), *LESSON))


def _template(stage: str, trained: str, choices: Any, switches: Any, told: Any) -> str:
    buttons = "".join(f'<button type="button" {attributes}>{both(text)}</button>' for attributes, text in BUTTONS)
    scenes = "".join(
        f'<button type="button" data-do="scene" data-scene="{name}">{both(text)}</button>' for name, text in SCENES
    )
    scenes += f'<button type="button" data-do="trained" data-start="{trained}">{both(TRAINED)}</button>'
    chosen = "".join(
        f'<label>{both(text)} <select data-rule="{name}">{"<option>" + "<option>".join(some)}</select></label>'
        for name, text, some in choices
    )
    switched = "".join(
        f'<label><input type="checkbox" name="{name}"{" checked" if on else ""}> {both(text)}</label>'
        for name, text, on in switches
    )
    lesson = "".join(f'<li data-part="{part}">{both(text)}</li>' for part, text in told)
    return f"""<div class="lab"><div>{stage}
<div class="row">{buttons}</div><div class="row">{switched}<span>#<span class="step">0</span></span></div>
<div class="end" role="status" hidden>{both(DONE)}<span class="end-numbers"></span></div>
<div class="note" role="alert"></div><div class="row">{scenes}</div><div class="row">{chosen}</div></div>
<div>{_diagram(f"head-{trained}")}<canvas class="charts" width="520" height="300" role="img"></canvas>
<ol class="lesson">{lesson}</ol></div></div>"""


def _diagram(head: str) -> str:
    """Who hands what to whom; fight.js lights what works and locks weights that stay."""

    def text(x: int, y: int, words: Text, kind: str = "") -> str:
        return f'<text x="{x}" y="{y}" class="{kind}">{both(words, "tspan")}</text>'

    def box(part: str, x: int, y: int, width: int, words: Text, side: str = "") -> str:
        weights = f'<text x="{x + width // 2}" y="{y + 36}" class="weights weights-{side}"></text>' if side else ""
        lock = f'<path d="M{x + width - 20} {y - 8} v-2 a4 4 0 0 1 8 0 v2 h2 v8 h-12 v-8 z" class="lock lock-{side}"/>'
        height = 46 if side else 28
        return f"""<g data-part="{part}"><rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8"/>
{text(x + width // 2, y + 19, words)}{weights}{lock if side else ""}</g>"""

    def arrow(part: str, way: str, kind: str = "") -> str:
        return f'<g data-part="{part}"><path d="{way}" class="{kind}" marker-end="url(#{head})"/></g>'

    parts = [
        box("g both", 6, 105, 70, Text("noise z", "ruido z")),
        box("g both", 112, 96, 112, Text("forger G", "falsificador G"), "g"),
        box("d both", 112, 12, 112, Text("real ones", "reales")),
        box("d g both", 300, 58, 100, Text("police D", "policía D"), "d"),
        box("d g both", 446, 66, 68, Text("error", "error")),
        arrow("g both", "M76 119 H108"),
        arrow("d both", "M224 26 C262 26 262 70 296 74"),
        arrow("d g both", "M224 112 C262 112 262 92 296 88"),
        arrow("d g both", "M400 80 H442"),
        arrow("d both", "M480 64 C480 30 350 30 350 54", "error"),
        arrow("g both", "M480 96 C480 160 168 168 168 146", "error"),
        text(258, 20, Text("label 1", "etiqueta 1"), "small"),
        text(258, 134, Text("label 0", "etiqueta 0"), "small at-d"),
        text(258, 134, Text("label 1", "etiqueta 1"), "small at-g"),
        text(420, 24, Text("D learns", "D aprende"), "small"),
        text(330, 168, Text("through D to G, label 1", "a través de D hasta G, etiqueta 1"), "small"),
    ]
    marker = f'<marker id="{head}" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="6" orient="auto">'
    return f"""<svg class="diagram" viewBox="0 0 520 176" role="img" aria-label="z, G, D">
<defs>{marker}<path d="M0 0 L8 4 L0 8 z" class="head"/></marker></defs>{"".join(parts)}</svg>"""
