//! Cycles between the top-level modules of a crate.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Source, module};

type Graph = BTreeMap<String, BTreeSet<String>>;

/// The modules of a cycle, each of which depends on the next, or `None`. The crate's root may
/// depend on everything: it has the public interface.
pub(crate) fn first(sources: &[Source]) -> Option<Vec<String>> {
    let graph = graph(sources);
    let mut done = BTreeSet::new();
    graph
        .keys()
        .find_map(|name| visit(name, &graph, &mut Vec::new(), &mut done))
}

fn graph(sources: &[Source]) -> Graph {
    let top = |file: &str| module(file).get(1).cloned();
    let mut graph: Graph = sources
        .iter()
        .filter_map(|source| Some((top(&source.file)?, BTreeSet::new())))
        .collect();
    let modules: BTreeSet<String> = graph.keys().cloned().collect();
    for source in sources {
        let Some(uses) = top(&source.file).and_then(|name| graph.get_mut(&name)) else {
            continue;
        };
        let named = source.paths.iter().filter_map(|path| {
            let below = path.strip_prefix("crate::")?;
            let name = below.split("::").next()?.to_owned();
            (modules.contains(&name) && Some(&name) != top(&source.file).as_ref()).then_some(name)
        });
        uses.extend(named);
    }
    graph
}

fn visit(
    name: &str,
    graph: &Graph,
    path: &mut Vec<String>,
    done: &mut BTreeSet<String>,
) -> Option<Vec<String>> {
    if let Some(at) = path.iter().position(|earlier| earlier == name) {
        return Some(path[at..].to_vec());
    }
    if !done.insert(name.to_owned()) {
        return None;
    }
    path.push(name.to_owned());
    let cycle = graph[name]
        .iter()
        .find_map(|next| visit(next, graph, path, done));
    path.pop();
    cycle
}

#[test]
fn a_cycle_is_found_through_any_number_of_modules() {
    let parse = |files: &[(&str, &str)]| {
        let sources = files.iter().map(|(file, text)| Source::parse(file, text));
        first(&sources.collect::<Vec<_>>())
    };
    let free = [
        ("crates/x/src/lib.rs", "use crate::a::A; use crate::c::C;"),
        ("crates/x/src/a.rs", "use crate::b::B; use crate::A;"),
        (
            "crates/x/src/a/part.rs",
            "use crate::a::A; use crate::c::C;",
        ),
        ("crates/x/src/b.rs", "use crate::c::C;"),
        ("crates/x/src/c.rs", "use std::fmt;"),
    ];
    assert_eq!(parse(&free), None);
    let mut circular = free;
    circular[4] = ("crates/x/src/c/part.rs", "use crate::a::A;");
    assert_eq!(parse(&circular).unwrap(), ["a", "b", "c"]);
    circular[1] = ("crates/x/src/a.rs", "");
    assert_eq!(parse(&circular).unwrap(), ["a", "c"]);
}
