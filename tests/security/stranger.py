"""Somebody else on the machine: another Unix user where the test may become one, else a process that has none of the lake's secrets.

Run as a script with the standard library alone: `stranger.py PORT…` tries each port as a browser, a script or SeaweedFS's own tools would,
and prints as JSON what was answered.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pwd
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

_PATHS = ("/", "/buckets/lake/?pretty=y", "/buckets/lake/planted.txt", "/dir/status", "/dir/assign", "/dir/lookup?volumeId=1", "/status", "/metrics")
_PATHS += ("/ui/index.html", "/etc/iam/identity.json", "/cluster/status", "/debug/pprof/", "/kv/identities", "/login", "/api/config")


def tries(port: int) -> list[dict[str, Any]]:
    """What plain and encrypted requests to `port` of 127.0.0.1 are answered."""
    found = []
    for encrypted in (False, True):
        for method, path, body in [*(("GET", path, None) for path in _PATHS), ("PUT", "/buckets/lake/put.txt", b"put"),
                                   ("POST", "/buckets/lake/posted.txt", b"posted"), ("DELETE", "/buckets/lake/planted.txt", None)]:  # fmt: skip
            found.append({"encrypted": encrypted, "method": method, "path": path} | _asked(port, encrypted, method, path, body))
            if found[-1]["body"] == "TimeoutError":  # it does not speak this at all: other paths would wait as long
                break
    return found


def _asked(port: int, encrypted: bool, method: str, path: str, body: bytes | None) -> dict[str, Any]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # a stranger does not mind who answers
    made = http.client.HTTPSConnection("127.0.0.1", port, timeout=4, context=context) if encrypted else http.client.HTTPConnection("127.0.0.1", port, timeout=4)
    with contextlib.closing(made) as connection:
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return {"status": answer.status, "body": answer.read(4000).decode("utf-8", "replace")}
        except (OSError, http.client.HTTPException, ssl.SSLError) as error:
            return {"status": 0, "body": type(error).__name__}


def as_stranger(command: list[str], folder: Path, told: str = "", timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """The command done by user `nobody` (by this one where nobody cannot be become), with nothing of the lake's in its environment."""
    become: dict[str, Any] = {}
    if os.getuid() == 0:
        nobody = pwd.getpwnam("nobody")
        become = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, input=told, capture_output=True, text=True, timeout=timeout, check=False, **become)


if __name__ == "__main__":
    sys.stdout.write(json.dumps({port: tries(int(port)) for port in sys.argv[1:]}))
