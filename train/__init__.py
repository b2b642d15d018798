"""Training from the command line: `python -m train PLUGIN ...`, alone or under torchrun."""
