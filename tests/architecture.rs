//! Checks the code against the floors of ARCHITECTURE.md.
//!
//! It reads every path of the library that begins with `crate`, `self` or `super`, in imports, types, expressions and macros. It skips
//! code that is compiled only for tests. Each path must point to a room on a floor below, or to the left on the same floor. Within a
//! room, no two files may need each other.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// The rooms from the ground up and, on each floor, from left to right, as in the table of ARCHITECTURE.md.
fn floors() -> Vec<(String, Vec<String>)> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rows = text.lines().skip_while(|line| !line.starts_with("| floor |")).skip(2);
    let floors: Vec<_> = rows
        .take_while(|line| line.starts_with('|'))
        .map(|row| {
            let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
            let rooms = cells[1].split('`').skip(1).step_by(2).map(str::to_owned).collect();
            (cells[0].to_owned(), rooms)
        })
        .collect();
    assert!(floors.len() > 5, "the table of the floors is there");
    floors
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A module of the library, by its path: `["store", "memory", "flows"]`.
type Module = Vec<String>;

fn modules(folder: &Path, prefix: &Module, found: &mut BTreeMap<Module, PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut module = prefix.clone();
        if path.is_dir() {
            module.push(name);
            modules(&path, &module, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            if !matches!(name.as_str(), "mod" | "lib") {
                module.push(name);
            }
            found.insert(module, path);
        }
    }
}

/// Removes code that is compiled only for tests.
fn without_tests(tokens: TokenStream) -> Vec<TokenTree> {
    let mut kept = Vec::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        if let TokenTree::Punct(punct) = &token
            && punct.as_char() == '#'
            && let Some(TokenTree::Group(group)) = tokens.peek()
            && is_for_tests(&group.stream().to_string())
        {
            let _attribute = tokens.next();
            // The item ends with its body or a semicolon.
            for token in tokens.by_ref() {
                match token {
                    TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => break,
                    TokenTree::Punct(punct) if punct.as_char() == ';' => break,
                    _ => {}
                }
            }
            continue;
        }
        kept.push(token);
    }
    kept
}

fn is_for_tests(attribute: &str) -> bool {
    let plain: String = attribute.chars().filter(|character| !character.is_whitespace()).collect();
    matches!(plain.as_str(), "cfg(test)" | "cfg(any(test,fuzzing))")
}

/// All paths that begin with `crate`, `self` or `super`, with groups of imports split up.
fn paths(tokens: &[TokenTree], found: &mut Vec<Vec<String>>) {
    let mut position = 0;
    while position < tokens.len() {
        match &tokens[position] {
            TokenTree::Group(group) => {
                paths(&without_tests(group.stream()), found);
                position += 1;
            }
            TokenTree::Ident(ident) if ["crate", "self", "super"].contains(&ident.to_string().as_str()) => {
                position = path(tokens, position, Vec::new(), found);
            }
            _ => position += 1,
        }
    }
}

/// Reads one path and returns where it ends.
fn path(tokens: &[TokenTree], mut position: usize, mut read: Vec<String>, found: &mut Vec<Vec<String>>) -> usize {
    loop {
        match tokens.get(position) {
            Some(TokenTree::Ident(ident)) => read.push(ident.to_string()),
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace && !read.is_empty() => {
                let inside: Vec<_> = group.stream().into_iter().collect();
                let mut start = 0;
                while start < inside.len() {
                    start = path(&inside, start, read.clone(), found);
                    while inside.get(start).is_some_and(|token| token.to_string() != ",") {
                        start += 1;
                    }
                    start += 1;
                }
                return position + 1;
            }
            _ => {
                found.push(read);
                return position;
            }
        }
        let colons = (tokens.get(position + 1), tokens.get(position + 2));
        match colons {
            (Some(TokenTree::Punct(one)), Some(TokenTree::Punct(two)))
                if one.as_char() == ':' && one.spacing() == Spacing::Joint && two.as_char() == ':' =>
            {
                position += 3;
            }
            _ => {
                found.push(read);
                return position + 1;
            }
        }
    }
}

/// The library's modules, each with the modules that it names.
struct House {
    modules: BTreeMap<Module, PathBuf>,
    /// A module's re-exports: `pub use self::child::Name`.
    given_on: BTreeMap<(Module, String), Module>,
    needs: BTreeMap<Module, BTreeSet<Module>>,
}

impl House {
    fn read() -> Self {
        let mut modules_found = BTreeMap::new();
        modules(&root().join("src"), &Vec::new(), &mut modules_found);
        let mut house = Self { modules: modules_found, given_on: BTreeMap::new(), needs: BTreeMap::new() };
        let mut named = Vec::new();
        for (module, file) in &house.modules {
            let tokens: TokenStream = fs::read_to_string(file).unwrap().parse().unwrap();
            let mut found = Vec::new();
            paths(&without_tests(tokens), &mut found);
            for path in found {
                if let Some(absolute) = Self::absolute(module, &path) {
                    named.push((module.clone(), path[0] == "self", absolute));
                }
            }
        }
        for (module, own, path) in &named {
            if *own && let (Some(name), Some(target)) = (path.last(), house.module_of(path)) {
                house.given_on.insert((module.clone(), name.clone()), target);
            }
        }
        for (module, _, path) in named {
            if let Some(target) = house.resolve(&path)
                && target != module
            {
                house.needs.entry(module).or_default().insert(target);
            }
        }
        house
    }

    /// The path from the root of the library; `None` for a word that is not a path.
    fn absolute(module: &Module, path: &[String]) -> Option<Vec<String>> {
        // `pub(crate)`, and the `self` of methods.
        if path.len() == 1 {
            return None;
        }
        let (mut base, mut rest): (Module, &[String]) = match path[0].as_str() {
            "crate" => (Vec::new(), &path[1..]),
            "self" => (module.clone(), &path[1..]),
            "super" => (module[..module.len().checked_sub(1)?].to_vec(), &path[1..]),
            _ => return None,
        };
        while rest.first().is_some_and(|name| name == "super") {
            base.pop()?;
            rest = &rest[1..];
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }

    /// The module that has the last name of the path.
    fn module_of(&self, path: &[String]) -> Option<Module> {
        (0..=path.len()).rev().map(|end| path[..end].to_vec()).find(|module| self.modules.contains_key(module))
    }

    /// The same, following re-exports.
    fn resolve(&self, path: &[String]) -> Option<Module> {
        let module = self.module_of(path)?;
        let name = path.get(module.len());
        let given = name.and_then(|name| self.given_on.get(&(module.clone(), name.clone())));
        Some(given.cloned().unwrap_or(module))
    }
}

/// The room of a module; `None` for the root, which only re-exports.
fn room(module: &Module) -> Option<&String> {
    module.first()
}

#[test]
fn imports_point_down_or_to_the_left() {
    let house = House::read();
    let order: Vec<String> = floors().into_iter().flat_map(|(_, rooms)| rooms).collect();
    let rooms: BTreeSet<_> = house.modules.keys().filter_map(room).collect();
    let listed: BTreeSet<_> = order.iter().collect();
    assert_eq!(listed, rooms, "ARCHITECTURE.md names each room of src, and no other");
    let place = |room: &String| order.iter().position(|own| own == room).unwrap();
    let mut upward = Vec::new();
    for (module, needs) in &house.needs {
        let Some(from) = room(module) else { continue };
        for target in needs {
            match room(target) {
                Some(to) if place(to) > place(from) => upward.push(format!("{module:?} needs {target:?}")),
                None => upward.push(format!("{module:?} takes what it needs from the root of the library")),
                _ => {}
            }
        }
    }
    assert!(upward.is_empty(), "{upward:#?}");
    assert!(house.needs.values().map(BTreeSet::len).sum::<usize>() > 300, "it has read the code");
}

/// Sibling files form no cycle. A `mod.rs` and its children count as one, since it re-exports theirs.
#[test]
fn no_files_of_a_room_need_each_other() {
    let house = House::read();
    let is_folder = |module: &Module| house.modules[module].file_name().is_some_and(|name| name == "mod.rs");
    let mut circles = BTreeSet::new();
    for start in house.modules.keys().filter(|module| !is_folder(module)) {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&Module> = house.needs.get(start).into_iter().flatten().collect();
        while let Some(module) = open.pop() {
            if module == start {
                circles.insert(start);
                break;
            }
            if !is_folder(module) && room(module) == room(start) && seen.insert(module) {
                open.extend(house.needs.get(module).into_iter().flatten());
            }
        }
    }
    assert!(circles.is_empty(), "{circles:#?}");
}

/// Rooms below `step_up` do not use the handle that applications hold.
#[test]
fn nothing_below_names_the_handle_of_applications() {
    let house = House::read();
    let order: Vec<String> = floors().into_iter().flat_map(|(_, rooms)| rooms).collect();
    let face = order.iter().position(|room| room == "step_up").unwrap();
    for (module, file) in &house.modules {
        let Some(own) = room(module) else { continue };
        if order.iter().position(|room| room == own).unwrap() >= face {
            continue;
        }
        let tokens: TokenStream = fs::read_to_string(file).unwrap().parse().unwrap();
        assert!(!names(&without_tests(tokens), "StepUp"), "{module:?}");
    }
}

fn names(tokens: &[TokenTree], name: &str) -> bool {
    tokens.iter().enumerate().any(|(position, token)| match token {
        // Not in documentation, which is an attribute in the syntax tree.
        TokenTree::Group(_) if position > 0 && tokens[position - 1].to_string() == "#" => false,
        TokenTree::Group(group) => names(&without_tests(group.stream()), name),
        TokenTree::Ident(ident) => ident == name,
        _ => false,
    })
}

/// A file with more than about 300 lines, without its tests, has two subjects.
#[test]
fn files_have_one_subject() {
    let house = House::read();
    for (module, file) in &house.modules {
        let text = fs::read_to_string(file).unwrap();
        let own = text.split("#[cfg(test)]\nmod ").next().unwrap();
        let lines = own.lines().count();
        assert!(lines <= 400, "{module:?} has {lines} lines");
    }
}

/// One HMAC needs none of these: C compilers, their wrappers, and RSA, whose crate leaks its keys by timing (RUSTSEC-2023-0071).
#[test]
fn nothing_by_default_needs_a_c_compiler_or_brings_rsa() {
    let cargo = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges=normal,build", "--target=all", "--prefix=none"])
        .current_dir(root())
        .output()
        .unwrap();
    let tree = String::from_utf8(cargo.stdout).unwrap();
    let crates: BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(crates.contains("jsonwebtoken") && crates.contains("hmac"), "{}", String::from_utf8_lossy(&cargo.stderr));
    let unwanted = ["rsa", "ring", "aws-lc-rs", "aws-lc-sys", "openssl-sys", "cc", "cmake", "pkg-config", "bindgen"];
    assert_eq!(unwanted.into_iter().filter(|unwanted| crates.contains(unwanted)).collect::<Vec<_>>(), [""; 0]);
}

/// Checks the reader itself: it finds each kind of path and skips the rest.
#[test]
fn paths_are_found_wherever_they_stand() {
    let code = r#"
        use crate::{a::{B, c::D as E}, f};
        use super::g;
        #[cfg(test)]
        mod tests { use crate::hidden::X; }
        fn h() -> crate::i::J { macro_call!(crate::k::L, "text {}", super::m::n()); self.o }
    "#;
    let mut found = Vec::new();
    paths(&without_tests(code.parse().unwrap()), &mut found);
    let found: Vec<_> = found.iter().map(|path| path.join("::")).collect();
    assert_eq!(
        found,
        ["crate::a::B", "crate::a::c::D", "crate::f", "super::g", "crate::i::J", "crate::k::L", "super::m::n", "self"]
    );
}
