//! Joins the scripts of a view into one, so that a browser asks for one file and not for ninety. Our scripts have few forms of
//! `import` and `export`, each on a line of its own; a test checks that no other is left.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::files::FILES;

/// A module runs when it is first needed, once.
const BEGINNING: &str = "const $base = new URL('.', import.meta.url);
const $modules = {};
const $ran = {};
const $need = (name) => $ran[name] ??= $modules[name]();
const $load = async (name) => $need(name);
";

/// The script `run` with everything that it and `others` import, at once or later.
pub(super) fn bundle(run: &'static str, others: &[&'static str]) -> String {
    let mut text = BEGINNING.to_owned();
    for (name, source) in closure(run, others) {
        let module = module(name, source);
        let _ = writeln!(text, "$modules['{name}'] = () => {{\n{module}}};");
    }
    let _ = writeln!(text, "$need('{run}');");
    text
}

type Script = (&'static str, &'static str);

fn closure(run: &'static str, others: &[&'static str]) -> BTreeSet<Script> {
    let (mut found, mut waiting) = (BTreeSet::new(), others.to_vec());
    waiting.push(run);
    while let Some(name) = waiting.pop() {
        let script = FILES.iter().find(|(known, _)| *known == name);
        let Some(script) = script.filter(|script| found.insert(**script)) else {
            continue;
        };
        for path in imported(script.1) {
            let path = resolve(script.0, path);
            let known = FILES.iter().map(|(known, _)| *known);
            waiting.extend(known.filter(|known| *known == path));
        }
    }
    found
}

/// The paths in `from '…'`, `import '…'` and `import('…')`.
fn imported(source: &str) -> impl Iterator<Item = &str> {
    let starts = [" from '", "import '", "import('"];
    let parts = starts
        .into_iter()
        .flat_map(|start| source.split(start).skip(1));
    parts.filter_map(|part| part.split_once('\'').map(|(path, _)| path))
}

/// A relative path, as seen from the file `importer`.
fn resolve(importer: &str, path: &str) -> String {
    let mut parts: Vec<_> = importer.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The body of the function that runs a script and returns what it exports.
fn module(name: &str, source: &str) -> String {
    let (mut body, mut exported) = (String::new(), Vec::new());
    for line in without_comments(source).lines() {
        let line = later_imports(name, line);
        if let Some((names, path)) = listed(&line, "import {") {
            let _ = writeln!(
                body,
                "const {{{}}} = {path};",
                renamed(names),
                path = need(name, path)
            );
        } else if let Some((names, path)) = listed(&line, "export {") {
            let _ = writeln!(
                body,
                "const {{{}}} = {path};",
                renamed(names),
                path = need(name, path)
            );
            exported.extend(names.split(',').map(|one| one.trim().to_owned()));
        } else if let Some(names) = line.strip_prefix("export {") {
            let names = names.trim_end_matches("};").split(',');
            exported.extend(names.map(|one| one.trim().to_owned()));
        } else if let Some(declared) = line.strip_prefix("export ") {
            exported.push(declared_name(declared).to_owned());
            let _ = writeln!(body, "{declared}");
        } else {
            let _ = writeln!(body, "{line}");
        }
    }
    let _ = writeln!(body, "return {{ {} }};", exported.join(", "));
    body
}

/// The names and the path of `import { a, b } from './c.js';`.
fn listed<'a>(line: &'a str, start: &str) -> Option<(&'a str, &'a str)> {
    let (names, path) = line.strip_prefix(start)?.split_once("} from '")?;
    Some((names, path.strip_suffix("';")?))
}

fn need(importer: &str, path: &str) -> String {
    format!("$need('{}')", resolve(importer, path))
}

/// `a, b as c` as a pattern takes it.
fn renamed(names: &str) -> String {
    names.replace(" as ", ": ")
}

/// The name in `async function a(b) {`, `class A {` or `const A = 1;`.
fn declared_name(declaration: &str) -> &str {
    let words = ["async ", "function", "class", "const", "*", " "];
    let mut rest = declaration;
    while let Some(after) = words.iter().find_map(|word| rest.strip_prefix(word)) {
        rest = after;
    }
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    rest.split(|c| !is_part(c)).next().unwrap_or_default()
}

/// `import('./a.js')` loads from the same file, and the address of a module is where its file would be.
fn later_imports(name: &str, line: &str) -> String {
    let mut parts = line.split("import('");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (path, rest) = part.split_once('\'').unwrap_or((part, ""));
        let _ = write!(text, "$load('{}'{rest}", resolve(name, path));
    }
    text.replace("import(script)", "$load(script)")
        .replace("import.meta.url", &format!("new URL('{name}', $base)"))
}

/// Removes lines that are comments: a fifth of what is sent.
pub(super) fn without_comments(text: &str) -> String {
    let (mut kept, mut is_comment) = (String::with_capacity(text.len()), false);
    for line in text.lines() {
        let trimmed = line.trim();
        if is_comment {
            is_comment = !trimmed.ends_with("*/");
        } else if trimmed.starts_with("/*") && !trimmed.contains("*/") {
            is_comment = true;
        } else if !trimmed.starts_with("//") && !is_whole_comment(trimmed) && !trimmed.is_empty() {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

fn is_whole_comment(line: &str) -> bool {
    line.starts_with("/*") && line.find("*/").is_some_and(|end| end + 2 == line.len())
}

#[cfg(test)]
mod tests {
    use super::super::files::{PageView, START, WORKER};
    use super::*;

    #[test]
    fn lines_that_are_comments_are_not_sent() {
        let text = "// one\n/** two */\nconst a = 1; // three\n\n  /**\n   * four\n   */\n/** @type {any} */ (a).b;\n";
        let kept = "const a = 1; // three\n/** @type {any} */ (a).b;\n";
        assert_eq!(without_comments(text), kept);
    }

    #[test]
    fn a_module_is_a_function_that_returns_its_exports() {
        let source = "import { a, b as c } from '../x.js';\nexport { d } from './y.js';\nexport async function* e() {}\n\
             export class F {}\nexport const g = () => import('./z.js');\nconst h = import.meta.url;\nexport { h };\n";
        let expected = "const { a, b: c } = $need('p/x.js');\nconst { d } = $need('p/q/y.js');\nasync function* e() {}\n\
             class F {}\nconst g = () => $load('p/q/z.js');\nconst h = new URL('p/q/m.js', $base);\nreturn { d, e, F, g, h };\n";
        assert_eq!(module("p/q/m.js", source), expected);
    }

    #[test]
    fn no_other_form_of_import_or_export_is_in_our_scripts() {
        for (run, others) in PageView::ALL
            .map(|view| (START, vec![view.script()]))
            .into_iter()
            .chain([(WORKER, vec![])])
        {
            let text = bundle(run, &others);
            assert!(text.len() > 10_000, "{run}");
            for line in text.lines().skip(BEGINNING.lines().count()) {
                let is_left = ["import ", "export ", "import("]
                    .iter()
                    .any(|form| line.trim_start().starts_with(form));
                assert!(!is_left && !line.contains(" import('."), "{run}: {line}");
            }
        }
    }
}
