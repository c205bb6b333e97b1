//! Announces the commits of all programs, as etcd's watch reports them.

use std::sync::Weak;
use std::time::Duration;

use tokio_stream::StreamExt;
use tonic::Streaming;

use super::client::Core;
use crate::engine::etcd::transport::cluster::Backoff;
use crate::engine::etcd::transport::trouble::Trouble;
use crate::engine::{Commit, Feed, Written};
use crate::error::Result;
use crate::proto::etcd::etcdserverpb as pb;
use crate::proto::etcd::mvccpb::Event;
use crate::proto::etcd::mvccpb::event::EventType;
use crate::record::{Key, KeyRange};

/// Reconnecting has no deadline: it ends with the feed.
const NO_TIMEOUT: Duration = Duration::from_secs(u64::MAX >> 32);

/// Announces every commit after `revision` until the feed is dropped.
pub(super) async fn follow(core: Weak<Core>, feed: Weak<Feed>, revision: i64) {
    let mut next = revision + 1;
    let mut backoff = Backoff::new(NO_TIMEOUT);
    loop {
        let Some(watched) = watch(&core, next).await else { return };
        let why = match watched {
            Ok(stream) => listen(stream, &core, &feed, &mut next, &mut backoff).await,
            Err(trouble) => Some(format!("{trouble:?}")),
        };
        let Some(why) = why else { return };
        tracing::debug!(%why, "the watch of etcd was interrupted");
        if backoff.next(why).await.is_err() {
            return;
        }
    }
}

/// Starts a watch at `next`; `None` once the store is closed.
async fn watch(core: &Weak<Core>, next: i64) -> Option<Result<Streaming<pb::WatchResponse>, Trouble>> {
    let core = core.upgrade()?;
    let (key, range_end) = core.keys.range(&KeyRange::all());
    let create = pb::WatchCreateRequest { key, range_end, start_revision: next, progress_notify: true };
    let stream = core.cluster.watch(create).await;
    if let Err(Trouble::Token) = &stream {
        // If this fails, the next attempt fails too and logs in again.
        let _ = core.cluster.log_in().await;
    }
    Some(stream)
}

/// Announces what the watch reports until it ends; returns why it ended, or `None` if the store or
/// the feed is gone.
async fn listen(
    mut stream: Streaming<pb::WatchResponse>,
    core: &Weak<Core>,
    feed: &Weak<Feed>,
    next: &mut i64,
    backoff: &mut Backoff,
) -> Option<String> {
    loop {
        let response = match stream.next().await {
            None => return Some("the connection was closed".to_owned()),
            Some(Err(status)) => return Some(status.to_string()),
            Some(Ok(response)) => response,
        };
        let (core, feed) = (core.upgrade()?, feed.upgrade()?);
        *backoff = Backoff::new(NO_TIMEOUT);
        if response.compact_revision > *next {
            // The commits before are lost: at most one per revision.
            feed.miss((response.compact_revision - *next).unsigned_abs());
            *next = response.compact_revision;
        }
        if response.canceled {
            return Some(response.cancel_reason);
        }
        let last = response.events.last().and_then(|event| event.kv.as_ref()).map(|kv| kv.mod_revision);
        for commit in commits(&core, response.events) {
            // Must come first: the announcement wakes waiting claims, which check the heartbeats.
            commit.keys.iter().for_each(|(key, _)| core.heartbeats.record(key, commit.seq));
            feed.relay(&commit);
        }
        let announced =
            response.header.filter(|_| last.is_none() && !response.created).map(|header| header.revision);
        if let Some(revision) = last.or(announced) {
            core.note(revision);
            *next = (*next).max(revision + 1);
        }
    }
}

/// Groups events by commit. etcd sends all events of a revision in one response.
fn commits(core: &Core, events: Vec<Event>) -> Vec<Commit> {
    let mut commits: Vec<(i64, Vec<(Key, Written)>)> = Vec::new();
    for event in events {
        let written = if event.r#type() == EventType::Delete { Written::Deleted } else { Written::Put };
        let Some(kv) = event.kv else { continue };
        // Other programs may write keys that are not records.
        let Ok(key) = core.keys.parse(&kv.key) else { continue };
        match commits.last_mut().filter(|(revision, _)| *revision == kv.mod_revision) {
            Some((_, keys)) => keys.push((key, written)),
            None => commits.push((kv.mod_revision, vec![(key, written)])),
        }
    }
    let commit = |(revision, keys): (i64, Vec<(Key, Written)>)| Commit {
        seq: core.identity.seq(revision),
        keys: keys.into(),
    };
    commits.into_iter().map(commit).collect()
}
