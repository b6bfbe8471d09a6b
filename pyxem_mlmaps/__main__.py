"""``python -m pyxem_mlmaps`` is the command ``pyxem-mlmaps``."""

import sys

from pyxem_mlmaps.cli import main

if __name__ == "__main__":
    sys.exit(main())
