//! Shapes of functions and types: no parameter is a tuple, and no type name exists twice.

use std::collections::BTreeMap;
use std::path::Path;

use super::source::{bare, is_name, tokens};

/// The functions of a text that take a tuple, by name.
pub(crate) fn tuple_parameters(text: &str) -> Vec<String> {
    let tokens = tokens(&bare(text));
    let takes_tuple = |at: &usize| {
        tokens[*at] == "fn"
            && tokens.get(at + 1).is_some_and(|name| is_name(name))
            && parameters(&tokens[at + 2..])
                .iter()
                .any(|parameter| is_tuple(parameter))
    };
    let functions = (0..tokens.len()).filter(takes_tuple);
    functions.map(|at| tokens[at + 1].clone()).collect()
}

/// The structs, enums, traits and aliases that a text defines.
pub(crate) fn type_names(text: &str) -> Vec<String> {
    let tokens = tokens(&bare(text));
    let mut names = Vec::new();
    let mut depth = 0;
    for pair in tokens.windows(2) {
        match pair[0].as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "struct" | "enum" | "trait" => names.push(pair[1].clone()),
            // Within braces it is the type of a trait.
            "type" if depth == 0 => names.push(pair[1].clone()),
            _ => {}
        }
    }
    // A macro's `$name` is none.
    names.retain(|name| is_name(name));
    names
}

/// Names that more than one of the files define, with these files.
pub(crate) fn twice_defined(files: &[(String, String)]) -> BTreeMap<String, Vec<&str>> {
    let mut places = BTreeMap::<String, Vec<&str>>::new();
    for (file, text) in files {
        for name in type_names(text) {
            places.entry(name).or_default().push(file);
        }
    }
    places.retain(|_, files| files.len() > 1);
    places
}

/// The parameters of a function, from behind its name on.
fn parameters(tokens: &[String]) -> Vec<&[String]> {
    let start = match tokens.first().map(String::as_str) {
        Some("<") => closing(tokens) + 1,
        _ => 0,
    };
    let tokens = &tokens[start..];
    let inner = &tokens[1..closing(tokens)];
    let mut parameters = Vec::new();
    let (mut from, mut depth) = (0, 0_i32);
    for (at, token) in inner.iter().enumerate() {
        depth += step(inner, at);
        if token == "," && depth == 0 {
            parameters.push(&inner[from..at]);
            from = at + 1;
        }
    }
    parameters.push(&inner[from..]);
    parameters
}

/// Where the bracket that the tokens begin with is closed.
fn closing(tokens: &[String]) -> usize {
    let mut depth = 0;
    let closes = |at: &usize| {
        depth += step(tokens, *at);
        depth == 0
    };
    (0..tokens.len()).find(closes).expect("a closed bracket")
}

/// How a token changes the depth of brackets. The `>` of `->` is none.
fn step(tokens: &[String], at: usize) -> i32 {
    match tokens[at].as_str() {
        "(" | "[" | "{" | "<" => 1,
        ")" | "]" | "}" => -1,
        ">" if at == 0 || tokens[at - 1] != "-" => -1,
        _ => 0,
    }
}

/// Whether a parameter is taken apart as a tuple, or is one or a reference to one.
fn is_tuple(parameter: &[String]) -> bool {
    let mut depth = 0;
    let mut is_colon = |at: &usize| {
        depth += step(parameter, *at);
        depth == 0 && parameter[*at] == ":"
    };
    // `self` has no type, and what a property test draws has none either.
    let Some(colon) = (0..parameter.len()).find(|at| is_colon(at)) else {
        return false;
    };
    let (pattern, of) = (&parameter[..colon], &parameter[colon + 1..]);
    let is_reference = |at: &usize| {
        let is_lifetime = *at > 0 && of[at - 1] == "'";
        is_lifetime || ["&", "'", "mut"].contains(&of[*at].as_str())
    };
    let start = (0..of.len()).take_while(is_reference).count();
    let is_unit = of.get(start + 1).is_some_and(|token| token == ")");
    pattern.first().is_some_and(|token| token == "(")
        || (of.get(start).is_some_and(|token| token == "(") && !is_unit)
}

/// Every file of Rust below a folder, by its path from the root.
fn files(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut files, mut folders) = (Vec::new(), vec![root.join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name");
            if path.is_dir() && name != "target" {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let file = path.strip_prefix(root).expect("below the root");
                let text = std::fs::read_to_string(&path).expect("text");
                files.push((file.display().to_string(), text));
            }
        }
    }
    files
}

#[test]
fn no_function_takes_a_tuple() {
    let mut found = Vec::new();
    for (file, text) in ["src", "tests", "crates"].into_iter().flat_map(files) {
        let names = tuple_parameters(&text);
        found.extend(names.iter().map(|name| format!("{file}: {name}")));
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn no_type_name_exists_twice() {
    let mut sources = files("src");
    sources.retain(|(file, _)| !file.contains("/tests/") && !file.ends_with("/tests.rs"));
    for (_, text) in &mut sources {
        let own = text.split("#[cfg(test)]\nmod ").next();
        *text = own.unwrap_or_default().to_owned();
    }
    let found = twice_defined(&sources);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_tuple_is_noticed_wherever_it_stands() {
    for text in [
        "fn f((a, b): (A, B)) {}",
        "async fn f<T: Into<Vec<u8>>>(&self, x: T, pair: (A, B)) -> C {}",
        "fn f(pair: &'a mut (A, B)) {}",
        "fn f((a, b): Alias<'_>,) {}",
        "fn f(call: impl Fn(A) -> B, pair: (A, B)) {}",
    ] {
        assert_eq!(tuple_parameters(text), ["f"], "{text}");
    }
    let none = "fn f(a: A, b: &[(A, B)], c: impl Fn(A, B) -> (A, B), d: fn(A), _: ()) -> (A, B) {}
        // fn g(pair: (A, B))
        fn h(self) { let x = |(a, b): (A, B)| a; }
        fn property((a, b) in (any(), any())) {}
        fn i<F>(f: F, unit: ()) where F: Fn((A, B)) {}";
    let found = tuple_parameters(none);
    assert_eq!(found, [""; 0]);
}

#[test]
fn a_name_that_is_defined_twice_is_noticed() {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let files = [
        file("a.rs", "pub struct Row<'a> { id: &'a str } trait Read {}"),
        file(
            "b.rs",
            "type Row = u8; impl Iterator for X { type Item = Row; }",
        ),
        file(
            "c.rs",
            "enum Item { Struct } fn f() -> Row { \"struct Read\" }",
        ),
    ];
    let found = twice_defined(&files);
    assert_eq!(
        found,
        BTreeMap::from([("Row".to_owned(), vec!["a.rs", "b.rs"])])
    );
}
