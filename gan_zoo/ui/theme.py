"""How the page looks: Gradio's theme; page.css beside it does the rest."""

from __future__ import annotations

import gradio as gr


def theme() -> gr.themes.Base:
    """Paper and ink with one green, by day and by night. System fonts: nothing is fetched."""
    green = gr.themes.Color(
        "#effaf5", "#d8f2e6", "#b3e4cf", "#82d0b2", "#4fb591", "#2c9875", "#1f7a5d", "#1a624c", "#174e3e", "#134034",
        "#08251e",
    )  # fmt: skip
    ink = gr.themes.Color(
        "#faf9f6", "#f3f1ec", "#e6e3dc", "#d2cec5", "#a8a399", "#7d7870", "#5d5952", "#45423d", "#2c2a27", "#1d1c1a",
        "#131211",
    )  # fmt: skip
    fonts = ["Segoe UI", "Roboto", "Helvetica Neue", "Noto Sans", "sans-serif"]
    mono = ["SF Mono", "Consolas", "Liberation Mono", "monospace"]
    base = gr.themes.Base(
        primary_hue=green, secondary_hue=green, neutral_hue=ink, font=fonts, font_mono=mono, radius_size="lg"
    )
    return base.set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_900",
        body_text_color_dark="*neutral_100",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        background_fill_primary="white",
        background_fill_primary_dark="*neutral_900",
        background_fill_secondary="*neutral_100",
        background_fill_secondary_dark="*neutral_900",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_color="*neutral_200",
        block_border_color_dark="*neutral_800",
        block_border_width="1px",
        block_label_background_fill="*background_fill_primary",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_400",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_300",
        block_title_text_weight="500",
        block_shadow="none",
        input_background_fill="*neutral_50",
        input_background_fill_dark="*neutral_950",
        input_border_color="*neutral_300",
        input_border_color_dark="*neutral_700",
        input_border_width="1px",
        input_border_color_focus="*primary_500",
        input_border_color_focus_dark="*primary_500",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_500",
        button_primary_background_fill_hover_dark="*primary_400",
        button_primary_text_color="white",
        button_primary_text_color_dark="*neutral_950",
        button_secondary_background_fill="*neutral_100",
        button_secondary_background_fill_hover="*neutral_200",
        button_secondary_background_fill_dark="*neutral_800",
        button_secondary_background_fill_hover_dark="*neutral_700",
        slider_color="*primary_600",
        slider_color_dark="*primary_500",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_400",
    )
