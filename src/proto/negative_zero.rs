//! Encoding of statistics of -0.0.
//!
//! prost omits a value that equals its type's default, and -0.0 equals 0.0, so that the sign would
//! be lost. Such statistics, which are rare, are left out of the message and appended after it;
//! decoding merges the two parts.

use std::collections::BTreeMap;

use prost::Message;
use prost::encoding::{WireType, double, encode_key, encode_varint, string};
use prost_types::Timestamp;

use super::record::{History, Item, Owner, RunStatus, Settings, Totals};
use super::{Process, Status, Work, WorkResponse};

/// A message whose encoding keeps the sign of each zero.
pub(crate) trait Encode: Message + Clone {
    fn has_negative_zero(&self) -> bool {
        false
    }

    /// Removes every statistic of -0.0, and returns their encoding.
    fn take_negative_zeros(&mut self) -> Vec<u8> {
        Vec::new()
    }

    fn exact_len(&self) -> usize {
        if self.has_negative_zero() { self.encode_exactly().len() } else { self.encoded_len() }
    }

    fn encode_exactly(&self) -> Vec<u8> {
        if !self.has_negative_zero() {
            return self.encode_to_vec();
        }
        let mut rest = self.clone();
        let zeros = rest.take_negative_zeros();
        let mut bytes = rest.encode_to_vec();
        bytes.extend_from_slice(&zeros);
        bytes
    }
}

type Stats = BTreeMap<String, f64>;

fn is_negative_zero(value: f64) -> bool {
    value == 0.0 && value.is_sign_negative()
}

fn any_in(stats: &Stats) -> bool {
    stats.values().copied().any(is_negative_zero)
}

fn any_of<M: Encode>(message: &Option<M>) -> bool {
    message.as_ref().is_some_and(M::has_negative_zero)
}

/// Removes the zeros of the map field `tag`.
fn take(tag: u32, stats: &mut Stats, zeros: &mut Vec<u8>) {
    for label in stats.iter().filter(|(_, value)| is_negative_zero(**value)).map(|(label, _)| label) {
        let mut entry = Vec::new();
        string::encode(1, label, &mut entry);
        double::encode(2, &-0.0, &mut entry);
        append(tag, &entry, zeros);
    }
    stats.retain(|_, value| !is_negative_zero(*value));
}

/// Removes the zeros of the message field `tag`.
fn take_of<M: Encode>(tag: u32, message: &mut Option<M>, zeros: &mut Vec<u8>) {
    let Some(message) = message.as_mut().filter(|message| message.has_negative_zero()) else { return };
    append(tag, &message.take_negative_zeros(), zeros);
}

fn append(tag: u32, bytes: &[u8], output: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, output);
    encode_varint(bytes.len() as u64, output);
    output.extend_from_slice(bytes);
}

impl Encode for Owner {}
impl Encode for Settings {}
impl Encode for Timestamp {}

macro_rules! encode {
    ($($message:ty: $field:ident = $tag:literal, $any:ident, $take:ident;)*) => {$(
        impl Encode for $message {
            fn has_negative_zero(&self) -> bool {
                $any(&self.$field)
            }

            fn take_negative_zeros(&mut self) -> Vec<u8> {
                let mut zeros = Vec::new();
                $take($tag, &mut self.$field, &mut zeros);
                zeros
            }
        }
    )*};
}

encode! {
    Status: stats = 5, any_in, take;
    Work: status = 3, any_of, take_of;
    WorkResponse: details = 3, any_of, take_of;
    RunStatus: status = 1, any_of, take_of;
    Totals: aggregate_stats = 1, any_in, take;
    Item: work = 1, any_of, take_of;
    History: stats = 5, any_in, take;
}

impl Encode for Process {
    fn has_negative_zero(&self) -> bool {
        any_in(&self.aggregate_stats)
            || any_of(&self.process_status)
            || self.active_work.values().any(Work::has_negative_zero)
    }

    fn take_negative_zeros(&mut self) -> Vec<u8> {
        let mut zeros = Vec::new();
        // The last of two entries with the same key wins, so these are moved as a whole.
        for (name, work) in self.active_work.iter().filter(|(_, work)| work.has_negative_zero()) {
            let mut entry = Vec::new();
            string::encode(1, name, &mut entry);
            append(2, &work.encode_exactly(), &mut entry);
            append(4, &entry, &mut zeros);
        }
        self.active_work.retain(|_, work| !work.has_negative_zero());
        take_of(9, &mut self.process_status, &mut zeros);
        take(10, &mut self.aggregate_stats, &mut zeros);
        zeros
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Params;

    fn stats() -> Stats {
        [("", -0.0), ("a", 1.0), ("b", -0.0), ("c", 0.0)]
            .map(|(label, value)| (label.to_owned(), value))
            .into()
    }

    fn status() -> Status {
        Status { stats: stats(), total_errors: 3, ..Status::default() }
    }

    fn work() -> Work {
        Work { status: Some(status()), params: Some(Params::new().int("n", 1)), ..Work::default() }
    }

    /// `{:?}` distinguishes -0.0 from 0.0.
    fn comes_back<M: Encode + Default + std::fmt::Debug>(message: &M) {
        assert!(message.has_negative_zero());
        let again = M::decode(message.encode_exactly().as_slice()).unwrap();
        assert_eq!(format!("{again:?}"), format!("{message:?}"));
        assert!(format!("{again:?}").contains("\"b\": -0.0, \"c\": 0.0"));
    }

    #[test]
    fn the_sign_of_zero_is_preserved() {
        comes_back(&status());
        comes_back(&work());
        comes_back(&WorkResponse { details: Some(work()), ..WorkResponse::default() });
        comes_back(&RunStatus { status: Some(status()), run: 7, ..RunStatus::default() });
        comes_back(&Totals { aggregate_stats: stats() });
        comes_back(&Item { work: Some(work()), registered: 5, ..Item::default() });
        comes_back(&History { stats: stats(), total_errors: 2, ..History::default() });
        let active_work = [("v".to_owned(), Work::default()), ("w".to_owned(), work())].into();
        comes_back(&Process {
            active_work,
            process_status: Some(status()),
            aggregate_stats: stats(),
            ..Process::default()
        });
    }

    #[test]
    fn other_messages_encode_as_in_prost() {
        let plain = Status { stats: [("c".to_owned(), 0.0)].into(), ..Status::default() };
        assert_eq!(plain.encode_exactly(), plain.encode_to_vec());
    }
}
