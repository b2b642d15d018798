"""Losses against values worked out by hand."""

import math

import pytest
import torch

from gan_zoo import losses

LOG2 = math.log(2)
ZERO = torch.zeros(4, 1)


@pytest.mark.parametrize(
    ("name", "d", "g"),
    [("logistic", 2 * LOG2, LOG2), ("hinge", 2.0, 0.0), ("least-squares", 0.5, 1.0), ("relativistic", LOG2, LOG2)],
)
def test_an_undecided_discriminator_costs_what_theory_says(name, d, g):
    pair = losses.adversarial(name)
    assert pair.discriminator(ZERO, ZERO).item() == pytest.approx(d)
    assert pair.generator(ZERO, ZERO).item() == pytest.approx(g)


@pytest.mark.parametrize("name", losses.ADVERSARIAL)
def test_losses_pull_real_up_and_fake_down_and_the_generator_the_other_way(name):
    pair = losses.adversarial(name)
    real, fake = torch.full((4, 1), 0.5, requires_grad=True), torch.full((4, 1), 0.5, requires_grad=True)
    pair.discriminator(real, fake).backward()
    assert (real.grad < 0).all()
    assert (fake.grad > 0).all()
    fake.grad = None
    pair.generator(fake, real.detach()).backward()
    assert (fake.grad < 0).all()


def test_the_logistic_generator_loss_does_not_saturate():
    fake = torch.full((1, 1), -20.0, requires_grad=True)  # D is sure that it is fake
    losses.logistic_g(fake).backward()
    assert fake.grad.item() == pytest.approx(-1.0, abs=1e-3)


def test_gradient_penalty_of_a_linear_discriminator_is_half_its_squared_norm():
    weight = torch.tensor([3.0, -4.0])
    x = torch.randn(5, 2, requires_grad=True)
    assert losses.gradient_penalty(x @ weight, x).item() == pytest.approx(12.5)


def test_gradient_penalty_reaches_the_discriminators_weights():
    weight = torch.tensor([3.0, -4.0], requires_grad=True)
    x = torch.randn(5, 2, requires_grad=True)
    losses.gradient_penalty(x @ weight, x).backward()
    torch.testing.assert_close(weight.grad, weight.detach())


@pytest.mark.parametrize(
    ("real", "fake", "accuracy"), [(2.0, -2.0, 1.0), (2.0, 2.0, 0.5), (-2.0, 2.0, 0.0), (0, 0, 0.5)]
)
def test_accuracy_of_the_police(real, fake, accuracy):
    metrics = losses.adversarial("logistic").metrics(torch.full((4, 1), float(real)), torch.full((4, 1), float(fake)))
    assert metrics["d_accuracy"].item() == accuracy


def test_an_unknown_loss_lists_those_there_are():
    with pytest.raises(ValueError, match="'wasserstein'.*logistic, hinge"):
        losses.adversarial("wasserstein")
    with pytest.raises(ValueError, match="logits on real"):
        losses.adversarial("relativistic").generator(ZERO)


def test_a_relativistic_police_is_judged_by_pairs():
    metrics = losses.adversarial("relativistic").metrics(torch.full((4, 1), 3.0), torch.full((4, 1), 1.0))
    assert metrics["d_accuracy"].item() == 1.0
    assert metrics["d_real"].item() == pytest.approx(1 - metrics["d_fake"].item())
