"""A headless Chromium, driven over its DevTools protocol through a pipe: no port, no library."""

import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATH = next(filter(None, map(shutil.which, NAMES)), None)
SECONDS = 60.0  # that an answer may take on a machine that is busy


class Page:
    """One page of a browser of its own; use it in a `with`."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        # The protocol reads descriptor 3 and writes descriptor 4; the shell puts them there.
        redirect = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
        flags = (
            "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
            "--no-first-run", "--disable-background-networking", "--disable-extensions",
            f"--user-data-dir={self._folder.name}", "about:blank",
        )  # fmt: skip
        self._process = subprocess.Popen(
            ["bash", "-c", redirect, "bash", str(PATH), *flags],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._numbers, self._kept, self._session = itertools.count(1), b"", None
        self.problems: list[str] = []  # console errors, exceptions, refused by the policy
        self.requests: list[str] = []
        found = self.call("Target.getTargets")["targetInfos"]
        target = next(each["targetId"] for each in found if each["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> "Page":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        os.close(self._out)
        os.close(self._in)
        self._folder.cleanup()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to one command; what happens meanwhile is noted."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            heard = self._hear(method)
            if heard.get("id") == number:
                assert "error" not in heard, f"{method}: {heard['error']}"
                return heard["result"]
            self._note(heard)

    def _hear(self, waiting_for: str) -> dict[str, Any]:
        end = time.monotonic() + SECONDS
        while b"\0" not in self._kept:
            ready, _, _ = select.select([self._in], [], [], max(0, end - time.monotonic()))
            assert ready, f"no answer to {waiting_for} in {SECONDS} s"
            data = os.read(self._in, 1 << 20)
            assert data, f"the browser went away during {waiting_for}"
            self._kept += data
        text, _, self._kept = self._kept.partition(b"\0")
        return json.loads(text)

    def _note(self, heard: dict[str, Any]) -> None:
        method, params = heard.get("method"), heard.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.problems.append(" ".join(str(arg.get("value")) for arg in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def open(self, url: str) -> None:
        """Go to a page and wait until it says that it is ready and has drawn."""
        self.problems, self.requests = [], []
        self.call("Page.navigate", url=url)
        self.until("document.documentElement?.hasAttribute('data-ready')")
        self.settle()

    def until(self, condition: str) -> None:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + SECONDS
        while not self.evaluate(condition):
            assert time.monotonic() < end, f"not in {SECONDS} s: {condition}; {self.problems}"
            time.sleep(0.02)

    def settle(self) -> None:
        """Wait until what was asked for is drawn."""
        self.evaluate(
            "new Promise(r => requestAnimationFrame(() => requestAnimationFrame(() => r(1))))"
        )

    def resize(self, width_px: int, height_px: int, dark: bool = False) -> None:
        """A screen of that size; below 500 px as a phone's, with touch."""
        phone, scheme = width_px < 500, "dark" if dark else "light"
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width_px, height=height_px,
            deviceScaleFactor=2 if phone else 1, mobile=phone,
        )  # fmt: skip
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", features=[feature])

    def key(self, key: str, text: str = "", shift: bool = False) -> None:
        """Press and release a key, as a user would."""
        for kind in ("keyDown", "keyUp"):
            extra = {"text": text} if text and kind == "keyDown" else {}
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, modifiers=8 if shift else 0, **extra
            )
        self.settle()

    def mouse(self, kind: str, x: float, y: float, button: str = "none", **more: Any) -> None:
        """One mouse event: mousePressed, mouseMoved, mouseReleased or mouseWheel."""
        held = {"left": 1, "right": 2, "none": 0}[button]
        self.call(
            "Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, buttons=held,
            clickCount=1, **more,
        )  # fmt: skip
        self.settle()
