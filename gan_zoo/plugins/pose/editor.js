// The skeleton editor: joints to drag with the pointer or move with the arrow keys. `element` is the component's root,
// `props.value` the pose as OpenPose JSON; `POSES`, `LIMBS` and `NAMES` come from Python. With `PHOTO` it lies over a photo instead:
// then Python gives {picture, size, joints}, and a move adds the pose as `moved`.
const NS = 'http://www.w3.org/2000/svg';
let W = 128, H = 256, pose = structuredClone(POSES.walking), past = [], held = null, shown = null;

const svg = element.querySelector('svg');
const hue = (joint) => `hsl(${joint * 20} 85% 45%)`;
const make = (name, attributes) => {
    const node = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    svg.append(node);
    return node;
};
svg.replaceChildren();
const picture = make('image', {});
const lines = LIMBS.map(([, b]) => make('line', { stroke: hue(b), 'stroke-width': 4, 'stroke-linecap': 'round' }));
const dots = NAMES.map((name, joint) =>
    make('circle', { r: 4.5, fill: hue(joint), tabindex: 0, role: 'button', 'aria-label': name, 'data-joint': joint }));

function draw() {
    LIMBS.forEach(([a, b], i) => {
        const there = pose[a][2] > 0 && pose[b][2] > 0;
        lines[i].style.display = there ? '' : 'none';
        [['x1', pose[a][0]], ['y1', pose[a][1]], ['x2', pose[b][0]], ['y2', pose[b][1]]]
            .forEach(([key, value]) => lines[i].setAttribute(key, value));
    });
    pose.forEach(([x, y, there], joint) => {
        dots[joint].setAttribute('cx', x);
        dots[joint].setAttribute('cy', y);
        dots[joint].style.display = there > 0 ? '' : 'none';
    });
}
function tell() {
    const numbers = pose.flat().map((value) => Math.round(value * 100) / 100);
    const made = { people: [{ pose_keypoints_2d: numbers }], canvas_width: W, canvas_height: H };
    props.value = JSON.stringify(PHOTO ? { ...shown, moved: made } : made);
    trigger('change');
}
function show() {
    const given = props.value ? JSON.parse(props.value) : null;
    element.style.display = given ? '' : 'none';
    if (!given || given.moved || given.asked) return;
    shown = given;
    element.querySelector('.none').hidden = !given.nobody;
    element.querySelector('.found').hidden = Boolean(given.nobody);
    [W, H] = given.size;
    pose = structuredClone(given.joints);
    past = [];
    const size = Math.max(W, H) / 256;
    dots.forEach((dot) => dot.setAttribute('r', 4.5 * size));
    lines.forEach((line) => line.setAttribute('stroke-width', 4 * size));
    for (const [key, value] of Object.entries({ href: given.picture, width: W, height: H })) picture.setAttribute(key, value);
    svg.setAttribute('viewBox', `0 0 ${W} ${H}`);
    svg.style.aspectRatio = `${W} / ${H}`;
    svg.style.maxWidth = `min(100%, ${(280 * W) / H}px)`;
    draw();
}
function remember() {
    past.push(structuredClone(pose));
    past = past.slice(-50);
}
function become(next) {
    remember();
    pose = structuredClone(next);
    draw();
    tell();
}
function clamp(value, most) {
    return Math.min(most, Math.max(0, value));
}

function ask(event) {
    const box = svg.getBoundingClientRect();
    const at = [((event.clientX - box.left) / box.width) * W, ((event.clientY - box.top) / box.height) * H].map(Math.round);
    props.value = JSON.stringify({ ...shown, asked: at });
    trigger('change');
}

svg.addEventListener('pointerdown', (event) => {
    const joint = event.target.dataset?.joint;
    if (joint === undefined) return PHOTO && shown && ask(event);
    remember();
    held = Number(joint);
    svg.setPointerCapture(event.pointerId);
    event.preventDefault();
});
svg.addEventListener('pointermove', (event) => {
    if (held === null) return;
    const box = svg.getBoundingClientRect();
    pose[held][0] = clamp(((event.clientX - box.left) / box.width) * W, W);
    pose[held][1] = clamp(((event.clientY - box.top) / box.height) * H, H);
    draw();
});
const drop = () => {
    if (held === null) return;
    held = null;
    tell();
};
svg.addEventListener('pointerup', drop);
svg.addEventListener('pointercancel', drop);
svg.addEventListener('keydown', (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const joint = event.target.dataset?.joint;
    if (!step || joint === undefined) return;
    const far = (event.shiftKey ? 8 : 2) * (Math.max(W, H) / 256);
    remember();
    pose[joint][0] = clamp(pose[joint][0] + far * step[0], W);
    pose[joint][1] = clamp(pose[joint][1] + far * step[1], H);
    draw();
    tell();
    event.preventDefault();
});
element.addEventListener('click', (event) => {
    const chosen = event.target.closest('[data-do]')?.dataset;
    if (!chosen) return;
    if (chosen.do === 'pose') become(POSES[chosen.pose]);
    if (chosen.do === 'mirror') become(MIRROR.map((j) => [W - pose[j][0], pose[j][1], pose[j][2]]));
    if (chosen.do === 'undo' && past.length) {
        pose = past.pop();
        draw();
        tell();
    }
});
if (PHOTO) {
    watch('value', show);
    show();
} else {
    draw();
}
