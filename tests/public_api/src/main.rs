//! Writes what the crate shows to others, out of rustdoc's JSON: `api.txt`, one line for each public item, and `external-types.txt`, the
//! types and traits of other crates that those lines name.

use std::{collections::BTreeSet, env, error::Error, fs, path::Path};

use public_api::Builder;

/// The standard library changes with the compiler, which `rust-version` is about.
const OWN: [&str; 5] = ["tower_step_up", "Self", "alloc", "core", "std"];

fn main() -> Result<(), Box<dyn Error>> {
    let [json, folder] = env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "arguments: JSON FOLDER")?;
    let all = Builder::from_rustdoc_json(&json).omit_blanket_impls(true).build()?;
    let underived = Builder::from_rustdoc_json(&json).omit_blanket_impls(true).omit_auto_derived_impls(true).build()?;
    let underived: BTreeSet<String> = underived.items().map(ToString::to_string).collect();

    let mut lines = Vec::new();
    let mut external = BTreeSet::new();
    for item in all.items() {
        let line = item.to_string();
        // That a trait is derived is said by the line of its `impl`; its methods are always the same.
        if is_promise(&line) && (line.starts_with("impl") || underived.contains(&line)) {
            external.extend(external_types(&line));
            lines.push(line);
        }
    }
    write(&folder, "api.txt", lines)?;
    write(&folder, "external-types.txt", external)
}

/// Of the traits that the compiler implements by itself, users rely on `Send` and `Sync`.
fn is_promise(line: &str) -> bool {
    const NOISE: [&str; 6] = ["Freeze", "RefUnwindSafe", "StructuralPartialEq", "Unpin", "UnsafeUnpin", "UnwindSafe"];
    !(line.starts_with("impl") && NOISE.iter().any(|name| line.contains(&format!("::{name} for "))))
}

/// Every path that begins with the name of another crate. To export an item of one again is to show all of it.
fn external_types(line: &str) -> Vec<String> {
    if line.starts_with("pub use ") || line.starts_with("pub extern crate ") {
        return vec![line.to_owned()];
    }
    let paths = line.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).filter(|word| word.contains("::"));
    // All but implementations begin with the path of the item itself.
    let paths = paths.skip(usize::from(!line.starts_with("impl")));
    // `<T as Trait>::Item` ends in what has no crate in front.
    let paths = paths.filter(|path| !path.starts_with("::")).map(|path| path.trim_end_matches(':'));
    paths.filter(|path| path.split("::").next().is_some_and(|first| !OWN.contains(&first))).map(str::to_owned).collect()
}

fn write(folder: &str, name: &str, lines: impl IntoIterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let text: String = lines.into_iter().map(|line| line + "\n").collect();
    Ok(fs::write(Path::new(folder).join(name), text)?)
}
