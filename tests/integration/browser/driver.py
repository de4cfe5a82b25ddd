"""Drives headless Chromium over its debugging pipe. As a program it does what is told to it, a line each:
`["alice", "click", "Approve"]` has alice's page do that, and the answer is a line of JSON: `{"ok": VALUE}` or `{"failed": WHY}`."""
import base64, json, os, subprocess, sys, tempfile, time


class Browser:
    def __init__(self):
        to_read, to_write = os.pipe()
        from_read, from_write = os.pipe()
        arguments = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
                     "--ignore-certificate-errors", "--remote-debugging-pipe", f"--user-data-dir={tempfile.mkdtemp()}", "about:blank"]

        def pipes():
            os.dup2(to_read, 103); os.dup2(from_write, 104)
            os.dup2(103, 3); os.dup2(104, 4)
            for fd in (3, 4):
                os.set_inheritable(fd, True)

        self.process = subprocess.Popen(arguments, preexec_fn=pipes, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_read); os.close(from_write)
        self.out, self.into, self.rest, self.number = to_write, from_read, b"", 0
        self.events = []
        os.set_blocking(self.into, True)

    def read(self):
        while b"\0" not in self.rest:
            piece = os.read(self.into, 1 << 20)
            if not piece:
                raise SystemExit("the browser ended")
            self.rest += piece
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, session=None, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise SystemExit(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)


class Page:
    """A person's window, with cookies of its own."""

    def __init__(self, browser, url, shots=""):
        self.browser, self.url, self.shots = browser, url, shots
        context = browser.call("Target.createBrowserContext")["browserContextId"]
        target = browser.call("Target.createTarget", url="about:blank", browserContextId=context, width=1200, height=800)["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def run(self, script):
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True)
        if "exceptionDetails" in result:
            raise SystemExit(f"{script}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, script, what):
        begun = time.time()
        while time.time() - begun < 20:
            if self.run(script):
                return
            time.sleep(0.05)
        raise SystemExit(f"{what} never came: {self.run('document.body.innerText')}")

    def go(self, path):
        self.call("Page.navigate", url=self.url + path)
        self.wait("document.readyState === 'complete'", path)

    def text(self, words):
        self.wait(f"document.getElementById('main').innerText.includes({json.dumps(words)})", words)

    def click(self, label):
        self.wait(f"[...document.querySelectorAll('button, a')].some((one) => one.textContent.trim() === {json.dumps(label)} && !one.hidden)", label)
        self.run(f"[...document.querySelectorAll('button, a')].find((one) => one.textContent.trim() === {json.dumps(label)}).click()")

    def fill(self, selector, text):
        self.wait(f"!!document.querySelector({json.dumps(selector)})", selector)
        self.run(f"(() => {{ const one = document.querySelector({json.dumps(selector)}); one.focus(); one.value = {json.dumps(text)}; one.dispatchEvent(new Event('input')); one.dispatchEvent(new Event('change')); }})()")

    def press(self, key):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, text=key if kind == "keyDown" and len(key) == 1 else "")

    def shot(self, name, dark=False, width=1200):
        if not self.shots:
            return
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
        time.sleep(0.4)
        data = self.call("Page.captureScreenshot", format="png")["data"]
        with open(os.path.join(self.shots, name + ".png"), "wb") as file:
            file.write(base64.b64decode(data))


def obey(url, shots):
    browser, pages = Browser(), {}
    try:
        for line in sys.stdin:
            name, what, *arguments = json.loads(line)
            if what not in ("go", "text", "click", "fill", "press", "run", "wait", "shot"):
                raise SystemExit(f"{what}: no such thing to do")
            if name not in pages:
                pages[name] = Page(browser, url, shots)
            try:
                answer = {"ok": getattr(pages[name], what)(*arguments)}
            except SystemExit as failed:
                answer = {"failed": str(failed)}
            print(json.dumps(answer), flush=True)
    finally:
        browser.process.kill()


if __name__ == "__main__":
    obey(*sys.argv[1:3])
