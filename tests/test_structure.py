"""Limits on the size of what one has to read at once, and a docstring for everything that others may use."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src/contrastive_har"
MOST_PARAMETERS = 6
MOST_LINES_OF_A_FUNCTION = 60
MOST_LINES_OF_A_FILE = 300

Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules() -> Iterator[tuple[Path, ast.Module]]:
    """Find all modules of the package, by their paths inside it."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE), ast.parse(path.read_text(encoding="utf-8"))


def functions(tree: ast.AST, owner: ast.AST | None = None) -> Iterator[tuple[Function, bool]]:
    """Find all functions inside a tree, nested ones too, and whether each is called on an object or a class."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, Function):
            static = any(isinstance(name, ast.Name) and name.id == "staticmethod" for name in child.decorator_list)
            yield child, isinstance(owner, ast.ClassDef) and not static
        yield from functions(child, child if isinstance(child, Function | ast.ClassDef) else owner)


def parameters_of(function: Function, bound: bool) -> int:
    """Count parameters without ``self`` or ``cls``; ``*args`` and ``**kwargs`` are one each."""
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    return len(named) - bound + (given.vararg is not None) + (given.kwarg is not None)


def public(tree: ast.Module | ast.ClassDef, name: str) -> Iterator[tuple[str, ast.AST]]:
    """Find what others may use: a module or class, its public classes and functions, and their public methods."""
    yield name, tree
    for child in tree.body:
        if not isinstance(child, Function | ast.ClassDef) or child.name.startswith("_"):
            continue
        if isinstance(child, ast.ClassDef):
            yield from public(child, f"{name}.{child.name}")
        elif not is_another_part(child):
            yield f"{name}.{child.name}", child


def is_another_part(function: Function) -> bool:
    """Whether it is the setter or deleter of a property, or an overload, whose docstring stands elsewhere."""
    names = (name.attr if isinstance(name, ast.Attribute) else ast.unparse(name) for name in function.decorator_list)
    return any(name in ("setter", "deleter", "overload") for name in names)


def test_no_function_has_too_many_parameters() -> None:
    found = {
        f"{path}:{function.lineno} {function.name}": count
        for path, tree in modules()
        for function, bound in functions(tree)
        if (count := parameters_of(function, bound)) > MOST_PARAMETERS
    }
    assert found == {}


def test_no_function_is_too_long() -> None:
    found = {
        f"{path}:{function.lineno} {function.name}": count
        for path, tree in modules()
        for function, _ in functions(tree)
        if (count := int(function.end_lineno or 0) - function.lineno + 1) > MOST_LINES_OF_A_FUNCTION
    }
    assert found == {}


def test_no_file_is_too_long() -> None:
    lengths = {str(path): len((PACKAGE / path).read_text(encoding="utf-8").splitlines()) for path, _ in modules()}
    assert {path: count for path, count in lengths.items() if count > MOST_LINES_OF_A_FILE} == {}


def test_models_refuse_unknown_keys() -> None:
    """But for those that read a part of what a file says: private ones, and the strict one itself."""
    found = [
        f"{path}: {node.name}"
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and any(ast.unparse(base) == "BaseModel" for base in node.bases)
        and not node.name.startswith("_")
    ]
    assert found == ["strict.py: StrictModel"]


def test_everything_public_has_a_docstring() -> None:
    found = [
        name
        for path, tree in modules()
        for name, node in public(tree, ".".join(path.with_suffix("").parts))
        if not ast.get_docstring(node)  # type: ignore[arg-type]
    ]
    assert found == []


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("def f(a, b=1, *c, d, e=2, **g): ...", 6),
        ("def f(a, /, b, *, c): ...", 3),
        ("class A:\n  def f(self, a, *b): ...", 2),
        ("class A:\n  @classmethod\n  def f(cls, a, b): ...", 2),
        ("class A:\n  @staticmethod\n  def f(a, b): ...", 2),
    ],
)
def test_parameters_are_counted(code: str, count: int) -> None:
    ((function, bound),) = functions(ast.parse(code))
    assert parameters_of(function, bound) == count


def test_nested_functions_are_found() -> None:
    code = """
class A:
    def f(self):
        def g(a): ...
        if self:
            async def h(b): ...
        class B:
            def i(self): ...
"""
    found = [(function.name, parameters_of(function, bound)) for function, bound in functions(ast.parse(code))]
    assert found == [("f", 0), ("g", 1), ("h", 1), ("i", 0)]
