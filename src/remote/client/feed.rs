//! Receives the commits of the other program as they are made.

use std::sync::Arc;

use prost::Message;

use super::super::wire::{Frames, to_announced};
use super::RemoteEngine;
use super::line::{ANSWER_TIME_MAX, Answer, Lost};
use super::listening::Listening;
use crate::engine::Feed;
use crate::proto::engine as proto;
use crate::proto::engine::frame::What;

impl RemoteEngine {
    /// Subscribes to every commit from now on.
    ///
    /// If that fails or ends, the feed ends.
    pub(super) fn listen(&self) {
        let mut listening = self.listening.lock();
        if *listening == Listening::Since {
            return;
        }
        *listening = Listening::Since;
        let (line, feed) = (self.wire.line.clone(), self.feed.clone());
        let (tell, heard) = std::sync::mpsc::sync_channel(1);
        let begun = self.wire.wait(async move {
            let answer = line.ask("feed", proto::Feed {}.encode_to_vec().into(), ANSWER_TIME_MAX).await;
            tokio::spawn(async move {
                let ended = match answer {
                    Ok(answer) => follow(answer, &feed, &tell).await,
                    Err(lost) => Err(lost),
                };
                if let Err(lost) = ended {
                    let error = line.failed(lost);
                    tracing::warn!(%error, "the change feed has ended");
                }
                feed.close();
            });
        });
        if begun.is_err() {
            self.feed.close();
        }
        // Or the feed has ended.
        let _ = heard.recv();
    }
}

async fn follow(
    mut answer: Answer,
    feed: &Arc<Feed>,
    begun: &std::sync::mpsc::SyncSender<()>,
) -> Result<(), Lost> {
    let mut frames = Frames::default();
    loop {
        while let Some(what) = frames.next().map_err(Lost::After)? {
            match what {
                What::Listening(_) => {
                    // The channel has capacity for the only message.
                    let _ = begun.try_send(());
                }
                What::Announced(announced) => {
                    let commit = to_announced(announced).map_err(|error| Lost::After(error.to_string()))?;
                    feed.relay(&commit);
                }
                What::Missed(missed) => feed.miss(missed),
                What::End(_) => return Ok(()),
                What::Problem(problem) => return Err(Lost::Told(problem)),
                _ => {}
            }
        }
        match answer.chunk().await.map_err(Lost::After)? {
            Some(chunk) => frames.add(&chunk),
            None => return Err(Lost::After("the connection was lost".to_owned())),
        }
    }
}
