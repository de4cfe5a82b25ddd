//! One running server of each major version that is installed.

use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::installed::installed;
use crate::postgres::TestPostgres;

/// What a server answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The columns' names and the rows' values.
    Rows(Vec<String>),
    Error,
}

pub struct Servers {
    running: Vec<Server>,
}

struct Server {
    major: u32,
    client: Client,
    _process: TestPostgres,
}

impl Servers {
    pub async fn start() -> Self {
        let mut running = Vec::new();
        for (major, programs) in installed() {
            let process = TestPostgres::start_from(programs);
            let (client, connection) =
                tokio_postgres::connect(&process.dsn("postgres", "postgres"), NoTls).await.unwrap();
            tokio::spawn(connection);
            client.batch_execute("SET statement_timeout = '5s'; SET extra_float_digits = 0").await.unwrap();
            running.push(Server { major, client, _process: process });
        }
        assert!(!running.is_empty(), "no PostgreSQL is installed");
        Self { running }
    }

    pub fn majors(&self) -> Vec<u32> {
        self.running.iter().map(|server| server.major).collect()
    }

    /// Each version's answer to one text.
    pub async fn ask(&self, text: &str) -> Vec<(u32, Outcome)> {
        let mut outcomes = Vec::new();
        for server in &self.running {
            outcomes.push((server.major, answer(&server.client, text).await));
        }
        outcomes
    }

    /// Every version's keywords with the letter of their category.
    pub async fn keywords(&self) -> Vec<(String, char)> {
        let mut found = Vec::new();
        for server in &self.running {
            let rows = server.client.query("SELECT word, catcode::text FROM pg_get_keywords()", &[]).await.unwrap();
            found.extend(rows.iter().map(|row| (row.get(0), row.get::<_, String>(1).chars().next().unwrap())));
        }
        found
    }
}

async fn answer(client: &Client, text: &str) -> Outcome {
    let Ok(messages) = client.simple_query(text).await else { return Outcome::Error };
    let mut seen = Vec::new();
    for message in messages {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                seen.extend(columns.iter().map(|column| column.name().to_owned()));
            }
            SimpleQueryMessage::Row(row) => {
                seen.extend((0..row.len()).map(|index| format!("{:?}", row.get(index))));
            }
            _ => {}
        }
    }
    Outcome::Rows(seen)
}
