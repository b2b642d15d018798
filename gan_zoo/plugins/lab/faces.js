// Faces: real ones and forgeries, each framed by what D believes of it, and how often D gives which answer.
const subject = {
    scenes: {
        fair: {},
        collapse: { rate_g: 0.004, rate_d: 0.0005, g_steps: 5, latent_dim: 2, penalty: 0, cooling: 0 },
        strong: { rate_g: 0.0005, d_steps: 5, penalty: 0, cooling: 0 },
    },
    pace: 300,
    rows: [
        [['d_real', '#2f9a58', 'D(real)'], ['d_fake', '#9b5fc7', 'D(fake)']],
        [['loss_d', '#4a80cc', 'loss D'], ['loss_g', '#c8506e', 'loss G']],
        [['js', '#b5762f', 'JS, bit, as D sees it']],
    ],
    extra: () => ({}),
    ready: () => true,
    draw(answer) {
        const stage = $('.stage');
        stage.src = answer.picture;
        stage.alt = `step ${state.step}, D on real ${state.d_real.toFixed(2)}, on fake ${state.d_fake.toFixed(2)}`;
        answers();
    },
    redraw() {},
};

function answers() {
    const sheet = $('.answers'), ink = sheet.getContext('2d'), bins = state.answers_real.length;
    const w = sheet.width / bins, most = Math.max(8, ...state.answers_real, ...state.answers_fake);
    ink.clearRect(0, 0, sheet.width, sheet.height);
    for (const [some, color] of [[state.answers_real, 'rgba(47,154,88,.75)'], [state.answers_fake, 'rgba(155,95,199,.75)']]) {
        ink.fillStyle = color;
        some.forEach((count, i) => {
            const h = count / most * (sheet.height - 4);
            ink.fillRect(i * w + 1, sheet.height - h, w - 2, h);
        });
    }
    ink.strokeStyle = 'rgba(128,128,128,.7)';
    ink.beginPath();
    ink.moveTo(sheet.width / 2, 0);
    ink.lineTo(sheet.width / 2, sheet.height);
    ink.stroke();
    sheet.setAttribute('aria-label', `D on 64 real faces: ${state.d_real.toFixed(2)}, on 64 fakes: ${state.d_fake.toFixed(2)}`);
}
