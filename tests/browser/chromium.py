"""A headless Chromium, driven over its own debugging protocol: a pipe, no package, no port.

Source: https://chromedevtools.github.io/devtools-protocol. WebGL2 is drawn in software.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    *("--headless", "--no-sandbox", "--remote-debugging-pipe", "--no-first-run"),
    *("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--hide-scrollbars"),
    "--allow-pre-commit-input",  # else keys before the first paint are dropped
)
# The browser reads descriptor 3 and writes descriptor 4.
_SHELL = 'exec "$@" 3</dev/fd/{} 4>/dev/fd/{}'
_CODES = {"Enter": 13, "Tab": 9}
_MOST_SECONDS = 120.0  # for one answer


def find() -> str | None:
    """The path of a browser that starts, if this machine has one."""
    paths = [path for name in NAMES if (path := shutil.which(name))]
    return next((path for path in paths if _starts(path)), None)


def _starts(path: str) -> bool:
    """Ubuntu's package of the same name only points to a store."""
    return subprocess.run([path, "--version"], capture_output=True).returncode == 0


class Page:
    """One tab. `problems` are its errors and warnings, `requests` the addresses it asked for."""

    def __init__(self, profile: Path) -> None:
        """Start a browser with an empty profile; end it with `close`."""
        commands, self._out = os.pipe()
        self._in, answers = os.pipe()
        command = [str(find()), *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self._browser = subprocess.Popen(
            ["sh", "-c", _SHELL.format(commands, answers), "sh", *command],
            pass_fds=(commands, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self._buffer, self._last, self._session = b"", 0, ""
        self.problems: list[str] = []
        self.requests: list[str] = []
        targets = self.send("Target.getTargets")["targetInfos"]
        target = next(t["targetId"] for t in targets if t["type"] == "page")
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def close(self) -> None:
        """End the browser."""
        self._browser.terminate()
        self._browser.wait()
        os.close(self._in)
        os.close(self._out)

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data) :]
        while (answer := self._receive()).get("id") != self._last:
            self._note(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _receive(self) -> dict[str, Any]:
        deadline = time.monotonic() + _MOST_SECONDS
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], deadline - time.monotonic())
            data = os.read(self._in, 1 << 20) if ready else b""
            assert data, "the browser ended or does not answer"
            self._buffer += data
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def _note(self, event: dict[str, Any]) -> None:
        """Keep what a test may ask for."""
        params = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                self.problems.append(json.dumps(params["exceptionDetails"])[:500])
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.problems.append(json.dumps(params["args"])[:500])
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.problems.append(params["entry"]["text"])
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"][:200])

    def open(self, path: Path) -> None:
        """Open a file and wait until the player runs."""
        self.visit(path.as_uri(), "!!globalThis.headsplat")
        self.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")

    def visit(self, url: str, ready: str) -> None:
        """Open an address and wait until it is loaded and a JavaScript expression is true."""
        self.send("Page.navigate", url="about:blank")
        self.wait_for("location.href === 'about:blank'")
        self.send("Page.navigate", url=url)
        self.wait_for(f"document.readyState === 'complete' && {ready}")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited."""
        result = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, json.dumps(result["exceptionDetails"])[:1000]
        return result["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Wait until a JavaScript expression is true."""
        deadline = time.monotonic() + _MOST_SECONDS
        while not self.evaluate(expression):
            assert time.monotonic() < deadline, f"still false: {expression}; {self.problems}"
            time.sleep(0.05)

    def resize(self, width: int, height: int, dark: bool = False) -> None:
        """Set the window's size and the colour scheme it asks for."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def key(self, key: str) -> None:
        """Press and release a key, named as `KeyboardEvent.key` names it."""
        text = {"text": key} if len(key) == 1 else {"code": key}
        if key in _CODES:  # what activates a button or moves the focus
            text |= {"windowsVirtualKeyCode": _CODES[key], "text": "\r" if key == "Enter" else ""}
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key)

    def touch(self, *places: list[tuple[float, float]]) -> None:
        """Fingers go down at the first places, along the others, and up."""
        for i, fingers in enumerate(places):
            points = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(fingers)]
            kind = "touchMove" if i else "touchStart"
            self.send("Input.dispatchTouchEvent", type=kind, touchPoints=points)
        self.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def drop(self, path: Path, x: float, y: float) -> None:
        """Drag a file from another program to a place of the page and let it go."""
        data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.send("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def drag(self, *places: tuple[float, float], button: str = "left", modifiers: int = 0) -> None:
        """The mouse goes down at the first place, along the others, and up.

        Args:
            modifiers: 8 for Shift.
        """
        more = {"button": button, "clickCount": 1, "modifiers": modifiers}
        for i, (x, y) in enumerate(places):
            kind = "mouseMoved" if i else "mousePressed"
            buttons = {"left": 1, "right": 2}[button]
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, buttons=buttons, **more)
        self.send("Input.dispatchMouseEvent", type="mouseReleased", x=x, y=y, **more)

    def wheel(self, x: float, y: float, down: float) -> None:
        """Turn the mouse wheel at a place, by pixels."""
        self.send("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=down)

    def choose(self, expression: str, path: Path) -> None:
        """Choose a file in a file input, which a JavaScript expression names."""
        node = self.send("Runtime.evaluate", expression=expression)["result"]["objectId"]
        self.send("DOM.setFileInputFiles", objectId=node, files=[str(path)])

    def screenshot(self) -> bytes:
        """What the window shows, as PNG."""
        return base64.b64decode(self.send("Page.captureScreenshot")["data"])


def visit(browser: Page, html: Path, ready: str) -> Iterator[Page]:
    """A page of one file in a wide window; afterwards: it reported nothing and asked for nothing.

    Args:
        ready: an expression that is true once the page is there.
    """
    browser.problems.clear()
    browser.requests.clear()
    browser.resize(1280, 800)
    browser.visit(html.as_uri(), ready)
    yield browser
    assert browser.problems == []
    asked = [url for url in browser.requests if not url.startswith(("about:", "data:"))]
    assert asked == [html.as_uri()]
