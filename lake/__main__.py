"""`python -m lake` is the `lake` command."""

import os
import sys

from lake.signals import heed, received, say_stopped


def main() -> None:
    """The entry point: whatever stops the command from here on, it ends with one line."""
    heed()
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":  # a locale that has not every letter: names of files would break
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, "-m", "lake", *sys.argv[1:]])  # noqa: S606  # this very command, once more
    try:
        from lake.cli import main as command

        command()
    except KeyboardInterrupt:  # while modules were loaded, or at the very end
        say_stopped()
        os._exit(received())


if __name__ == "__main__":
    main()
