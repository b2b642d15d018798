"""`python -m train` in a checkout: the command `python -m gan_zoo train`."""

import sys

from gan_zoo.cli.train import main

if __name__ == "__main__":
    sys.exit(main())
