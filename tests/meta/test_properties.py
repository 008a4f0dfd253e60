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


def parts(source: Source) -> dict[str, list[ast.stmt]]:
    """The file's functions, classes and tables, by name."""
    found: dict[str, list[ast.stmt]] = {}
    for node in source.tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                found.setdefault(ast.unparse(target), []).append(node)
    return found


def lawful(node: ast.stmt, meanings: dict[str, str]) -> bool:
    """Whether a function is a property: what it is held against is drawn."""
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef) else []
    return any(isinstance(each, ast.Call) and dotted(each.func, meanings) == "hypothesis.given" for each in decorators)


def held_to_laws(source: Source) -> set[str]:
    """What the file's properties name, in full: by themselves, or by a table or a helper of the file that they name."""
    known = parts(source)
    ahead = [node for nodes in known.values() for node in nodes if lawful(node, source.meanings)]
    used: set[str] = set()
    while ahead:
        named = {name for node in ast.walk(ahead.pop()) if (name := dotted(node, source.meanings))}
        ahead += [node for name in named - used for node in known.get(name, [])]
        used |= named
    return used


def untested(policy: list[Source], properties: list[Source]) -> list[str]:
    """Public functions of the policy that no property names, by itself or by a table that holds it."""
    used = {name for source in properties for name in held_to_laws(source)}
    for source in policy:
        used |= {name for table, members in tables(source) if table in used for name in members}
    return sorted({name for source in policy for name in public(source)} - used)


def test_every_function_of_the_policy_is_held_to_laws():
    """Each public function of byokd/decide is named by a property, or by what one is made of."""
    policy = [source for source in python("byokd") if source.path.is_relative_to(POLICY)]
    properties = [source for source in python("tests") if source.path.is_relative_to(PROPERTIES)]
    missing = untested(policy, properties)
    assert not missing, f"write a property in {PROPERTIES} for {', '.join(missing)}"
    assert len(policy) == len(list((ROOT / POLICY).glob("*.py")))


def test_the_rule_is_not_blind():
    """Found: what is only imported, or named by a test that draws nothing. Not found: what a property comes to."""
    code = "".join(f"def {name}(): ...\n" for name in "abcde") + "def _f(): ...\nALL: tuple = (a,)"
    properties = (
        "from byokd.decide.x import ALL, b, c, d, e\nfrom hypothesis import given\n"
        "drawn = builds(c)\ndef helper(): e()\n@given(drawn)\ndef test(): helper(ALL)\n"
        "def test_one_case(): d()"
    )
    policy, laws = Source(POLICY / "x.py", code), Source(PROPERTIES / "test_x.py", properties)
    assert untested([policy], [laws]) == ["byokd.decide.x.b", "byokd.decide.x.d"]
