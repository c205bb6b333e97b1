use proptest::prelude::*;

use super::*;
use crate::model::List;
use crate::model::limits::SEQ_MAX;
use crate::record;
use crate::recovery::Options;
use crate::recovery::records::validate::open_record;

fn keys() -> Vec<Key> {
    let item = |n: usize| Key::item("a process", List::Active, &format!("w{n}"));
    (0..40).map(item).chain([Key::owner("a process"), Key::history("x", 3, 4, 5)]).collect()
}

fn carved(carver: &Carver, bytes: &[u8]) -> Vec<(Key, u64)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, bytes).unwrap();
    let mut found = Vec::new();
    let meter = Options::default().meter(0);
    carver.carve(&path, &meter, &mut |key, version, _| found.push((key, version))).unwrap();
    found
}

/// A message of any kind with an unknown field.
fn message(bytes: usize) -> Vec<u8> {
    let mut message = vec![0xc2, 0x3e];
    prost::encoding::encode_varint(bytes as u64, &mut message);
    message.extend(noise(bytes));
    message
}

/// The header of a fake envelope.
fn fake(payload_len: u32) -> Vec<u8> {
    let kind = Key::owner("p").kind().tag();
    [&[7, 7, 7, 7, 1, kind][..], &9_u64.to_le_bytes(), &payload_len.to_le_bytes()].concat()
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(|| random.u8(..)).take(bytes).collect()
}

#[test]
fn finds_values_of_known_keys_wherever_they_are() {
    let mut carver = Carver::new();
    keys().iter().for_each(|key| carver.know(key));
    let mut bytes = noise(1000);
    for (n, key) in keys().iter().enumerate() {
        bytes.extend(record::seal(key, n as u64, &message(n * 10)));
        bytes.extend(noise(n));
    }
    let expected: Vec<_> = keys().into_iter().zip(0..).collect();
    assert_eq!(carved(&carver, &bytes), expected);
    assert_eq!(carved(&Carver::new(), &bytes), [], "the keys are unknown");
}

#[test]
fn finds_keys_before_their_values_and_across_windows() {
    let mut bytes = noise(WINDOW_BYTES - 300);
    for (n, key) in keys().iter().enumerate() {
        bytes.extend_from_slice(key.bytes());
        bytes.extend(record::seal(key, n as u64, &message(9)));
    }
    let large = Key::settings("p");
    bytes.extend_from_slice(large.bytes());
    bytes.extend(record::seal(&large, 99, &message(RECORD_BYTES_MAX - 5)));
    let expected: Vec<_> = keys().into_iter().zip(0..).chain([(large, 99)]).collect();
    assert_eq!(carved(&Carver::new(), &bytes), expected);
}

#[test]
fn finds_nothing_where_a_bit_is_flipped() {
    let key = Key::owner("p");
    let sound = [key.bytes(), &record::seal(&key, 3, &message(7))[..]].concat();
    assert_eq!(carved(&Carver::new(), &sound), [(key, 3)]);
    for bit in 0..sound.len() * 8 {
        let mut damaged = sound.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(carved(&Carver::new(), &damaged), [], "bit {bit}");
    }
}

#[test]
fn reports_progress() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let length = 2 * WINDOW_BYTES as u64 + 77;
    File::create(&path).unwrap().set_len(length).unwrap();
    let mut told = Vec::new();
    let meter = Options::default().progress(|progress| told.push(progress.done)).meter(length);
    Carver::new().carve(&path, &meter, &mut |_, _, _| ()).unwrap();
    drop(meter);
    assert_eq!(told, [WINDOW_BYTES as u64, 2 * WINDOW_BYTES as u64]);
}

/// Reading each of them to its end would take hours.
#[test]
fn headers_with_large_lengths_cost_little() {
    let key = Key::settings("p");
    let mut bytes = fake(1 << 20).repeat((5 << 20) / ENVELOPE_HEADER_LEN);
    bytes.extend_from_slice(key.bytes());
    bytes.extend(record::seal(&key, 99, &message(1000)));
    bytes.extend(noise(2 << 20));
    assert_eq!(carved(&Carver::new(), &bytes), [(key, 99)]);
}

/// Each has the right checksum for a key, and includes all that follow it.
#[test]
fn undecodable_payloads_are_tried_within_bounds() {
    let (key, other) = (Key::settings("p"), Key::settings("q"));
    let mut carver = Carver::new();
    [&key, &other].into_iter().for_each(|key| carver.know(key));
    let mut bytes = vec![0xff; 1_000_000];
    for _ in 0..100 {
        bytes = record::seal(&key, 3, &bytes).to_vec();
    }
    bytes.extend(record::seal(&other, 4, &message(1000)));
    let mut window = Window::of(&carver, &bytes);
    let mut found = Vec::new();
    window.carve(0..bytes.len(), &mut |key, version, _| found.push((key, version)));
    assert_eq!(found, [(other, 4)]);
    assert!(window.vain_bytes < RECORD_BYTES_MAX, "{} bytes are left", window.vain_bytes);
}

/// The same with possible keys at every position.
#[test]
fn possible_key_starts_cost_little() {
    let mut unit = vec![1; 3000];
    unit.extend(fake(60_000));
    assert_eq!(carved(&Carver::new(), &unit.repeat(700)), []);
    assert_eq!(carved(&Carver::new(), &[1, 0x10].repeat(1 << 20)), []);
}

#[test]
fn undecodable_payloads_are_not_records() {
    let key = Key::owner("p");
    let of = |version, payload: &[u8]| [key.bytes(), &record::seal(&key, version, payload)[..]].concat();
    let mut carver = Carver::new();
    carver.know(&key);
    for carver in [&carver, &Carver::new()] {
        assert_eq!(carved(carver, &of(3, &message(7))), [(key.clone(), 3)]);
        assert_eq!(carved(carver, &of(SEQ_MAX, &message(7))), [(key.clone(), SEQ_MAX)]);
        assert_eq!(carved(carver, &of(3, &[0xff; 7])), [], "no message");
        assert_eq!(carved(carver, &of(SEQ_MAX + 1, &message(7))), [], "no commit");
    }
}

#[test]
fn of_keys_with_equal_checksums_the_adjacent_one_is_taken() {
    let mut names: HashMap<u32, String> = HashMap::new();
    let name = |n: u32| format!("{:08x}", n.wrapping_mul(0x9e37_79b9));
    let twins = (0..).find_map(|n| {
        let key = Key::owner(&name(n));
        names.insert(crc32fast::hash(key.bytes()), name(n)).map(|other| [Key::owner(&other), key])
    });
    let [one, other] = twins.unwrap();
    let mut carver = Carver::new();
    [&one, &other].into_iter().for_each(|key| carver.know(key));
    let value = record::seal(&other, 3, &message(7));
    assert_eq!(carved(&carver, &value), []);
    assert_eq!(carved(&carver, &[other.bytes(), &value[..]].concat()), [(other, 3)]);
}

/// The same by brute force.
fn carved_simply(known: &[Key], bytes: &[u8]) -> Vec<(Key, u64)> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let value = Head::parse(&bytes[at..]).and_then(|head| bytes[at..].get(..head.envelope_len()));
        let opened = value.and_then(|value| {
            let starts = (at.saturating_sub(KEY_BYTES_MAX)..at).rev();
            let before = starts.filter_map(|start| Key::from_bytes(bytes[start..at].to_vec().into()));
            let value = Bytes::copy_from_slice(value);
            let mut keys = known.iter().cloned().chain(before);
            keys.find_map(|key| open_record(key.bytes(), &value).ok())
        });
        at += opened.as_ref().map_or(1, |record| ENVELOPE_HEADER_LEN + record.payload.len());
        found.extend(opened.map(|record| (record.key, record.version)));
    }
    found
}

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let key = || (0..keys().len()).prop_map(|n| keys()[n].clone());
    let sealed = (key(), 0..9_u64, 0..300_usize).prop_map(|(key, version, bytes)| {
        (key.bytes().to_vec(), record::seal(&key, version, &message(bytes)).to_vec())
    });
    prop_oneof![
        sealed.clone().prop_map(|(key, value)| [key, value].concat()),
        sealed.prop_map(|(_, value)| value),
        key().prop_map(|key| key.bytes().to_vec()),
        (0..3000_u32).prop_map(fake),
        (0..40_usize).prop_map(|bytes| vec![1; bytes]),
        proptest::collection::vec(any::<u8>(), 0..600),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn finds_the_same_as_brute_force(
        pieces in proptest::collection::vec(pieces(), 0..20),
        known in 0..20_usize,
    ) {
        let bytes = pieces.concat();
        let known = &keys()[..known];
        let mut carver = Carver::new();
        known.iter().for_each(|key| carver.know(key));
        prop_assert_eq!(carved(&carver, &bytes), carved_simply(known, &bytes));
    }
}
