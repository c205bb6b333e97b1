//! Reads an answer frame by frame.

use std::sync::Arc;

use prost::Message;

use super::super::wire::Frames;
use super::Wire;
use super::line::{ANSWER_TIME_MAX, Answer, Lost};
use crate::error::Result;
use crate::proto::engine::frame::What;

pub(super) struct Listing {
    wire: Arc<Wire>,
    /// `None` after the end.
    answer: Option<Answer>,
    frames: Frames,
}

impl Listing {
    pub(super) fn begin(wire: &Arc<Wire>, call: &'static str, question: &impl Message) -> Result<Self> {
        let (line, question) = (wire.line.clone(), question.encode_to_vec().into());
        let answer = wire.wait(async move { line.ask(call, question, ANSWER_TIME_MAX).await })?;
        let answer = answer.map_err(|lost| wire.line.failed(lost))?;
        Ok(Self { wire: wire.clone(), answer: Some(answer), frames: Frames::default() })
    }

    /// Returns the next frame; `None` after the last, when the answer is complete.
    pub(super) fn next(&mut self) -> Result<Option<What>> {
        loop {
            let frame = self.frames.next().map_err(|why| self.wire.line.failed(Lost::After(why)))?;
            match frame {
                Some(What::End(_)) => {
                    self.end();
                    return Ok(None);
                }
                Some(What::Problem(problem)) => return Err(self.wire.line.failed(Lost::Told(problem))),
                Some(what) => return Ok(Some(what)),
                None => {}
            }
            if !self.more()? {
                let lost = Lost::After("the connection was lost in the middle of an answer".to_owned());
                return Err(self.wire.line.failed(lost));
            }
        }
    }

    /// Waits for more data; reports whether there is any.
    fn more(&mut self) -> Result<bool> {
        let Some(mut answer) = self.answer.take() else { return Ok(false) };
        let (answer, chunk) = self.wire.wait(async move {
            let chunk = answer.chunk().await;
            (answer, chunk)
        })?;
        let Some(chunk) = chunk.map_err(|why| self.wire.line.failed(Lost::After(why)))? else {
            return Ok(false);
        };
        self.frames.add(&chunk);
        self.answer = Some(answer);
        Ok(true)
    }

    /// Reads the end of the answer after the last frame, so that the connection can be reused.
    fn end(&mut self) {
        let (Some(mut answer), line) = (self.answer.take(), self.wire.line.clone()) else { return };
        // On failure there will be a new connection.
        let _ = self.wire.wait(async move {
            if let Ok(None) = answer.chunk().await {
                line.keep(answer);
            }
        });
    }
}
