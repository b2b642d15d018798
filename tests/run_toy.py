"""Trains the toy GAN in a process of its own: python tests/run_toy.py '{"out": "runs/toy", "steps": 20}'."""

import json
import sys

import torch
from toy import Toy, ToySettings

options = json.loads(sys.argv[1])
settings = {name: options.pop(name) for name in ("norm", "ballast") if name in options}
torch.set_num_threads(1)
Toy(ToySettings(**settings)).train(**options)
