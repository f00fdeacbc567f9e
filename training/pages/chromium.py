"""One headless Chromium for many documents: HTML in, labels and PDF out."""

from __future__ import annotations

import base64
import resource
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Self

from playwright.sync_api import Error, sync_playwright

from .sheet import Sheet

LABELS = (Path(__file__).parent / "labels.js").read_text()
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",  # a container's /dev/shm is too small for large pages
    "--font-render-hinting=none",
    "--allow-file-access-from-files",
]


class Chromium:
    """A browser with one tab; use as a context manager. One that crashes, hangs or takes too much memory is started again.

    Its memory grows with the documents printed, once to 11 GB, and printing has no time limit of its own.
    """

    TRIES = 3
    DOCUMENTS = 50  # then it is started anew
    SECONDS = 90  # for one document, which usually takes half of one
    MEMORY = 4 << 30  # bytes, for one of its processes

    def __init__(self, executable: str = "/usr/bin/chromium") -> None:
        self.executable = executable

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _start(self) -> None:
        self.printed = 0
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        if hard == resource.RLIM_INFINITY or hard >= self.MEMORY:
            resource.setrlimit(resource.RLIMIT_DATA, (self.MEMORY, hard))
        self.folder = tempfile.TemporaryDirectory(prefix="pages-", ignore_cleanup_errors=True)
        self.driver = sync_playwright().start()
        self.context = self.driver.chromium.launch_persistent_context(
            str(Path(self.folder.name) / "profile"),
            executable_path=self.executable,
            headless=True,
            timeout=120_000,
            args=FLAGS,
            viewport={"width": 1700, "height": 1500},
        )
        self.tab = self.context.pages[0]
        self.tab.set_default_timeout(120_000)  # a busy machine must not change what is made
        self.tab.emulate_media(media="print")
        self.session = self.context.new_cdp_session(self.tab)

    def _stop(self) -> None:
        self.context.close()
        self.driver.stop()
        self.folder.cleanup()

    def render(self, html: str) -> tuple[bytes, list[Sheet]]:
        """The PDF of a document and the labels of its sheets, in order."""
        if self.printed == self.DOCUMENTS:
            self._restart()
        self.printed += 1
        for _ in range(self.TRIES - 1):
            try:
                return self._render(html)
            except Error:
                self._kill()
                self._restart()
        return self._render(html)

    def _restart(self) -> None:
        self._stop()
        self._start()

    def _kill(self) -> None:
        subprocess.run(["pkill", "-KILL", "-f", f"user-data-dir={self.folder.name}"], check=False)

    def _render(self, html: str) -> tuple[bytes, list[Sheet]]:
        file = Path(self.folder.name) / "document.html"
        file.write_text(html)
        alarm = threading.Timer(self.SECONDS, self._kill)
        alarm.start()
        try:
            self.tab.goto(file.as_uri(), wait_until="load")
            self.tab.evaluate("document.fonts.ready.then(() => 0)")
            found = self.tab.evaluate(LABELS)
            printed = self.session.send("Page.printToPDF", {"printBackground": True, "preferCSSPageSize": True})
        finally:
            alarm.cancel()
        sheets = [Sheet(s["width"], s["height"], [(b["label"], b["parts"]) for b in s["boxes"]]) for s in found]
        return base64.b64decode(printed["data"]), sheets
