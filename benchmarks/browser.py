"""A Chromium without a window, driven over a pipe by its DevTools protocol: pictures of a page, and what went wrong."""

import base64
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

Message = Mapping[str, Any]
FAULTS = ("Runtime.exceptionThrown", "Network.loadingFailed")
TALLEST = 15_000
"""Pixels of a picture; Chromium draws no larger ones."""


class Browser:
    """A process of its own for as long as it is entered."""

    def __init__(self, command: str):
        self._folder = TemporaryDirectory()
        self._rest, self._number = b"", 0
        self.events: list[Message] = []
        theirs, self._to = os.pipe()
        self._from, ours = os.pipe()
        # The protocol is spoken over the descriptors 3 and 4 of the browser.
        words = [command, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
        words += [f"--user-data-dir={self._folder.name}", "about:blank"]
        shell = f'exec 3<&{theirs} 4>&{ours}; exec "$@"'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "browser", *words], pass_fds=(theirs, ours), stderr=subprocess.DEVNULL
        )
        os.close(theirs)
        os.close(ours)

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self.call("Browser.close")
        self._process.wait(30)
        os.close(self._to)
        os.close(self._from)
        self._folder.cleanup()

    def call(self, method: str, session: str | None = None, **parameters: Any) -> Message:
        """What the browser answers; what it says before that is kept in `events`."""
        self._number += 1
        said = {"id": self._number, "method": method, "params": parameters}
        os.write(self._to, json.dumps(said | ({"sessionId": session} if session else {})).encode() + b"\0")
        while (message := self._read()).get("id") != self._number:
            self.events.append(message)
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']}")
        return message["result"]

    def wait(self, method: str) -> None:
        while not any(event["method"] == method for event in self.events):
            self.events.append(self._read())

    def _read(self) -> Message:
        while b"\0" not in self._rest:
            got = os.read(self._from, 1 << 16)
            if not got:
                raise RuntimeError("the browser has ended")
            self._rest += got
        text, _, self._rest = self._rest.partition(b"\0")
        return json.loads(text)


class Page:
    """A file, opened in a window so wide, for a reader who prefers `light` or `dark`."""

    def __init__(self, browser: Browser, file: Path, width: int, scheme: str):
        self.browser, self.width = browser, width
        browser.events.clear()
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self._size(900)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=file.resolve().as_uri())
        browser.wait("Page.loadEventFired")

    def call(self, method: str, **parameters: Any) -> Message:
        return self.browser.call(method, self.session, **parameters)

    def value(self, expression: str) -> Any:
        """What an expression of JavaScript is."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def save(self, path: Path) -> None:
        """Everything of the page, as PNG."""
        self._size(min(TALLEST, self.value("document.documentElement.scrollHeight")))
        found = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def errors(self) -> list[str]:
        """Errors of scripts and of the console, failed requests, and a page that is wider than its window."""
        events = self.browser.events
        found = [json.dumps(event["params"])[:300] for event in events if event["method"] in FAULTS]
        logged = (event["params"]["entry"] for event in events if event["method"] == "Log.entryAdded")
        found += [f"{entry['level']}: {entry['text']}" for entry in logged if entry["level"] in ("error", "warning")]
        called = (event["params"] for event in events if event["method"] == "Runtime.consoleAPICalled")
        found += [str(one["args"])[:300] for one in called if one["type"] in ("error", "warning", "assert")]
        wide = self.value("document.documentElement.scrollWidth")
        return found + ([f"the page is {wide} pixels wide"] if wide > self.width else [])

    def _size(self, height: int) -> None:
        about = {"width": self.width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **about)
