"""One file's guard: what is raised while a file is read, fitted, cast or written is the file's, and rejects it whole; what the machine, the store or a person does is not."""

from __future__ import annotations

from lake.errors import DTypeRefused, FileRejected, LakeError, SchemaRefused, of_machine
from lake.wording import in_words

_SPOKEN: dict[type[BaseException], str] = {
    RecursionError: "it is nested hundreds of levels deep",
    MemoryError: "it takes more memory to read than there is",
}
_DEFECTS = (TypeError, AttributeError, NameError, AssertionError, LookupError, ArithmeticError, NotImplementedError, ImportError, StopIteration)
_HINT = "A corrected file lands beside it; `lake preview` shows how it is read, and hints= how it should be"


def blamed(error: BaseException, where: str) -> LakeError:
    """What a file is rejected for that raised `error`, whatever library it is from, panics among them. `where` names the file and what was done with it.

    Raises what no file is to blame for: an error of lake's own about something else (a store that does not answer), a disk that is full or cannot be written,
    an interrupt, an exit.
    """
    if isinstance(error, FileRejected | DTypeRefused | SchemaRefused):
        return error
    if isinstance(error, LakeError) or not (isinstance(error, Exception) or is_panic(error)):
        raise error
    if (machine := of_machine(error, where)) is not None:
        raise machine from None
    said = next((words for kind, words in _SPOKEN.items() if isinstance(error, kind)), None) or (own_failure(error) if is_own(error) else in_words(error))
    return FileRejected(f"{where}: {said}", _HINT)


def is_own(error: BaseException) -> bool:
    """Whether it is a mistake in a program, which nobody who reads a file foresaw: no damage of a file is told so."""
    return isinstance(error, _DEFECTS)


def own_failure(error: BaseException) -> str:
    """What a file is set aside for where not it, but lake failed; with what to do, since a reject has its reason alone."""
    return (
        f"lake's reader failed over it ({in_words(error)}), which says nothing against the file: report this with the file as a defect of lake, "
        "and bring it in with `lake readmit` once lake is mended; until then save it in another format and land that"
    )


def is_panic(error: BaseException) -> bool:
    """Whether it is a panic of a library in Rust: each has a class of its own for them, and none is an Exception."""
    return any(kind.__name__ == "PanicException" for kind in type(error).__mro__)
