"""The page: `page` builds and opens it, `tabs` draws a plugin's, `calls` bounds strangers, `words` says it twice."""

import os

# Read by gradio and huggingface_hub when they are imported.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

from gan_zoo.ui.page import build, launch, launch_settings
from gan_zoo.ui.tabs import Page
from gan_zoo.ui.words import Words

__all__ = ["Page", "Words", "build", "launch", "launch_settings"]
