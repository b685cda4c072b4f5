//! Checks that each test exists that a table of SECURITY.md or of tests/README.md names. A test that is renamed or removed takes its claim
//! along.
//!
//! A name may be that of a test, of a test in a module (`codes::older_step_is_refused`), of a module (`body::*`, all of `bodies`), the end of
//! a name (`.._keeps_the_path`), or a file. A text in quotation marks is the title of a test in JavaScript.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test that fails panics")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "node_modules") {
                files(&path, found);
            }
        } else {
            found.push(path);
        }
    }
}

/// All tests, and the modules that they are in.
struct Tests {
    /// Each with the words of the paths that lead to it.
    by_name: BTreeMap<String, BTreeSet<String>>,
    modules: BTreeSet<String>,
    /// What is written in JavaScript.
    scripts: String,
}

impl Tests {
    fn read() -> Self {
        let mut all = Vec::new();
        for folder in ["src", "tests", "crates/mail/tests", "examples/bank/tests", "fuzz/properties"] {
            files(&root().join(folder), &mut all);
        }
        let mut tests = Self { by_name: BTreeMap::new(), modules: BTreeSet::new(), scripts: String::new() };
        for path in all {
            let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            if matches!(extension, "rs" | "py") {
                tests.read_file(&path);
            } else if extension == "js" {
                tests.scripts += &fs::read_to_string(&path).unwrap();
            }
        }
        tests
    }

    fn read_file(&mut self, path: &Path) {
        let inside = path.strip_prefix(root()).unwrap().with_extension("");
        let words: BTreeSet<_> = inside.iter().map(|word| word.to_str().unwrap().to_owned()).collect();
        self.modules.extend(words.iter().cloned());
        // Each of the suite is a test of every store.
        let suite = inside.starts_with("src/store/contract");
        let mut marked = false;
        for line in fs::read_to_string(path).unwrap().lines().map(str::trim) {
            let declared = line.trim_start_matches("pub ").trim_start_matches("async ");
            let declared = declared.strip_prefix("fn ").or_else(|| declared.strip_prefix("def test"));
            let python = line.starts_with("def test");
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                marked = true;
            } else if let Some(declared) = declared {
                let name = declared.split(['(', '<']).next().unwrap_or_default();
                let name = if python { format!("test{name}") } else { name.to_owned() };
                if marked || python || suite && line.starts_with("pub async fn") {
                    self.by_name.entry(name).or_default().extend(words.iter().cloned());
                }
                marked = false;
            }
        }
    }

    /// Whether it names a test, or tests.
    fn know(&self, name: &str) -> bool {
        if name.contains(['/', '.']) && !name.starts_with('.') {
            return root().join(name).exists() || root().join("tests").join(name).exists();
        }
        let name = name.strip_suffix("::*").unwrap_or(name);
        if let Some(end) = name.strip_prefix("..") {
            return self.by_name.keys().any(|name| name.ends_with(end));
        }
        let (modules, last) = name.rsplit_once("::").unwrap_or(("", name));
        let modules = || modules.split("::").filter(|module| !module.is_empty());
        match self.by_name.get(last) {
            Some(words) => modules().all(|module| words.contains(module)),
            None => modules().chain([last]).all(|module| self.modules.contains(module)),
        }
    }
}

/// What is between two of these marks.
fn between(text: &str, mark: char) -> impl Iterator<Item = &str> {
    text.split(mark).skip(1).step_by(2)
}

/// The cells of all tables that name tests.
fn cells(file: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(file)).unwrap();
    let (mut column, mut found): (Option<usize>, Vec<String>) = (None, Vec::new());
    for line in text.lines() {
        let Some(row) = line.strip_prefix('|') else {
            column = None;
            continue;
        };
        let row: Vec<_> = row.split('|').map(str::trim).collect();
        match column {
            Some(_) if line.starts_with("|--") => {}
            Some(column) => found.push(row[column].to_owned()),
            None => column = row.iter().position(|head| matches!(*head, "tests" | "attacks" | "pinned by")),
        }
    }
    found
}

#[test]
fn every_test_that_a_table_names_is_there() {
    let tests = Tests::read();
    let (mut missing, mut count) = (Vec::new(), 0_usize);
    for file in ["SECURITY.md", "tests/README.md"] {
        for cell in cells(file) {
            // What begins with a capital is a type or a header, and a word of both cases a function of JavaScript.
            let is_rust = |name: &&str| !name.contains(|letter: char| letter.is_ascii_uppercase());
            let names: Vec<_> = between(&cell, '`').filter(is_rust).filter(|name| !tests.know(name)).collect();
            let titles: Vec<_> = between(&cell, '"').filter(|title| !tests.scripts.contains(title)).collect();
            missing.extend(names.iter().chain(&titles).map(|name| format!("{file}: {name}")));
            count = count.saturating_add(between(&cell, '`').count());
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(count > 400, "it has read the tables: {count}");
}

/// Each clause has a test beside it.
#[test]
fn every_clause_has_a_test() {
    let cells = cells("SECURITY.md");
    assert!(cells.len() > 20, "the table of the clauses is there");
    let without: Vec<_> = cells.iter().filter(|cell| between(cell, '`').next().is_none()).collect();
    assert!(without.is_empty(), "{without:?}");
}

/// Checks the reader itself.
#[test]
fn a_name_that_nothing_has_is_noticed() {
    let tests = Tests::read();
    for good in
        ["a_name_that_nothing_has_is_noticed", "tables::*", "contract::races", ".._nothing_has_is_noticed", "tables.rs"]
    {
        assert!(tests.know(good), "{good}");
    }
    for bad in [
        "a_name_that_nothing_has",
        "races::a_name_that_nothing_has_is_noticed",
        "nothing::*",
        "..nothing_at_all",
        "nothing.rs",
        "know",
    ] {
        assert!(!tests.know(bad), "{bad}");
    }
}
