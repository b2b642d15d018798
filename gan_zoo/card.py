"""The model card: what a README.md tells of weights. Only what was measured or is known."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gan_zoo.weights import PAGE, WeightsError


@dataclass
class CardFacts:
    """What a model card tells. Only what was measured or is known: a fact left empty leaves its line out."""

    title: str
    plugin: str
    preset: str
    licence: Literal["open", "research"]
    licence_id: str  # as the Hub names it: "cc0-1.0", "cc-by-4.0", "other" ...
    data: str  # what it was trained on, and under which terms
    summary: str = ""
    recipe: Mapping[str, Any] | str = ""  # the settings of the run, or a text
    commit: str = ""
    steps: int = 0
    images_seen: int = 0
    hours: float = 0.0
    hardware: str = ""
    parameters: Mapping[str, int] = field(default_factory=dict)  # by network
    scores: Mapping[str, float] = field(default_factory=dict)  # "KID x1000 (EfficientNet-Lite2)": 41.2
    protocol: str = ""  # how the scores were measured: counts, sets, the floor of real against real
    pictures: Mapping[str, str] = field(default_factory=dict)  # file name: caption; uncurated ones first
    failures: str = ""
    feature_networks: str = ""  # frozen networks used in training, and what those were trained on
    pipeline_tag: str = "unconditional-image-generation"
    example: str = ""  # flags that the first task needs
    tags: list[str] = field(default_factory=list)
    licence_name: str = ""  # with the licence_id "other"
    licence_link: str = ""
    shipped: bool = True  # does the plugin know the preset by its name?
    task: str = ""  # that the example calls, where it is not the first one
    takes_preset: bool = True


def model_card(facts: CardFacts) -> str:
    """The text of a README.md, YAML front matter included. Raises WeightsError for facts that cannot be told."""
    if facts.licence not in ("open", "research"):
        raise WeightsError(f"licence is 'open' or 'research', not {facts.licence!r}")
    for name in facts.pictures:
        if not PAGE.fullmatch(name):
            raise WeightsError(f"a picture is named like samples.png (or .jpg, .gif, .webp), not {name!r}")
    if facts.scores and not facts.protocol:
        raise WeightsError(f"scores without a protocol say nothing: {', '.join(facts.scores)}")

    preset = f"--preset {facts.preset if facts.shipped else 'FOLDER_OR_REPO_ID'}" if facts.takes_preset else ""
    target = f"{facts.plugin}.{facts.task}" if facts.task else facts.plugin
    use = f"""```bash
{" ".join(f"python -m gan_zoo infer {target} {preset} {facts.example} --out pictures".split())}
```

Without the command line, once gan_zoo is installed (`trust_remote_code` runs one-line imports of it):

```python
from diffusers import DiffusionPipeline

pipeline = DiffusionPipeline.from_pretrained("FOLDER_OR_REPO_ID", trust_remote_code=True)
```"""
    licence_name = facts.licence_name or facts.licence_id
    terms = {
        "open": "**Open**: trained only on pictures that are CC0, CC BY, in the public domain or generated.",
        "research": "**Research**: trained on pictures without a clear licence. For study, not for products.",
    }
    training = {
        "Steps": f"{facts.steps:,}" if facts.steps else "",
        "Images seen": f"{facts.images_seen:,}" if facts.images_seen else "",
        "Hours": f"{facts.hours:.1f}" if facts.hours else "",
        "Hardware": facts.hardware,
        "Parameters": ", ".join(f"{name} {count:,}" for name, count in facts.parameters.items()),
        "Frozen feature networks": facts.feature_networks,
        "Commit": facts.commit,
    }
    recipe = facts.recipe
    if not isinstance(recipe, str):
        recipe = "```json\n" + json.dumps(dict(recipe), indent=2, default=str) + "\n```"

    sections = {
        "Use": use,
        "Pictures": "\n\n".join(f"![{caption}]({name})\n\n{caption}" for name, caption in facts.pictures.items()),
        "Data and licence": f"{terms[facts.licence]} Licence: {licence_name}.\n\n{facts.data}",
        "Training": _table({name: text for name, text in training.items() if text}),
        "Recipe": recipe,
        "Scores": f"{_table(facts.scores)}\n\n{facts.protocol}" if facts.scores else "",
        "Failures": facts.failures,
    }
    summary = f"{facts.summary}\n\n" if facts.summary else ""
    body = "\n\n".join(f"## {title}\n\n{text.strip()}" for title, text in sections.items() if text.strip())
    return f"---\n{_front_matter(facts)}\n---\n\n# {facts.title}\n\n{summary}{body}\n"


def _front_matter(facts: CardFacts) -> str:
    """The YAML that the Hub reads."""
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type=facts.pipeline_tag,
            dataset_type=facts.preset,
            dataset_name=facts.preset,
            metric_type=re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"),
            metric_name=name,
            metric_value=value,
        )
        for name, value in facts.scores.items()
        if not name.startswith("count_") and not name.endswith("_floor")  # which measure nothing of the model
    ]
    return ModelCardData(
        license=facts.licence_id,
        license_name=facts.licence_name or None,
        license_link=facts.licence_link or None,
        library_name="diffusers",
        pipeline_tag=facts.pipeline_tag,
        tags=["gan", "gan-zoo", facts.plugin, *facts.tags],
        model_name=facts.title if results else None,
        eval_results=results or None,
    ).to_yaml()


def _table(rows: Mapping[str, Any]) -> str:
    lines = [
        f"| {name} | {f'{round(value, 4):g}' if isinstance(value, float) else value} |" for name, value in rows.items()
    ]
    return "\n".join(["| | |", "|---|---|", *lines]) if lines else ""
