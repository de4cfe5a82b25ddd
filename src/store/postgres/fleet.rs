//! The tables `replicas`, `seats`, `jobs` and `checkpoints`. All instants in them are the server's.

use std::time::{Duration, Instant};

use tokio_postgres::types::Type;
use tokio_postgres::{GenericClient, Row};

use super::PostgresStore;
use super::parameters::{int, text, texts};
use super::pool::is_duplicate;
use crate::access::{ClockReading, SessionId};
use crate::store::StoreError;
use crate::store::fleet::{Fleet, Peer, Published, Replica, Standing};
use crate::store::rows::values::damaged;

/// Replicas that were not seen for so long are forgotten, with their numbers.
const FORGOTTEN: &str = "interval '1 day'";
/// Two that join at once may want the same number.
const TRIES: usize = 10;

#[async_trait::async_trait]
impl Fleet for PostgresStore {
    async fn clock(&self) -> Result<ClockReading, StoreError> {
        let asked = async {
            let open = self.connections.get().await?;
            read_clock(&open.client).await
        };
        self.connections.timed(asked).await
    }

    async fn join(&self, replica: &Replica, lease: Duration) -> Result<Standing, StoreError> {
        let joined = async {
            let open = self.connections.get().await?;
            let client = &open.client;
            let forgotten = format!("DELETE FROM replicas WHERE seen_at < clock_timestamp() - {FORGOTTEN}");
            client.execute_typed(&forgotten, &[]).await?;
            for _ in 0..TRIES {
                match insert(client, replica, lease).await {
                    Ok(Some(number)) => {
                        let nobodys = "DELETE FROM seats WHERE incarnation NOT IN (SELECT incarnation FROM replicas)";
                        client.execute_typed(nobodys, &[]).await?;
                        return standing(client, number, &replica.incarnation).await;
                    }
                    Ok(None) => {
                        return Err(StoreError::Failed(format!(
                            "another replica is there by the name \"{}\": give each its own ([replica] name)",
                            replica.name
                        )));
                    }
                    Err(error) if is_duplicate(&error) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(StoreError::Failed("no number is free for this replica".to_owned()))
        };
        self.connections.timed(joined).await
    }

    async fn renew(&self, replica: &Replica) -> Result<Standing, StoreError> {
        let renewed = async {
            let open = self.connections.get().await?;
            let row = open
                .client
                .query_typed_opt(
                    "UPDATE replicas SET seen_at = clock_timestamp(), address = $2, certificate = $3, policy = $4
                     WHERE incarnation = $1 RETURNING number",
                    &[
                        text(&replica.incarnation),
                        text(&replica.address),
                        text(&replica.certificate),
                        text(&replica.policy),
                    ],
                )
                .await?;
            let number = row.ok_or(StoreError::NotFound("replica of this start"))?.try_get::<_, i32>(0)?;
            standing(&open.client, number, &replica.incarnation).await
        };
        let renewed = self.connections.timed(renewed).await;
        if matches!(renewed, Err(StoreError::Failed(_))) {
            self.connections.forget();
        }
        renewed
    }

    async fn leave(&self, incarnation: &str) -> Result<(), StoreError> {
        let left = async {
            let mut open = self.connections.get().await?;
            let tx = open.client.transaction().await?;
            tx.execute_typed("DELETE FROM seats WHERE incarnation = $1", &[text(&incarnation)]).await?;
            let gone = "UPDATE replicas SET seen_at = '-infinity' WHERE incarnation = $1";
            tx.execute_typed(gone, &[text(&incarnation)]).await?;
            let jobs = "UPDATE jobs SET until = '-infinity' WHERE incarnation = $1";
            tx.execute_typed(jobs, &[text(&incarnation)]).await?;
            Ok(tx.commit().await?)
        };
        self.connections.timed(left).await
    }

    async fn take_seat(
        &self,
        incarnation: &str,
        session: &SessionId,
        principal: &str,
        most: usize,
    ) -> Result<bool, StoreError> {
        let taken = async {
            let open = self.connections.get().await?;
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            let session = session.as_str();
            let values = [text(&incarnation), text(&session), text(&principal), int(&most)];
            let row = open.client.query_typed_one("SELECT take_seat($1, $2, $3, $4)", &values).await?;
            Ok(row.try_get(0)?)
        };
        self.connections.timed(taken).await
    }

    async fn give_back_seats(&self, sessions: &[SessionId]) -> Result<(), StoreError> {
        let given = async {
            let open = self.connections.get().await?;
            let sessions: Vec<&str> = sessions.iter().map(SessionId::as_str).collect();
            let back = "DELETE FROM seats WHERE session = ANY ($1)";
            open.client.execute_typed(back, &[texts(&sessions)]).await?;
            Ok(())
        };
        self.connections.timed(given).await
    }

    async fn hold_job(
        &self,
        name: &str,
        incarnation: &str,
        term: Duration,
    ) -> Result<Option<Option<String>>, StoreError> {
        let held = async {
            let open = self.connections.get().await?;
            let row = open
                .client
                .query_typed_opt(
                    "INSERT INTO jobs AS job (name, incarnation, until)
                     VALUES ($1, $2, clock_timestamp() + $3 * interval '1 ms')
                     ON CONFLICT (name) DO UPDATE SET incarnation = excluded.incarnation, until = excluded.until
                     WHERE job.incarnation = $2 OR job.until < clock_timestamp() RETURNING mark",
                    &[text(&name), text(&incarnation), int(&milliseconds(term))],
                )
                .await?;
            Ok(row.map(|row| row.try_get(0)).transpose()?)
        };
        self.connections.timed(held).await
    }

    async fn mark_job(&self, name: &str, incarnation: &str, mark: &str) -> Result<(), StoreError> {
        let marked = async {
            let open = self.connections.get().await?;
            let update = "UPDATE jobs SET mark = $3, done_at = clock_timestamp() WHERE name = $1 AND incarnation = $2";
            open.client.execute_typed(update, &[text(&name), text(&incarnation), text(&mark)]).await?;
            Ok(())
        };
        self.connections.timed(marked).await
    }

    async fn take_turn(&self, name: &str, incarnation: &str, every: Duration) -> Result<bool, StoreError> {
        let taken = async {
            let open = self.connections.get().await?;
            let row = open
                .client
                .query_typed_opt(
                    "INSERT INTO jobs AS job (name, incarnation, until, done_at)
                     VALUES ($1, $2, '-infinity', clock_timestamp())
                     ON CONFLICT (name) DO UPDATE SET incarnation = excluded.incarnation, done_at = excluded.done_at
                     WHERE job.done_at <= clock_timestamp() - $3 * interval '1 ms' RETURNING true",
                    &[text(&name), text(&incarnation), int(&milliseconds(every))],
                )
                .await?;
            Ok(row.is_some())
        };
        self.connections.timed(taken).await
    }

    async fn give_up_job(&self, name: &str, incarnation: &str) -> Result<(), StoreError> {
        let given = async {
            let open = self.connections.get().await?;
            let update = "UPDATE jobs SET until = '-infinity' WHERE name = $1 AND incarnation = $2";
            open.client.execute_typed(update, &[text(&name), text(&incarnation)]).await?;
            Ok(())
        };
        self.connections.timed(given).await
    }

    async fn give_back_turn(&self, name: &str, incarnation: &str) -> Result<(), StoreError> {
        let given = async {
            let open = self.connections.get().await?;
            let update = "UPDATE jobs SET done_at = '-infinity' WHERE name = $1 AND incarnation = $2";
            open.client.execute_typed(update, &[text(&name), text(&incarnation)]).await?;
            Ok(())
        };
        self.connections.timed(given).await
    }

    async fn publish(&self, published: &Published) -> Result<(), StoreError> {
        let kept = async {
            let open = self.connections.get().await?;
            let size = i64::try_from(published.size).map_err(|error| damaged(&error))?;
            open.client
                .execute_typed(
                    "INSERT INTO checkpoints AS kept (journal, place, replica, verifier, size, checkpoint)
                     VALUES ($1, $2, $3, $4, $5, $6)
                     ON CONFLICT (journal, place) DO UPDATE SET replica = excluded.replica, verifier = excluded.verifier,
                         size = excluded.size, checkpoint = excluded.checkpoint, published_at = clock_timestamp()
                     WHERE kept.size <= excluded.size",
                    &[
                        text(&published.journal),
                        text(&published.place),
                        text(&published.replica),
                        text(&published.verifier),
                        int(&size),
                        text(&published.checkpoint),
                    ],
                )
                .await?;
            Ok(())
        };
        self.connections.timed(kept).await
    }

    async fn published(&self) -> Result<Vec<Published>, StoreError> {
        let read = async {
            let open = self.connections.get().await?;
            let query = "SELECT journal, place, replica, verifier, size, checkpoint,
                    greatest(extract(epoch FROM clock_timestamp() - published_at) * 1000, 0)::int8
                 FROM checkpoints ORDER BY replica, journal, place";
            let rows = open.client.query_typed(query, &[]).await?;
            rows.iter().map(published).collect()
        };
        self.connections.timed(read).await
    }
}

/// Answers the replica's number; `None` where another one has the name. Whoever has the same journal is the same replica: no two
/// processes have it open.
async fn insert(
    client: &impl GenericClient,
    replica: &Replica,
    lease: Duration,
) -> Result<Option<i32>, tokio_postgres::Error> {
    let row = client
        .query_typed_opt(
            "INSERT INTO replicas AS there (name, incarnation, journal, address, certificate, token_hash, version, policy, lease,
                                            number)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 * interval '1 ms', min(free)::integer FROM generate_series(1, 1023) AS free
             WHERE free NOT IN (SELECT number FROM replicas)
             ON CONFLICT (name) DO UPDATE SET incarnation = excluded.incarnation, journal = excluded.journal,
                 address = excluded.address, certificate = excluded.certificate, token_hash = excluded.token_hash,
                 version = excluded.version, policy = excluded.policy, lease = excluded.lease,
                 started_at = clock_timestamp(), seen_at = clock_timestamp()
             WHERE there.journal = excluded.journal OR there.seen_at < clock_timestamp() - there.lease
             RETURNING number",
            &[
                text(&replica.name),
                text(&replica.incarnation),
                text(&replica.journal),
                text(&replica.address),
                text(&replica.certificate),
                text(&replica.token_hash),
                text(&replica.version),
                text(&replica.policy),
                int(&milliseconds(lease)),
            ],
        )
        .await?;
    row.map(|row| row.try_get(0)).transpose()
}

async fn standing(client: &impl GenericClient, number: i32, incarnation: &str) -> Result<Standing, StoreError> {
    let clock = read_clock(client).await?;
    let rows = client
        .query_typed(
            "SELECT name, incarnation, journal, address, certificate, token_hash, version, policy, number,
                    least(greatest(extract(epoch FROM clock_timestamp() - seen_at) * 1000, 0), 1e12)::int8 AS seen_ago,
                    seen_at > clock_timestamp() - lease AS is_there
             FROM replicas WHERE seen_at > '-infinity' AND incarnation <> $1 ORDER BY name",
            &[text(&incarnation)],
        )
        .await?;
    let (mut peers, mut absent) = (Vec::new(), Vec::new());
    for row in &rows {
        match row.try_get("is_there")? {
            true => peers.push(peer(row)?),
            false => absent.push(row.try_get("name")?),
        }
    }
    Ok(Standing { number: count(number)?, clock, peers, absent })
}

async fn read_clock(client: &impl GenericClient) -> Result<ClockReading, StoreError> {
    let asked = Instant::now();
    let query = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8";
    let row = client.query_typed_one(query, &[] as &[(&(dyn tokio_postgres::types::ToSql + Sync), Type)]).await?;
    let said = jiff::Timestamp::from_microsecond(row.try_get(0)?).map_err(|error| damaged(&error))?;
    Ok(ClockReading { asked, said, answered: Instant::now() })
}

fn peer(row: &Row) -> Result<Peer, StoreError> {
    let replica = Replica {
        name: row.try_get("name")?,
        incarnation: row.try_get("incarnation")?,
        journal: row.try_get("journal")?,
        address: row.try_get("address")?,
        certificate: row.try_get("certificate")?,
        token_hash: row.try_get("token_hash")?,
        version: row.try_get("version")?,
        policy: row.try_get("policy")?,
    };
    Ok(Peer { replica, number: count(row.try_get("number")?)?, seen_ago: ago(row.try_get("seen_ago")?)? })
}

fn published(row: &Row) -> Result<Published, StoreError> {
    Ok(Published {
        journal: row.try_get(0)?,
        place: row.try_get(1)?,
        replica: row.try_get(2)?,
        verifier: row.try_get(3)?,
        size: u64::try_from(row.try_get::<_, i64>(4)?).map_err(|error| damaged(&error))?,
        checkpoint: row.try_get(5)?,
        published_ago: ago(row.try_get(6)?)?,
    })
}

fn count(number: i32) -> Result<u32, StoreError> {
    u32::try_from(number).map_err(|error| damaged(&error))
}

fn ago(milliseconds: i64) -> Result<Duration, StoreError> {
    u64::try_from(milliseconds).map(Duration::from_millis).map_err(|error| damaged(&error))
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
