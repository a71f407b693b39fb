"""``python -m weightless_sim``, and where the command ``weightless`` begins."""

import sys


def main() -> int:
    """Run the command line; returns the exit code.  An interrupt ends well from the first import on."""
    try:
        from weightless_sim import cli

        return cli.main()
    except KeyboardInterrupt:
        print("weightless: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
