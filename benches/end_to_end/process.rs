//! Starting programs and ending them, whatever happens to the harness: a janitor, a process of its own, is told of every
//! program, and once the pipe to it closes it ends those that are left and removes the directory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// Files and ports that sessions by the ten thousand take, on both sides of a proxy.
const OPEN_FILES: u32 = 65_536;

/// The directory of one run, and what was started in it.
#[derive(Clone, Debug)]
pub struct Stage {
    pub directory: PathBuf,
    /// The one CPU that programs are started on.
    pub cpu: Option<usize>,
    janitor: Arc<Janitor>,
}

#[derive(Debug)]
struct Janitor {
    process: Mutex<Child>,
    told: Mutex<Option<ChildStdin>>,
}

impl Stage {
    /// # Errors
    /// Where the directory cannot be made.
    pub fn set(cpu: Option<usize>) -> Result<Self> {
        let directory = std::env::temp_dir().join(format!("pgward-bench-{}", std::process::id()));
        std::fs::create_dir_all(&directory)?;
        let mut command = myself()?;
        command.arg("janitor").arg(&directory).stdin(Stdio::piped()).process_group(0);
        let mut process = command.spawn().context("the janitor")?;
        let told = process.stdin.take();
        Ok(Self { directory, cpu, janitor: Arc::new(Janitor { process: process.into(), told: told.into() }) })
    }

    /// Where this stage's programs run unpinned.
    pub fn unpinned(&self) -> Self {
        Self { cpu: None, ..self.clone() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The command under this stage's CPU and with room for many files.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut words: Vec<std::ffi::OsString> = Vec::new();
        if may_open_many() {
            words.extend(["prlimit".into(), format!("--nofile={OPEN_FILES}").into(), "--".into()]);
        }
        if let Some(cpu) = self.cpu {
            words.extend(["taskset".into(), "-c".into(), cpu.to_string().into()]);
        }
        words.push(program.as_ref().into());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(&self.directory).stdin(Stdio::null());
        command
    }

    /// The same, run by another program: that one's name and arguments come first.
    pub fn wrapped(&self, wrapper: &[String], program: &Path) -> Command {
        match wrapper.split_first() {
            None => self.command(program),
            Some((first, rest)) => {
                let mut command = self.command(first);
                command.args(rest).arg(program);
                command
            }
        }
    }

    /// One that root may not run: PostgreSQL and PgBouncer.
    pub fn unprivileged(&self, program: impl AsRef<Path>) -> Command {
        self.unprivileged_wrapped(&[], program.as_ref())
    }

    pub fn unprivileged_wrapped(&self, wrapper: &[String], program: &Path) -> Command {
        if !is_root() {
            return self.wrapped(wrapper, program);
        }
        let mut command = self.command("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).args(wrapper).arg(program);
        command
    }

    /// Starts a program whose output goes to `NAME.log`; it ends by `signal` when dropped.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn start(&self, name: &str, mut command: Command, signal: Signal) -> Result<Program> {
        let log = File::options().create(true).append(true).open(self.path(&format!("{name}.log")))?;
        let child = command
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("{name}: {command:?}"))?;
        let program = Program { name: name.to_owned(), child, signal, stage: self.clone() };
        self.tell(&format!("+{} {}", program.pid(), signal.as_raw()))?;
        Ok(program)
    }

    /// Runs a program to its end and answers what it printed.
    ///
    /// # Errors
    /// Where it fails; with what it said.
    pub fn run(&self, mut command: Command) -> Result<String> {
        let output = command.output().with_context(|| format!("{command:?}"))?;
        if !output.status.success() {
            bail!(
                "{command:?}: {}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
    }

    fn tell(&self, line: &str) -> Result<()> {
        if let Ok(mut told) = self.janitor.told.lock()
            && let Some(told) = told.as_mut()
        {
            writeln!(told, "{line}").context("the janitor is gone")?;
        }
        Ok(())
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        if let (Ok(mut told), Ok(mut process)) = (self.told.lock(), self.process.lock()) {
            drop(told.take());
            drop(process.wait());
        }
    }
}

/// A running program; ends when dropped.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    signal: Signal,
    stage: Stage,
}

impl Program {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until something listens at the port of this machine.
    ///
    /// # Errors
    /// Where nothing does after a minute, or the program has ended.
    pub fn wait_for_port(&mut self, port: u16) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(60);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if self.child.try_wait()?.is_some() || Instant::now() > until {
                bail!("{} does not listen: {}", self.name, self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// The end of what it wrote.
    pub fn log(&self) -> String {
        let text = std::fs::read_to_string(self.stage.path(&format!("{}.log", self.name))).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    /// Ends it now.
    pub fn end(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        signal(self.pid(), self.signal);
        let until = Instant::now() + Duration::from_secs(20);
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > until {
                drop(self.child.kill());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(self.stage.tell(&format!("-{}", self.pid())));
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.stop();
    }
}

/// This program, to be run as something else.
///
/// # Errors
/// Where its own path is not known.
pub fn myself() -> Result<Command> {
    Ok(Command::new(std::env::current_exe()?))
}

/// What the janitor does: listens until the pipe closes, then ends what is left and removes the directory.
pub fn clean_up(directory: &Path) {
    let mut left: BTreeMap<u32, i32> = BTreeMap::new();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let numbers: Vec<i32> = line[1..].split(' ').filter_map(|word| word.parse().ok()).collect();
        match (line.starts_with('+'), numbers.as_slice()) {
            (true, [pid, signal]) => drop(left.insert(pid.unsigned_abs(), *signal)),
            (false, [pid]) => drop(left.remove(&pid.unsigned_abs())),
            (true | false, _) => {}
        }
    }
    for (pid, number) in &left {
        signal(*pid, Signal::from_named_raw(*number).unwrap_or(Signal::TERM));
    }
    let until = Instant::now() + Duration::from_secs(15);
    while left.keys().any(|pid| runs(*pid)) {
        if Instant::now() > until {
            left.keys().for_each(|pid| signal(*pid, Signal::KILL));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(std::fs::remove_dir_all(directory));
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // One that has ended meanwhile needs no signal.
        let _ = kill_process(pid, signal);
    }
}

fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub fn may_open_many() -> bool {
    is_root()
        && Command::new("prlimit")
            .arg(format!("--nofile={OPEN_FILES}"))
            .args(["--", "true"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
}

/// A port of this machine that nothing uses now.
///
/// # Errors
/// Where there is none.
pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
