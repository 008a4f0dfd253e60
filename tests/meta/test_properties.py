"""Every function of the policy has laws: a new one comes with a property, or the build says so."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.meta.source import ROOT, Source, dotted, python

POLICY = Path("byokd/decide")
PROPERTIES = Path("tests/property")


def module(source: Source) -> str:
    """The name by which a file is imported."""
    return ".".join(source.path.with_suffix("").parts)


def public(source: Source) -> Iterator[str]:
    """The full names of a file's public functions."""
    for node in source.tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield f"{module(source)}.{node.name}"


def tables(source: Source) -> Iterator[tuple[str, set[str]]]:
    """The file's tuples of functions, such as the list of all rules: who tests the table tests what is in it."""
    here = {name.rpartition(".")[2]: name for name in public(source)} | source.meanings
    for node in source.tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Tuple) and isinstance(node.target, ast.Name):
            members = {name for each in node.value.elts if (name := dotted(each, here))}
            yield f"{module(source)}.{node.target.id}", members


def untested(policy: list[Source], properties: list[Source]) -> list[str]:
    """Public functions of the policy that no property names, by itself or by a table that holds it."""
    used = {use.what for source in properties for use in source.named()}
    for source in policy:
        used |= {name for table, members in tables(source) if table in used for name in members}
    return sorted({name for source in policy for name in public(source)} - used)


def lawful(source: Source) -> bool:
    """Whether a file is one of properties: its tests draw what they are held against."""
    return any(name == "hypothesis.given" for name, _ in source.calls())


def test_every_function_of_the_policy_is_held_to_laws():
    """Each public function of byokd/decide is named by a file of properties; an import alone is no use of it."""
    policy = [source for source in python("byokd") if source.path.is_relative_to(POLICY)]
    properties = [source for source in python("tests") if source.path.is_relative_to(PROPERTIES) and lawful(source)]
    missing = untested(policy, properties)
    assert not missing, f"write a property in {PROPERTIES} for {', '.join(missing)}"
    assert len(policy) == len(list((ROOT / POLICY).glob("*.py")))


def test_the_rule_is_not_blind():
    """A function that is only imported is found, one of a table that is tested is not."""
    code = "def a(): ...\ndef b(): ...\ndef _c(): ...\nALL: tuple = (a,)"
    properties = "from byokd.decide.x import ALL, b\nfrom hypothesis import given\n@given()\ndef test(): ALL"
    policy, laws = Source(POLICY / "x.py", code), Source(PROPERTIES / "test_x.py", properties)
    assert lawful(laws)
    assert untested([policy], [laws]) == ["byokd.decide.x.b"]
