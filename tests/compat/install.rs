//! Installs clients: Debian's packages for the system, everything else under target/compat. What fails is told and left: the
//! client is then not installed.

use std::process::Command;

use crate::manifest::{Client, here, home};
use crate::support::root;

pub fn install(clients: &[Client]) {
    let home = home();
    std::fs::create_dir_all(&home).unwrap();
    let mut apt: Vec<&String> = clients.iter().flat_map(|client| &client.apt).collect();
    apt.sort();
    apt.dedup();
    succeeded(Command::new(root().join("scripts/install-deps.sh")).arg("packages").args(apt));
    let pip: Vec<&String> = clients.iter().flat_map(|client| &client.pip).collect();
    if !pip.is_empty() {
        let python = home.join("venv/bin/python");
        if !python.exists() {
            succeeded(Command::new("python3").args(["-m", "venv"]).arg(home.join("venv")));
        }
        succeeded(
            Command::new(python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(pip),
        );
    }
    let npm: Vec<&String> = clients.iter().flat_map(|client| &client.npm).collect();
    if !npm.is_empty() {
        let mut command = Command::new("npm");
        command.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(home.join("npm")).args(npm);
        succeeded(&mut command);
    }
    for client in clients {
        if let Some(build) = &client.build {
            std::fs::create_dir_all(home.join("build").join(&client.name)).unwrap();
            succeeded(
                client.shell(build).env("COMPAT_HOME", &home).current_dir(here().join("clients").join(&client.name)),
            );
        }
    }
}

fn succeeded(command: &mut Command) -> bool {
    let done = command.status().is_ok_and(|status| status.success());
    if !done {
        eprintln!("failed: {command:?}");
    }
    done
}
