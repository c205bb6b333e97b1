//! Keys parse back, sort, and divide into ranges.

use super::*;
use proptest::prelude::*;

fn keys_of(process: &str, work: &str) -> Vec<Key> {
    let mut keys =
        vec![Key::owner(process), Key::settings(process), Key::status(process), Key::totals(process)];
    keys.extend(List::ALL.map(|list| Key::item(process, list, work)));
    keys.push(Key::history(process, -1, 999_999_999, u64::MAX));
    keys
}

/// The slots of [`keys_of`].
fn slots_of(work: &str) -> Vec<Slot> {
    let mut slots = vec![Slot::Owner, Slot::Settings, Slot::Status, Slot::Totals];
    slots.extend(List::ALL.map(|list| Slot::Item(list, work.to_owned())));
    slots.push(Slot::History { seconds: -1, nanos: 999_999_999, run: u64::MAX });
    slots
}

fn name() -> impl Strategy<Value = String> {
    "[\\x00\\x01a\u{10FFFF}/]{1,6}"
}

#[test]
fn golden_bytes() {
    assert_eq!(&Key::owner("a\0b").bytes[..], b"\x01a\x00\xffb\x00\x10");
    assert_eq!(&Key::item("p", List::Active, "w\0").bytes[..], b"\x01p\x00\x50w\x00");
    assert_eq!(
        &Key::history("p", 1, 2, 3).bytes[..],
        b"\x01p\x00\x80\x80\0\0\0\0\0\0\x01\0\0\0\x02\0\0\0\0\0\0\0\x03"
    );
}

#[test]
fn runs_sort_by_start_across_the_epoch() {
    assert!(Key::history("p", -2, 5, 9) < Key::history("p", -1, 0, 1));
    assert!(Key::history("p", -1, 0, 1) < Key::history("p", 0, 0, 0));
}

#[test]
fn records_are_described_for_messages() {
    let key = Key::item("p\n", List::Active, "\u{1b}w");
    assert_eq!(key.describe(), r#"active work "\u{1b}w" of process "p\n""#);
    assert_eq!(key.borrow().describe(), key.describe());
    let described = keys_of("p", "w").iter().map(Key::describe).collect::<Vec<_>>();
    let expected = [
        r#"the owner record of process "p""#,
        r#"the settings of process "p""#,
        r#"the status of process "p""#,
        r#"the totals of process "p""#,
        r#"active work "w" of process "p""#,
        r#"cleanup work "w" of process "p""#,
        r#"dropped work "w" of process "p""#,
        r#"a past run of process "p""#,
    ];
    assert_eq!(described, expected);
    let damaged = Key { bytes: Bytes::from_static(b"\x01p"), kind: Kind::Owner };
    assert_eq!(damaged.describe(), "a record under a key that does not parse ([01, 70])");
}

#[test]
fn bytes_that_are_no_key_do_not_parse() {
    for bytes in [
        &b""[..],
        b"\x00p\x00\x10",
        b"\x01p\x00",
        b"\x01p\x00\x11",
        b"\x01p\x00\x10x",
        b"\x01p\x00\x50",
        b"\x01p\x00\x50\xff",
        b"\x01p\x00\x80too short",
        b"\x01p\x00\xff",
    ] {
        assert_eq!(KeyRef::parse(bytes), None, "{bytes:02x?}");
    }
    // A name is checked only where it is read.
    for bytes in [&b"\x01\x00\x10"[..], b"\x01\xff\x00\x10"] {
        assert_eq!(KeyRef::parse(bytes).unwrap().address(), None, "{bytes:02x?}");
    }
}

#[test]
fn a_name_with_a_broken_escape_is_no_name() {
    assert_eq!(unescape(b"a\x00\xffb").as_deref(), Some("a\0b"));
    for wrong in [&b"a\x00b"[..], b"a\x00", b""] {
        assert_eq!(unescape(wrong), None, "{wrong:02x?}");
    }
}

proptest! {
    #[test]
    fn every_key_parses_back(process in name(), work in name()) {
        for key in keys_of(&process, &work) {
            let again = Key::from_bytes(key.bytes.clone()).unwrap();
            prop_assert_eq!(&again, &key);
            prop_assert_eq!(key.address().unwrap().process, process.clone());
        }
        let slots = keys_of(&process, &work).into_iter().map(|key| key.address().unwrap().slot);
        prop_assert_eq!(slots.collect::<Vec<_>>(), slots_of(&work));
    }

    #[test]
    fn runs_parse_back_and_sort_by_start(a: (i64, u32, u64), b: (i64, u32, u64)) {
        let key = |(seconds, nanos, run)| Key::history("p", seconds, nanos, run);
        let (seconds, nanos, run) = a;
        let slot = Slot::History { seconds, nanos, run };
        let encoded = key(a);
        prop_assert_eq!(encoded.borrow().slot(), Some(slot.clone()));
        prop_assert_eq!(encoded.address().unwrap().slot, slot.to_owned());
        prop_assert_eq!(key(a).cmp(&key(b)), a.cmp(&b));
    }

    #[test]
    fn processes_sort_by_the_bytes_of_their_names(a in name(), b in name(), work in name()) {
        for key in keys_of(&b, &work) {
            prop_assert_eq!(KeyRange::from_process(&a).contains(&key.bytes), b >= a);
        }
    }

    #[test]
    fn a_range_is_cut_at_a_key(process in name(), cut in name(), work in name()) {
        let range = KeyRange::kind(&process, Kind::Active);
        let [cut, key] = [&cut, &work].map(|work| Key::item(&process, List::Active, work));
        prop_assert_eq!(range.clone().from(&cut).contains(&key.bytes), key >= cut);
        prop_assert_eq!(range.clone().after(&cut).contains(&key.bytes), key > cut);
        prop_assert_eq!(range.clone().up_to(&cut).contains(&key.bytes), key <= cut);
        // Keys outside of the range do not extend it.
        let [before, behind] = [Key::owner(&process), Key::item(&process, List::Dropped, &work)];
        prop_assert_eq!(range.clone().from(&before), range.clone());
        prop_assert_eq!(range.clone().after(&before), range.clone());
        prop_assert_eq!(range.clone().up_to(&behind), range);
    }

    #[test]
    fn a_process_is_one_range_and_holds_no_other(a in name(), b in name(), work in name()) {
        let range = KeyRange::process(&a);
        for key in keys_of(&b, &work) {
            prop_assert_eq!(range.contains(&key.bytes), a == b);
            prop_assert!(KeyRange::all().contains(&key.bytes));
            if a < b {
                prop_assert!(range.end <= key.bytes);
                prop_assert!(KeyRange::after_process(&a).contains(&key.bytes));
            }
        }
    }

    #[test]
    fn a_kind_is_one_range(process in name(), work in name()) {
        for key in keys_of(&process, &work) {
            for kind in Kind::ALL {
                prop_assert_eq!(KeyRange::kind(&process, kind).contains(&key.bytes), key.kind() == kind);
            }
        }
    }

    #[test]
    fn names_with_one_prefix_are_one_range(process in name(), work in name(), prefix in name()) {
        for key in keys_of(&process, &work) {
            let is_it = key.kind() == Kind::Active && work.starts_with(&prefix);
            let range = KeyRange::names(&process, Kind::Active, &prefix);
            prop_assert_eq!(range.contains(&key.bytes), is_it);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        if let Some(key) = Key::from_bytes(bytes.into()) {
            let _ = key.describe();
        }
    }
}
