"""byokd keeps AWS KMS keys with imported key material alive.

The rooms of the package stand in the order of the data and import in one direction only: `docs/architecture.md` draws
the house, and the import contracts in `pyproject.toml` hold it up.
"""

__version__ = "0.1.0"
