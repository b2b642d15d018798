// Points: D's heat map, real and fake points, where the fakes are pushed, G's manifold; and points drawn by hand.
const stage = element.querySelector('.stage'), pen = stage.getContext('2d'), points = [];
const X = (x) => (x + 1) / 2 * stage.width, Y = (y) => (1 - y) / 2 * stage.height;
const cursor = [0, 0], heat = document.createElement('canvas');
const subject = {
    scenes: {
        fair: {},
        collapse: { distribution: 'disjoint', rate_g: 0.03, rate_d: 0.002, d_steps: 1, g_steps: 5, width_d: 8, penalty: 0, cooling: 0 },
        strong: { rate_g: 0.0005, rate_d: 0.05, d_steps: 8, width_g: 4, width_d: 48, penalty: 0, cooling: 0 },
    },
    pace: 45,
    rows: [
        [['d_real', '#2f9a58', 'D(real)'], ['d_fake', '#9b5fc7', 'D(fake)']],
        [['loss_d', '#4a80cc', 'loss D'], ['loss_g', '#c8506e', 'loss G']],
        [['js', '#b5762f', 'JS, bit']],
        [['kl', '#7d7870', 'KL, bit']],
    ],
    extra: (rules) => (rules.distribution === 'drawn' ? { points } : {}),
    ready(rules) {
        const drawn = rules.distribution === 'drawn';
        stage.tabIndex = drawn ? 0 : -1;
        if (drawn && !points.length) say($('.draw-hint').textContent);
        return !drawn || points.length > 0;
    },
    draw: () => redraw(),
    redraw: () => redraw(),
};

function redraw() {
    const cells = heat.width = heat.height = Math.sqrt(state.heat.length), colours = heat.getContext('2d');
    state.heat.forEach((p, i) => {
        colours.fillStyle = p > 50 ? `rgba(70,130,210,${(p - 50) / 65})` : `rgba(240,150,60,${(50 - p) / 65})`;
        colours.fillRect(i % cells, Math.floor(i / cells), 1, 1);
    });
    pen.clearRect(0, 0, stage.width, stage.height);
    pen.drawImage(heat, 0, 0, stage.width, stage.height);
    if ($('[name=mesh]').checked) mesh();
    dots(state.real, '#238246');
    if ($('[name=push]').checked) arrows();
    dots(state.fake, '#7d3ca5');
    if (rules.distribution === 'drawn') {
        dots(points, '#238246');
        if (document.activeElement === stage) pen.strokeRect(X(cursor[0]) - 5, Y(cursor[1]) - 5, 10, 10);
    }
    stage.setAttribute('aria-label', `step ${state.step}, D on real ${state.d_real.toFixed(2)}, on fake ` +
        `${state.d_fake.toFixed(2)}, Jensen-Shannon ${state.js.toFixed(2)}`);
}
function arrows() {
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

let drawing = false;
const put = (x, y) => {
    if (points.length >= MOST_POINTS) return;
    points.push([x, y].map((v) => Math.round(Math.min(1, Math.max(-1, v)) * 1000) / 1000));
    if (state) redraw();
};
stage.addEventListener('pointerdown', () => { drawing = rules.distribution === 'drawn'; });
addEventListener('pointerup', () => {
    if (drawing && points.length) begin();
    drawing = false;
});
stage.addEventListener('pointermove', (event) => {
    if (!drawing) return;
    const box = stage.getBoundingClientRect();
    put((event.clientX - box.left) / box.width * 2 - 1, 1 - (event.clientY - box.top) / box.height * 2);
});
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
stage.addEventListener('keydown', (event) => {  // arrows move a cursor, space puts a point, Enter begins
    if (rules.distribution !== 'drawn' || !(event.key in MOVES || event.key === ' ' || event.key === 'Enter')) return;
    event.preventDefault();
    if (event.key === ' ') return put(...cursor);
    if (event.key === 'Enter') return points.length && begin();
    MOVES[event.key].forEach((way, i) => { cursor[i] = Math.min(1, Math.max(-1, cursor[i] + 0.05 * way)); });
    if (state) redraw();
});
