use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Mode {
    Fast,
    #[serde(rename = "by-hand")]
    ByHand,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Id(u64);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Job {
    keys_per_account: u8,
    id: Id,
    region: String,
    is_dry: bool,
    mode: Mode,
    letter: char,
    limit: Option<i64>,
    #[serde(default)]
    tries: u32,
    #[serde(flatten)]
    more: BTreeMap<String, String>,
}

fn job() -> Job {
    Job {
        keys_per_account: 8,
        id: Id(7),
        region: "eu".to_owned(),
        is_dry: true,
        mode: Mode::ByHand,
        letter: 'x',
        limit: None,
        tries: 3,
        more: [("note".to_owned(), "hello".to_owned())].into(),
    }
}

#[test]
fn structs_round_trip() {
    let params = Params::from_serde(&job()).unwrap();
    let expected = Params::new()
        .int("keysPerAccount", 8)
        .int("id", 7)
        .int("isDry", 1)
        .int("tries", 3)
        .string("region", "eu")
        .string("mode", "by-hand")
        .string("letter", "x")
        .string("note", "hello");
    assert_eq!(params, expected);
    assert_eq!(params.to::<Job>().unwrap(), job());
    let map: BTreeMap<String, i64> = [("a".to_owned(), 1), ("b".to_owned(), i64::MIN)].into();
    assert_eq!(Params::from_serde(&map).unwrap().to::<BTreeMap<String, i64>>().unwrap(), map);
    assert_eq!(Params::from_serde(&Some(map)).unwrap().int_params.len(), 2);
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Small {
    n: u8,
}

#[test]
fn mismatches_name_the_field() {
    let why = |params: Params| params.to::<Small>().unwrap_err().to_string();
    let head = "invalid argument: the parameters do not fit Small: ";
    for (params, expected) in [
        (Params::new(), "missing field `n`"),
        (Params::new().int("n", 256), "n: invalid value: integer `256`, expected u8"),
        (Params::new().string("n", "5"), "n: invalid type: string \"5\", expected u8"),
        (Params::new().int("n", 5).int("m", 5), "unknown field `m`, expected `n`"),
        (Params::new().int("n", 5).string("n", "5"), "n: there are a number and a string of this name"),
    ] {
        assert_eq!(why(params), format!("{head}{expected}"));
    }
    let params = Params::from_serde(&job()).unwrap();
    let broken = |params: Params| params.to::<Job>().unwrap_err().to_string();
    assert!(broken(params.clone().int("isDry", 2)).ends_with("isDry: it is 2; a boolean must be 0 or 1"));
    let text = broken(params.clone().string("mode", "slow"));
    assert!(text.ends_with("mode: unknown variant `slow`, expected `Fast` or `by-hand`"), "{text}");
    let mut numbered = params;
    numbered.string_params.remove("mode");
    let text = broken(numbered.int("mode", 1));
    assert!(text.ends_with("mode: it is the number 1; an enum must be a string"), "{text}");
}

#[test]
fn unsupported_types_name_the_field() {
    #[derive(Serialize)]
    struct Of<T> {
        inner: T,
    }
    fn why<T: Serialize>(inner: T) -> String {
        let error = Params::from_serde(&Of { inner }).unwrap_err();
        assert!(error.is_invalid());
        error.to_string().rsplit("cannot be parameters: ").next().unwrap().to_owned()
    }
    assert!(why(0.5).starts_with("inner: it is a fraction"), "{}", why(0.5));
    assert!(why(vec![1]).starts_with("inner: it is nested"));
    assert!(why(Small { n: 1 }).starts_with("inner: it is nested"));
    assert!(why(Some(u64::MAX)).starts_with("inner: it is out of the range"));
    assert!(why(i128::MIN).starts_with("inner: it is out of the range"));
    let error = Params::from_serde(&5).unwrap_err().to_string();
    assert_eq!(
        error,
        "invalid argument: i32 cannot be parameters: parameters have names; it must be a struct or a map"
    );
}
