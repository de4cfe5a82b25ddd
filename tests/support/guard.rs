//! A process that ends with the one that started it, however that one ends: a shell waits at a pipe that closes then.

use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Runs `command` in the background of a shell that interrupts it and removes `directory` once the returned child's standard
/// input is closed.
pub fn spawn(command: &Command, directory: &Path, log: Stdio) -> Child {
    let script = r#"trap '' INT TERM; directory=$1; shift; "$@" & pid=$!; read _; kill -INT $pid; wait $pid; rm -rf "$directory""#;
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]).arg(directory).arg(command.get_program()).args(command.get_args());
    shell.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
    shell.spawn().expect("a shell")
}

/// Closes the pipe and waits until process and directory are gone.
pub fn stop(child: &mut Child) {
    drop(child.stdin.take());
    drop(child.wait());
}
