//! sqlx: everything is prepared and described first; its migrator takes an advisory lock unless told not to.

use std::str::FromStr as _;
use std::time::{Duration, Instant};

use compat_clients::{Said, env, locked, notice_wait, skip, sql, step, version, wait};
use futures_util::TryStreamExt as _;
use serde_json::{Value, json};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgRow, PgSslMode};
use sqlx::{Column as _, Connection as _, Executor as _, PgConnection, Row as _, TypeInfo as _};

struct Failed(sqlx::Error);

impl From<Failed> for Said {
    fn from(Failed(error): Failed) -> Self {
        let own = match &error {
            sqlx::Error::Database(own) => own.try_downcast_ref::<sqlx::postgres::PgDatabaseError>(),
            _ => None,
        };
        match own {
            Some(own) => Said {
                class: "PgDatabaseError",
                sqlstate: Some(own.code().to_owned()),
                message: own.message().to_owned(),
                detail: own.detail().map(ToOwned::to_owned),
                hint: own.hint().map(ToOwned::to_owned),
            },
            None => Said { class: "Error", message: error.to_string(), ..Said::default() },
        }
    }
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self(error)
    }
}

type Outcome = Result<Value, Failed>;

fn options() -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .host(&env("PGHOST"))
        .port(env("PGPORT").parse().unwrap())
        .username(&env("PGUSER"))
        .password(&env("PGPASSWORD"))
        .database(&env("PGDATABASE"))
        .ssl_mode(PgSslMode::VerifyFull)
        .ssl_root_cert(env("PGSSLROOTCERT"))
}

async fn once(options: &PgConnectOptions) -> Outcome {
    let mut conn = PgConnection::connect_with(options).await?;
    let count: i64 = sqlx::query_scalar(&sql("count")).fetch_one(&mut conn).await?;
    conn.close().await?;
    Ok(json!(count))
}

fn notes(rows: &[PgRow]) -> Value {
    rows.iter().map(|row| json!([row.get::<i32, _>(0), row.get::<Option<String>, _>(1)])).collect()
}

async fn sunk(conn: &mut PgConnection, from: i32, to: i32) -> Outcome {
    Ok(notes(&sqlx::query(&sql("sunk")).bind(from).bind(to).fetch_all(conn).await?))
}

async fn count(conn: &mut PgConnection, name: &str) -> Outcome {
    Ok(json!(sqlx::query(&sql(name)).fetch_all(conn).await?.len()))
}

async fn types(conn: &mut PgConnection) -> Outcome {
    let described = conn.describe(&sql("types")).await?;
    let columns: Vec<String> = described.columns().iter().map(|column| format!("{} {}", column.name(), column.type_info().name())).collect();
    let rows = sqlx::query(&sql("types")).fetch_all(&mut *conn).await?;
    let values: Vec<Value> = rows
        .iter()
        .map(|row| json!([row.get::<Option<f64>, _>("real8").map(|v| v.to_string()), row.get::<Option<Vec<u8>>, _>("bytes"), row.get::<Option<Vec<Option<i32>>>, _>("many"), row.get::<Option<String>, _>("words")]))
        .collect();
    Ok(json!([columns, (0..20).map(|index| described.nullable(index)).collect::<Vec<_>>(), values]))
}

async fn prepared(conn: &mut PgConnection) -> Outcome {
    let mut all = Vec::new();
    for number in 1..=3 {
        all.push(sqlx::query_scalar::<_, String>(&sql("prepared")).bind(number).fetch_one(&mut *conn).await?);
    }
    Ok(json!(all))
}

async fn batch(conn: &mut PgConnection) -> Outcome {
    for (number, body) in [(1, Some("one")), (2, Some("zwei")), (3, None)] {
        sqlx::query(&sql("insert")).bind(number).bind(body).execute(&mut *conn).await?;
    }
    let several: Vec<i32> = sqlx::raw_sql(&sql("several")).fetch_all(&mut *conn).await?.iter().map(|row| row.get(0)).collect();
    Ok(json!([several, sunk(conn, 1, 9).await?]))
}

async fn copy_out(conn: &mut PgConnection) -> Outcome {
    let all: Vec<_> = conn.copy_out_raw(&sql("copy_out")).await?.try_collect().await?;
    Ok(json!(String::from_utf8(all.concat()).unwrap()))
}

async fn copy_in(conn: &mut PgConnection, from: i32, to: i32) -> Outcome {
    let mut sink = conn.copy_in_raw(&sql("copy_in")).await?;
    let rows: String = (from..=to).map(|number| format!("{number}\tcopied {number}\n")).collect();
    sink.send(rows.as_bytes()).await?;
    let count = sink.finish().await?;
    Ok(json!([count, sunk(conn, 101, 103).await?]))
}

async fn stream(conn: &mut PgConnection) -> Outcome {
    let text = sql("cursor");
    let rows: Vec<PgRow> = sqlx::query(&text).fetch(conn).try_collect().await?;
    Ok(rows.iter().map(|row| json!(row.get::<i32, _>(0))).collect())
}

fn code(result: Result<sqlx::postgres::PgQueryResult, sqlx::Error>) -> Value {
    match result {
        Ok(done) => json!(done.rows_affected()),
        Err(error) => json!(error.as_database_error().and_then(|own| own.code()).map(|code| code.into_owned())),
    }
}

async fn transaction(conn: &mut PgConnection) -> Outcome {
    let mut outer = sqlx::Connection::begin(&mut *conn).await?;
    sqlx::query(&sql("insert")).bind(201).bind("before").execute(&mut *outer).await?;
    let mut inner = sqlx::Connection::begin(&mut *outer).await?;
    let state = code(sqlx::query(&sql("locked")).execute(&mut *inner).await);
    inner.rollback().await?;
    sqlx::query(&sql("insert")).bind(202).bind("after").execute(&mut *outer).await?;
    outer.commit().await?;
    Ok(json!([state, sunk(conn, 201, 209).await?]))
}

async fn failed_transaction(conn: &mut PgConnection) -> Outcome {
    let mut states = Vec::new();
    let mut outer = sqlx::Connection::begin(&mut *conn).await?;
    states.push(code(sqlx::query(&sql("insert")).bind(211).bind("x").execute(&mut *outer).await));
    states.push(code(sqlx::query(&sql("locked")).execute(&mut *outer).await));
    states.push(code(sqlx::query(&sql("one")).execute(&mut *outer).await));
    outer.commit().await?;
    Ok(json!([states, sunk(conn, 211, 219).await?]))
}

async fn migrate(conn: &mut PgConnection, locking: bool) -> Outcome {
    let texts = [
        (1, "CREATE TABLE public.sqlx_one (id int PRIMARY KEY)", false),
        (2, "CREATE TABLE public.sqlx_two (id int PRIMARY KEY, one int REFERENCES public.sqlx_one)", false),
    ];
    let migrations: Vec<Migration> = texts
        .into_iter()
        .map(|(number, text, alone)| Migration::new(number, "made".into(), MigrationType::Simple, text.into(), alone))
        .collect();
    let migrator = Migrator { migrations: migrations.into(), ignore_missing: false, locking, no_tx: false };
    migrator.run_direct(conn).await.map_err(|error| match error {
        sqlx::migrate::MigrateError::Execute(error) | sqlx::migrate::MigrateError::ExecuteMigration(error, _) => error,
        other => sqlx::Error::Configuration(other.to_string().into()),
    })?;
    let found: Vec<String> = sqlx::query_scalar("SELECT relname::text FROM pg_class WHERE relname LIKE 'sqlx____' ORDER BY 1").fetch_all(conn).await?;
    Ok(json!(found))
}

async fn pool() -> Outcome {
    let pool = PgPoolOptions::new().max_connections(3).connect_with(options()).await?;
    let (one, count) = (sql("one"), sql("count"));
    let all = futures_util::future::try_join_all([&one, &count, &one, &count].map(|text| pool.fetch_all(text.as_str()))).await?;
    pool.close().await;
    Ok(json!(all.iter().map(Vec::len).collect::<Vec<_>>()))
}

async fn the_end() {
    wait("grant");
    let mut conn = PgConnection::connect_with(&options()).await.unwrap();
    let begun = Instant::now();
    while begun.elapsed() < notice_wait().min(Duration::from_secs(1)) {
        sqlx::query(&sql("nap")).execute(&mut conn).await.ok();
    }
    skip("notice", "sqlx logs notices and hands them to nobody");
    wait("end");
    step("end", count(&mut conn, "sleep").await);
    step("after_end", count(&mut conn, "one").await);
    wait("again");
    step("reconnect", once(&options()).await);
}

#[tokio::main]
async fn main() {
    version(&locked("sqlx"), None);
    step("connect_keywords", once(&options()).await);
    step("connect_uri", once(&PgConnectOptions::from_str(&env("COMPAT_URI")).unwrap()).await);
    skip("connect_service", "sqlx reads no service file");
    let certified = options().username(&env("COMPAT_CERT_USER")).password("").ssl_client_cert(env("COMPAT_CERT")).ssl_client_key(env("COMPAT_CERT_KEY"));
    step("connect_certificate", once(&certified).await);
    step("connect_pool", pool().await);
    let mut main = PgConnection::connect_with(&options()).await.unwrap();
    let conn = &mut main;
    step("simple", sqlx::raw_sql(&sql("first")).fetch_all(&mut *conn).await.map(|rows| notes(&rows)).map_err(Failed));
    step("types", types(conn).await);
    step("extended", sqlx::query(&sql("extended")).bind(3).bind("note 7").fetch_all(&mut *conn).await.map(|rows| notes(&rows)).map_err(Failed));
    step("prepared", prepared(conn).await);
    step("batch", batch(conn).await);
    step("copy_out", copy_out(conn).await);
    step("copy_in", copy_in(conn, 101, 180).await);
    step("failed_copy_in", copy_in(conn, 101, 101).await);
    step("cursor", stream(conn).await);
    step("listen", count(conn, "listen").await);
    for name in ["error_detail", "error_hint", "error_name", "denied"] {
        step(name, count(conn, name).await);
    }
    step("denied_prepared", sqlx::query(&sql("denied_prepared")).bind(1).fetch_all(&mut *conn).await.map(|rows| json!(rows.len())).map_err(Failed));
    step("transaction", transaction(conn).await);
    step("failed_transaction", failed_transaction(conn).await);
    step("own_migrate_with_a_lock", migrate(conn, true).await);
    step("own_migrate", migrate(conn, false).await);
    main.close().await.unwrap();
    the_end().await;
}
