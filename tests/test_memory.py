"""Models kept ready, within a limit of memory."""

from typing import Any, cast

import pytest
import torch

from gan_zoo import memory
from tests.toy import Toy, ToyGenerator, ToyPipeline


class Shelf(Toy):
    """Every preset is a model of 4 MB; counts how often each is loaded."""

    def load(self, preset: str | None = None, **options: Any) -> ToyPipeline:
        self.loaded = [*getattr(self, "loaded", []), preset]
        return ToyPipeline(ToyGenerator(ballast=1_000_000))


def test_the_size_of_a_model_is_that_of_its_networks():
    generator = ToyGenerator(ballast=1_000_000, norm=True)
    numbers = sum(p.numel() for p in generator.parameters())
    assert memory.size_of(ToyPipeline(generator)) == 4 * numbers + 4 * 2 * 16 + 8  # mean, variance; a count of batches
    assert memory.size_of(object()) == 0


def test_what_was_not_asked_for_the_longest_makes_room(monkeypatch):
    monkeypatch.setenv("GAN_ZOO_MODELS_MB", "9")  # two of them
    monkeypatch.setattr(memory, "_used", {})
    one, other = Shelf(), Shelf()
    held = cast(ToyPipeline, one.ready("a"))
    other.ready("b")
    one.ready("a")
    assert set(one._pipelines) | set(other._pipelines) == {"a", "b"}
    one.ready("c")
    assert (set(one._pipelines), set(other._pipelines)) == ({"a", "c"}, set())
    other.ready("b")
    assert (set(one._pipelines), set(other._pipelines)) == ({"c"}, {"b"})
    assert held(0).shape == (1, 3, 8, 8)  # who works with it goes on
    one.ready("a")
    assert one.loaded == ["a", "c", "a"]
    assert other.loaded == ["b", "b"]


def test_one_that_is_larger_than_the_limit_is_kept_alone(monkeypatch):
    monkeypatch.setenv("GAN_ZOO_MODELS_MB", "1")
    monkeypatch.setattr(memory, "_used", {})
    shelf = Shelf()
    for name in ("a", "a", "b"):
        shelf.ready(name)
    assert shelf.loaded == ["a", "b"]
    assert set(shelf._pipelines) == {"b"}


def test_a_limit_that_is_no_number_is_refused(monkeypatch):
    monkeypatch.setenv("GAN_ZOO_MODELS_MB", "2 GB")
    with pytest.raises(ValueError, match="GAN_ZOO_MODELS_MB: expected a number of megabytes, got '2 GB'"):
        memory.limit()


def test_threads_of_a_run_are_those_asked_for(tmp_path):
    before = torch.get_num_threads()
    try:
        Toy().train(out=tmp_path, steps=1, batch_size=2, evaluate_count=0, trackers="", threads=before + 1)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
