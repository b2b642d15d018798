"""The Space: the page of every plugin there is. `python app.py` opens it on port 7860."""

from gan_zoo import ui

if __name__ == "__main__":
    ui.launch()
