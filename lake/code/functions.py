"""Functions without a source, and functions of libraries that hold something of the team's."""

from __future__ import annotations

import builtins
import sys
import types
from typing import TYPE_CHECKING, Any

from lake.code.spelling import Missing, spelled_code_constant

if TYPE_CHECKING:
    from lake.code.walk import Walk


def without_source(walk: Walk, function: types.FunctionType) -> str:
    """The bytecode of a function whose source nobody has, such as one typed at a prompt or made by `exec`, with all it refers to.

    Bytecode is that of one version of Python, which is told: another makes everything anew, rather than miss a change.
    """
    code, said = function.__code__, []
    names = _names(code)
    for name in sorted(names):
        if name in function.__globals__:
            said.append(f"({name} {walk.value(function.__globals__[name], name)})")
        elif not hasattr(builtins, name):
            continue
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            said.append(f"({name} {walk.value(cell.cell_contents, name)})")
        except ValueError:
            said.append(f"({name} {walk.value(Missing(name), name)})")
    return f"(bytecode {sys.version_info.major}.{sys.version_info.minor} {_spelled(code)} {' '.join(said)})"


def _spelled(code: types.CodeType) -> str:
    constants = [_spelled(one) if isinstance(one, types.CodeType) else spelled_code_constant(one) for one in code.co_consts]
    shape = f"{code.co_argcount} {code.co_posonlyargcount} {code.co_kwonlyargcount} {code.co_flags}"
    return f"(code {shape} {code.co_code.hex()} {code.co_names} {code.co_varnames} {code.co_freevars} {' '.join(constants)})"


def _names(code: types.CodeType) -> set[str]:
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= _names(constant)
    return found


def of_library(walk: Walk, function: types.FunctionType) -> str:
    """A library's function by its name, with what it closes over: a decorator of a library holds the team's function so."""
    module = str(function.__globals__.get("__name__", ""))  # what wraps says of itself is what it wraps
    if "<locals>" in function.__code__.co_qualname:
        walk.package(module.partition(".")[0])
        said = [f"(library {module} {function.__code__.co_qualname})"]
    else:
        said = [walk.library(function)]
    held: list[Any] = []
    for cell in function.__closure__ or ():
        try:
            held.append(cell.cell_contents)
        except ValueError:
            continue
    if "<locals>" not in function.__code__.co_qualname and not held and not vars(function):
        return said[0]
    walk.lenient += 1
    try:
        registry = vars(function).get("registry")
        if isinstance(registry, types.MappingProxyType):  # functools.singledispatch
            for kind, made in sorted(registry.items(), key=lambda one: walk.alone(one[0])):
                said.append(f"(for {walk.value(kind, 'a registered type')} {walk.value(made, 'a registered function')})")
            return f"(dispatch {' '.join(said[1:])})"
        said += [walk.value(one, f"what {function.__qualname__} holds") for one in held]
        if "__wrapped__" in vars(function):
            said.append(walk.value(vars(function)["__wrapped__"], f"what {function.__qualname__} wraps"))
        said += [walk.value(one, "a default") for one in function.__defaults__ or () if "<locals>" in function.__code__.co_qualname]
    finally:
        walk.lenient -= 1
    return f"(of {' '.join(said)})"
