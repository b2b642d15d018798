"""The GANs of the zoo, a package each. `gan_zoo.plugins()` are those there are, installed ones too, by slug."""

import sys
from types import ModuleType


class Plugins(ModuleType):
    def __call__(self) -> dict:
        from gan_zoo import registry

        return dict(registry.discover().plugins)


sys.modules[__name__].__class__ = Plugins
