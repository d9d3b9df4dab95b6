"""``python -m rmetrics``: the same program as the console script."""

from rmetrics.cli import main

if __name__ == "__main__":
    main()
