//! tokio-postgres: the whole scenario; everything that is asked at once is pipelined.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use compat_clients::{Said, env, locked, notice_wait, skip, sql, step, version, wait};
use futures_util::{SinkExt as _, StreamExt as _, TryStreamExt as _, future};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio_postgres::{AsyncMessage, Client, Config, Row, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

struct Failed(tokio_postgres::Error);

impl From<Failed> for Said {
    fn from(Failed(error): Failed) -> Self {
        let text = |value: Option<&str>| value.map(ToOwned::to_owned);
        match error.as_db_error() {
            Some(own) => Said {
                class: "DbError",
                sqlstate: Some(own.code().code().to_owned()),
                message: own.message().to_owned(),
                detail: text(own.detail()),
                hint: text(own.hint()),
            },
            None => Said { class: "Error", message: error.to_string(), ..Said::default() },
        }
    }
}

impl From<tokio_postgres::Error> for Failed {
    fn from(error: tokio_postgres::Error) -> Self {
        Self(error)
    }
}

type Outcome = Result<Value, Failed>;

fn tls(with_certificate: bool) -> MakeRustlsConnect {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(env("PGSSLROOTCERT")).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    MakeRustlsConnect::new(if with_certificate {
        let certificate = CertificateDer::from_pem_file(env("COMPAT_CERT")).unwrap();
        let key = PrivateKeyDer::from_pem_file(env("COMPAT_CERT_KEY")).unwrap();
        config.with_client_auth_cert(vec![certificate], key).unwrap()
    } else {
        config.with_no_client_auth()
    })
}

fn config() -> Config {
    let mut config = Config::new();
    config.host(env("PGHOST")).port(env("PGPORT").parse().unwrap()).user(env("PGUSER")).password(env("PGPASSWORD"));
    config.dbname(env("PGDATABASE")).ssl_mode(tokio_postgres::config::SslMode::Require);
    config
}

type Heard = Arc<Mutex<Vec<String>>>;

async fn connect(config: &Config, with_certificate: bool) -> Result<(Client, Heard), Failed> {
    let (client, mut connection) = config.connect(tls(with_certificate)).await?;
    let heard = Heard::default();
    let notices = Arc::clone(&heard);
    tokio::spawn(async move {
        let mut messages = futures_util::stream::poll_fn(move |context| connection.poll_message(context));
        while let Some(Ok(message)) = messages.next().await {
            if let AsyncMessage::Notice(notice) = message {
                notices.lock().unwrap().push(notice.message().to_owned());
            }
        }
    });
    Ok((client, heard))
}

async fn once(config: &Config, with_certificate: bool) -> Outcome {
    let (client, _) = connect(config, with_certificate).await?;
    Ok(json!(client.query_one(&sql("count"), &[]).await?.get::<_, i64>(0)))
}

fn notes(rows: &[Row]) -> Value {
    rows.iter().map(|row| json!([row.get::<_, i32>(0), row.get::<_, Option<String>>(1)])).collect()
}

async fn sunk(client: &Client, from: i32, to: i32) -> Result<Value, Failed> {
    Ok(notes(&client.query(&sql("sunk"), &[&from, &to]).await?))
}

fn simply(messages: &[SimpleQueryMessage]) -> Value {
    messages
        .iter()
        .map(|message| match message {
            SimpleQueryMessage::Row(row) => json!((0..row.len()).map(|index| row.get(index)).collect::<Vec<_>>()),
            SimpleQueryMessage::CommandComplete(count) => json!(count),
            SimpleQueryMessage::RowDescription(columns) => json!(columns.iter().map(|column| column.name()).collect::<Vec<_>>()),
            _ => json!(null),
        })
        .collect()
}

async fn types(client: &Client) -> Outcome {
    let statement = client.prepare(&sql("types")).await?;
    let columns: Vec<String> = statement.columns().iter().map(|column| format!("{} {}", column.name(), column.type_())).collect();
    let text = simply(&client.simple_query(&sql("types")).await?);
    let rows = client.query(&statement, &[]).await?;
    let binary: Vec<Value> = rows
        .iter()
        .map(|row| json!([row.get::<_, Option<f64>>("real8").map(|value| value.to_string()), row.get::<_, Option<Vec<u8>>>("bytes"), row.get::<_, Option<Vec<Option<i32>>>>("many"), row.get::<_, Option<Value>>("doc")]))
        .collect();
    Ok(json!([columns, text, binary]))
}

async fn prepared(client: &Client) -> Outcome {
    let statement = client.prepare(&sql("prepared")).await?;
    let numbers: Vec<i32> = (1..=8).collect();
    let asked = numbers.iter().map(|number| async { client.query_one(&statement, &[number]).await });
    let rows = future::try_join_all(asked).await?;
    Ok(rows.iter().map(|row| json!(row.get::<_, String>(0))).collect())
}

/// All at once, one of them refused.
async fn pipeline(client: &Client) -> Outcome {
    let texts = [sql("one"), sql("locked"), sql("count"), sql("one")];
    let asked = texts.iter().map(|text| client.simple_query(text));
    let answers = future::join_all(asked).await;
    Ok(answers.into_iter().map(|answer| match answer {
        Ok(messages) => simply(&messages),
        Err(error) => json!(error.code().map(|code| code.code())),
    }).collect())
}

async fn batch(client: &Client) -> Outcome {
    for (number, body) in [(1, Some("one")), (2, Some("zwei")), (3, None)] {
        client.execute(&sql("insert"), &[&number, &body]).await?;
    }
    Ok(json!([simply(&client.simple_query(&sql("several")).await?), sunk(client, 1, 9).await?]))
}

async fn copy_out(client: &Client) -> Outcome {
    let all: Vec<Bytes> = client.copy_out(&sql("copy_out")).await?.try_collect().await?;
    Ok(json!(String::from_utf8(all.concat()).unwrap()))
}

async fn copy_in(client: &Client, from: i32, to: i32) -> Outcome {
    let mut sink = pin!(client.copy_in::<_, Bytes>(&sql("copy_in")).await?);
    for number in from..=to {
        sink.send(Bytes::from(format!("{number}\tcopied {number}\n"))).await?;
    }
    Ok(json!([sink.finish().await?, sunk(client, 101, 103).await?]))
}

async fn cursor(client: &mut Client) -> Outcome {
    let transaction = client.transaction().await?;
    let portal = transaction.bind(&sql("cursor"), &[]).await?;
    let mut parts = Vec::new();
    for _ in 0..4 {
        let rows = transaction.query_portal(&portal, 3).await?;
        parts.push(rows.iter().map(|row| row.get::<_, i32>(0)).collect::<Vec<_>>());
    }
    transaction.commit().await?;
    Ok(json!(parts))
}

async fn cancel(client: &Client) -> Outcome {
    let (token, text) = (client.cancel_token(), sql("sleep"));
    let later = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        token.cancel_query(tls(false)).await
    };
    let (slept, cancelled) = tokio::join!(client.simple_query(&text), later);
    cancelled?;
    client.simple_query(&sql("one")).await?;
    Ok(simply(&slept?))
}

async fn code(client: &Client, text: &str) -> Value {
    match client.simple_query(text).await {
        Ok(_) => json!("done"),
        Err(error) => json!(error.code().map(|code| code.code())),
    }
}

async fn block(client: &Client, texts: &[&str], from: i32, to: i32) -> Outcome {
    let mut codes = Vec::new();
    for text in texts {
        codes.push(code(client, text).await);
    }
    Ok(json!([codes, sunk(client, from, to).await?]))
}

async fn the_end() {
    wait("grant");
    let Ok((client, heard)) = connect(&config(), false).await else { panic!("no connection") };
    let begun = Instant::now();
    loop {
        client.simple_query(&sql("nap")).await.ok();
        if !heard.lock().unwrap().is_empty() || begun.elapsed() > notice_wait() {
            break;
        }
    }
    step("notice", Ok::<_, Failed>(json!(*heard.lock().unwrap())));
    wait("end");
    step("end", client.simple_query(&sql("sleep")).await.map(|rows| simply(&rows)).map_err(Failed));
    step("after_end", client.simple_query(&sql("one")).await.map(|rows| simply(&rows)).map_err(Failed));
    wait("again");
    step("reconnect", once(&config(), false).await);
}

#[tokio::main]
async fn main() {
    version(&locked("tokio-postgres"), None);
    step("connect_keywords", once(config().channel_binding(tokio_postgres::config::ChannelBinding::Require), false).await);
    let uri = env("COMPAT_URI");
    let uri: Config = format!("{}?sslmode=require", uri.split('?').next().unwrap()).parse().unwrap();
    step("connect_uri", once(&uri, false).await);
    skip("connect_service", "tokio-postgres reads no service file");
    step("connect_certificate", once(config().user(env("COMPAT_CERT_USER")).password(""), true).await);
    let Ok((mut client, _)) = connect(&config(), false).await else { panic!("no connection") };
    step("simple", client.simple_query(&sql("first")).await.map(|rows| simply(&rows)).map_err(Failed));
    step("types", types(&client).await);
    step("extended", client.query(&sql("extended"), &[&3_i32, &"note 7"]).await.map(|rows| notes(&rows)).map_err(Failed));
    step("prepared", prepared(&client).await);
    step("pipeline", pipeline(&client).await);
    step("batch", batch(&client).await);
    step("copy_out", copy_out(&client).await);
    step("copy_in", copy_in(&client, 101, 180).await);
    step("failed_copy_in", copy_in(&client, 101, 101).await);
    step("cursor", cursor(&mut client).await);
    step("listen", client.simple_query(&sql("listen")).await.map(|rows| simply(&rows)).map_err(Failed));
    step("cancel", cancel(&client).await);
    for name in ["error_detail", "error_hint", "error_name", "denied"] {
        step(name, client.query(&sql(name), &[]).await.map(|rows| json!(rows.len())).map_err(Failed));
    }
    step("denied_prepared", client.query(&sql("denied_prepared"), &[&1_i32]).await.map(|rows| json!(rows.len())).map_err(Failed));
    let inserted = |number: i32| format!("INSERT INTO public.sink VALUES ({number}, 'x')");
    let texts = ["BEGIN", &inserted(201), "SAVEPOINT s", &sql("locked"), "ROLLBACK TO s", &inserted(202), "COMMIT"];
    step("transaction", block(&client, &texts, 201, 209).await);
    step("failed_transaction", block(&client, &["BEGIN", &inserted(211), &sql("locked"), &sql("one"), "COMMIT"], 211, 219).await);
    step("reset", client.batch_execute("DISCARD ALL").await.map(|()| json!(null)).map_err(Failed));
    drop(client);
    the_end().await;
}
