"""Every port has a contract suite: a fake that passes none may promise what no adapter does."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.meta.source import Source, python

PORTS = Path("byokd/ports")
SUITES = Path("tests/contract")


def ports(source: Source) -> Iterator[str]:
    """The protocols that a file declares, all of which are ports here."""
    for node in source.tree.body:
        if isinstance(node, ast.ClassDef) and any(getattr(base, "id", "") == "Protocol" for base in node.bases):
            yield node.name


def test_every_port_has_a_contract_suite():
    """Clock and Channel had none for long; each protocol of byokd/ports has a file of tests by its name."""
    wanted = {
        SUITES / f"test_{port.lower()}_contract.py"
        for source in python("byokd")
        if source.path.is_relative_to(PORTS)
        for port in ports(source)
    }
    assert len(wanted) >= 7
    missing = wanted - {source.path for source in python("tests")}
    assert not missing, f"write what each implementation promises in {', '.join(sorted(map(str, missing)))}"
