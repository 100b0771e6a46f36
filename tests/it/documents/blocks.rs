//! The code blocks of a document.

/// How a block is treated.
#[derive(Debug, PartialEq)]
pub enum Way {
    /// Commands for a shell.
    Shell,
    /// A command that runs until somebody stops it.
    OwnTerminal,
    Sql,
    Python,
    /// Another test runs it, in a browser.
    Browser,
    /// It has no commands: output, a file, a configuration.
    Text,
    /// It is not run, for this reason.
    NotRun(String),
    /// What is wrong with it.
    Unknown(String),
}

const NOT_RUN: &str = "<!-- not run:";
const OWN_TERMINAL: &str = "<!-- in a terminal of its own -->";
/// Languages of blocks that are no commands.
const TEXTS: [&str; 11] = [
    "", "json", "text", "http", "toml", "yaml", "html", "nginx", "ini", "diff", "ts",
];
/// Beginnings of lines that are commands, whatever the language of the block says.
const COMMANDS: [&str; 14] = [
    "$ ",
    "curl ",
    "porchlight ",
    "psql ",
    "cargo ",
    "scripts/",
    "benches/",
    "npm ",
    "npx ",
    "node ",
    "docker ",
    "fly ",
    "railway ",
    "select porchlight",
];

pub struct Block {
    pub way: Way,
    pub text: String,
    /// The line of its first command.
    pub line: usize,
}

impl Block {
    pub fn is_run(&self) -> bool {
        matches!(
            self.way,
            Way::Shell | Way::OwnTerminal | Way::Sql | Way::Python
        )
    }

    /// Whether a line of it ends with `&`, before its comment.
    pub fn leaves_something_running(&self) -> bool {
        let mut code = self
            .text
            .lines()
            .map(|line| line.split(" #").next().unwrap_or_default());
        code.any(|code| code.trim_end().ends_with('&'))
    }

    /// Why it must be changed, if it must.
    pub fn objection(&self) -> Option<String> {
        match &self.way {
            Way::Unknown(what) => Some(what.clone()),
            Way::NotRun(reason) if reason.is_empty() => Some("says no reason".to_owned()),
            Way::Text => {
                let mut lines = self.text.lines().map(str::trim_start);
                let command =
                    lines.find(|line| COMMANDS.iter().any(|start| line.starts_with(start)));
                command.map(|line| format!("is not run, but has a command: {line}"))
            }
            _ => None,
        }
    }
}

/// All blocks between lines of three backticks.
pub fn of(document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = (1..).zip(document.lines());
    let mut before = "";
    while let Some((number, line)) = lines.next() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            let inside = lines.by_ref().map(|(_, line)| line);
            let text: Vec<_> = inside.take_while(|line| line.trim() != "```").collect();
            blocks.push(Block {
                way: way(before.trim(), language.trim()),
                text: text.join("\n"),
                line: number + 1,
            });
        }
        before = line;
    }
    blocks
}

fn way(before: &str, language: &str) -> Way {
    if let Some(reason) = before.strip_prefix(NOT_RUN) {
        return Way::NotRun(reason.trim_end_matches("-->").trim().to_owned());
    }
    match language {
        "sh" | "bash" | "shell" | "console" if before == OWN_TERMINAL => Way::OwnTerminal,
        "sh" => Way::Shell,
        "sql" => Way::Sql,
        "python" => Way::Python,
        "js" => Way::Browser,
        text if TEXTS.contains(&text) => Way::Text,
        other => Way::Unknown(format!("nobody knows how to run {other:?}")),
    }
}
