"""`python -m lake` is the `lake` command."""

import os
import sys

from lake.signals import heed, interrupted, received, say_stopped


def main() -> None:
    """The entry point: whatever stops the command from here on, it ends with one line."""
    heed()
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":  # a locale that has not every letter: names of files would break
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, "-m", "lake", *sys.argv[1:]])  # noqa: S606  # this very command, once more
    try:
        from lake.cli import main as command

        command()
    except BaseException as error:
        if not isinstance(error, KeyboardInterrupt) and not interrupted():
            raise
        say_stopped()  # while modules were loaded, where a library may say it in its own words, or at the very end
        os._exit(received())


if __name__ == "__main__":
    main()
