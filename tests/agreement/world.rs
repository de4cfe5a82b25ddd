//! The server that holds the world, one for the whole run.

use std::path::{Path, PathBuf};

use pgward::catalog::Snapshot;
use tokio_postgres::NoTls;

use crate::grants::SPECS;
use crate::postgres::TestPostgres;
use crate::wire::Connection;

pub struct World {
    server: TestPostgres,
    pub snapshot: Snapshot,
}

impl World {
    pub fn start() -> Self {
        let server = TestPostgres::start();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        server.run_script("postgres", &root.join("tests/world/world.sql"));
        server.run_script("shop", &root.join("tests/agreement/more.sql"));
        let mut admin = Connection::open(server.socket_directory(), server.port, "postgres", "shop");
        for spec in SPECS {
            for text in spec.make_role() {
                admin.run(&text);
            }
        }
        let snapshot = load(&server.dsn("postgres", "shop"));
        Self { server, snapshot }
    }

    pub fn directory(&self) -> PathBuf {
        self.server.socket_directory().to_owned()
    }

    pub fn port(&self) -> u16 {
        self.server.port
    }
}

fn load(dsn: &str) -> Snapshot {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(dsn, NoTls).await.unwrap();
        tokio::spawn(connection);
        Snapshot::load(&client).await.unwrap()
    })
}
