//! PostgreSQL's own opinion of a statement against ours, on a real server: both agree on what clients send, whatever ours lacks
//! is told, and nothing of a statement runs when PostgreSQL is asked.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "../support/postgres.rs"]
mod postgres;

mod agreement;
mod asking;
mod generated;
mod mutations;

use std::path::{Path, PathBuf};

use pgward::catalog::opinion::{AskError, Depth, Opinion, Parameters, Question, ask, compare, prepare_connection};
use pgward::catalog::{Footprint, Oid, Snapshot, resolve, resolve_with};
use pgward::sql::{self, Limits, Statement};
use postgres::TestPostgres;
use tokio_postgres::{Client, NoTls};

/// A server with the policy world and more in database `shop`, and a connection for questions.
struct Bench {
    server: TestPostgres,
    shop: Snapshot,
    side: Client,
}

impl Bench {
    async fn start() -> Self {
        let server = TestPostgres::start();
        server.run_script("postgres", &root().join("tests/world/world.sql"));
        let client = connect(&server).await;
        client.batch_execute(MORE).await.unwrap();
        let shop = Snapshot::load(&client).await.unwrap();
        let side = connect(&server).await;
        prepare_connection(&side, &shop.search_path).await.unwrap().unwrap();
        Self { server, shop, side }
    }

    async fn ask(&self, text: &str, declared: &[Oid]) -> Result<Opinion, AskError> {
        ask(&self.side, &self.shop, Question { text, parameters: Parameters::Declared(declared) }).await
    }

    /// The differences on the one statement of a text.
    async fn differences(&self, text: &str, declared: Option<&[Oid]>) -> Vec<String> {
        let statement = one(text);
        let footprint = self.footprint(&statement, declared);
        let opinion =
            self.ask(text, declared.unwrap_or_default()).await.unwrap_or_else(|error| panic!("{text}: {error}"));
        self.compared(&footprint, &opinion)
    }

    fn compared(&self, footprint: &Footprint, opinion: &Opinion) -> Vec<String> {
        compare(&self.shop, footprint, opinion, Depth::Full).iter().map(ToString::to_string).collect()
    }

    fn footprint(&self, statement: &Statement, declared: Option<&[Oid]>) -> Footprint {
        let resolved = match declared {
            Some(declared) => resolve_with(&self.shop, &statement.action, declared),
            None => resolve(&self.shop, &statement.action),
        };
        resolved.unwrap()
    }

    async fn row(&self, query: &str) -> String {
        let client = connect(&self.server).await;
        client.query_one(query, &[]).await.unwrap().get(0)
    }
}

/// What the policy world has none of.
const MORE: &str = "
CREATE FUNCTION public.boom(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE EXCEPTION ''it ran''; END';
CREATE FUNCTION public.refuses(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE EXCEPTION ''it ran''; END';
CREATE DOMAIN public.raising AS int CHECK (public.refuses(VALUE));
CREATE TABLE public.pairs (id int PRIMARY KEY, a int, b text DEFAULT public.boom(1)::text, d public.raising);
CREATE SEQUENCE public.counted;
CREATE TYPE public.\"Odd\" AS ENUM ('a');
CREATE TYPE public.point2 AS (x int, y int);
CREATE TABLE public.shapes (id int, at public.point2, many public.point2[]);
CREATE VIEW public.v_pairs AS SELECT id, a FROM public.pairs;
";

async fn connect(server: &TestPostgres) -> Client {
    let (client, connection) = tokio_postgres::connect(&server.dsn("postgres", "shop"), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn one(text: &str) -> Statement {
    let mut statements = sql::read(text, &Limits::default()).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(statements.len(), 1, "{text}");
    statements.remove(0)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
