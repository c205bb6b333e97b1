//! The format of a segment: its header, its frames, and their entries.

mod entry;
pub(crate) mod epoch_change;
pub(crate) mod frame;
mod header;

pub(crate) use entry::{Entry, Logged, LoggedRef, encode, encoded_len, key_and_payload};
pub(crate) use frame::{ALIGN, Frame, HEADER_LEN, Head, Kind, Place, frame_len, room};
pub(crate) use header::{FORMAT, Header, Opened, PAGE};
