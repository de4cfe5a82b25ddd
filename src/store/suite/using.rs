//! What a store says of grants that may be used so often.
#![allow(clippy::unwrap_used)]

use super::{after, approve, noon, person, request, scope};
use crate::access::{AccessRequest, Grant, GrantId, NewRequest};
use crate::store::{GrantNews, SharedStore, Store, StoreError};

const USES: u32 = 5;

pub(super) async fn never_runs_more_often_than_may(store: SharedStore) {
    let grant = granted(&*store, Some(USES)).await;
    let (mark, _) = store.grant_news(None, after(20)).await.unwrap();
    assert_eq!(grant.uses_left(), Some(USES));

    let tries = (0..20).map(|_| {
        let (store, id) = (store.clone(), grant.id.clone());
        tokio::spawn(async move { store.take_use(&id).await.unwrap() })
    });
    let mut left = Vec::new();
    for attempt in tries.collect::<Vec<_>>() {
        left.extend(attempt.await.unwrap());
    }
    left.sort_unstable();
    assert_eq!(left, (0..USES).collect::<Vec<_>>(), "each use is taken once, whoever asks at once");

    let used_up = store.grant(&grant.id).await.unwrap();
    assert!(used_up.is_used_up() && used_up.used == USES);
    let (_, news) = store.grant_news(Some(mark), after(21)).await.unwrap();
    assert_eq!(news, GrantNews::Changed(vec![used_up]), "sessions elsewhere are told");

    store.give_back_use(&grant.id).await.unwrap();
    assert_eq!(store.grant(&grant.id).await.unwrap().uses_left(), Some(1));
    assert_eq!(store.take_use(&grant.id).await.unwrap(), Some(0));
    assert_eq!(store.take_use(&grant.id).await.unwrap(), None);

    // What nobody took is not given back, and what nobody counts is not taken.
    let fresh = granted(&*store, Some(1)).await;
    store.give_back_use(&fresh.id).await.unwrap();
    assert_eq!(store.grant(&fresh.id).await.unwrap().uses_left(), Some(1));
    let uncounted = granted(&*store, None).await;
    assert!(matches!(store.take_use(&uncounted.id).await, Err(StoreError::NotFound(_))));
    assert!(matches!(store.take_use(&GrantId::from_text("gr_none")).await, Err(StoreError::NotFound(_))));
}

async fn granted(store: &dyn Store, uses: Option<u32>) -> Grant {
    let asked = request(1);
    let new = NewRequest {
        reason: asked.reason,
        duration: asked.duration,
        statement: Some("SELECT 1".into()),
        uses,
        ..NewRequest::default()
    };
    let request = AccessRequest::file(person("alice", "dev"), scope(1), new, noon()).unwrap();
    store.file(&request.clone().into()).await.unwrap();
    assert_eq!(store.request(&request.id).await.unwrap(), request);
    approve(store, &request.id, "bob", after(20)).await.unwrap().1.unwrap()
}
