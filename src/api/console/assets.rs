//! The files of the page as they are sent: without comments, compressed, under a version of all of them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::LazyLock;

use actix_web::web::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use super::bundle::{bundle, without_comments};
use super::files::{FILES, PAGE, PageView, START, STYLES, WORKER};

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
/// Half of the digits of the version.
const VERSION_BYTES: usize = 6;

/// Made when the first one asks.
pub(super) static ASSETS: LazyLock<Assets> = LazyLock::new(Assets::new);

pub(super) struct Asset {
    pub(super) content_type: &'static str,
    /// Whether it decides what may be loaded: a page, and a worker. A policy for each script would be a third of what is sent.
    pub(super) has_policy: bool,
    pub(super) plain: Bytes,
    pub(super) gzip: Bytes,
}

impl Asset {
    fn new(content_type: &'static str, text: String) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        // Writing to a vector does not fail.
        let _ = encoder.write_all(text.as_bytes());
        Self {
            content_type,
            has_policy: false,
            gzip: encoder.finish().unwrap_or_default().into(),
            plain: text.into(),
        }
    }
}

pub(super) struct Assets {
    /// It changes with any file.
    pub(super) version: String,
    files: HashMap<&'static str, Asset>,
    bundles: HashMap<String, Asset>,
    pages: [Asset; PageView::ALL.len()],
}

impl Assets {
    fn new() -> Self {
        let version = version();
        let files = FILES.iter().map(|(name, text)| (*name, asset(name, text)));
        let page = |view| Asset {
            has_policy: true,
            ..Asset::new("text/html; charset=utf-8", page(view, &version))
        };
        Self {
            files: files.collect(),
            bundles: bundles(),
            pages: PageView::ALL.map(page),
            version,
        }
    }

    /// A file under the version: files that belong together are one.
    pub(super) fn versioned(&self, name: &str) -> Option<&Asset> {
        self.bundles.get(name).or_else(|| self.file(name))
    }

    pub(super) fn file(&self, name: &str) -> Option<&Asset> {
        self.files.get(name)
    }

    pub(super) fn page(&self, view: PageView) -> &Asset {
        &self.pages[view as usize]
    }
}

fn asset(name: &str, text: &str) -> Asset {
    match name.rsplit_once('.') {
        Some((_, "css")) => Asset::new(STYLE, text.to_owned()),
        _ => Asset {
            has_policy: name == WORKER,
            ..Asset::new(SCRIPT, without_comments(text))
        },
    }
}

fn version() -> String {
    let mut hash = Sha256::new();
    for (name, text) in FILES {
        hash.update(name);
        hash.update(text);
    }
    let mut version = String::new();
    for byte in &hash.finalize()[..VERSION_BYTES] {
        let _ = write!(version, "{byte:02x}");
    }
    version
}

fn page(view: PageView, version: &str) -> String {
    let base = format!("/console/{version}/{}", view.name());
    let head = format!(
        "  <link rel=\"stylesheet\" href=\"{base}.css\">\n  \
         <script type=\"module\" src=\"{base}.js\"></script>"
    );
    PAGE.replace("  <!-- styles and scripts -->", &head)
        .replace("{view}", view.name())
        .replace("{title}", view.title())
        .replace("{script}", view.script())
}

/// The styles of a view.
fn styles(view: PageView) -> String {
    let names = STYLES
        .iter()
        .chain([&view.style()])
        .copied()
        .collect::<Vec<_>>();
    let files = FILES.iter().filter(|(name, _)| names.contains(name));
    let mut files: Vec<_> = files.collect();
    files.sort_by_key(|(name, _)| names.iter().position(|other| other == name));
    files.iter().map(|(_, text)| *text).collect()
}

/// What is served under the version only: one script and one style sheet for each view, and one script for the worker.
fn bundles() -> HashMap<String, Asset> {
    let views = PageView::ALL.into_iter().flat_map(|view| {
        let script = Asset::new(SCRIPT, bundle(START, &[view.script()]));
        let style = Asset::new(STYLE, styles(view));
        let name = view.name();
        [
            (format!("{name}.js"), script),
            (format!("{name}.css"), style),
        ]
    });
    let worker = Asset {
        has_policy: true,
        ..Asset::new(SCRIPT, bundle(WORKER, &[]))
    };
    views.chain([(WORKER.to_owned(), worker)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_one_script_and_one_style_sheet() {
        for view in PageView::ALL {
            let page = page(view, "v");
            for end in ["js", "css"] {
                let expected = format!("=\"/console/v/{}.{end}\"", view.name());
                assert!(page.contains(&expected), "{page}");
            }
            assert!(
                !page.contains('{') && !page.contains("<!-- styles"),
                "{page}"
            );
        }
    }
}
