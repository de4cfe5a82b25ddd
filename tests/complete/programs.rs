//! PostgreSQL's own clients. Whether they succeed is not asked: pgward may be killed under them.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Work;
use crate::random::Random;
use crate::support::signal;

fn client(work: &Work, program: &str, name: &str) -> Command {
    let mut command = work.proxy.client(program, &work.alice);
    command.env("PGAPPNAME", name).env("PGCONNECT_TIMEOUT", "10");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Simple queries: alone, several in a message, failing, in failed transactions, refused, with cursors, empty.
pub fn psql(work: &Work, random: &mut Random) {
    let name = work.name("psql");
    let mut script = Vec::new();
    for step in 0..40 {
        let id = random.below(10) + 1;
        script.push(match random.below(9) {
            0 => format!("SELECT body FROM public.notes WHERE id = {id} /* {name} {step} */"),
            1 => format!("SELECT '{name} {step} a'; INSERT INTO public.sink VALUES ({id}, '{name} {step}'); SELECT 1"),
            2 => format!("SELECT {step}/0 /* {name} */"),
            3 => format!("SELECT '{name} {step} first'; SELECT {step}/0; SELECT 'never {name} {step}'"),
            4 => format!("DROP TABLE public.notes /* {name} {step} */"),
            5 => "BEGIN\nSELECT 1/0\nSELECT 'in a failed transaction'\nROLLBACK".to_owned(),
            6 => format!(
                "BEGIN\nDECLARE c{step} CURSOR FOR SELECT id FROM public.wide\nFETCH 5 FROM c{step}\nMOVE 5 IN c{step}\n\
                 CLOSE c{step}\nCOMMIT"
            ),
            7 => format!("SHOW server_version -- {name} {step}"),
            _ => format!("SELECT '{name}\n{step}'"),
        });
    }
    let mut psql = client(work, "psql", &name);
    psql.arg("-X");
    let messages: Vec<&str> = script
        .iter()
        .flat_map(|text| if text.starts_with("BEGIN") { text.split('\n').collect() } else { vec![text.as_str()] })
        .collect();
    for message in &messages {
        psql.args(["-c", message]);
    }
    let _ = psql.status().unwrap();
    work.count(messages.len());
}

/// Simple, extended and prepared.
pub fn pgbench(work: &Work, random: &mut Random) {
    let mode = ["simple", "extended", "prepared"][random.below(3)];
    let name = work.name(mode);
    let script = work.proxy.setup.dir.join(format!("{name}.sql"));
    let text = "\\set id random(1, 10)\nSELECT body FROM public.notes WHERE id = :id;\nBEGIN;\n\
                INSERT INTO public.sink VALUES (:id, 'bench');\nUPDATE public.wide SET filler = filler WHERE id = :id;\nEND;\n";
    std::fs::write(&script, text).unwrap();
    let mut pgbench = client(work, "pgbench", &name);
    let transactions = work.transactions();
    pgbench.args(["-n", "-c", "2", "-M", mode, "-t", &transactions.to_string(), "-f"]).arg(&script);
    let succeeded = pgbench.status().unwrap().success();
    work.count(if succeeded { 10 * transactions } else { transactions });
}

/// A statement that its client cancels.
pub fn cancelled(work: &Work) {
    let name = work.name("cancel");
    let mut psql = client(work, "psql", &name);
    psql.args(["-X", "-c", &format!("SELECT 'before {name}'"), "-c", &format!("SELECT pg_sleep(20), '{name}'")]);
    let mut running = psql.spawn().unwrap();
    // At whatever it is by then.
    std::thread::sleep(Duration::from_millis(300));
    if running.try_wait().unwrap().is_none() {
        signal("INT", running.id());
    }
    let _ = running.wait().unwrap();
    work.count(2);
}

/// An administrator ends the oldest session of the run, whatever it is at.
pub fn killed(work: &Work) {
    let listed = work.proxy.cli("bob", &["sessions", "-o", "json"]);
    let sessions: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap_or_default();
    if let Some(session) = sessions[0]["id"].as_str() {
        // It may have ended by itself.
        let _ = work.proxy.cli("bob", &["kill", session]);
    }
}

/// COPY both ways, and one that fails half way.
pub fn copies(work: &Work) {
    let name = work.name("copy");
    let file = work.proxy.setup.dir.join(format!("{name}.copy"));
    let script = format!(
        "SELECT 'copies {name}';\n\\copy (SELECT * FROM public.notes) TO '{0}'\n\\copy public.sink FROM STDIN\n1\tone\n2\ttwo\n\\.\n\
         \\copy public.sink FROM STDIN\n1\tone\nnot a number\ttwo\n\\.\nSELECT 'copied {name}';\n",
        file.display()
    );
    let mut psql = client(work, "psql", &name);
    let mut running = psql.args(["-X", "-q"]).stdin(Stdio::piped()).spawn().unwrap();
    // It may be gone by then.
    let _ = running.stdin.take().unwrap().write_all(script.as_bytes());
    let _ = running.wait().unwrap();
    work.count(5);
}
