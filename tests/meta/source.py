"""What the house rules read: the files of this checkout, parsed once.

A finding is a line number and what stands there. Rules yield findings and never decide where they apply.
"""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Finding(NamedTuple):
    """One place that breaks a rule."""

    line: int
    what: str


@dataclass(frozen=True)
class Source:
    """One Python file; `path` is relative to the checkout."""

    path: Path
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed file."""
        return ast.parse(self.text, filename=str(self.path))

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node of the tree, in no order that matters."""
        return tuple(ast.walk(self.tree))

    @property
    def lines(self) -> int:
        """How long the file is."""
        return len(self.text.splitlines())

    def functions(self) -> Iterator[Function]:
        """Every function, method and function within a function."""
        return (node for node in self.nodes if isinstance(node, Function))

    def imported(self) -> Iterator[Finding]:
        """Every module that is imported, and every `module.name` that is imported from one."""
        for node in self.nodes:
            if isinstance(node, ast.Import):
                yield from (Finding(node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield from (Finding(node.lineno, f"{node.module}.{alias.name}") for alias in node.names)

    def named(self) -> Iterator[Finding]:
        """Every name in use, spelt out in full: `dt.now` is `datetime.datetime.now` after the right import."""
        for node in self.nodes:
            if isinstance(node, ast.Name | ast.Attribute) and (name := dotted(node, self.meanings)):
                yield Finding(node.lineno, name)

    def calls(self) -> Iterator[tuple[str, ast.Call]]:
        """Every call of something that has a name, with that name spelt out in full."""
        for node in self.nodes:
            if isinstance(node, ast.Call) and (name := dotted(node.func, self.meanings)):
                yield name, node

    @cached_property
    def meanings(self) -> dict[str, str]:
        """What each imported name stands for."""
        return dict(self._imported_names())

    def _imported_names(self) -> Iterator[tuple[str, str]]:
        for node in self.nodes:
            if isinstance(node, ast.Import):
                yield from ((alias.asname, alias.name) for alias in node.names if alias.asname)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield from ((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names)


def dotted(node: ast.AST, meanings: dict[str, str]) -> str | None:
    """The full name of `a.b.c`, or None for what is not a plain chain of names."""
    if isinstance(node, ast.Name):
        return meanings.get(node.id, node.id)
    if isinstance(node, ast.Attribute) and (owner := dotted(node.value, meanings)):
        return f"{owner}.{node.attr}"
    return None


@cache
def committed() -> tuple[Path, ...]:
    """Every file that git tracks or would track: a new file counts before its first commit."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = {Path(name) for name in listed.stdout.split("\0") if name}
    return tuple(sorted(path for path in paths if (ROOT / path).is_file()))


@cache
def python(*folders: str) -> tuple[Source, ...]:
    """The Python files of these top-level folders."""
    return tuple(
        Source(path, (ROOT / path).read_text(encoding="utf-8"))
        for path in committed()
        if path.suffix == ".py" and path.parts[0] in folders
    )
