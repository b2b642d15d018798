"""python run.py NAME.onnx INPUT=VALUE ... writes each output as OUTPUT.png, or OUTPUT.npy where it is no picture.

VALUE: a picture (its sides are fitted); a .npy file; of z, a seed; of y, the places of its ones: 0,12
"""

import sys

import numpy as np
import onnxruntime
from PIL import Image


def given(value, shape, kind):
    if value.endswith(".npy"):
        return np.load(value).astype(kind)
    if len(shape) == 2:
        if "," not in value:  # a seed
            return np.random.default_rng(int(value)).standard_normal((1, shape[1]), np.float32)
        return np.eye(shape[1], dtype=np.float32)[[int(place) for place in value.split(",") if place]].sum(0)[None]
    picture = Image.open(value).convert("L" if shape[1] == 1 else "RGB")
    width, height = (
        n if isinstance(n, int) else max(64, side // 64 * 64) for n, side in zip(shape[:1:-1], picture.size)
    )
    pixels = np.asarray(picture.resize((width, height)), np.float32).reshape(height, width, -1)
    return (pixels / 255 if shape[1] == 1 else pixels / 127.5 - 1).transpose(2, 0, 1)[None]


session = onnxruntime.InferenceSession(sys.argv[1])
inputs = {x.name: (x.shape, np.uint8 if "uint8" in x.type else np.float32) for x in session.get_inputs()}
told = dict(argument.split("=", 1) for argument in sys.argv[2:])
if told.keys() != inputs.keys():
    sys.exit(f"expected {', '.join(f'{name}=... {shape}' for name, (shape, _) in inputs.items())}")
made = session.run(None, {name: given(value, *inputs[name]) for name, value in told.items()})
for output, values in zip(session.get_outputs(), map(np.asarray, made)):
    if values.ndim == 4 and values.shape[1] == 3:
        pixels = ((values[0].transpose(1, 2, 0).clip(-1, 1) + 1) * 127.5).round().astype(np.uint8)
        Image.fromarray(pixels).save(f"{output.name}.png")
    else:
        np.save(f"{output.name}.npy", values)
