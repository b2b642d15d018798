"""GAN Zoo: a registry of GAN plugins that train, load and infer. Importing it loads nothing heavy.

`gan_zoo.load(PLUGIN, PRESET)` gives trained weights that can be asked, `gan_zoo.plugins()` what there is (README.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gan_zoo.plugin import Plugin

    def plugins() -> dict[str, Plugin]:
        """The GANs there are, by slug."""
        ...
else:
    from gan_zoo import plugins as plugins  # a package that can be called

__version__ = "0.2.0"


def load(plugin: str, preset: str | None = None) -> Loaded:
    """A GAN with the weights of a preset: a name, a run or weights folder, or OWNER/NAME on the Hub; None: the default.

    Raises ValueError that lists the plugins or presets there are.
    """
    from gan_zoo import registry

    return Loaded(registry.get(plugin), preset)


class Loaded:
    """Trained weights, ready to be asked: `loaded(...)` runs the plugin's first task, `loaded.run(task, ...)` any.

    Pictures are paths, or PIL pictures; results are PIL pictures, films, dictionaries, or named tuples of them.
    """

    def __init__(self, plugin: Plugin, preset: str | None):
        self.plugin, self.preset = plugin, preset
        if plugin.presets or preset is not None:
            plugin.ready(preset)

    @property
    def pipeline(self) -> Any:
        """The diffusers pipeline behind it."""
        return self.plugin.ready(self.preset)

    @property
    def tasks(self) -> list[str]:
        return list(self.plugin.tasks())

    def __call__(self, image: Any = None, **arguments: Any) -> Any:
        """The first task; `image`, where it takes one, may be given without its name."""
        return self.run(self.tasks[0], **({} if image is None else {"image": image}), **arguments)

    def run(self, task: str, **arguments: Any) -> Any:
        """Raises ValueError for an unknown task or argument, and for a value that is out of bounds."""
        import tempfile
        from pathlib import Path

        from PIL import Image

        with tempfile.TemporaryDirectory() as folder:
            for name, value in arguments.items():
                if isinstance(value, Image.Image):
                    path = Path(folder) / f"{name}.png"
                    value.save(path)
                    arguments[name] = str(path)
                elif isinstance(value, Path):
                    arguments[name] = str(value)
            needed = task not in self.plugin.tasks() or self.plugin.tasks()[task].needs_weights
            return self.plugin.infer(task, self.preset if needed else None, **arguments)
