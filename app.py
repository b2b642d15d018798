"""The Space: the page of every plugin there is. `python app.py` opens it on port 7860."""

import gc

gc.disable()  # until the page is open, as `python -m gan_zoo app` does

from gan_zoo import ui  # noqa: E402

if __name__ == "__main__":
    ui.launch()
