"""`python -m flowplane` is the command `flowplane`."""

from flowplane.cli import main

if __name__ == "__main__":
    main()
