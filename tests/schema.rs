//! `proto/generated` is what the build script makes of `proto`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn the_generated_files_are_those_of_the_schema() {
    let built = files(Path::new(env!("OUT_DIR")));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/generated");
    if std::env::var_os("PROCSTATE_BLESS").is_some() {
        fs::create_dir_all(&folder).unwrap();
        for (name, content) in &built {
            fs::write(folder.join(name), content).unwrap();
        }
    }
    let committed = files(&folder);
    assert!(built.len() >= 6, "{:?}", built.keys());
    assert_eq!(
        built.keys().collect::<Vec<_>>(),
        committed.keys().collect::<Vec<_>>(),
        "proto/generated has other files than proto compiles to: run `just proto`"
    );
    for (name, content) in &built {
        assert!(
            committed[name] == *content,
            "proto/generated/{name} is not what proto compiles to: run `just proto` and commit it"
        );
    }
}
