"""Posteriors of posteriordb (github.com/stan-dev/posteriordb), from a folder that the user names.

`posterior` makes a target of any of them, given its model; twelve models are in the files beside it. Nothing of the
data base comes with the project.
"""

from targets.posteriordb.build import posterior
from targets.posteriordb.folder import ENVIRONMENT, Record, read

__all__ = ["ENVIRONMENT", "Record", "posterior", "read"]
