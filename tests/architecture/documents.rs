//! The documents, held against the files: the paths that they name, their links, and their index.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

use super::rules::MODULES;

const INDEX: &str = "docs/README.md";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A document, relative to the root, and its text.
struct Document {
    file: PathBuf,
    text: String,
}

impl Document {
    fn read(file: impl Into<PathBuf>) -> Self {
        let file = file.into();
        let text = read_to_string(root().join(&file)).expect("a document");
        Self { file, text }
    }

    /// All documents below a folder of the root.
    fn all(folder: &Path) -> Vec<Self> {
        let entries = std::fs::read_dir(root().join(folder)).expect("a folder");
        let documents = entries.flatten().flat_map(|entry| {
            let file = folder.join(entry.file_name());
            if entry.path().is_dir() {
                Self::all(&file)
            } else if is_document(&file) {
                vec![Self::read(file)]
            } else {
                Vec::new()
            }
        });
        documents.collect()
    }

    /// The texts between backticks, outside of code blocks.
    fn code_spans(&self) -> impl Iterator<Item = &str> {
        let prose = self.text.split("```").step_by(2);
        prose.flat_map(|text| text.split('`').skip(1).step_by(2))
    }

    /// The targets of links, except those to other sites.
    fn targets(&self) -> impl Iterator<Item = &str> {
        let prose = self.text.split("```").step_by(2);
        let targets = prose.flat_map(|text| text.split("](").skip(1));
        let targets = targets.filter_map(|rest| rest.split_once(')'));
        targets
            .map(|(target, _)| target)
            .filter(|target| !target.contains("://"))
    }

    /// The files that links lead to.
    fn links(&self) -> impl Iterator<Item = &str> {
        self.targets()
            .map(|target| target.split('#').next().unwrap_or_default())
            .filter(|link| !link.is_empty())
    }

    /// Links to a heading that is not there.
    fn dead_anchors(&self) -> Vec<String> {
        let targets = self.targets().filter_map(|target| target.split_once('#'));
        let dead = targets.filter(|(link, anchor)| match *link {
            "" => !self.has_heading(anchor),
            link if is_document(Path::new(link)) => {
                !Self::read(self.target(link)).has_heading(anchor)
            }
            _ => false,
        });
        let file = self.file.display();
        dead.map(|(link, anchor)| format!("{file} links to {link}#{anchor}"))
            .collect()
    }

    fn has_heading(&self, anchor: &str) -> bool {
        let prose = self.text.split("```").step_by(2);
        let mut headings = prose
            .flat_map(str::lines)
            .filter(|line| line.starts_with('#'));
        headings.any(|line| anchor_of(line.trim_start_matches('#').trim()) == anchor)
    }

    /// Where a link of this document leads to, relative to the root.
    fn target(&self, link: &str) -> PathBuf {
        let folder = self.file.parent().expect("a folder");
        let mut target = PathBuf::new();
        for part in folder.join(link).components() {
            if part.as_os_str() == ".." {
                target.pop();
            } else {
                target.push(part);
            }
        }
        target
    }

    fn dead_links(&self) -> Vec<String> {
        let dead = self
            .links()
            .filter(|link| !root().join(self.target(link)).exists());
        let file = self.file.display();
        dead.map(|link| format!("{file} links to {link}")).collect()
    }

    fn missing_paths(&self) -> Vec<String> {
        let missing = self.code_spans().filter(|span| is_missing(span));
        let file = self.file.display();
        missing.map(|span| format!("{file} names {span}")).collect()
    }
}

fn is_document(file: &Path) -> bool {
    file.extension().is_some_and(|end| end == "md")
}

/// The name by which links reach a heading, as code hosts make it.
fn anchor_of(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// Whether a text names a file or folder of the repository that is not there. Paths may begin
/// below `src`. A text is a path if it has a slash, and a file extension or a known first folder.
fn is_missing(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let exists = |path: &str| root().join(path).exists() || root().join("src").join(path).exists();
    let Some((first, rest)) = text.split_once('/') else {
        return false;
    };
    let is_file = Path::new(rest).extension().is_some();
    let is_path = text.chars().all(is_plain) && !first.is_empty() && (is_file || exists(first));
    is_path && !exists(text)
}

fn documents() -> Vec<Document> {
    let mut documents = Document::all(Path::new("docs"));
    let at_the_root = [
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
    ];
    documents.extend(at_the_root.map(Document::read));
    documents
}

/// The documents whose links are tested: those of the clients name paths of the service, too.
fn linked_documents() -> Vec<Document> {
    let mut documents = documents();
    let of_clients = ["web/client/README.md", "clients/python/README.md"];
    documents.extend(of_clients.map(Document::read));
    documents
}

#[test]
fn every_path_that_a_document_names_exists() {
    let missing: Vec<_> = documents()
        .iter()
        .flat_map(Document::missing_paths)
        .collect();
    assert!(missing.is_empty(), "\n{}\n", missing.join("\n"));
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let documents = linked_documents();
    let links = documents.iter().flat_map(Document::links).count();
    assert!(links > 50, "the links were not found");
    let dead: Vec<_> = documents.iter().flat_map(Document::dead_links).collect();
    assert!(dead.is_empty(), "\n{}\n", dead.join("\n"));
}

#[test]
fn every_link_to_a_heading_finds_it() {
    let documents = linked_documents();
    let dead: Vec<_> = documents.iter().flat_map(Document::dead_anchors).collect();
    assert!(dead.is_empty(), "\n{}\n", dead.join("\n"));
}

#[test]
fn the_index_lists_every_document() {
    let index = Document::read(INDEX);
    let listed: Vec<_> = index.links().map(|link| index.target(link)).collect();
    for document in Document::all(Path::new("docs")) {
        let is_listed = listed.contains(&document.file) || document.file == index.file;
        assert!(is_listed, "{} is not in the index", document.file.display());
    }
}

#[test]
fn the_map_names_every_module() {
    let architecture = Document::read("docs/ARCHITECTURE.md");
    let spans: Vec<_> = architecture.code_spans().collect();
    for module in MODULES {
        assert!(spans.contains(&module.name), "{} is missing", module.name);
    }
}

#[test]
fn a_missing_path_is_noticed_and_other_texts_are_not() {
    for missing in ["src/no_such.rs", "api/no_such", "no_such/file.rs"] {
        assert!(is_missing(missing), "{missing}");
    }
    for other in [
        "src/lib.rs",
        "log/event.rs",
        "docs",
        "module/id",
        "GET /events",
        "/events",
        "src/api/<resource>.rs",
    ] {
        assert!(!is_missing(other), "{other}");
    }
}

/// Two rows about one thing soon say two things.
#[test]
fn the_table_of_defences_has_each_threat_once() {
    let security = Document::read("SECURITY.md");
    let (_, table) = security
        .text
        .split_once("| threat | defence |\n")
        .expect("a table");
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let threats: Vec<_> = rows.filter_map(|row| row.split('|').nth(1)).collect();
    assert!(threats.len() > 5, "{threats:?}");
    for (place, threat) in threats.iter().enumerate() {
        assert!(!threats[..place].contains(threat), "{threat}");
    }
}
