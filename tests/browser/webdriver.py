"""A browser without a window, by the W3C's WebDriver protocol: chromedriver and Python's own library are enough."""
import json
import os
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request


def find():
    """Paths of browser and driver; None where one is missing."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


class Browser:
    def __init__(self, browser, driver):
        self.home = tempfile.mkdtemp(prefix="akin-browser-")
        env = {**os.environ, "HOME": self.home}
        self.driver = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env)
        self.url = None
        for line in self.driver.stdout:
            if match := re.search(r"started successfully on port (\d+)", line):
                self.url = f"http://127.0.0.1:{match[1]}"
                break
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                     "--disable-background-networking", f"--user-data-dir={self.home}/profile"]
        always = {"goog:chromeOptions": {"binary": browser, "args": arguments},
                  "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        try:
            self.session = "/session/" + self._call("POST", "/session", {"capabilities": {"alwaysMatch": always}})["sessionId"]
        except BaseException:
            self.close()
            raise

    def _call(self, method, path, body=None):
        data = None if method == "GET" else json.dumps(body or {}).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the driver is on this machine
        try:
            with opener.open(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{path}: {error.read().decode(errors='replace')[:500]}") from error

    def call(self, path, body=None, method="POST"):
        return self._call(method, self.session + path, body)

    def devtools(self, command, **parameters):
        return self.call("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def look(self, width, height, dark):
        """From now on pages are shown so."""
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.devtools("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, file):
        self.logs("browser"), self.logs("performance")  # of the page before
        self.call("/url", {"url": "file://" + os.path.abspath(file)})

    def run(self, script):
        """The value of an expression or function body in JavaScript."""
        return self.call("/execute/sync", {"script": script, "args": []})

    def key(self, text):
        self.call("/actions", {"actions": [{"type": "key", "id": "keys", "actions": [
            {"type": "keyDown", "value": text}, {"type": "keyUp", "value": text}]}]})

    def logs(self, kind):
        return self.call("/se/log", {"type": kind})

    def picture(self, file):
        import base64
        size = self.devtools("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 16000), "scale": 1}
        shot = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        with open(file, "wb") as out:
            out.write(base64.b64decode(shot["data"]))

    def close(self):
        try:
            if hasattr(self, "session"):
                self.call("", method="DELETE")
        except Exception:  # it is going anyway
            pass
        self.driver.terminate()
        self.driver.wait(timeout=20)
        shutil.rmtree(self.home, ignore_errors=True)
