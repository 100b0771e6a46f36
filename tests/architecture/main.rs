//! What must never be, held against the source: which module may know which, who may
//! say certain words, and how long a file may grow.

mod cycles;
mod rules;
mod source;

use std::path::Path;

use rules::{CRATES, NEVER, ONLY, WORDS};
use source::Source;

const MOST_LINES: usize = 400;

fn is_below(path: &str, root: &str) -> bool {
    path.strip_prefix(root)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn is_in(file: &str, module: &str) -> bool {
    let below = file
        .strip_prefix("src/")
        .and_then(|file| file.strip_prefix(module));
    below.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// Everything in `sources` that must not be.
fn violations(sources: &[Source]) -> Vec<String> {
    sources.iter().flat_map(violations_of).collect()
}

fn violations_of(source: &Source) -> Vec<String> {
    let Source {
        file,
        paths,
        code,
        lines,
    } = source;
    let mut found = Vec::new();
    for rule in NEVER
        .iter()
        .filter(|rule| rule.modules.iter().any(|m| is_in(file, m)))
    {
        for path in paths
            .iter()
            .filter(|path| rule.name.iter().any(|name| is_below(path, name)))
        {
            found.push(format!("{file} names {path}, but {}", rule.because));
        }
    }
    for rule in ONLY.iter().filter(|rule| is_in(file, rule.module)) {
        let may = |path: &str| {
            let mut names = rule.names.iter().chain([&rule.module]);
            names.any(|name| is_below(path, &format!("crate::{name}")))
        };
        for path in paths
            .iter()
            .filter(|path| path.starts_with("crate::") && !may(path))
        {
            found.push(format!("{file} names {path}, but {}", rule.because));
        }
    }
    for rule in WORDS
        .iter()
        .filter(|rule| !rule.only_in.iter().any(|at| file.starts_with(at)))
    {
        for word in rule.words.iter().filter(|word| code.contains(*word)) {
            found.push(format!("{file} says {word}, but {}", rule.because));
        }
    }
    if *lines > MOST_LINES {
        found.push(format!(
            "{file} has {lines} lines without its tests; {MOST_LINES} will do"
        ));
    }
    found
}

#[test]
fn no_module_knows_what_it_must_not() {
    let mut sources = sources_of("src");
    assert!(sources.len() > 50, "the source was not found");
    for folder in CRATES {
        let of_crate = sources_of(folder);
        assert!(of_crate.len() > 3, "the source of {folder} was not found");
        sources.extend(of_crate);
    }
    let found = violations(&sources);
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

fn sources_of(folder: &str) -> Vec<Source> {
    Source::all(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
}

#[test]
fn no_two_modules_of_a_crate_depend_on_each_other() {
    for folder in CRATES {
        let cycle = cycles::first(&sources_of(folder));
        assert_eq!(cycle, None, "a cycle in {folder}");
    }
}

#[test]
fn every_rule_speaks_of_modules_and_files_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let exists = |at: &str| root.join(at).exists() || root.join(format!("{at}.rs")).exists();
    let modules = NEVER.iter().flat_map(|rule| rule.modules).copied();
    let modules = modules.chain(ONLY.iter().map(|rule| rule.module));
    for module in modules.chain(ONLY.iter().flat_map(|rule| rule.names).copied()) {
        assert!(exists(&format!("src/{module}")), "{module}");
    }
    let named = NEVER.iter().flat_map(|rule| rule.name);
    for path in named.filter_map(|name| name.strip_prefix("crate::")) {
        assert!(
            exists(&format!("src/{}", path.replace("::", "/"))),
            "{path}"
        );
    }
    for place in WORDS.iter().flat_map(|rule| rule.only_in) {
        assert!(exists(place), "{place}");
    }
}

#[test]
fn a_violation_of_each_rule_would_be_noticed() {
    let noticed = |file: &str, text: &str| {
        let found = violations(&[Source::parse(file, text)]);
        assert!(!found.is_empty(), "{file}: {text}");
    };
    for rule in NEVER {
        for (module, name) in rule
            .modules
            .iter()
            .flat_map(|m| rule.name.iter().map(move |n| (m, n)))
        {
            let file = format!("src/{module}/fake.rs");
            noticed(&file, &format!("use {name}::Something;"));
            noticed(&file, &format!("fn f() {{ {name}::go('\"') }}"));
            if let Some((root, last)) = name.rsplit_once("::") {
                noticed(
                    &file,
                    &format!("use {root}::{{ids, {last}::{{self, A as B}}, z}};"),
                );
                noticed(
                    &file,
                    &format!("use {root}::{{\n    x::Y,\n    {last},\n}};"),
                );
            }
            if let Some(below) = name.strip_prefix("crate::") {
                noticed(&file, &format!("use super::super::{below}::Something;"));
            }
        }
    }
    for rule in ONLY {
        let file = format!("src/{}/fake.rs", rule.module);
        noticed(&file, "use crate::{ids::UserId, stream::Filter};");
    }
    for (rule, word) in WORDS
        .iter()
        .flat_map(|rule| rule.words.iter().map(move |w| (rule, w)))
    {
        noticed(
            "src/http/fake.rs",
            &format!("fn f() {{ x.{word} }} // {}", rule.because),
        );
        noticed(
            "src/http/fake.rs",
            &format!("x\n  .{}", word.replace('.', "\n    .")),
        );
    }
    noticed("src/fake.rs", &"fn f() {}\n".repeat(MOST_LINES + 1));
}

#[test]
fn comments_strings_and_tests_are_no_violations() {
    let text = r#"
        //! See [`crate::http`] and sqlx::query.
        use crate::ids::{self, UserId};
        /* crate::http */
        fn f<'a>(c: char) -> &'a str {
            if c == '"' || c == '\'' { "crate::http \" rand::rng()" } else { "\\" }
        }
#[cfg(test)]
mod tests { use crate::http::Problem; }
    "#;
    assert_eq!(
        violations(&[Source::parse("src/event/fake.rs", text)]),
        [""; 0]
    );
}
