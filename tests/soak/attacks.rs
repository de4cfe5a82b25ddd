//! Harm from clients: strangers who say nonsense or nothing, users who leave in the midst of things or read slowly. What comes
//! of each is not asked; that nothing of it stays is.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pgward::wire::encode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Work;
use crate::random::Random;
use crate::raw::{Raw, Tried, connect, tls};
use crate::support::Credentials;

fn run(work: &Work, act: impl Future<Output = Tried<()>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Being refused is what many of them are here for.
    let _ = runtime.block_on(act);
    work.harm.fetch_add(1, Ordering::Relaxed);
}

/// Those who are never let in.
pub fn strangers(work: &Work, random: &mut Random) {
    let host = u8::try_from(2 + random.below(200)).unwrap();
    let noise: Vec<u8> = (0..1 + random.below(3_000)).map(|_| u8::try_from(random.below(256)).unwrap()).collect();
    match random.below(7) {
        0 => run(work, async {
            connect(work, host).await?.write_all(&noise).await?;
            Ok(())
        }),
        1 => run(work, async {
            let mut tcp = connect(work, host).await?;
            tcp.write_all(&encode::ssl_request()).await?;
            tcp.write_all(&noise).await?;
            Ok(())
        }),
        2 => run(work, async {
            tls(work, host).await?.write_all(&noise).await?;
            Ok(())
        }),
        // Says nothing more, and leaves whenever pgward has had enough.
        3 => run(work, async {
            let mut tcp = connect(work, host).await?;
            tcp.write_all(noise.get(..3).unwrap_or_default()).await?;
            let mut rest = Vec::new();
            tokio::time::timeout(Duration::from_secs(8), tcp.read_to_end(&mut rest)).await??;
            Ok(())
        }),
        4 => run(work, async {
            let mut stream = tls(work, host).await?;
            stream.write_all(&encode::startup(0, &[("user", "alice"), ("database", "plain")])).await?;
            let mut chunk = [0; 512];
            let _some = stream.read(&mut chunk).await?;
            Ok(())
        }),
        5 => {
            let user = ["dave", "mallory"][random.below(2)].to_owned();
            let wrong = Credentials { user, password: "wrong".to_owned(), database: "plain".to_owned() };
            run(work, async { Raw::log_in(work, &wrong, "wrong").await.map(drop) });
        }
        _ => run(work, async {
            let key = noise.get(..4).map(<[u8]>::to_vec).unwrap_or_default();
            let mut tcp = connect(work, host).await?;
            tcp.write_all(&encode::cancel_request(u32::try_from(noise.len())?, &key)).await?;
            Ok(())
        }),
    }
}

const BIG: &str = "SELECT w.id, w.filler FROM public.wide w";

/// Those who are let in, and leave without a goodbye.
pub fn users(work: &Work, random: &mut Random) {
    let kind = random.below(7);
    run(work, async {
        let mut raw = Raw::log_in(work, &work.alice, "gone").await?;
        work.count(1);
        match kind {
            0 => {
                let query = encode::query("SELECT 'never said to the end'");
                raw.send(&query[..query.len() - 9]).await?;
            }
            1 => {
                raw.send(&encode::query(BIG)).await?;
                let mut chunk = [0; 8192];
                let _some = raw.stream.read(&mut chunk).await?;
            }
            2 => {
                raw.send(&encode::query("BEGIN; INSERT INTO public.sink VALUES (1, 'left open'); SELECT pg_sleep(3)"))
                    .await?;
            }
            3 => {
                raw.send(&encode::query("COPY public.sink FROM STDIN")).await?;
                raw.until(b"G").await?;
                raw.send(b"d\0\0\0\x0c1\tha").await?;
            }
            // A type that there is not.
            4 => {
                raw.send(b"y\0\0\0\x04").await?;
                raw.is_ended(Duration::from_secs(5)).await;
            }
            // Longer than any message may be.
            5 => {
                raw.send(b"Q\x7f\xff\xff\xff").await?;
                raw.is_ended(Duration::from_secs(5)).await;
            }
            _ => {
                raw.send(&encode::query("SELECT pg_sleep(10)")).await?;
                let mut tcp = connect(work, 1).await?;
                let process = raw.key.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
                tcp.write_all(&encode::cancel_request(process, raw.key.get(4..).unwrap_or_default())).await?;
                raw.until(b"Z").await?;
            }
        }
        Ok(())
    });
}

/// One who asks for 20 MB and takes a few at a time, and leaves before the end or does not.
pub fn slow_reader(work: &Work, random: &mut Random) {
    let (until, piece) =
        (Instant::now() + Duration::from_secs(5 + random.below(15) as u64), 1 << (10 + random.below(7)));
    run(work, async {
        let mut raw = Raw::log_in(work, &work.alice, "slow").await?;
        work.count(1);
        raw.send(&encode::query(BIG)).await?;
        let mut chunk = vec![0; piece];
        while Instant::now() < until && !work.is_over() {
            if tokio::time::timeout(Duration::from_secs(5), raw.stream.read(&mut chunk)).await?? == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    });
}
