"""Raw files behind a web address: what a server says of one, and its bytes, held to what was announced. Open `download` first.

`asking` follows redirects, and refuses those that lead where no source should; `announced` is what an answer promises of its body.
"""

from lake.web.asking import Limits
from lake.web.download import Download, Head, chunks, head

__all__ = ["Download", "Head", "Limits", "chunks", "head"]
