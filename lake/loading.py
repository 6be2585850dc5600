"""A team's modules: found under the flows folder, imported under its name, and what they declare. Mistakes in them are told with their place."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from lake.code import keeping_loader, keeping_sources
from lake.errors import DeclarationError, LakeError, UnknownName
from lake.hop import Hop
from lake.settings import Settings
from lake.source import Source
from lake.table import Table
from lake.together import Declared, Project
from lake.wording import in_words

_FILES = ("sources", "tables", "hops")
_Kind = TypeVar("_Kind", Source, Hop, Table)


def subjects(settings: Settings) -> list[str]:
    """The subjects with a hops.py or sources.py under the flows folder, sorted."""
    folder = settings.root / settings.flows
    return sorted(path.name for path in folder.iterdir() if (path / "sources.py").exists() or (path / "hops.py").exists()) if folder.is_dir() else []


def project_of(settings: Settings, subject: str) -> Project:
    """What the sources.py, tables.py and hops.py of a subject declare, and those of the others.

    Another subject that cannot be imported is left out. Raises UnknownName if there is no such subject, and DeclarationError, with file and line, where its
    files cannot be imported.
    """
    known = subjects(settings)
    if subject not in known:
        raise UnknownName.among("flow", subject, known)
    _check_names(settings, subject, known)
    found = [_read(settings, subject)]
    whole = True
    for other in known:
        try:
            found += [_read(settings, other)] if other != subject else []
        except LakeError:  # told when that one is loaded
            whole = False
    return Project(_owned(settings, found), settings.root, whole)


def _check_names(settings: Settings, subject: str, known: Iterable[str]) -> None:
    if alike := [other for other in known if other != subject and other.casefold() == subject.casefold()]:
        raise DeclarationError(
            f"{settings.flows}/{subject} and {settings.flows}/{alike[0]} differ by capital letters only",
            "Rename one: file systems and people take them for one",
        )


def _read(settings: Settings, subject: str) -> Declared:
    modules = [imported(settings, f"{settings.flows}.{subject}.{name}") for name in _FILES]
    sources, hops, tables = tuple(_instances(modules, Source)), tuple(_instances(modules, Hop)), tuple(_instances(modules, Table))
    if not sources and not hops:
        raise DeclarationError(f"{settings.flows}/{subject} declares no source and no hop", "Declare them in sources.py and hops.py")
    with keeping_sources():
        for hop in hops:
            _ = hop.fingerprint  # of the code that was imported, whatever becomes of its files meanwhile
    package = sys.modules[f"{settings.flows}.{subject}"]
    return Declared(subject, sources, hops, tables, description=(package.__doc__ or "").strip())


def _owned(settings: Settings, found: list[Declared]) -> tuple[Declared, ...]:
    """What a module imports from another subject belongs to that one alone."""
    folders = {one.subject: settings.root / settings.flows / one.subject for one in found}
    theirs = {id(filler): one.subject for one in found for filler in one.fillers if Path(filler.place).is_relative_to(folders[one.subject])}

    def own(subject: str, declared: Iterable[_Kind]) -> tuple[_Kind, ...]:
        return tuple(it for it in declared if theirs.get(id(it), subject) == subject)

    return tuple(Declared(one.subject, own(one.subject, one.sources), own(one.subject, one.hops), one.tables, one.description) for one in found)


def open_flows(settings: Settings) -> None:
    """Make the project's flows importable under their name, with or without an __init__.py, whatever else has that name."""
    name, folder = settings.flows, settings.root / settings.flows
    loaded = sys.modules.get(name)
    if loaded is not None and str(folder) in list(getattr(loaded, "__path__", [])):
        return
    for other in [module for module in sys.modules if module == name or module.startswith(f"{name}.")]:
        del sys.modules[other]
    init = folder / "__init__.py"
    spec = importlib.machinery.ModuleSpec(name, keeping_loader(name, str(init)) if init.exists() else None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    if spec.loader is not None:
        spec.loader.exec_module(package)


def imported(settings: Settings, name: str) -> Any:
    """The team's module of this name; None if there is none. Raises DeclarationError, with its place, for a mistake in it."""
    open_flows(settings)
    try:
        with keeping_sources():
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            return None
        if (error.name or "").split(".")[0] == settings.flows:
            raise _gone(settings, name, error) from None
        hint = f"Install it: pip install {(error.name or '').split('.')[0]}"
        raise DeclarationError(f"{_blamed(settings, name, error)[0]} imports {error.name}, which is not installed", hint) from None
    except DeclarationError as error:
        where, line = _blamed(settings, name, error)
        raise type(error)(
            error.message, " ".join(part for part in (f"{error.hint.rstrip('.')}." if error.hint else "", f"See {where}:{line}") if part)
        ) from None
    except LakeError:
        raise
    except ImportError as error:
        where, line = _blamed(settings, name, error)
        if (error.name or "").split(".")[0] == settings.flows:
            raise _gone(settings, name, error) from None
        raise DeclarationError(f"{where} cannot be imported: {in_words(error)}", f"See line {line}") from None
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a mistake in the team's file is told with its place, not as a traceback of ours
        where, line = _blamed(settings, name, error)
        raise DeclarationError(f"{where} cannot be imported: {in_words(error)}", f"See line {line}") from None


def _gone(settings: Settings, name: str, error: ImportError) -> DeclarationError:
    """That a file of the team's imports what the project does not have, or no longer."""
    where, line = _blamed(settings, name, error)
    wanted = (error.name or "").replace(".", "/")
    if isinstance(error, ModuleNotFoundError):
        what = f"{error.name}, and there is no {wanted}{'' if wanted.count('/') < 2 else '.py'}"
    else:
        what = f"what {error.name} does not have: {in_words(error)}"
    return DeclarationError(f"{where}:{line} imports {what}", "Bring it back; or declare here what it needs of it, and read tables that a flow fills")


def _blamed(settings: Settings, name: str, error: BaseException) -> tuple[str, int]:
    """The last file of the team's that an error passed through, and its line."""
    where, line = f"{name.replace('.', '/')}.py", 0
    trace = error.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.is_relative_to(settings.root / settings.flows):
            where, line = str(file.relative_to(settings.root)), trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.filename:
        where, line = os.path.relpath(error.filename, settings.root), error.lineno or line
    return where, line


def _instances(modules: Iterable[Any], kind: type[_Kind]) -> list[_Kind]:
    found: dict[int, _Kind] = {}
    for module in modules:
        for value in vars(module).values() if module else ():
            if isinstance(value, kind):
                found.setdefault(id(value), value)
    return list(found.values())
