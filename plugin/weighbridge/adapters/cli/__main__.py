"""`python -m weighbridge.adapters.cli`: the command line without the console script."""

from weighbridge.adapters.cli import main

if __name__ == "__main__":
    main()
