"""`python -m skiploop`."""

from skiploop.cli.main import run

if __name__ == "__main__":
    run()
