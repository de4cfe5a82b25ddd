//! The files and variables that a configuration names: looked at apart from reading it, since they may not exist yet.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::problems::{ConfigErrors, Problem};
use super::reader::Text;

/// What a file must be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    /// There, and readable.
    Plain,
    /// A key: not readable by everyone.
    Secret,
    /// A password: readable by its owner alone.
    Password,
    /// Not a file: a variable of the environment that must be set.
    Variable,
}

/// A file, and where the configuration names it.
#[derive(Clone, Debug)]
pub(super) struct FileUse {
    path: PathBuf,
    kind: FileKind,
    key: String,
    line: usize,
    column: usize,
}

impl FileUse {
    /// Notes the file that `text` names, relative to `directory`, and answers its path.
    pub(super) fn add(files: &mut Vec<Self>, text: &Text<'_>, directory: &Path, kind: FileKind) -> PathBuf {
        if text.value.is_empty() || text.value.contains('\0') {
            text.place.refuse(format!("{:?} is not the path of a file", text.value));
        }
        Self::add_path(files, text, directory.join(text.value), kind)
    }

    pub(super) fn add_path(files: &mut Vec<Self>, text: &Text<'_>, path: PathBuf, kind: FileKind) -> PathBuf {
        let (line, column) = text.place.position();
        files.push(Self { path: path.clone(), kind, key: text.place.key.clone(), line, column });
        path
    }

    fn check(&self) -> Result<(), String> {
        let path = self.path.display();
        if self.kind == FileKind::Variable {
            return match std::env::var_os(&self.path) {
                Some(_) => Ok(()),
                None => Err(format!("the environment variable {path} is not set")),
            };
        }
        let metadata = fs::metadata(&self.path).map_err(|error| format!("{path} cannot be read: {error}"))?;
        if !metadata.is_file() {
            return Err(format!("{path} is not a file"));
        }
        File::open(&self.path).map_err(|error| format!("{path} cannot be read: {error}"))?;
        let mode = metadata.permissions().mode() & 0o777;
        let too_open = match self.kind {
            FileKind::Password => mode & 0o077 != 0,
            // A key may be readable by a group, as Debian's `ssl-cert` has it.
            FileKind::Secret => mode & 0o007 != 0,
            FileKind::Plain | FileKind::Variable => false,
        };
        if too_open {
            return Err(format!("{path} can be read by others (mode {mode:04o}); run: chmod 600 {path}"));
        }
        Ok(())
    }
}

pub(super) fn check(config: &Path, files: &[FileUse]) -> Result<(), ConfigErrors> {
    let problem = |used: &FileUse| {
        let message = used.check().err()?;
        let (file, key, line, column) = (config.to_owned(), used.key.clone(), used.line, used.column);
        Some(Problem { file, line, column, key, message })
    };
    let problems: Vec<Problem> = files.iter().filter_map(problem).collect();
    if problems.is_empty() { Ok(()) } else { Err(ConfigErrors { problems }) }
}
