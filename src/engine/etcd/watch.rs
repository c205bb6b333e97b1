//! Commits as they are made, whoever makes them.

use std::sync::Weak;
use std::time::Duration;

use tokio_stream::StreamExt;
use tonic::Streaming;

use super::client::Core;
use crate::engine::etcd::transport::line::Pause;
use crate::engine::etcd::transport::trouble::Trouble;
use crate::engine::{Commit, Feed, Written};
use crate::error::Result;
use crate::proto::etcd::etcdserverpb as pb;
use crate::proto::etcd::mvccpb::Event;
use crate::proto::etcd::mvccpb::event::EventType;
use crate::record::{Key, KeyRange};

/// Attempts to be heard again go on for as long as anybody listens.
const PATIENCE: Duration = Duration::from_secs(u64::MAX >> 32);

/// Announces every commit after `revision` until the feed is let go of.
pub(super) async fn follow(core: Weak<Core>, feed: Weak<Feed>, revision: i64) {
    let mut next = revision + 1;
    let mut pause = Pause::new(PATIENCE);
    loop {
        let Some(watched) = watch(&core, next).await else { return };
        let why = match watched {
            Ok(stream) => listen(stream, &core, &feed, &mut next, &mut pause).await,
            Err(trouble) => Some(format!("{trouble:?}")),
        };
        let Some(why) = why else { return };
        tracing::debug!(%why, "commits in etcd are not heard for a moment");
        if pause.next(why).await.is_err() {
            return;
        }
    }
}

/// `None` once the store is closed.
async fn watch(core: &Weak<Core>, next: i64) -> Option<Result<Streaming<pb::WatchResponse>, Trouble>> {
    let core = core.upgrade()?;
    let (key, range_end) = core.keys.range(&KeyRange::all());
    let create = pb::WatchCreateRequest { key, range_end, start_revision: next, progress_notify: true };
    let stream = core.line.watch(create).await;
    if let Err(Trouble::Token) = &stream {
        // If that comes to nothing, neither does the next attempt.
        let _ = core.line.log_in().await;
    }
    Some(stream)
}

/// Answers why there is no more to be heard; `None` if there never will be.
async fn listen(
    mut stream: Streaming<pb::WatchResponse>,
    core: &Weak<Core>,
    feed: &Weak<Feed>,
    next: &mut i64,
    pause: &mut Pause,
) -> Option<String> {
    loop {
        let answer = match stream.next().await {
            None => return Some("the connection was closed".to_owned()),
            Some(Err(status)) => return Some(status.to_string()),
            Some(Ok(answer)) => answer,
        };
        let (core, feed) = (core.upgrade()?, feed.upgrade()?);
        *pause = Pause::new(PATIENCE);
        if answer.compact_revision > *next {
            // What came before is gone: at most one commit a revision.
            feed.miss((answer.compact_revision - *next).unsigned_abs());
            *next = answer.compact_revision;
        }
        if answer.canceled {
            return Some(answer.cancel_reason);
        }
        let last = answer.events.last().and_then(|event| event.kv.as_ref()).map(|kv| kv.mod_revision);
        for commit in commits(&core, answer.events) {
            // Before this wakes anyone who asks.
            commit.keys.iter().for_each(|(key, _)| core.signs.hear(key, commit.seq));
            feed.relay(&commit);
        }
        let told = answer.header.filter(|_| last.is_none() && !answer.created).map(|header| header.revision);
        if let Some(revision) = last.or(told) {
            core.note(revision);
            *next = (*next).max(revision + 1);
        }
    }
}

/// Events by the commit that they are of. One answer has all events of a revision.
fn commits(core: &Core, events: Vec<Event>) -> Vec<Commit> {
    let mut commits: Vec<(i64, Vec<(Key, Written)>)> = Vec::new();
    for event in events {
        let written = if event.r#type() == EventType::Delete { Written::Deleted } else { Written::Put };
        let Some(kv) = event.kv else { continue };
        // What is no record is none of ours.
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
