"""asv suites: thin shells around the packages that asv installs. SPECs are those of `crossover run`."""
