//! Source text as the rules see it: without comments, strings and tests, as paths.

use std::iter::{Cloned, Peekable};
use std::path::Path;
use std::slice::Iter;

/// A file of the service or of a crate beside it.
pub(crate) struct Source {
    /// `src/http/body.rs`.
    pub(crate) file: String,
    /// Every path it names, in full: `crate::event_log::read::page`, `actix_web::web`.
    pub(crate) paths: Vec<String>,
    /// Its code in one piece, without any white space.
    pub(crate) code: String,
    /// Lines up to its tests.
    pub(crate) lines: usize,
}

impl Source {
    pub(crate) fn parse(file: &str, text: &str) -> Self {
        let own = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
        let code = bare(own);
        let tokens: Vec<String> = tokens(&code);
        let module = module(file);
        let paths = paths(&tokens)
            .iter()
            .map(|p| resolved(p, &module))
            .collect();
        Self {
            file: file.to_owned(),
            paths,
            code: code.split_whitespace().collect(),
            lines: own.lines().count(),
        }
    }

    /// Every file under a folder, except those that are tests.
    pub(crate) fn all(folder: &Path) -> Vec<Self> {
        let mut sources = Vec::new();
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                sources.extend(Self::all(&path));
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = std::fs::read_to_string(&path).expect("text");
                let root = Path::new(env!("CARGO_MANIFEST_DIR"));
                let file = path.strip_prefix(root).expect("below the root");
                sources.push(Self::parse(&file.display().to_string(), &text));
            }
        }
        let is_test = |file: &str| file.contains("/tests/") || file.ends_with("/tests.rs");
        sources.retain(|source| !is_test(&source.file));
        sources
    }
}

/// `src/http/body.rs` is `crate::http::body`, as is `crates/other/src/http/body.rs` there.
pub(crate) fn module(file: &str) -> Vec<String> {
    let path = file.strip_prefix("src/").unwrap_or(file);
    let path = path.split_once("/src/").map_or(path, |(_, path)| path);
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let parts = path
        .split('/')
        .filter(|part| !["lib", "main", "mod"].contains(part));
    ["crate"]
        .into_iter()
        .chain(parts)
        .map(ToOwned::to_owned)
        .collect()
}

/// The text with comments and literals taken out.
pub(crate) fn bare(text: &str) -> String {
    let mut bare = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(inner) = rest.strip_prefix("/*") {
            inner.find("*/").map_or(rest.len(), |end| end + 4)
        } else if let Some(inner) = rest.strip_prefix("r#\"") {
            inner.find("\"#").map_or(rest.len(), |end| end + 5)
        } else if first == '"' {
            string(rest)
        } else if first == '\'' {
            character(rest)
        } else {
            0
        };
        if skipped == 0 {
            bare.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            bare.push(' ');
            rest = &rest[skipped..];
        }
    }
    bare
}

/// The length of the string that a text begins with.
fn string(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of the character that a text begins with; 0 for a lifetime.
fn character(text: &str) -> usize {
    let inner = &text[1..];
    if inner.starts_with('\\') {
        return inner[2..].find('\'').map_or(0, |end| end + 4);
    }
    let len = inner.chars().next().map_or(0, char::len_utf8);
    if inner[len..].starts_with('\'') {
        len + 2
    } else {
        0
    }
}

pub(crate) fn tokens(code: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut is_word = false;
    for c in code.chars() {
        let continues = c.is_alphanumeric() || c == '_';
        match tokens.last_mut() {
            Some(last) if continues && is_word => last.push(c),
            Some(last) if c == ':' && last == ":" => last.push(c),
            _ if c.is_whitespace() => {}
            _ => tokens.push(c.into()),
        }
        is_word = continues;
    }
    tokens
}

type Tokens<'a> = Peekable<Cloned<Iter<'a, String>>>;

/// All paths of two parts and more, braces spelled out.
fn paths(tokens: &[String]) -> Vec<Vec<String>> {
    let mut tokens = tokens.iter().cloned().peekable();
    let mut found = Vec::new();
    while let Some(token) = tokens.next() {
        if is_name(&token) && tokens.peek().is_some_and(|next| next == "::") {
            tree(&mut tokens, vec![token], &mut found);
        }
    }
    found
}

pub(crate) fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Follows a path from `::` on, into each of its branches.
fn tree(tokens: &mut Tokens<'_>, mut path: Vec<String>, found: &mut Vec<Vec<String>>) {
    while tokens.next_if(|next| next == "::").is_some() {
        if let Some(name) = tokens.next_if(|next| is_name(next)) {
            path.push(name);
        } else if tokens.next_if(|next| next == "{").is_some() {
            while let Some(token) = tokens.next() {
                match token.as_str() {
                    "}" => return,
                    "self" => found.push(path.clone()),
                    name if is_name(name) => {
                        let branch = path.iter().cloned().chain([name.to_owned()]);
                        tree(tokens, branch.collect(), found);
                    }
                    _ => {}
                }
            }
            return;
        }
    }
    found.push(path);
}

/// The path from the crate's root on.
fn resolved(path: &[String], module: &[String]) -> String {
    let supers = path.iter().take_while(|part| *part == "super").count();
    let own = &module[..module.len().saturating_sub(supers)];
    let path: Vec<_> = match path[0].as_str() {
        "super" => own.iter().chain(&path[supers..]).collect(),
        "self" => module.iter().chain(&path[1..]).collect(),
        _ => path.iter().collect(),
    };
    let path: Vec<_> = path.into_iter().map(String::as_str).collect();
    path.join("::")
}
