//! tokio-postgres: pipelines, prepared statements, portals that are suspended, binary values, COPY, cancels.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::{SinkExt as _, TryStreamExt as _};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio_postgres::{Client, Error};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::Work;
use crate::random::Random;

/// One client's life; that it is cut short is no failure.
pub async fn tokio_postgres(work: &Work, random: &mut Random) {
    let name = work.name("tokio");
    let Ok(Ok((mut client, tls))) = tokio::time::timeout(Duration::from_secs(20), connect(work, &name)).await else {
        // pgward is being started again.
        tokio::time::sleep(Duration::from_millis(50)).await;
        return;
    };
    for step in 0..6 {
        let done = tokio::time::timeout(Duration::from_secs(60), run(&mut client, &tls, work, &name, step, random));
        if matches!(done.await, Ok(Err(error)) if error.is_closed()) {
            return;
        }
    }
}

async fn connect(work: &Work, name: &str) -> Result<(Client, MakeRustlsConnect), Error> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(work.proxy.setup.certs.join("ca.crt")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tls = MakeRustlsConnect::new(tls);
    let mut config = tokio_postgres::Config::new();
    config.host("localhost").port(work.proxy.setup.port).user(&work.alice.user).password(&work.alice.password);
    config.dbname(&work.alice.database).ssl_mode(tokio_postgres::config::SslMode::Require).application_name(name);
    let (client, connection) = config.connect(tls.clone()).await?;
    tokio::spawn(connection);
    Ok((client, tls))
}

async fn run(
    client: &mut Client,
    tls: &MakeRustlsConnect,
    work: &Work,
    name: &str,
    step: usize,
    random: &mut Random,
) -> Result<(), Error> {
    match random.below(6) {
        0 => pipeline(client, work, name, step).await,
        1 => values(client, work, name, step).await,
        2 => portals(client, work, name, step).await,
        3 => copies(client, work, name, step).await,
        4 => failures(client, work, name, step).await,
        _ => cancels(client, tls, work, name, step).await,
    }
}

async fn pipeline(client: &Client, work: &Work, name: &str, step: usize) -> Result<(), Error> {
    let text = format!("SELECT body FROM public.notes WHERE id = $1 /* {name} {step} */");
    let statement = client.prepare(&text).await?;
    let numbers: Vec<i32> = (1..=20).collect();
    let queries = numbers.iter().map(|number| async { client.query(&statement, &[number]).await.map(drop) });
    work.count(20);
    // All of them are under way at once.
    futures_util::future::try_join_all(queries).await.map(drop)
}

async fn values(client: &Client, work: &Work, name: &str, step: usize) -> Result<(), Error> {
    let text = format!(
        "SELECT $1::int8, $2::text, $3::bool, $4::float8, $5::bytea, $6::timestamptz, $7::int4[], $8::text, $9::timestamp /* {name} {step} */"
    );
    let (many, nothing, bytes) = (vec![1_i32, 2, 3], None::<String>, vec![0_u8, 255]);
    let time = SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456 + step as u64);
    let word = format!("it's {name}");
    client.query(&text, &[&(step as i64), &word, &true, &1.5_f64, &bytes, &time, &many, &nothing, &time]).await?;
    work.count(1);
    Ok(())
}

async fn portals(client: &mut Client, work: &Work, name: &str, step: usize) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    let text = format!("SELECT id FROM public.wide WHERE id > $1 /* {name} {step} */");
    let portal = transaction.bind(&text, &[&19_990_i32]).await?;
    work.count(5);
    // Ten rows: it is suspended twice.
    for _ in 0..3 {
        transaction.query_portal(&portal, 4).await?;
    }
    transaction.commit().await
}

async fn copies(client: &Client, work: &Work, name: &str, step: usize) -> Result<(), Error> {
    let sink = client.copy_in::<_, Bytes>(&format!("COPY public.sink FROM STDIN /* {name} {step} */")).await?;
    let mut sink = pin!(sink);
    work.count(2);
    sink.send(Bytes::from_static(b"7\tseven\n8\teight\n")).await?;
    sink.finish().await?;
    let rows = client.copy_out(&format!("COPY public.notes TO STDOUT /* {name} {step} */")).await?;
    rows.try_collect::<Vec<_>>().await.map(drop)
}

async fn failures(client: &Client, work: &Work, name: &str, step: usize) -> Result<(), Error> {
    let failing = [
        format!("SELECT 1 / (id - id) FROM public.notes /* {name} {step} */"),
        format!("DELETE FROM pg_catalog.pg_class /* {name} {step} */"),
        format!("SELECT nothing FROM public.notes /* {name} {step} */"),
    ];
    for text in &failing {
        let failed = client.query(text, &[]).await;
        assert!(failed.is_err(), "{text}");
        work.count(1);
    }
    let both = format!("SELECT 'batch {name} {step}'; DROP TABLE public.notes; SELECT 'after {name} {step}'");
    let _ = client.batch_execute(&both).await;
    let message = format!("SELECT 'one {name} {step}'; SELECT 'two {name} {step}'");
    work.count(2);
    client.batch_execute(&message).await
}

async fn cancels(client: &Client, tls: &MakeRustlsConnect, work: &Work, name: &str, step: usize) -> Result<(), Error> {
    let token = client.cancel_token();
    let sleeping = format!("SELECT pg_sleep(10), '{name} {step}'");
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        token.cancel_query(tls.clone()).await
    };
    let (slept, cancelled) = tokio::join!(client.query(&sleeping, &[]), cancel);
    work.count(1);
    let _ = (slept, cancelled);
    Ok(())
}
