"""The race: the clock, the ledger of costs, metrics of error, the grid of cells, and the command line."""
