"""Drives headless Chromium over its debugging pipe: clicks through the web UI as two people would.
Arguments: URL, requester's token, approver's token, directory for screenshots or "". Prints one JSON document of what was seen."""
import base64, json, os, subprocess, sys, tempfile, time

URL, ALICE, BOB, SHOTS = sys.argv[1:5]


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

    def __init__(self, browser):
        self.browser = browser
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
        self.call("Page.navigate", url=URL + path)
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
        if not SHOTS:
            return
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
        time.sleep(0.4)
        data = self.call("Page.captureScreenshot", format="png")["data"]
        with open(os.path.join(SHOTS, name + ".png"), "wb") as file:
            file.write(base64.b64decode(data))


browser = Browser()
EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script> INC-1"
seen = {}
try:
    alice, bob = Page(browser), Page(browser)
    begun = time.time()
    alice.go("/")
    alice.wait("!!document.querySelector('#token')", "the login")
    seen["load_ms"] = round((time.time() - begun) * 1000)
    seen["navigation_ms"] = alice.run("Math.round(performance.getEntriesByType('navigation')[0].loadEventEnd)")
    resources = "performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))"
    seen["bytes"] = alice.run(f"{resources}.reduce((sum, one) => sum + one.decodedBodySize, 0)")
    seen["hosts"] = alice.run(f"[...new Set({resources}.map((one) => new URL(one.name).origin))]")
    alice.shot("login")
    alice.fill("#token", "pgw_wrong")
    alice.click("Log in")
    alice.text("No user has this token.")
    alice.fill("#token", ALICE)
    alice.click("Log in")
    alice.text("Nothing waits for you.")
    seen["cookie_in_script"] = alice.run("document.cookie")
    # Asks, with a reason that is an attack.
    alice.click("Ask")
    alice.fill("#scope", "plain-read")
    alice.fill("#reason", EVIL)
    alice.fill("#duration", "20m")
    alice.shot("ask")
    alice.run("document.querySelector('form.narrow').requestSubmit()")
    alice.text("1 more of")
    seen["own_approve"] = alice.run("[...document.querySelectorAll('button')].some((one) => one.textContent === 'Approve')")
    # Bob reviews it with the keyboard alone.
    bob.go("/")
    bob.fill("#token", BOB)
    bob.click("Log in")
    bob.text("1 waits for you.")
    seen["reason_as_text"] = bob.run(f"document.querySelector('.reason').textContent === {json.dumps(EVIL)}")
    seen["markup_in_reason"] = bob.run("document.querySelectorAll('.reason *').length")
    bob.shot("queue")
    bob.shot("queue-dark", dark=True)
    bob.shot("queue-narrow", width=360)
    bob.run("document.activeElement.blur()")
    bob.press("j")
    bob.press("a")
    bob.text("Nothing waits for you.")
    # Alice has it, and gets a password.
    alice.click("My access")
    alice.text("plain-read")
    alice.click("Mint a password")
    alice.text("Shown this once")
    seen["dsn"] = alice.run("[...document.querySelectorAll('pre')].map((one) => one.textContent).find((text) => text.startsWith('postgresql://'))")
    alice.shot("access")
    print(json.dumps({"dsn": seen["dsn"]}), flush=True)
    # Whoever called us has opened a session by now.
    sys.stdin.readline()
    bob.click("Sessions")
    bob.text("pg_sleep")
    bob.shot("sessions")
    bob.run("window.prompt = () => 'looked odd'")
    bob.click("Kill")
    bob.text("0 live sessions")
    for page in ("Feed", "Denials", "Grants", "Reviews", "Journal", "Scopes", "Use"):
        bob.click(page)
        bob.wait(f"document.querySelector('h1') && document.querySelector('h1').textContent === {json.dumps(page)}", page)
        time.sleep(0.5)
        bob.shot(page.lower())
    bob.click("Journal")
    bob.click("Verify")
    bob.text("verified up to record")
    seen["journal_rows"] = bob.run("document.querySelectorAll('tbody tr').length")
    # What another site could try with Bob's cookie, and what a page of ours cannot do without the word.
    seen["without_csrf"] = bob.run("fetch('/v1/requests', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: '{}'}).then((answer) => answer.status)")
    seen["titles"] = [page.run("document.title") for page in (alice, bob)]
    alice.click("Log out")
    alice.wait("!!document.querySelector('#token')", "the login again")
    seen["after_logout"] = alice.run("fetch('/v1/whoami').then((answer) => answer.status)")
    logged = [event for event in browser.events if event.get("method") == "Log.entryAdded"]
    entries = [event["params"]["entry"] for event in logged]
    seen["violations"] = [entry["text"] for entry in entries if entry["source"] == "security"]
    thrown = [event for event in browser.events if event.get("method") == "Runtime.exceptionThrown"]
    seen["exceptions"] = [json.dumps(event["params"])[:300] for event in thrown]
    print(json.dumps(seen))
finally:
    browser.process.kill()
