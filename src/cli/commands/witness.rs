//! `witness`: being a witness of other people's journals. Makes the key at its first start; the secret is never printed.

use std::path::Path;

use crate::app::WitnessSettings;
use crate::cli::args::WitnessArguments;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::tlog::keyfile::{self, KeyFileError};
use crate::tlog::{Algorithm, Cosigner, Verifier};

pub fn run(arguments: WitnessArguments) -> Result<(), Failure> {
    let logs = arguments.logs.iter().map(|vkey| log(vkey)).collect::<Result<Vec<_>, _>>()?;
    let cosigner = key(&arguments.key, arguments.name.as_deref())?;
    // The first line, for scripts; the log goes to stderr.
    output::say(&cosigner.verifier().to_string())?;
    let (false, Some(listen), Some(state)) = (arguments.show, arguments.listen, arguments.state) else {
        return Ok(());
    };
    let tls = arguments.tls_cert.zip(arguments.tls_key);
    crate::app::witness(WitnessSettings { listen, cosigner, logs, state, tls }).map_err(|error| {
        let hint = "see `pgward witness --help`; outside of the machine itself, --tls-cert and --tls-key are needed";
        Failure::new(format!("{error:#}"), hint)
    })
}

fn log(vkey: &str) -> Result<Verifier, Failure> {
    let hint = "`pgward audit key --show` prints the verifier key of a journal";
    let verifier = Verifier::parse(vkey).map_err(|error| Failure::new(format!("`{vkey}`: {error}"), hint))?;
    match verifier.algorithm() {
        Algorithm::Ed25519 => Ok(verifier),
        Algorithm::CosignatureV1 => Err(Failure::new(format!("`{vkey}` is a witness's key, not a log's"), hint)),
    }
}

fn key(path: &Path, name: Option<&str>) -> Result<Cosigner, Failure> {
    let failed = |error: KeyFileError| Failure::new(error.to_string(), "name the witness's key file with --key");
    let there = path.try_exists()?;
    let cosigner = match (there, name) {
        (true, _) => keyfile::load_cosigner(path),
        (false, Some(name)) => keyfile::create_cosigner(path, name),
        (false, None) => keyfile::create_cosigner(path, &format!("witness/{}", uuid::Uuid::now_v7().simple())),
    };
    let cosigner = cosigner.map_err(failed)?;
    match name.filter(|name| *name != cosigner.verifier().name()) {
        None => Ok(cosigner),
        Some(name) => Err(Failure::new(
            format!("{} is the key of \"{}\", not of \"{name}\"", path.display(), cosigner.verifier().name()),
            "leave --name out, or name another file with --key",
        )),
    }
}
