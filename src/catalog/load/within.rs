//! The catalogs as a transaction of a session's sees them, with what it has made and not committed. Who holds the session's
//! connection asks there; nothing of that is known here.

use tokio_postgres::types::Type;

use super::read::{CHANGING, Question, Reader};
use super::row::{Row, get};
use super::{LoadError, sql};
use crate::catalog::Oid;
use crate::catalog::snapshot::{FIRST_USER_OID, Snapshot};

/// The parameter of every question: objects below it came with the server, and are known.
pub const FROM: Oid = FIRST_USER_OID;

/// The answers, as far as they have come.
pub struct Within {
    reader: Reader,
    /// The question whose answer comes next.
    at: usize,
    types: Vec<Type>,
    path: Option<Vec<String>>,
}

const ITSELF: Question = Question { sql: sql::WITHIN, take: |_, _| Ok(()) };
const SCHEMAS: Question = Question { sql: sql::SCHEMAS, take: Reader::schema };

fn all() -> impl Iterator<Item = &'static Question> {
    [&ITSELF, &SCHEMAS].into_iter().chain(CHANGING)
}

impl Within {
    /// The questions, to be asked in this order, with [`FROM`] as their only parameter and all results in binary format.
    pub fn questions() -> impl Iterator<Item = &'static str> {
        all().map(|question| question.sql)
    }

    /// Begins with what `committed` holds of the server's own.
    #[must_use]
    pub fn new(committed: &Snapshot) -> Self {
        Self { reader: Reader::new(committed.without_users()), at: 0, types: Vec::new(), path: None }
    }

    /// The types of the columns that come next.
    ///
    /// # Errors
    /// Where they are none of the server's.
    pub fn columns(&mut self, types: impl Iterator<Item = Oid>) -> Result<(), LoadError> {
        let known = |oid| Type::from_oid(oid).ok_or_else(|| LoadError::Content(format!("type {oid}")));
        self.types = types.map(known).collect::<Result<_, _>>()?;
        Ok(())
    }

    /// One row of the answer that comes.
    ///
    /// # Errors
    /// Where it holds something unexpected.
    pub fn row(&mut self, cells: &[Option<&[u8]>]) -> Result<(), LoadError> {
        let none = || LoadError::Content("an answer to nothing".to_owned());
        let question = all().nth(self.at).ok_or_else(none)?;
        let row = Row::Session { types: &self.types, cells };
        if self.at > 0 {
            return (question.take)(&mut self.reader, &row);
        }
        let isolation: &str = get(&row, 1)?;
        if !matches!(isolation, "read committed" | "read uncommitted") {
            return Err(LoadError::Isolation(isolation.to_owned()));
        }
        self.path = Some(get(&row, 0)?);
        Ok(())
    }

    /// The answer is complete.
    pub fn answered(&mut self) {
        self.at += 1;
        self.types = Vec::new();
    }

    /// All of them together, under a version that no other snapshot has.
    ///
    /// # Errors
    /// Where something is missing.
    pub fn finish(self, version: u64) -> Result<Snapshot, LoadError> {
        let Self { mut reader, at, types: _, path } = self;
        let path = path.filter(|_| at == all().count());
        reader.path(&path.ok_or_else(|| LoadError::Content("answers are missing".to_owned()))?);
        reader.snapshot.version = version;
        Ok(reader.snapshot)
    }
}

impl std::fmt::Debug for Within {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Within").field("at", &self.at).finish_non_exhaustive()
    }
}
