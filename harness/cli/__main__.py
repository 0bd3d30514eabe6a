"""`python -m harness.cli` is `crossover`."""

from harness.cli import main

main()
