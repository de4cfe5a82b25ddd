//! Where the CPU goes: pgward sampled by `perf record` under each protocol, as a flame graph and as a list.
//!
//! Stacks are unwound from DWARF, so that the program is the one that is measured, built without frame pointers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use inferno::collapse::Collapse as _;

use crate::bench::Bench;
use crate::pgbench::{self, Load};

const CLIENTS: u32 = 16;
const PER_SECOND: &str = "499";

/// # Errors
/// Where perf is not there or may not sample.
pub fn measure(bench: &Bench) -> Result<()> {
    let graphs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/performance");
    let lists = bench.settings.results.with_file_name("");
    std::fs::create_dir_all(&graphs)?;
    std::fs::create_dir_all(&lists)?;
    let pid = bench.pgward.peer.pid().context("no process")?;
    for protocol in &bench.settings.protocols {
        let peer = &bench.pgward.peer;
        pgbench::run(&bench.stage, &bench.server, peer, &Load::seconds(protocol, CLIENTS, 2))?;
        let data = bench.stage.path("perf.data");
        let seconds = bench.settings.seconds.to_string();
        let mut perf = Command::new("perf");
        perf.args(["record", "-q", "-e", "cpu-clock", "-F", PER_SECOND, "--call-graph", "dwarf,32768"]);
        perf.args(["-p", &pid.to_string(), "-o"]).arg(&data).args(["--", "sleep", &seconds]);
        let recording = bench.stage.start("perf", perf, rustix::process::Signal::INT)?;
        std::thread::sleep(std::time::Duration::from_millis(300));
        pgbench::run(&bench.stage, &bench.server, peer, &Load::seconds(protocol, CLIENTS, bench.settings.seconds))?;
        recording.end();
        let folded = collapse(bench, &data)?;
        draw(&folded, protocol, &graphs.join(format!("{protocol}.svg")))?;
        let list = lists.join(format!("profile-{protocol}.txt"));
        std::fs::write(&list, heaviest(&folded))?;
        println!("{}\n{}", list.display(), heaviest(&folded));
    }
    Ok(())
}

/// `stack count` on each line, outermost function first.
fn collapse(bench: &Bench, data: &Path) -> Result<String> {
    let mut script = Command::new("perf");
    // Inlined functions are left out: finding their names takes perf minutes.
    script.args(["script", "--no-inline", "-F", "comm,pid,tid,time,event,ip,sym,dso", "-i"]).arg(data);
    let text = bench.stage.path("perf.txt");
    let status = script.stdout(std::fs::File::create(&text)?).stderr(std::process::Stdio::null()).status()?;
    anyhow::ensure!(status.success(), "perf script fails");
    let mut options = inferno::collapse::perf::Options::default();
    options.include_tid = false;
    let mut folded = Vec::new();
    let reader = std::io::BufReader::new(std::fs::File::open(&text)?);
    inferno::collapse::perf::Folder::from(options).collapse(reader, &mut folded)?;
    Ok(String::from_utf8_lossy(&folded).into_owned())
}

fn draw(folded: &str, protocol: &str, path: &Path) -> Result<()> {
    let mut options = inferno::flamegraph::Options::default();
    options.title = format!("pgward, pgbench -S -M {protocol}, {CLIENTS} clients");
    "samples".clone_into(&mut options.count_name);
    options.hash = true;
    options.min_width = 0.05;
    let file = std::io::BufWriter::new(std::fs::File::create(path)?);
    Ok(inferno::flamegraph::from_lines(&mut options, folded.lines(), file)?)
}

/// The functions with the most samples, by themselves and with what they call, and the threads.
fn heaviest(folded: &str) -> String {
    let (mut own, mut with, mut threads) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut all = 0_u64;
    for line in folded.lines() {
        let Some((stack, count)) = line.rsplit_once(' ') else { continue };
        let count: u64 = count.parse().unwrap_or(0);
        let frames: Vec<&str> = stack.split(';').collect();
        all += count;
        *threads.entry(frames[0]).or_insert(0) += count;
        *own.entry(frames[frames.len() - 1]).or_insert(0) += count;
        let mut once: Vec<&str> = frames[1..].to_vec();
        once.sort_unstable();
        once.dedup();
        for frame in once {
            *with.entry(frame).or_insert(0) += count;
        }
    }
    let mut text = String::new();
    for (title, counts, most) in [("threads", threads, 12), ("by itself", own, 45), ("with what it calls", with, 70)] {
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        text += &format!("{title}\n");
        for (name, count) in counts.into_iter().take(most) {
            let name: String = name.chars().take(150).collect();
            text += &format!("{:6.2} %  {name}\n", count as f64 / all as f64 * 100.0);
        }
    }
    text
}
