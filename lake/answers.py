"""What an object store's errors mean: what is wrong, whether it may pass, and what a person does about it. No library's own words come out of here."""

from __future__ import annotations

import re

from lake.clock import apart, spelled
from lake.errors import StoreBusy, StoreError, StoreRefused, StoreUnreachable
from lake.patience import Trouble

_CODES = {
    400: "Bad Request", 429: "Too Many Requests", 500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
}  # fmt: skip
_BUSY = re.compile(r"SlowDown|TooManyRequests|RequestLimitExceeded|Throttl|ServiceUnavailable|InternalError|RequestTimeout\b|OperationAborted")
_GONE = re.compile(
    r"error sending request|client error|connection (refused|reset|closed|aborted)|broken pipe|timed out|timeout|dns error|error decoding response body"
    r"|error reading a body|incomplete ?message|unexpected EOF|error trying to connect|request or response body error|end of file before message length",
    re.IGNORECASE,
)
_NOBODY = re.compile(r"client error \(Connect\)|error trying to connect|dns error|connection refused|tcp connect error", re.IGNORECASE)
_REFUSED = re.compile(r"InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied|credential|ExpiredToken|InvalidToken|Forbidden", re.IGNORECASE)
_SKEWED = re.compile(r"RequestTimeTooSkewed|RequestExpired|request time .*too (large|skewed)|Request is not valid yet", re.IGNORECASE)
_KEYS = "Check the AWS_* keys and what they may do"


class Answer:
    """An error of the client when `verb` was asked about `uri` at `endpoint`, understood."""

    def __init__(self, endpoint: str, verb: str, uri: str, error: Exception) -> None:
        self._endpoint, self._verb, self._uri, self._text = endpoint, verb, uri, str(error)

    @property
    def nobody_listens(self) -> bool:
        """Whether there was not even a connection."""
        return self._status == 0 and _NOBODY.search(self._text) is not None

    @property
    def passing(self) -> str | None:
        """In a few words what is wrong, if it may pass: the store is overrun or in trouble, or does not answer. None for anything else."""
        if self._status in (429, 500, 502, 503, 504) or (self._status not in (403, 404) and _BUSY.search(self._text)):
            return f"says {self._said}"
        if self._status == 0 and _GONE.search(self._text):
            return "does not answer"
        return None

    @property
    def uri(self) -> str:
        """What was asked about."""
        return self._uri

    @property
    def lacks_content(self) -> bool:
        """Whether the store answered, listed the object a moment ago, and cannot give what is in it: SeaweedFS says so of bytes that its checksum refuses."""
        return self._verb == "get" and self._status == 500  # noqa: PLR2004  # the status

    def refused(self) -> StoreRefused:
        """The error of somebody who may not, or whose clock is wrong."""
        if _SKEWED.search(self._text):
            return self._skewed()
        why = self._reason if self._status or "<Message>" in self._text else "no permission"
        return StoreRefused(f"{self._endpoint} refused to {self._verb} {self._uri}: {why}", _KEYS)

    def error(self, patience: float = 0.0) -> StoreError:
        """The error, after it was waited for so many seconds that it pass."""
        text = self._text
        if "NoSuchBucket" in text:
            return StoreError(f"there is no bucket {self._uri.split('/')[2]!r} at {self._endpoint}", "Create it, or set LAKE_BUCKET")
        if "169.254.169.254" in text or "CredentialNotLoaded" in text:
            return StoreRefused(f"no keys for {self._endpoint}", "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        if _SKEWED.search(text):
            return self._skewed()
        if (told := self.passing) is not None:
            waited = f" It was waited for {patience:.0f} s, which LAKE_PATIENCE makes longer." if patience else ""
            after = f"Nothing half-done is visible, and what was published stands.{waited} Run again when it does"
            if told == "does not answer":
                return StoreUnreachable(f"no store answers at {self._endpoint}", "Start it, or correct AWS_ENDPOINT_URL" if not patience else after)
            return StoreBusy(f"{self._endpoint} could not {self._verb} {self._uri}: it {told}", after.replace("when it does", "when it is well"))
        if _REFUSED.search(text):
            return self.refused()
        return StoreError(f"{self._endpoint} could not {self._verb} {self._uri}: {self._reason}", "`lake doctor` asks it everything that lake relies on")

    def trouble(self, patience: float) -> Exception:
        """What is raised where trying again is up to `persist`."""
        told = self.passing
        return Trouble(told, self.error(patience)) if told is not None else self.error()

    def _skewed(self) -> StoreRefused:
        by = apart(self._endpoint)
        told = f": this machine's is {spelled(by)}" if by is not None else ""
        return StoreRefused(
            f"{self._endpoint} refuses requests because its clock and this machine's differ by more than it allows{told}",
            "Set this machine's clock by a time server, and run again; the keys are not what is wrong",
        )

    @property
    def _status(self) -> int:
        found = re.search(r"status(?: code)?:? (\d{3})", self._text)
        return int(found[1]) if found else 0

    @property
    def _said(self) -> str:
        """The status and the code of a store that answered."""
        code = re.search(r"<Code>\s*(\w+)\s*</Code>", self._text)
        word = code[1] if code else _CODES.get(self._status, "")
        return " ".join(part for part in (str(self._status or ""), word) if part) or "that it cannot now"

    @property
    def _reason(self) -> str:
        """The part worth showing: the store's own message if there is one, on one line, without signatures."""
        found = re.search(r"<Message>(.*?)</Message>", self._text, re.DOTALL)
        if found:
            return " ".join(found[1].split())[:300]
        return self._said if self._status else "the answer cannot be understood"
