//! What README.md says of the example is what the example has.

const README: &str = include_str!("../../README.md");
const EXAMPLE: [&str; 4] = [
    include_str!("../../example/Cargo.toml"),
    include_str!("../../example/src/web/app.rs"),
    include_str!("../../example/src/web/auth.rs"),
    include_str!("../../example/src/web/protected.rs"),
];

#[test]
fn the_example_has_each_line_of_the_difference() {
    let has = |line: &str| EXAMPLE.iter().any(|file| file.lines().any(|own| own == line));
    let mut blocks = README.split("```diff\n").skip(1).map(|block| block.split("```").next().unwrap());
    let lines: Vec<_> = blocks.by_ref().flat_map(str::lines).collect();
    assert!(lines.len() > 30);
    for line in lines {
        match line.split_at_checked(1) {
            None => {}
            // By path there, and by version for everybody else.
            Some(("+", line)) if line.starts_with("tower-step-up") => {
                let name = line.split(' ').next().unwrap();
                assert!(EXAMPLE[0].contains(&format!("\n{name} = ")), "{line}");
            }
            Some(("+" | " ", line)) => {
                assert!(has(line) || line.starts_with("// src") || line == "# Cargo.toml", "{line}");
            }
            Some(("-", line)) => assert!(!has(line), "{line}"),
            Some(_) => panic!("{line}"),
        }
    }
}
