//! `audit prove` and `audit verify --bundle`: the proof of one record, handed out and checked. Checking needs no server.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::audit::{Bundle, Expected, Places, ProveError, Proved, Report};
use crate::cli::args::{Format, Options, ProveArguments, VerifyArguments};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::server::Target;
use crate::tlog::{Algorithm, Checkpoint, CheckpointFile, Note, Verifier};

pub async fn prove(options: &Options, arguments: ProveArguments) -> Result<(), Failure> {
    let ProveArguments { record, dir, regions, out } = arguments;
    let bundle = match dir {
        Some(main) => crate::audit::prove(Places { main, regions }, record).map_err(unproved)?.0,
        None => {
            let client = Client::new(Target::resolve(options).await?)?;
            client.get_slowly(&["audit", "proof", &record.to_string()]).await?
        }
    };
    // What does not hold here would hold nowhere.
    let own = vec![verifier(&bundle.vkey, Algorithm::Ed25519)?];
    bundle.verify(&own, &[]).map_err(|what| Failure::new(format!("record {record}: {what}"), KEEP))?;
    let text = serde_json::to_string_pretty(&bundle)? + "\n";
    match &out {
        None => output::print(&output::ascii_controls(&text))?,
        Some(file) => write(file, &text)?,
    }
    if bundle.record.is_some() {
        output::notice(&format!("who has this proof can read record {record}, and no other"));
    }
    Ok(())
}

/// Checks a proof that somebody handed on.
pub fn verify_bundle(options: &Options, file: &Path, arguments: &VerifyArguments) -> Result<(), Failure> {
    let bytes = std::fs::read(file)
        .map_err(|error| Failure::new(format!("{}: {error}", file.display()), "name a file of `pgward audit prove`"))?;
    let checked = Bundle::parse(&bytes).and_then(|bundle| {
        let logs = match logs(arguments) {
            Ok(logs) if logs.is_empty() => vec![believed(&bundle)?],
            Ok(logs) => logs,
            Err(failure) => return Ok(Err(failure)),
        };
        let witnesses = match verifiers(&arguments.witnesses, Algorithm::CosignatureV1) {
            Ok(witnesses) => witnesses,
            Err(failure) => return Ok(Err(failure)),
        };
        bundle.verify(&logs, &witnesses).map(|proved| Ok((proved, bundle.record.clone())))
    });
    match checked {
        Ok(Ok((proved, record))) => tell(options.output, &proved, record.as_deref()),
        Ok(Err(failure)) => Err(failure),
        Err(what) => {
            if options.output == Format::Json {
                output::json(&json!({ "ok": false, "problem": what }))?;
            }
            Err(Failure::new(
                format!("{} proves nothing: {what}", file.display()),
                "ask for the proof again, elsewhere",
            ))
        }
    }
}

/// Verifies the journal in a directory, against what is known of it: where nothing else was kept, what its witnesses cosigned.
pub fn verify_dir(main: &Path, arguments: &VerifyArguments) -> Result<Report, Failure> {
    let places = Places { main: main.to_owned(), regions: arguments.regions.clone() };
    let mut known = logs(arguments)?;
    if known.len() > 1 {
        return Err(Failure::new("more than one --vkey", "a journal's newest checkpoint is signed by one key"));
    }
    // The log may have changed its key since this one was given.
    let verifier = known.pop().map(|known| CheckpointFile::of(main).follow(known));
    let witnessed = main.join("checkpoint.witnessed");
    let file = arguments.checkpoint.as_deref().or_else(|| witnessed.exists().then_some(&*witnessed));
    let checkpoint = file.map(|file| kept(file, verifier.as_ref())).transpose()?;
    Ok(crate::audit::verify_against(places, &Expected { verifier, checkpoint, records: 0, keys: !arguments.sealed }))
}

/// A checkpoint that was kept elsewhere.
fn kept(file: &Path, verifier: Option<&Verifier>) -> Result<Checkpoint, Failure> {
    let hint = "name a copy of a journal's `checkpoint`, and the key that signed it with --vkey";
    let wrong = |what: String| Failure::new(format!("{}: {what}", file.display()), hint);
    let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    let note = Note::parse(&text).map_err(|error| wrong(error.to_string()))?;
    if let Some(verifier) = verifier {
        note.verified_by(verifier).map_err(|error| wrong(error.to_string()))?;
    }
    Checkpoint::of(&note).map_err(|error| wrong(error.to_string()))
}

fn tell(format: Format, proved: &Proved, record: Option<&str>) -> Result<(), Failure> {
    let Proved { seq, checkpoint, witnessed, .. } = proved;
    if format == Format::Json {
        let parsed = record.map(serde_json::from_str::<Value>).transpose()?;
        let witnessed: Vec<_> = witnessed.iter().map(|(name, time)| json!({ "witness": name, "time": time })).collect();
        return output::json(&json!({
            "ok": true,
            "seq": seq,
            "log": checkpoint.origin,
            "size": checkpoint.size,
            "root": checkpoint.root.to_base64(),
            "witnessed": witnessed,
            "record": parsed,
        }));
    }
    let what = if record.is_some() { "says" } else { "is there; what it said is not shown" };
    output::say(&format!("record {seq} of the log {} ({} records) {what}", checkpoint.origin, checkpoint.size))?;
    for (name, time) in witnessed {
        output::say(&format!("cosigned by {name} at {}", instant(*time)))?;
    }
    record.map_or(Ok(()), |record| output::say(&output::ascii_controls(record)))
}

fn instant(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| seconds.to_string(), |time| time.to_string())
}

fn logs(arguments: &VerifyArguments) -> Result<Vec<Verifier>, Failure> {
    verifiers(&arguments.vkeys, Algorithm::Ed25519)
}

fn verifiers(texts: &[String], algorithm: Algorithm) -> Result<Vec<Verifier>, Failure> {
    texts.iter().map(|text| verifier(text, algorithm)).collect()
}

fn verifier(text: &str, algorithm: Algorithm) -> Result<Verifier, Failure> {
    let hint = "`pgward audit key --show` prints the verifier key of a log, `pgward witness --show` that of a witness";
    let verifier = Verifier::parse(text).map_err(|error| Failure::new(format!("`{text}`: {error}"), hint))?;
    if verifier.algorithm() == algorithm {
        return Ok(verifier);
    }
    Err(Failure::new(format!("`{text}` is a key of another type: a log's and a witness's differ"), hint))
}

/// The key that a proof names itself: it shows that the proof hangs together, and not whose it is.
fn believed(bundle: &Bundle) -> Result<Verifier, String> {
    output::notice("warning: the key that the proof names is believed; give the log's own with --vkey");
    Verifier::parse(&bundle.vkey).map_err(|error| error.to_string())
}

/// Its owner's alone: it holds what a statement said.
fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let written = opened.and_then(|mut opened| opened.write_all(text.as_bytes()));
    written.map_err(|error| Failure::new(format!("{}: {error}", file.display()), "name a file that is not there yet"))
}

fn unproved(error: ProveError) -> Failure {
    let hint = match &error {
        ProveError::NotYet { .. } => "a running pgward signs a checkpoint every second: try again",
        ProveError::Zero => "find records with `pgward audit search`",
        ProveError::Damaged { .. } | ProveError::Read(_) => KEEP,
    };
    Failure::new(error.to_string(), hint)
}

const KEEP: &str = "run `pgward audit verify`, and keep the files as they are";
