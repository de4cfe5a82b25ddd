//! diesel: its query builder on libpq, values in binary, transactions with savepoints.

use compat_clients::{Said, env, locked, skip, sql, step, version, wait};
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{BigInt, Integer, Nullable, Text};
use serde_json::{Value, json};

diesel::table! {
    notes (id) { id -> Integer, body -> Text, }
}
diesel::table! {
    sink (id) { id -> Integer, body -> Nullable<Text>, }
}
diesel::table! {
    authors (id) { id -> Integer, name -> Text, }
}
diesel::table! {
    books (id) { id -> Integer, author_id -> Integer, title -> Text, }
}
diesel::joinable!(books -> authors (author_id));
diesel::allow_tables_to_appear_in_same_query!(authors, books);

#[derive(Debug, QueryableByName)]
struct Noted {
    #[diesel(sql_type = Integer)]
    id: i32,
    #[diesel(sql_type = Nullable<Text>)]
    body: Option<String>,
}

#[derive(Debug, QueryableByName)]
struct Counted {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

struct Failed(Error);

impl From<Failed> for Said {
    fn from(Failed(error): Failed) -> Self {
        match error {
            Error::DatabaseError(kind, own) => Said {
                class: match kind {
                    diesel::result::DatabaseErrorKind::UniqueViolation => "UniqueViolation",
                    diesel::result::DatabaseErrorKind::ClosedConnection => "ClosedConnection",
                    _ => "DatabaseError",
                },
                sqlstate: None,
                message: own.message().to_owned(),
                detail: own.details().map(ToOwned::to_owned),
                hint: own.hint().map(ToOwned::to_owned),
            },
            other => Said { class: "Error", message: other.to_string(), ..Said::default() },
        }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

type Outcome = Result<Value, Failed>;

fn connect(url: &str) -> Result<PgConnection, Failed> {
    PgConnection::establish(url).map_err(|error| Failed(Error::QueryBuilderError(error.to_string().into())))
}

fn once(url: &str) -> Outcome {
    let counted: Vec<Counted> = diesel::sql_query(sql("count")).load(&mut connect(url)?)?;
    Ok(json!(counted[0].count))
}

fn noted(conn: &mut PgConnection, text: &str) -> Outcome {
    let rows: Vec<Noted> = diesel::sql_query(text).load(conn)?;
    Ok(rows.iter().map(|row| json!([row.id, row.body])).collect())
}

fn run(conn: &mut PgConnection, name: &str) -> Outcome {
    Ok(json!(diesel::sql_query(sql(name)).execute(conn)?))
}

fn sunk(conn: &mut PgConnection, from: i32, to: i32) -> Outcome {
    let rows: Vec<(i32, Option<String>)> = sink::table.filter(sink::id.between(from, to)).order(sink::id).load(conn)?;
    Ok(json!(rows))
}

fn batch(conn: &mut PgConnection) -> Outcome {
    let rows = [(1, Some("one")), (2, Some("zwei")), (3, None)].map(|(id, body)| (sink::id.eq(id), sink::body.eq(body)));
    let made: Vec<i32> = diesel::insert_into(sink::table).values(rows.to_vec()).returning(sink::id).get_results(conn)?;
    conn.batch_execute(&sql("several"))?;
    Ok(json!([made, sunk(conn, 1, 9)?]))
}

fn built(conn: &mut PgConnection) -> Outcome {
    let joined: Vec<(String, String)> =
        books::table.inner_join(authors::table).select((authors::name, books::title)).order(books::id).load(conn)?;
    let upserted = diesel::insert_into(sink::table)
        .values((sink::id.eq(1), sink::body.eq("uno")))
        .on_conflict(sink::id)
        .do_update()
        .set(sink::body.eq("uno"))
        .get_result::<(i32, Option<String>)>(conn)?;
    let updated = diesel::update(sink::table.find(2)).set(sink::body.eq("due")).execute(conn)?;
    let deleted = diesel::delete(sink::table.filter(sink::body.is_null())).execute(conn)?;
    let streamed: Vec<i32> =
        notes::table.select(notes::id).order(notes::id).load_iter::<i32, diesel::pg::PgRowByRowLoadingMode>(conn)?.collect::<Result<_, _>>()?;
    Ok(json!([joined, upserted, updated, deleted, streamed]))
}

fn transaction(conn: &mut PgConnection) -> Outcome {
    let mut said = String::new();
    conn.transaction::<_, Error, _>(|conn| {
        diesel::insert_into(sink::table).values((sink::id.eq(201), sink::body.eq("before"))).execute(conn)?;
        let inner = conn.transaction::<_, Error, _>(|conn| diesel::sql_query(sql("locked")).execute(conn));
        said = inner.map_or("refused", |_| "let through").to_owned();
        diesel::insert_into(sink::table).values((sink::id.eq(202), sink::body.eq("after"))).execute(conn)
    })?;
    Ok(json!([said, sunk(conn, 201, 209)?]))
}

fn failed_transaction(conn: &mut PgConnection) -> Outcome {
    let failed = conn.transaction::<usize, Error, _>(|conn| {
        diesel::insert_into(sink::table).values((sink::id.eq(211), sink::body.eq("x"))).execute(conn)?;
        diesel::sql_query(sql("locked")).execute(conn)
    });
    Ok(json!([failed.is_err(), sunk(conn, 211, 219)?]))
}

fn main() {
    version(&locked("diesel"), None);
    // libpq takes what is missing from the environment.
    step("connect_keywords", once("sslmode=verify-full"));
    step("connect_uri", once(&env("COMPAT_URI")));
    step("connect_service", once("service=compat"));
    let (user, cert, key) = (env("COMPAT_CERT_USER"), env("COMPAT_CERT"), env("COMPAT_CERT_KEY"));
    step("connect_certificate", once(&format!("user={user} password='' sslcert={cert} sslkey={key}")));
    let Ok(mut conn) = connect("") else { panic!("no connection") };
    let conn = &mut conn;
    step("simple", noted(conn, &sql("first")));
    step("extended", notes::table.filter(notes::id.eq(3).or(notes::body.eq("note 7"))).order(notes::id).load::<(i32, String)>(conn).map(|rows| json!(rows)).map_err(Failed));
    step("batch", batch(conn));
    step("own_query_builder", built(conn));
    step("listen", run(conn, "listen"));
    for name in ["error_detail", "error_hint", "error_name", "denied"] {
        step(name, run(conn, name));
    }
    step("denied_prepared", diesel::sql_query(sql("denied_prepared")).bind::<Integer, _>(1).execute(conn).map(|count| json!(count)).map_err(Failed));
    step("transaction", transaction(conn));
    step("failed_transaction", failed_transaction(conn));
    wait("grant");
    let Ok(mut conn) = connect("") else { panic!("no connection") };
    skip("notice", "diesel hands notices to nobody");
    wait("end");
    step("end", run(&mut conn, "sleep"));
    step("after_end", run(&mut conn, "one"));
    wait("again");
    step("reconnect", once(""));
}
