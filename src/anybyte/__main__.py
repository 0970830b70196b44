"""`python -m anybyte`: the same as the `anybyte` command."""

import sys

from anybyte.cli import main

if __name__ == "__main__":
    sys.exit(main())
