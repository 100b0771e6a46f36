//! The cases in the files beside this one. The README there explains them.

use std::path::Path;

use serde::Deserialize;

const EVENT: &str = r#"{"type":"t","audience":{"broker":true}}"#;
/// The type of the event that is published when a hidden request is carried out.
pub const HIDDEN: &str = "hidden";
const LIVE: &str = "GET /health/live HTTP/1.1\r\nHost: x\r\n";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub name: String,
    bytes: String,
    statuses: Vec<u16>,
    pub open: bool,
    #[serde(default)]
    pub bytewise: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    case: Vec<Case>,
}

impl Case {
    pub fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/framing");
        let files = std::fs::read_dir(folder).expect("a folder");
        let files = files.map(|file| file.expect("a file").path());
        let files = files.filter(|path| path.extension().is_some_and(|end| end == "toml"));
        let cases = files.flat_map(|path| {
            let text = std::fs::read_to_string(&path).expect("text");
            let file: CaseFile =
                toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            file.case
        });
        cases.collect()
    }

    /// The request that must not be carried out.
    pub fn hidden(token: &str) -> String {
        expand("{hidden}", token)
    }

    /// Whether the last request is refused for its framing.
    pub fn is_refused(&self) -> bool {
        !self.open && matches!(self.statuses.last(), Some(400 | 431))
    }

    /// All statuses, with that of the request that follows.
    pub fn statuses(&self) -> Vec<u16> {
        let mut statuses = self.statuses.clone();
        statuses.extend(self.open.then_some(200));
        statuses
    }

    /// The bytes, and the request that follows.
    pub fn bytes(&self, token: &str) -> Vec<u8> {
        let next = if self.open {
            expand("{last}", token)
        } else {
            Self::hidden(token)
        };
        let text = expand(&self.bytes, token) + &next;
        text.chars()
            .map(|char| u8::try_from(u32::from(char)).expect("a byte"))
            .collect()
    }
}

/// Puts texts in the place of `{name}` and `{text*97}`.
fn expand(template: &str, token: &str) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').expect("a closed placeholder");
        text.push_str(before);
        text.push_str(&match name.rsplit_once('*') {
            Some((name, times)) => {
                let one = placeholder(name, token).unwrap_or_else(|| name.to_owned());
                one.repeat(times.parse().expect("a number"))
            }
            // A brace of JSON.
            None => placeholder(name, token).unwrap_or_else(|| format!("{{{name}}}")),
        });
        rest = after;
    }
    text + rest
}

fn placeholder(name: &str, token: &str) -> Option<String> {
    let authorization = format!("Authorization: Bearer {token}\r\n");
    let post = format!(
        "POST /events HTTP/1.1\r\nHost: x\r\n{authorization}Content-Type: application/json\r\n"
    );
    Some(match name {
        "live" => format!("{LIVE}\r\n"),
        "last" => format!("{LIVE}Connection: close\r\n\r\n"),
        "list" => {
            format!("GET /events?limit=1 HTTP/1.1\r\nHost: x\r\n{authorization}\r\n")
        }
        "event" => EVENT.to_owned(),
        "length" => EVENT.len().to_string(),
        "hex" => format!("{:x}", EVENT.len()),
        "HEX" => format!("{:X}", EVENT.len()),
        "hidden" => {
            let event = format!(r#"{{"type":"{HIDDEN}","audience":{{"broker":true}}}}"#);
            let length = event.len();
            format!("{post}Content-Length: {length}\r\n\r\n{event}")
        }
        "post" => post,
        _ => return None,
    })
}
