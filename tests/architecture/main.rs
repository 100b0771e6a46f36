//! The structure, held against the source: which module may use which, where certain words
//! belong, and how long a file may be.

mod deployments;
mod documents;
mod events;
mod release_profile;
mod revisions;
mod rules;
mod shapes;
mod source;

use std::collections::BTreeSet;
use std::path::Path;

use rules::{MODULES, PATHS, Reserved, WORDS};
use source::Source;

const MOST_LINES: usize = 400;

/// `src/fanout/ring.rs` is in the module `fanout`; `src/lib.rs` is in none.
fn module_of(file: &str) -> Option<&str> {
    let path = file.strip_prefix("src/")?;
    let name = path.split('/').next()?;
    let name = name.strip_suffix(".rs").unwrap_or(name);
    (!["lib", "main"].contains(&name)).then_some(name)
}

/// The modules of this crate that a file uses, other than its own.
fn used_modules<'a>(source: &'a Source, own: &'a str) -> impl Iterator<Item = &'a str> {
    let paths = source.paths.iter();
    let names = paths.filter_map(|path| path.strip_prefix("crate::")?.split("::").next());
    names.filter(move |name| *name != own)
}

fn forbidden_dependencies(source: &Source) -> Vec<String> {
    let file = &source.file;
    let Some(own) = module_of(file) else {
        return Vec::new();
    };
    let Some(module) = MODULES.iter().find(|module| module.name == own) else {
        return vec![format!("{file} is in no module of the table")];
    };
    let used: BTreeSet<_> = used_modules(source, own).collect();
    let forbidden = used.iter().filter(|name| !module.uses.contains(name));
    forbidden
        .map(|name| format!("{file} uses {name}, which {own} may not"))
        .collect()
}

fn is_below(path: &str, root: &str) -> bool {
    path.strip_prefix(root)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn misplaced(source: &Source) -> Vec<String> {
    let file = &source.file;
    let applies = |rule: &&Reserved| !rule.only_in.iter().any(|place| file.starts_with(place));
    let mut found = Vec::new();
    for rule in PATHS.iter().filter(applies) {
        let names_it = |name: &&&str| source.paths.iter().any(|path| is_below(path, name));
        for name in rule.names.iter().filter(names_it) {
            found.push(format!("{file} names {name}, but {}", rule.because));
        }
    }
    for rule in WORDS.iter().filter(applies) {
        for word in rule
            .names
            .iter()
            .filter(|word| source.code.contains(**word))
        {
            found.push(format!("{file} says {word}, but {}", rule.because));
        }
    }
    found
}

fn too_long(source: &Source) -> Option<String> {
    let Source { file, lines, .. } = source;
    (*lines > MOST_LINES).then(|| format!("{file} has {lines} lines; the limit is {MOST_LINES}"))
}

/// Everything in a file that breaks a rule.
fn violations(source: &Source) -> Vec<String> {
    let mut found = forbidden_dependencies(source);
    found.extend(misplaced(source));
    found.extend(too_long(source));
    found
}

fn noticed(file: &str, text: &str) {
    let found = violations(&Source::parse(file, text));
    assert!(!found.is_empty(), "{file}: {text}");
}

#[test]
fn the_source_keeps_every_rule() {
    let sources = Source::all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(sources.len() > 50, "the source was not found");
    let found: Vec<_> = sources.iter().flat_map(violations).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// `Answer` and `Stream` compare what they receive with openapi.yaml, and note it.
#[test]
fn socket_tests_receive_nothing_that_is_not_compared_with_the_api_document() {
    let mut sources = Source::all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it"));
    assert!(sources.len() > 50, "the tests were not found");
    let places = ["tests/it/support/answer.rs", "tests/it/support/sse.rs"];
    sources.retain(|source| !places.contains(&&*source.file));
    for source in sources {
        for word in [".send()", "client.execute("] {
            assert!(!source.code.contains(word), "{}: {word}", source.file);
        }
    }
}

#[test]
fn the_table_of_modules_has_no_cycle() {
    for (place, module) in MODULES.iter().enumerate() {
        for name in module.uses {
            let used = MODULES.iter().position(|module| module.name == *name);
            let is_above = used.is_some_and(|used| used < place);
            assert!(is_above, "{} must come after {name}", module.name);
        }
    }
}

#[test]
fn the_table_names_every_module_of_the_library() {
    let library = include_str!("../../src/lib.rs");
    let modules = library.lines().filter_map(|line| {
        let name = line
            .strip_prefix("pub mod ")
            .or(line.strip_prefix("mod "))?;
        name.strip_suffix(';')
    });
    let named: BTreeSet<_> = MODULES.iter().map(|module| module.name).collect();
    assert_eq!(modules.collect::<BTreeSet<_>>(), named);
}

#[test]
fn every_place_in_a_rule_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for place in PATHS.iter().chain(WORDS).flat_map(|rule| rule.only_in) {
        let is_file = root.join(format!("{place}.rs")).exists();
        assert!(is_file || root.join(place).exists(), "{place}");
    }
}

#[test]
fn a_forbidden_dependency_is_noticed_however_it_is_written() {
    for module in MODULES {
        let all = MODULES.iter().map(|other| other.name);
        let forbidden = all.filter(|name| *name != module.name && !module.uses.contains(name));
        for name in forbidden {
            let file = format!("src/{}/fake.rs", module.name);
            noticed(&file, &format!("use crate::{name}::Something;"));
            noticed(
                &file,
                &format!("use crate::{{x, {name}::{{self, A as B}}}};"),
            );
            noticed(&file, &format!("use super::super::{name}::Something;"));
            noticed(&file, &format!("fn f() {{ crate::{name}::go('\"') }}"));
        }
    }
}

#[test]
fn a_misplaced_word_or_path_is_noticed() {
    let file = "src/identity/fake.rs";
    for rule in PATHS {
        for name in rule.names {
            noticed(file, &format!("use {name}::Something;"));
        }
    }
    for word in WORDS.iter().flat_map(|rule| rule.names) {
        noticed(file, &format!("fn f() {{ x.{word} }}"));
        noticed(file, &format!("x\n  .{}", word.replace('.', "\n    .")));
    }
    noticed(file, &"fn f() {}\n".repeat(MOST_LINES + 1));
}

#[test]
fn comments_strings_and_tests_break_no_rule() {
    let text = r#"
        //! See [`crate::api`] and sqlx::query.
        use crate::platform::{self, UserId};
        /* crate::api */
        fn f<'a>(c: char) -> &'a str {
            if c == '"' || c == '\'' { "crate::api \" rand::rng()" } else { "\\" }
        }
#[cfg(test)]
mod tests { use crate::api::Problem; }
    "#;
    assert_eq!(violations(&Source::parse("src/log/fake.rs", text)), [""; 0]);
}
