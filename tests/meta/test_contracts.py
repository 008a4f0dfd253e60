"""The import contracts know every library: one that they do not name could be imported from anywhere."""

import sys
import tomllib

from tests.meta.source import ROOT, python

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def test_every_third_party_has_a_contract():
    """Each library that byokd imports is named by a contract, which gives it its rooms."""
    named = {module for contract in CONTRACTS for module in contract.get("forbidden_modules", ())}
    imported = {
        (use.what.partition(".")[0], str(source.path)) for source in python("byokd") for use in source.imported()
    }
    unnamed = {(module, path) for module, path in imported if module not in {*named, *sys.stdlib_module_names, "byokd"}}
    assert not unnamed, f"give these a contract in pyproject.toml: {sorted(unnamed)}"
