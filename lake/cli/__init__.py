"""The command line. Every listing also as --json, one array of objects; errors are one clear line; 1 for failure, 2 for wrong usage."""

from __future__ import annotations

import errno
import importlib
import os
import sys
import traceback

import click

from lake.cli.beforehand import begin
from lake.errors import LakeError, translated
from lake.logs import tell

_COMMANDS = {
    "demo": "lake.cli.demo", "doctor": "lake.cli.doctor", "preview": "lake.cli.preview", "land": "lake.cli.runs", "plan": "lake.cli.runs", "run": "lake.cli.runs",
    "ls": "lake.cli.listings", "show": "lake.cli.listings", "history": "lake.cli.listings", "schema": "lake.cli.schemas",
    "lineage": "lake.cli.lineage", "trace": "lake.cli.trace", "docs": "lake.cli.docs", "profile": "lake.cli.profile", "rejects": "lake.cli.listings", "readmit": "lake.cli.readmit",
    "release": "lake.cli.releases",
    "replay": "lake.cli.proofs", "verify": "lake.cli.proofs", "maintain": "lake.cli.proofs", "metrics": "lake.cli.metrics",
    "up": "lake.cli.up", "status": "lake.cli.up", "down": "lake.cli.up", "deployments": "lake.cli.deployments", "worker": "lake.cli.serve", "watch": "lake.cli.serve",
}  # fmt: skip


_STOPPED = 130


class _Lazy(click.Group):
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
@click.version_option(package_name="lake")
def cli() -> None:
    """A lakehouse that can explain any number in gold down to the raw line it came from."""


def main() -> None:
    """The entry point of the console script."""
    beginning = begin(sys.argv[1:])
    code = run_command(sys.argv[1:])
    if code == _STOPPED:  # threads that still work would keep the process; what they did not publish does not exist
        sys.stdout.flush()
        os._exit(code)
    if beginning is not None:
        beginning.join()  # it holds what the interpreter takes down
    sys.exit(code)


def run_command(arguments: list[str]) -> int:
    """Run one command and return its exit code; what went wrong is on standard error, in one line, never as a traceback."""
    from lake.store import close_stores

    try:
        result = cli.main(args=arguments, prog_name="lake", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.UsageError as error:
        error.show()
        return 2
    except click.ClickException as error:
        error.show()
        return 1
    except (click.Abort, KeyboardInterrupt):
        _say("stopped")
        return _STOPPED
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
        if os.environ.get("LAKE_DEBUG"):
            traceback.print_exc()
        _say(f"unexpected {type(error).__name__}: {' '.join(str(error).split())[:300]}. This is a defect in lake; LAKE_DEBUG=1 shows where")
        return 1
    finally:
        close_stores(wait=False)


def _say(text: str) -> None:
    from lake.cli.render import safe

    click.echo(f"lake: {safe(text)}", err=True)
