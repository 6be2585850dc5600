"""The command line. Every listing also as --json, one array of objects; errors are one clear line; 1 for failure, 2 for wrong usage."""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import os
import sys
import traceback

import click

from lake.cli.beforehand import begin
from lake.cli.groups import WholeSentences
from lake.cli.streams import told_without_secrets
from lake.errors import LakeError, translated
from lake.logs import tell
from lake.patience import telling
from lake.signals import heed, interrupted, leave_to_others, received, say_stopped
from lake.version import version
from lake.wording import in_words

_COMMANDS = {
    "init": "lake.cli.init", "demo": "lake.cli.demo", "doctor": "lake.cli.doctor", "preview": "lake.cli.preview", "land": "lake.cli.runs", "plan": "lake.cli.runs", "run": "lake.cli.runs",
    "ls": "lake.cli.listings", "show": "lake.cli.listings", "history": "lake.cli.listings", "schema": "lake.cli.schemas",
    "lineage": "lake.cli.lineage", "trace": "lake.cli.trace", "docs": "lake.cli.docs", "profile": "lake.cli.profile", "rejects": "lake.cli.listings", "readmit": "lake.cli.readmit", "accept": "lake.cli.accept",
    "release": "lake.cli.releases",
    "replay": "lake.cli.proofs", "verify": "lake.cli.proofs", "maintain": "lake.cli.proofs", "retire": "lake.cli.retire", "rename": "lake.cli.rename", "metrics": "lake.cli.metrics",
    "up": "lake.cli.up", "status": "lake.cli.up", "down": "lake.cli.up", "deployments": "lake.cli.deployments", "worker": "lake.cli.serve", "watch": "lake.cli.serve",
    "prefect": "lake.cli.serve", "backup": "lake.cli.backup", "restore": "lake.cli.backup",
}  # fmt: skip


_STOPPED = 128  # and the number of the signal
_FILES = 4096  # open at once
_KEEP_GOING = {"up", "worker"}  # they stop what they run, in order, and take their time for it


class _Lazy(WholeSentences):
    """Imports a command's module only when it is used, so that `lake ls` does not pay for `lake run`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order people meet them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, or None for a name that is none."""
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(importlib.import_module(_COMMANDS[cmd_name]), cmd_name.replace("-", "_"))
        return command if isinstance(command, click.Command) else None


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version(), prog_name="lake")
def cli() -> None:
    """A lakehouse that can explain any number in gold down to the raw line it came from."""


def main() -> None:
    """The entry point of the console script."""
    if sys.argv[1:2] and sys.argv[1] in _KEEP_GOING:
        leave_to_others()
    else:
        heed()
    _settle_in()
    beginning = begin(sys.argv[1:])
    code = run_command(sys.argv[1:])
    if code > _STOPPED:  # threads that still work would keep the process; what they did not publish does not exist
        sys.stdout.flush()
        os._exit(code)
    if beginning is not None:
        beginning.join()  # it holds what the interpreter takes down
    sys.exit(code)


def _settle_in() -> None:
    """Make do with what the surroundings allow: a terminal that has not every letter, and as many open files as may be had."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
        if soft != resource.RLIM_INFINITY and soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def run_command(arguments: list[str]) -> int:
    """Run one command and return its exit code; what went wrong is on standard error, in one line, never as a traceback, and nowhere with a secret."""
    with told_without_secrets():
        return _run_command(arguments)


def _run_command(arguments: list[str]) -> int:
    from lake.store import close_stores

    try:
        with telling(_say):
            result = cli.main(args=arguments, prog_name="lake", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.UsageError as error:
        error.show()
        return 2
    except click.ClickException as error:
        error.show()
        return 1
    except (click.Abort, KeyboardInterrupt):
        say_stopped()
        return received()
    except LakeError as error:
        tell("command", str(error), error=error)
        _say(str(error))
        return 1
    except click.exceptions.Exit as done:
        return done.exit_code
    except (BrokenPipeError, SystemExit):  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno == errno.EPIPE:
            return 0
        _say(str(translated(error, "lake")))
        return 1
    except BaseException as error:  # noqa: BLE001  # the last resort: a defect of ours is still one line, unless asked for more; a panic is no Exception
        if interrupted():
            say_stopped()
            return received()
        if os.environ.get("LAKE_DEBUG"):
            traceback.print_exc()
        if _is_of_reading(error):
            _say(
                f"something that is stored cannot be read: {in_words(error)}. `lake doctor` names the object, `lake doctor --repair` makes again what can be made"
            )
            return 1
        _say(f"unexpected {type(error).__name__}: {in_words(error)}. This is a defect in lake; LAKE_DEBUG=1 shows where")
        return 1
    finally:
        close_stores(wait=False)


def _is_of_reading(error: BaseException) -> bool:
    """Whether it is what libraries raise for Parquet, JSON or packed bytes that are not what they were."""
    kinds = {"ComputeError", "DeltaError", "JSONDecodeError", "UnicodeDecodeError", "ZstdError", "ParquetError"}
    return type(error).__name__ in kinds or (type(error).__name__ == "ValidationError" and type(error).__module__.startswith("pydantic"))


def _say(text: str) -> None:
    from lake.plain_text import indented

    click.echo(f"lake: {indented(text)}", err=True)
