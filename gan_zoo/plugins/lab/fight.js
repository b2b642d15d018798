// A fight in the page: asks the server for moves, shows what comes back. `element` is the component's root; `server.play`
// takes a run, who moves and how often, and gives the run after it, its state and, of faces, its picture.
// What the fight is about is told by `subject`, which points.js or faces.js set before: scenes, pace, draw, rows. tab.py
// tells RULES, those of a fair fight, and MOST, how many moves a call may ask for.
const $ = (selector) => element.querySelector(selector);
const all = (selector) => [...element.querySelectorAll(selector)];
const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
let rules = { ...RULES }, run = null, state = null, playing = false, busy = false, history = [], times = 1;
const visit = Math.random().toString(36).slice(2, 12);

function begin(start) {
    run = { rules: { ...rules, ...subject.extra(rules) }, moves: [], visit, ...(start ? { start } : {}) };
    history = [];
    times = 1;
    return ask('both', 0);
}
async function ask(what, count) {
    if (busy || !run) return;
    busy = true;
    try {
        const answer = await server.play(JSON.stringify(run), what, count);
        if (answer.error) {
            say(answer.error);
            playing = false;
        } else {
            ({ run, state } = answer);
            history.push(state);
            if (history.length > 400) history = history.filter((_, i) => i % 2 === 0 || i > 300);
            light(count ? what : '');
            subject.draw(answer);
            show();
            say('');
        }
    } catch (error) {
        playing = false;
        say(String(error));
    }
    busy = false;
    buttons();
}
const wait = (ms) => new Promise((go) => setTimeout(go, ms));
async function loop() {
    for (let half = 'd'; playing && element.isConnected; half = half === 'd' ? 'g' : 'd') {
        if (!element.offsetParent || document.hidden) {  // nobody looks
            await wait(300);
        } else if ($('[name=slow]').checked) {
            await ask(half, rules[half + '_steps']);
            await wait(calm ? 1200 : 700);
        } else {
            const begun = performance.now();
            await ask('both', times);
            const share = subject.pace / Math.max(1, performance.now() - begun);
            times = Math.max(1, Math.min(MOST, Math.round(times * Math.min(1.5, Math.max(0.5, share)))));
            await wait(calm ? 250 : 10);
        }
    }
}
const say = (text) => { $('.note').textContent = text; };
const buttons = () => all('[data-do=play]').forEach((b) => b.setAttribute('aria-pressed', playing));
// Lights the parts of the diagram and of the lesson that have just worked, and locks the weights that were not touched.
function light(what) {
    all('.lesson li').forEach((li) => li.classList.toggle('lit', what !== '' && li.dataset.part.split(' ').includes(what)));
    all('.diagram [data-part]').forEach((part) => part.classList.toggle('lit', part.dataset.part.split(' ').includes(what)));
    $('.diagram').dataset.what = what;
}
function show() {
    const before = history[history.length - 2];
    for (const side of ['d', 'g']) {
        const digits = $(`.weights-${side}`);
        digits.textContent = state[`weights_${side}`];
        digits.classList.toggle('moved', !!before && before[`weights_${side}`] !== state[`weights_${side}`]);
    }
    $('.step').textContent = state.step;
    $('.end').hidden = !state.equilibrium;
    $('.end-numbers').textContent = ` D(real) = ${state.d_real.toFixed(2)}, D(fake) = ${state.d_fake.toFixed(2)}, ` +
        `|D − ½| = ${state.apart.toFixed(3)}`;
    plot();
}
function plot() {
    const charts = $('.charts'), ink = charts.getContext('2d'), rows = subject.rows;
    const h = charts.height / rows.length, w = charts.width;
    ink.clearRect(0, 0, w, charts.height);
    ink.font = '12px sans-serif';
    rows.forEach((lines, row) => {
        const top = row === 0 ? 1 : Math.max(0.7, ...lines.flatMap(([name]) => history.map((s) => s[name] ?? 0)));
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
            ink.fillText(`${label} ${state[name]?.toFixed(2) ?? '–'}`, 6 + i * 130, row * h + 13);
        });
    });
    charts.setAttribute('aria-label', rows.flat().map(([name, , label]) => `${label} ${state[name]?.toFixed(2) ?? '–'}`).join(', '));
}
async function film() {
    const answer = await server.film(JSON.stringify(run));
    if (answer.error) return say(answer.error);
    Object.assign(document.createElement('a'), { href: answer.film, download: `gan-${state.step}.mp4` }).click();
}

const actions = {
    play() {
        playing = !playing;
        if (playing) loop();
    },
    step: (chosen) => ask(chosen.what, 1),
    reset() {
        rules.seed = Math.floor(Math.random() * 1e6);
        return begin();
    },
    scene(chosen) {
        rules = { ...RULES, ...subject.scenes[chosen.scene] };
        fields();
        return begin();
    },
    trained: (chosen) => begin(chosen.start),
    film,
};
element.addEventListener('click', async (event) => {
    const chosen = event.target.closest('[data-do]')?.dataset;
    if (!chosen) return;
    if (!['play', 'film'].includes(chosen.do)) {
        playing = false;
        while (busy) await wait(20);
    }
    await actions[chosen.do](chosen);
    buttons();
});
element.addEventListener('change', async (event) => {
    const name = event.target.dataset.rule;
    if (!name) return state && subject.redraw();
    rules[name] = typeof RULES[name] === 'number' ? Number(event.target.value) : event.target.value;
    while (busy) await wait(20);
    if (subject.ready(rules)) begin();
});
const fields = () => all('[data-rule]').forEach((f) => { f.value = String(rules[f.dataset.rule]); });
fields();
begin();
