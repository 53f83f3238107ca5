"""``python -m tinygrad_cnn`` is the command ``tinygrad-cnn``."""

import sys

from .cli import main

sys.exit(main())
