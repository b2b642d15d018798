// The lab in the page: asks the server for moves, draws what comes back. `element` is the component's root; `server.play`
// takes a run, who moves and how often, and gives the run after it and its state.
const $ = (selector) => element.querySelector(selector);
const stage = $('.stage'), charts = $('.charts'), pen = stage.getContext('2d'), ink = charts.getContext('2d');
const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
const RULES = { distribution: 'ring', loss: 'logistic', optimizer: 'adam', latent: 'uniform', latent_dim: 2, rate_g: 0.003,
    rate_d: 0.005, d_steps: 1, g_steps: 1, width_g: 16, width_d: 16 };
const SCENES = {
    fair: {},
    collapse: { distribution: 'disjoint', rate_g: 0.03, rate_d: 0.002, width_d: 8, g_steps: 3 },
    strong: { distribution: 'line', rate_d: 0.05, d_steps: 8, width_d: 48 },
};
let rules = { ...RULES }, run = null, state = null, playing = false, busy = false, history = [], points = [];
const visit = Math.random().toString(36).slice(2, 12);

function begin() {
    run = { rules: { ...rules, ...(rules.distribution === 'drawn' ? { points } : {}) }, moves: [], visit };
    history = [];
    ask('both', 0);
}
async function ask(what, times) {
    if (busy || !run) return;
    busy = true;
    try {
        const answer = await server.play(JSON.stringify(run), what, times);
        if (answer.error) {
            say(answer.error);
            playing = false;
        } else {
            ({ run, state } = answer);
            history.push(state);
            if (history.length > 400) history = history.filter((_, i) => i % 2 === 0 || i > 300);
            lit(times ? what : '');
            draw();
            say('');
        }
    } catch (error) {
        playing = false;
        say(String(error));
    }
    busy = false;
    buttons();
}
async function loop() {
    while (playing && element.isConnected) {
        const slow = $('[name=slow]').checked;
        await ask('both', slow ? 1 : 6);
        await new Promise((go) => setTimeout(go, slow ? 350 : calm ? 250 : 15));
    }
}
const say = (text) => { $('.note').textContent = text; };
const lit = (what) => element.querySelectorAll('.lesson li').forEach((li) => {
    li.classList.toggle('lit', what !== '' && li.dataset.part.split(' ').includes(what));
});
const buttons = () => element.querySelectorAll('[data-do=play]').forEach((b) => b.setAttribute('aria-pressed', playing));

const X = (x) => (x + 1) / 2 * stage.width, Y = (y) => (1 - y) / 2 * stage.height;
function draw() {
    const cells = Math.sqrt(state.heat.length), w = stage.width / cells;
    pen.clearRect(0, 0, stage.width, stage.height);
    state.heat.forEach((p, i) => {
        pen.fillStyle = p > 50 ? `rgba(70,130,210,${(p - 50) / 65})` : `rgba(240,150,60,${(50 - p) / 65})`;
        pen.fillRect((i % cells) * w, Math.floor(i / cells) * w, w + 1, w + 1);
    });
    if ($('[name=mesh]').checked) mesh();
    dots(state.real, '#238246');
    if ($('[name=push]').checked) {
        pen.strokeStyle = 'rgba(200,40,120,.8)';
        state.fake.forEach(([x, y], i) => {
            if (i % 2) return;
            const [dx, dy] = state.push[i], far = Math.hypot(dx, dy) || 1, long = Math.min(0.14, 0.1 * far);
            pen.beginPath();
            pen.moveTo(X(x), Y(y));
            pen.lineTo(X(x + dx / far * long), Y(y + dy / far * long));
            pen.stroke();
        });
    }
    dots(state.fake, '#7d3ca5');
    if (rules.distribution === 'drawn') dots(points, '#238246');
    $('.step').textContent = state.step;
    $('.end').hidden = !state.equilibrium;
    stage.setAttribute('aria-label', `step ${state.step}, D on real ${state.d_real.toFixed(2)}, on fake ` +
        `${state.d_fake.toFixed(2)}, Jensen-Shannon ${state.js.toFixed(2)}`);
    plot();
}
function mesh() {
    const n = Math.round(Math.sqrt(state.mesh.length));
    pen.strokeStyle = 'rgba(125,60,165,.35)';
    const path = (some) => {
        pen.beginPath();
        some.forEach(([x, y], i) => (i ? pen.lineTo(X(x), Y(y)) : pen.moveTo(X(x), Y(y))));
        pen.stroke();
    };
    if (run.rules.latent_dim === 1) return path(state.mesh);
    for (let i = 0; i < n; i++) {
        path(state.mesh.slice(i * n, i * n + n));
        path(state.mesh.filter((_, k) => k % n === i));
    }
}
function dots(some, color) {
    pen.fillStyle = color;
    some.forEach(([x, y]) => {
        pen.beginPath();
        pen.arc(X(x), Y(y), 3, 0, 7);
        pen.fill();
    });
}
function plot() {
    const rows = [
        [['d_real', '#238246', 'D(real)'], ['d_fake', '#7d3ca5', 'D(fake)']],
        [['loss_d', '#3f6fb5', 'loss D'], ['loss_g', '#c8506e', 'loss G']],
        [['js', '#b5762f', 'JS'], ['kl', '#7d7870', 'KL']],
    ];
    const h = charts.height / rows.length, w = charts.width;
    ink.clearRect(0, 0, w, charts.height);
    ink.font = '12px sans-serif';
    rows.forEach((lines, row) => {
        const values = lines.flatMap(([name]) => history.map((s) => s[name] ?? 0));
        const top = row === 0 ? 1 : Math.max(0.7, ...values);
        const y = (v) => (row + 1) * h - 6 - (v / top) * (h - 24);
        ink.strokeStyle = 'rgba(128,128,128,.4)';
        ink.beginPath();
        ink.moveTo(0, y(row === 0 ? 0.5 : 0));
        ink.lineTo(w, y(row === 0 ? 0.5 : 0));
        ink.stroke();
        lines.forEach(([name, color, label], i) => {
            ink.strokeStyle = ink.fillStyle = color;
            ink.beginPath();
            history.forEach((s, k) => ink.lineTo((k / Math.max(1, history.length - 1)) * w, y(s[name] ?? 0)));
            ink.stroke();
            ink.fillText(`${label} ${(state[name] ?? 0).toFixed(2)}`, 6 + i * 130, row * h + 13);
        });
    });
}

element.addEventListener('click', (event) => {
    const chosen = event.target.closest('[data-do]')?.dataset;
    if (!chosen) return;
    if (chosen.do === 'play') {
        playing = !playing;
        buttons();
        if (playing) loop();
    }
    if (chosen.do === 'step') {
        playing = false;
        ask(chosen.what, 1);
    }
    if (chosen.do === 'reset') {
        playing = false;
        rules.seed = Math.floor(Math.random() * 1e6);
        begin();
    }
    if (chosen.do === 'scene') {
        playing = false;
        rules = { ...RULES, ...SCENES[chosen.scene] };
        fields();
        begin();
    }
    buttons();
});
element.addEventListener('change', (event) => {
    const name = event.target.dataset.rule;
    if (!name) return state && draw();
    rules[name] = typeof RULES[name] === 'number' ? Number(event.target.value) : event.target.value;
    if (rules.distribution === 'drawn' && !points.length) return say($('.draw-hint').textContent);
    begin();
});
const fields = () => element.querySelectorAll('[data-rule]').forEach((f) => { f.value = String(rules[f.dataset.rule]); });
let drawing = false;
stage.addEventListener('pointerdown', () => { drawing = rules.distribution === 'drawn'; });
addEventListener('pointerup', () => {
    if (drawing && points.length) begin();
    drawing = false;
});
stage.addEventListener('pointermove', (event) => {
    if (!drawing || points.length >= 300) return;
    const box = stage.getBoundingClientRect();
    points.push([(event.clientX - box.left) / box.width * 2 - 1, 1 - (event.clientY - box.top) / box.height * 2]
        .map((v) => Math.round(Math.min(1, Math.max(-1, v)) * 1000) / 1000));
    if (state) draw();
});
fields();
begin();
