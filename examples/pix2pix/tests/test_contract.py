"""The contract, as the zoo's own GANs keep it."""

import pytest

from gan_zoo import checks
from gan_zoo_pix2pix import plugin


@pytest.mark.parametrize("found", list(checks.run(plugin())), ids=lambda found: found[0])
def test_it_keeps_the_contract(found: tuple[str, str | None]) -> None:
    assert found[1] is None
