"""Clicks through the web UI as two people would.
Arguments: URL, requester's token, approver's token, directory for screenshots or "". Prints one JSON document of what was seen."""
import json, sys, time

from driver import Browser, Page

URL, ALICE, BOB, SHOTS = sys.argv[1:5]
browser = Browser()
EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script> INC-1"
seen = {}
try:
    alice, bob = (Page(browser, URL, SHOTS) for _ in range(2))
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
    seen["again_ms"] = bob.run("Math.round(performance.getEntriesByType('navigation')[0].loadEventEnd)")
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
    bob.text("Rows so far")
    bob.shot("sessions")
    bob.run("window.prompt = () => 'looked odd'")
    bob.click("Kill")
    bob.text("0 live sessions")
    for page in ("Feed", "Denials", "Grants", "Reviews", "Journal", "Scopes", "Use"):
        bob.click(page)
        bob.wait(f"document.querySelector('h1') && document.querySelector('h1').textContent === {json.dumps(page)}", page)
        if page == "Feed":
            bob.text("pg_sleep")
        time.sleep(0.5)
        bob.shot(page.lower())
    # Who reaches a database past pgward: for those who oversee it.
    bob.click("Standing access")
    bob.wait("!!document.querySelector('#database')", "the databases")
    bob.fill("#database", "plain")
    bob.run("document.querySelector('#all').checked = true")
    bob.run("document.querySelector('form.bar').requestSubmit()")
    bob.text("public.notes")
    bob.text("is a superuser")
    bob.text("SQL that would close it")
    bob.shot("standing")
    bob.click("Reports")
    bob.text("How scopes were used")
    bob.text("plain-read")
    bob.shot("reports")
    seen["residency"] = bob.run("fetch('/v1/reports/residency?format=html').then((answer) => answer.text()).then((text) => text.includes('<h1>Data residency</h1>'))")
    seen["overseers_only"] = alice.run("!document.querySelector('[data-page=standing]')")
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
