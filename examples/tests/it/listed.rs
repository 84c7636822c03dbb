//! The folder keeps its word: every example is short, says what it is, and is found in the list and by cargo.

use std::fs;
use std::path::Path;

/// An example is shorter than this.
const LINES_MAX: usize = 80;

/// The files of one of the folders, with their text.
fn programs(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let programs = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    programs
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap())
        })
        .collect()
}

fn beside(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

#[test]
fn every_example_is_short_says_how_it_is_run_and_is_listed() {
    let (list, manifest) = (beside("README.md"), beside("Cargo.toml"));
    let conversation = programs("conversation");
    let (main, parts): (Vec<_>, Vec<_>) = conversation.into_iter().partition(|(file, _)| file == "main.rs");
    let mut examples = programs("");
    assert!(examples.len() > 10, "the examples were found");
    for (file, text) in examples.iter().chain(&main).chain(&parts) {
        assert!(text.lines().count() < LINES_MAX, "{file} has {} lines", text.lines().count());
        assert!(text.starts_with("//! "), "{file} does not say what it shows");
    }
    examples.extend(main.into_iter().map(|(file, text)| (format!("conversation/{file}"), text)));
    for (file, text) in &examples {
        let name = file.trim_end_matches("/main.rs").trim_end_matches(".rs").replace('_', "-");
        assert!(text.contains(&format!("cargo run --example {name}")), "{file} does not say how it is run");
        assert!(list.contains(&format!("]({file})")), "{file} is not in README.md");
        assert!(
            list.contains(&format!("`cargo run --example {name}")),
            "README.md does not say how {name} is run"
        );
        assert!(
            manifest.contains(&format!("name = \"{name}\"\npath = \"{file}\"\n")),
            "{file} is no [[example]]"
        );
    }
}
