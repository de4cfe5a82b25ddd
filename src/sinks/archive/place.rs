//! The object store itself: opened, and written to so that nothing that is there is ever changed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::{AmazonS3Builder, Checksum, S3ConditionalPut};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    BackoffConfig, Certificate, ClientOptions, Error, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions,
    PutPayload, RetryConfig,
};

use super::ArchiveError;
use crate::sinks::settings::{ArchivePlace, S3};

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    Stored,
    /// It was there, byte for byte.
    Same,
    Different,
}

pub(super) fn open(place: &ArchivePlace) -> Result<Arc<dyn ObjectStore>, String> {
    match place {
        ArchivePlace::Directory(path) => {
            std::fs::create_dir_all(path).map_err(|error| format!("{}: {error}", path.display()))?;
            let store = LocalFileSystem::new_with_prefix(path).map_err(|error| error.to_string())?;
            Ok(Arc::new(store.with_fsync(true)))
        }
        ArchivePlace::S3(s3) => open_s3(s3),
    }
}

fn open_s3(s3: &S3) -> Result<Arc<dyn ObjectStore>, String> {
    let mut options = ClientOptions::new()
        .with_allow_http(s3.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://")))
        .with_connect_timeout(Duration::from_secs(10))
        .with_timeout(Duration::from_secs(300));
    if let Some(ca) = &s3.ca {
        let certificates = Certificate::from_pem_bundle(ca.bytes()).map_err(|error| error.to_string())?;
        for certificate in certificates {
            options = options.with_root_certificate(certificate);
        }
    }
    // The round that fails is tried again as a whole; within it only a hiccup is bridged.
    let retry =
        RetryConfig { backoff: BackoffConfig::default(), max_retries: 2, retry_timeout: Duration::from_secs(30) };
    let mut builder = AmazonS3Builder::new()
        .with_region(&s3.region)
        .with_bucket_name(&s3.bucket)
        .with_access_key_id(s3.access_key_id.expose())
        .with_secret_access_key(s3.secret_access_key.expose())
        .with_checksum_algorithm(Checksum::SHA256)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_client_options(options)
        .with_retry(retry);
    if let Some(endpoint) = &s3.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    Ok(Arc::new(builder.build().map_err(|error| error.to_string())?))
}

/// The name of a file's object.
pub(super) fn archive_name(prefix: &str, name: &str) -> Path {
    Path::from(format!("{prefix}/{name}"))
}

/// Stores an object unless there is one of that name; then sees whether it is the same.
pub(super) async fn put_if_absent(store: &dyn ObjectStore, name: &Path, bytes: Bytes) -> Result<Put, ArchiveError> {
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    match store.put_opts(name, PutPayload::from_bytes(bytes.clone()), options).await {
        Ok(_) => Ok(Put::Stored),
        Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {
            let there = store.get(name).await.map_err(failed)?;
            if there.meta.size != bytes.len() as u64 {
                return Ok(Put::Different);
            }
            let there = there.bytes().await.map_err(failed)?;
            Ok(if there == bytes { Put::Same } else { Put::Different })
        }
        Err(error) => Err(failed(error)),
    }
}

/// Stores an object in place of another.
pub(super) async fn overwrite(store: &dyn ObjectStore, name: &Path, bytes: Bytes) -> Result<(), ArchiveError> {
    store.put(name, PutPayload::from_bytes(bytes)).await.map(drop).map_err(failed)
}

fn failed(error: Error) -> ArchiveError {
    ArchiveError::Store(error.to_string())
}
