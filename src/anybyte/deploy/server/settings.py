"""What a server is told: where it listens, whom it lets in, and how much it takes on."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from anybyte.evaluate.packing import BATCH_BYTES

MB = 2**20


@dataclass(frozen=True)
class Settings:
    """Limits keep one caller from taking all memory or time; each has an answer of its own (docs/serve.md).

    Attributes:
        host: address to listen on; that of the machine alone unless told otherwise.
        port: to listen on; 0 is one that is free.
        tokens: of which a caller must show one. None: everybody is let in.
        max_bytes: of a file.
        max_request_bytes: of a whole request.
        max_files: of a request.
        held_bytes: of all files that are being sent, wait or are computed.
        queue: files that may wait; no fewer than those of a request.
        explain_queue: explanations that may wait or be computed: each takes as long as many answers.
        explain_bytes: of a file that is to be explained.
        timeout: seconds from the end of a request to its answer.
        upload_timeout: seconds that a request may take to arrive.
        threshold: probability below which a label is `unknown`, where a request names none. None: never.
        wait_seconds: that the first file of a batch waits for others.
        batch_bytes: of a batch, about.
        batch_files: of a batch, at most.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    tokens: tuple[str, ...] | None = field(default=None, repr=False)
    max_bytes: int = 16 * MB
    max_request_bytes: int = 64 * MB
    max_files: int = 64
    held_bytes: int = 512 * MB
    queue: int = 256
    explain_queue: int = 4
    explain_bytes: int = MB
    timeout: float = 30.0
    upload_timeout: float = 30.0
    threshold: float | None = None
    wait_seconds: float = 0.005
    batch_bytes: int = BATCH_BYTES
    batch_files: int = 64

    def __post_init__(self) -> None:
        for name in (
            *("max_bytes", "max_request_bytes", "max_files", "held_bytes", "queue", "explain_queue", "explain_bytes"),
            *("batch_bytes", "batch_files"),
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least 1")
        for name in ("timeout", "upload_timeout"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)} seconds, expected a positive number")
        if not 0 <= self.wait_seconds < self.timeout:
            raise ValueError(f"wait_seconds is {self.wait_seconds}, expected at least 0 and less than the timeout")
        if not 0 <= self.port < 2**16:
            raise ValueError(f"port is {self.port}, expected 0 to {2**16 - 1}")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold is {self.threshold}, expected a probability in [0, 1]")
        if self.queue < self.max_files:
            raise ValueError(
                f"queue is {self.queue}, less than a request may have files (max_files, {self.max_files}): such a "
                "request would never find room"
            )
        if self.tokens is not None and not self.tokens:
            raise ValueError("there is no token among the tokens: nobody could come in")
        for name in ("max_bytes", "max_request_bytes"):
            if getattr(self, name) > self.held_bytes:
                raise ValueError(
                    f"{name} is {getattr(self, name):,}, more than all files at once may have (held_bytes, "
                    f"{self.held_bytes:,})"
                )
