"""Which problems a function may raise, read from its source and from what it calls."""

import ast
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Final

from contracts.problems import Problem

OURS: Final = ("contracts.", "chassis.", "services.", "gateway.")
"""What is read; libraries raise no problem."""


def problems(function: Callable[..., Any]) -> frozenset[type[Problem]]:
    """The problems that are raised in a function, or in a function or class of ours that it names, and so on.

    It is an upper bound: a call that never meets the condition counts. What is reached only through a value that is
    handed over at run time is not seen.
    """
    found: set[type[Problem]] = set()
    seen: set[Any] = set()
    waiting: list[Any] = [inspect.unwrap(function)]
    while waiting:
        each = waiting.pop()
        if each in seen:
            continue
        seen.add(each)
        raised, named = _of(each)
        found |= raised
        waiting += named
    return frozenset(found)


@cache
def _of(one: Any) -> tuple[frozenset[type[Problem]], tuple[Any, ...]]:
    """The problems that stand in the source of a function or class, and what of ours it names."""
    scope = _scope(one)
    if scope is None:
        return frozenset(), ()
    tree = _sources(one.__module__).get(one.__qualname__)
    if tree is None:
        return frozenset(), ()
    values = [_value(node, scope) for node in ast.walk(tree) if isinstance(node, (ast.Name, ast.Attribute))]
    # Of a thing of ours that stands in a module, the functions that it holds count, and what its class does.
    held = [part for value in values if _is_ours(type(value)) for part in (type(value), *_parts(value))]
    named = [value for value in map(_unwrapped, (*values, *held)) if _is_ours(value)]
    if isinstance(one, type):
        # Of a class that stands on others of ours, what those do counts too.
        named += [base for base in one.__mro__[1:] if _is_ours(base)]
    handed_over = [value for value in held if isinstance(value, type) and issubclass(value, Problem)]
    return frozenset([*_made(tree, scope), *handed_over]), tuple(dict.fromkeys(named))


@cache
def _sources(module: str) -> Mapping[str, ast.AST]:
    """The functions and classes of a module, by their qualified names."""
    found: dict[str, ast.AST] = {}

    def note(node: ast.AST, within: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                found[f"{within}{child.name}"] = child
                note(child, f"{within}{child.name}." + ("" if isinstance(child, ast.ClassDef) else "<locals>."))
            else:
                note(child, within)

    file = getattr(sys.modules.get(module), "__file__", None)
    if file:
        note(ast.parse(Path(file).read_text("utf-8")), "")
    return found


def _parts(value: Any) -> list[Any]:
    names = getattr(value, "__dataclass_fields__", None) or getattr(value, "__dict__", {})
    return [getattr(value, name, None) for name in names]


def _made(tree: ast.AST, scope: Mapping[str, Any]) -> Iterator[type[Problem]]:
    """The problems that are raised, made, or named for whoever raises them. One that is only caught is not."""
    for node in ast.walk(tree):
        spelled = [node.exc] if isinstance(node, ast.Raise) else []
        if isinstance(node, ast.Call):
            # Asked for its type, a problem is not raised.
            asks = isinstance(node.func, ast.Name) and node.func.id in ("isinstance", "issubclass", "suppress")
            given = [] if asks else [*node.args, *(each.value for each in node.keywords)]
            spelled = [node.func, *given]
        for each in spelled:
            value = _value(each, scope) if each is not None else None
            if isinstance(value, type) and issubclass(value, Problem):
                yield value


def _value(node: ast.expr, scope: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return scope.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = _value(node.value, scope)
        if isinstance(owner, (ModuleType, type)):
            return getattr(owner, node.attr, None)
    return None


def _unwrapped(value: Any) -> Any:
    """What stands behind a decorator or a cache."""
    return inspect.unwrap(value) if callable(value) and hasattr(value, "__wrapped__") else value


def _is_ours(value: Any) -> bool:
    """A function or class of ours that may raise; a problem raises none."""
    if not isinstance(value, (FunctionType, type)) or not value.__module__.startswith(OURS):
        return False
    return not (isinstance(value, type) and issubclass(value, Problem))


def _scope(one: Any) -> Mapping[str, Any] | None:
    if isinstance(one, FunctionType):
        closed = inspect.getclosurevars(one).nonlocals if one.__closure__ else {}
        return {**one.__globals__, **closed}
    if isinstance(one, type):
        module = inspect.getmodule(one)
        return vars(module) if module else None
    return None
