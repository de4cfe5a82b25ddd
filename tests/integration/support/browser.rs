//! A headless Chromium that does what it is told, for cases that need what only a browser shows.

use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::{Proxy, root};

pub struct Browser {
    child: Child,
    /// Closed when it is to end.
    talk: RefCell<Option<(ChildStdin, Lines<BufReader<ChildStdout>>)>>,
}

/// The window of one person, with cookies of its own.
#[derive(Clone, Copy)]
pub struct Page<'a> {
    browser: &'a Browser,
    person: &'a str,
}

impl Browser {
    /// `None` where there is no Chromium, which only a machine that has to have it minds.
    pub fn start(proxy: &Proxy) -> Option<Self> {
        if !is_there() {
            return None;
        }
        let mut child = script("driver.py")
            .args([&format!("https://127.0.0.1:{}", proxy.setup.control_port), &shots()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        let talk = RefCell::new(child.stdin.take().map(|into| (into, out)));
        Some(Self { child, talk })
    }

    /// A page on which this person has logged in by their token.
    pub fn logged_in<'a>(&'a self, proxy: &Proxy, person: &'a str) -> Page<'a> {
        let page = Page { browser: self, person };
        page.tell("go", &["/"]);
        page.fill("#token", proxy.token(person));
        page.click("Log in");
        page.click("Queue");
        page
    }
}

/// Whether there is a Chromium.
pub fn is_there() -> bool {
    let found = Command::new("chromium").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_err() {
        assert!(std::env::var_os("COMPAT_REQUIRE").is_none(), "chromium is not installed");
        eprintln!("skipped: chromium is not installed");
    }
    found.is_ok()
}

/// A script that drives it.
pub fn script(name: &str) -> Command {
    let mut python = Command::new("/usr/bin/python3");
    python.env("PYTHONDONTWRITEBYTECODE", "1").arg(root().join("tests/integration/browser").join(name));
    python
}

/// Where screenshots are wanted, if they are.
pub fn shots() -> String {
    std::env::var("SHOTS").unwrap_or_default()
}

impl Page<'_> {
    /// Clicks on the first button or link of this name, once there is one.
    pub fn click(&self, label: &str) {
        self.tell("click", &[label]);
    }

    pub fn fill(&self, selector: &str, text: &str) {
        self.tell("fill", &[selector, text]);
    }

    /// Waits until the page says so.
    pub fn text(&self, words: &str) {
        self.tell("text", &[words]);
    }

    pub fn shot(&self, name: &str) {
        self.tell("shot", &[name]);
    }

    /// What a script answers.
    pub fn run(&self, script: &str) -> Value {
        self.tell("run", &[script])
    }

    fn tell(&self, what: &str, arguments: &[&str]) -> Value {
        let mut line = vec![json!(self.person), json!(what)];
        line.extend(arguments.iter().map(|argument| json!(argument)));
        let mut talk = self.browser.talk.borrow_mut();
        let (into, out) = talk.as_mut().unwrap();
        writeln!(into, "{}", Value::from(line)).unwrap();
        let answer: Value = serde_json::from_str(&out.next().expect("the browser answers").unwrap()).unwrap();
        assert!(answer.get("failed").is_none(), "{} {what} {arguments:?}: {}", self.person, answer["failed"]);
        answer["ok"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // At the end of its input it ends its Chromium, too.
        drop(self.talk.take());
        let _ = self.child.wait();
    }
}
