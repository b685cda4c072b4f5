//! Two transcripts side by side.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::{Map, Value, json};

/// A place where the answers to a step differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    model: &'static str,
    pub step: String,
    pub place: String,
    pub theirs: String,
    pub ours: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {} / {} at {}: {} | {}", self.model, self.step, self.place, self.theirs, self.ours)
    }
}

/// Whether the text fits one of the patterns: `*` stands for anything, `|` parts alternatives.
pub fn fits(patterns: &str, text: &str) -> bool {
    patterns.split('|').any(|pattern| {
        let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
        let Some(mut text) = text.strip_prefix(first) else { return false };
        let mut parts: Vec<_> = rest.split('*').collect();
        let last = parts.pop().unwrap_or_default();
        for part in parts {
            match text.find(part) {
                Some(at) => text = &text[at + part.len()..],
                None => return false,
            }
        }
        text.ends_with(last)
    })
}

/// Every place that differs.
pub fn compare(model: &'static str, theirs: &[Value], ours: &[Value]) -> Vec<Difference> {
    let by_name = |steps: &[Value]| -> BTreeMap<String, Value> {
        steps.iter().map(|step| (step["step"].as_str().unwrap().to_owned(), trimmed(step.clone()))).collect()
    };
    let (their_steps, our_steps) = (by_name(theirs), by_name(ours));
    let names: BTreeSet<_> = their_steps.keys().chain(our_steps.keys()).collect();
    let mut found = Vec::new();
    for name in names {
        let difference = |place: &str, theirs: &str, ours: &str| Difference {
            model,
            step: name.clone(),
            place: place.to_owned(),
            theirs: theirs.to_owned(),
            ours: ours.to_owned(),
        };
        match (their_steps.get(name), our_steps.get(name)) {
            (Some(theirs), Some(ours)) => {
                found.extend(places(theirs, ours).into_iter().map(|(place, a, b)| difference(&place, &a, &b)));
            }
            (Some(_), None) => found.push(difference(".", "a step", "none")),
            _ => found.push(difference(".", "none", "a step")),
        }
    }
    found
}

/// Where an answer of another kind is compared: the rest differs in any case.
const OF_ANY_KIND: [&str; 7] = [
    ".status",
    ".location",
    ".body.error.id",
    ".body.ui.messages",
    ".body.error.code",
    ".cookies.session",
    ".body.redirect_browser_to",
];

const ABSENT: &str = "absent";

fn places(theirs: &Value, ours: &Value) -> Vec<(String, String, String)> {
    let (a, b) = (flat(theirs), flat(ours));
    let at = |map: &BTreeMap<String, String>, place: &str| map.get(place).map_or(ABSENT, String::as_str).to_owned();
    let all: BTreeSet<_> = a.keys().chain(b.keys()).collect();
    let mut found = Vec::new();
    for place in all {
        let (left, right) = (at(&a, place), at(&b, place));
        let another_kind = theirs["status"] != ours["status"] && !OF_ANY_KIND.contains(&place.as_str());
        // One line for a node that only one side has.
        let node = place.find("nodes[").and_then(|begin| Some(begin + place[begin..].find("].")? + 2));
        let of_missing_node = node.is_some_and(|end| {
            let kind = format!("{}type", &place[..end]);
            *place != kind && (at(&a, &kind) == ABSENT || at(&b, &kind) == ABSENT)
        });
        if left != right && !another_kind && !of_missing_node {
            found.push((place.clone(), left, right));
        }
    }
    found
}

/// Each leaf by its place.
fn flat(value: &Value) -> BTreeMap<String, String> {
    let mut leaves = BTreeMap::new();
    flatten(value, "", &mut leaves);
    leaves
}

fn flatten(value: &Value, place: &str, leaves: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, inner) in members {
                flatten(inner, &format!("{place}.{name}"), leaves);
            }
        }
        Value::Array(items) if !items.is_empty() && items.iter().all(|item| item.get("node").is_some()) => {
            let order: Vec<_> = items.iter().map(|item| item["node"].clone()).collect();
            leaves.insert(format!("{place}#order"), Value::Array(order).to_string());
            let mut seen = BTreeMap::<&str, u32>::new();
            for item in items {
                let name = item["node"].as_str().unwrap();
                let count = seen.entry(name).and_modify(|count| *count += 1).or_insert(1);
                let number = if *count == 1 { String::new() } else { count.to_string() };
                for (member, inner) in item.as_object().unwrap().iter().filter(|(member, _)| *member != "node") {
                    flatten(inner, &format!("{place}[{name}{number}].{member}"), leaves);
                }
            }
        }
        Value::Array(items) if items.first().is_some_and(Value::is_object) => {
            leaves.insert(format!("{place}#count"), items.len().to_string());
            // Of a list of sessions, the first.
            let kept = if place == ".body" { 1 } else { items.len() };
            for (number, inner) in items.iter().take(kept).enumerate() {
                flatten(inner, &format!("{place}[{number}]"), leaves);
            }
        }
        Value::String(text) => drop(leaves.insert(place.to_owned(), text.clone())),
        other => drop(leaves.insert(place.to_owned(), other.to_string())),
    }
}

/// Without the settings that are not ours to offer (profile and password), with the groups in one order, and each method once: a session
/// of ours keeps the newest proof of a method.
fn trimmed(mut step: Value) -> Value {
    let body = &mut step["body"];
    if let Value::Array(sessions) = body {
        sessions.iter_mut().for_each(each_method_once);
    } else if let Value::Object(members) = body {
        if let Some(session) = members.get_mut("session") {
            each_method_once(session);
        }
        each_method_once(body);
        if body.get("identity").is_some() && body.get("ui").is_some() {
            let group = |node: &Value| node["node"].as_str().unwrap().split(':').next().unwrap().to_owned();
            let nodes = body["ui"]["nodes"].as_array_mut().unwrap();
            nodes.retain(|node| !["profile", "password"].contains(&group(node).as_str()));
            nodes.sort_by_key(group);
        }
    }
    step
}

fn each_method_once(session: &mut Value) {
    let Some(Value::Array(methods)) = session.get_mut("authentication_methods") else { return };
    let mut once = Map::new();
    for method in methods.iter() {
        let key = json!([method["method"], method["aal"], method["provider"]]).to_string();
        once.insert(key, method.clone());
    }
    *methods = once.into_iter().map(|(_, method)| method).collect();
}

#[test]
fn patterns_fit_whole_texts() {
    for (patterns, text, expected) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("*", "", true),
        ("*.id", "x.id", true),
        ("*.id", "x.id.y", false),
        ("a*b*c", "a1b2c", true),
        ("a*b*c", "a1c", false),
        ("aa*a", "aa", false),
        ("x|a*", "ab", true),
        ("x|", "", true),
    ] {
        assert_eq!(fits(patterns, text), expected, "{patterns} {text}");
    }
}
