//! A place that may differ, and what no such place explains.

use std::{collections::BTreeSet, fmt};

use super::compare::{Difference, fits};

/// Places that may differ. The first that fits explains a difference. In all patterns, `*` stands for anything, and `|` parts alternatives.
#[derive(Clone, Copy, Debug)]
pub struct Pin {
    steps: &'static str,
    places: &'static str,
    theirs: &'static str,
    ours: &'static str,
    why: &'static str,
}

impl Pin {
    pub const fn new(steps: &'static str, places: &'static str, why: &'static str) -> Self {
        Self { steps, places, theirs: "*", ours: "*", why }
    }

    /// Only where this was recorded.
    pub const fn theirs(mut self, theirs: &'static str) -> Self {
        self.theirs = theirs;
        self
    }

    /// Only where we answer this.
    pub const fn ours(mut self, ours: &'static str) -> Self {
        self.ours = ours;
        self
    }

    pub fn explains(&self, difference: &Difference) -> bool {
        fits(self.steps, &difference.step)
            && fits(self.places, &difference.place)
            && fits(self.theirs, &difference.theirs)
            && fits(self.ours, &difference.ours)
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {} at {}: {}", self.steps, self.places, self.why)
    }
}

/// What no pin explains, and the pins that explain nothing.
pub fn unexplained(found: &[Difference], pins: &[Pin]) -> (Vec<String>, Vec<String>) {
    let mut used = BTreeSet::new();
    let mut left = Vec::new();
    for difference in found {
        match pins.iter().position(|pin| pin.explains(difference)) {
            Some(position) => drop(used.insert(position)),
            None => left.push(difference.to_string()),
        }
    }
    let unused = pins.iter().enumerate().filter(|(position, _)| !used.contains(position));
    (left, unused.map(|(_, pin)| pin.to_string()).collect())
}

/// Fails when something differs that no pin explains, and when a pin explains nothing any more.
#[track_caller]
pub fn assert_explained(found: &[Difference], pins: &[Pin]) {
    let (left, unused) = unexplained(found, pins);
    assert!(left.is_empty(), "these places differ (theirs | ours):\n{}", left.join("\n"));
    assert!(unused.is_empty(), "nothing differs there any more, so take these pins away:\n{}", unused.join("\n"));
}
