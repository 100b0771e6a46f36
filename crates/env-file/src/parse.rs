//! From text to variables.

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvVariable {
    pub name: String,
    pub value: String,
}

/// Where a file is wrong, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct WrongLine {
    pub line: usize,
    pub problem: EnvFileProblem,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvFileProblem {
    #[error("it is not NAME=value")]
    Form,
    #[error(
        "a value with spaces, quotes or \\ in it, or with # at its beginning, needs single quotes around it: NAME='value'"
    )]
    NeedsQuotes,
    #[error("the quote that the value begins with has no end")]
    OpenQuote,
    #[error(
        "in double quotes, \\ may stand before n, \", $ and \\ only. Single quotes leave everything as it is"
    )]
    Escape,
    #[error("only a comment may follow the closing quote, after a space")]
    BehindQuote,
    #[error("a value cannot have a NUL character")]
    Nul,
}

const BLANKS: [char; 2] = [' ', '\t'];

/// The variables of a file, in its order.
///
/// # Errors
/// The first line that is wrong.
pub fn parse(text: &str) -> Result<Vec<EnvVariable>, WrongLine> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut variables = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if rest.starts_with('#') {
            rest = next_line(rest);
        } else {
            let (variable, behind) = variable(rest).map_err(|problem| WrongLine {
                line: text[..text.len() - rest.len()].matches('\n').count() + 1,
                problem,
            })?;
            variables.push(variable);
            rest = behind;
        }
        rest = rest.trim_start();
    }
    Ok(variables)
}

/// The variable that a text begins with, and the text behind its line.
fn variable(text: &str) -> Result<(EnvVariable, &str), EnvFileProblem> {
    let (name, text) = text.split_once('=').ok_or(EnvFileProblem::Form)?;
    let name = name_of(name).ok_or(EnvFileProblem::Form)?;
    let value = text.trim_start_matches(BLANKS);
    let (value, behind) = if let Some(quoted) = value.strip_prefix('\'') {
        let (value, behind) = quoted.split_once('\'').ok_or(EnvFileProblem::OpenQuote)?;
        (value.to_owned(), next_after_quote(behind)?)
    } else if let Some(quoted) = value.strip_prefix('"') {
        let (value, behind) = double_quoted(quoted)?;
        (value, next_after_quote(behind)?)
    } else if value.starts_with('#') && value.len() < text.len() {
        (String::new(), next_line(value))
    } else {
        (plain(value)?.to_owned(), next_line(value))
    };
    if value.contains('\0') {
        return Err(EnvFileProblem::Nul);
    }
    let name = name.to_owned();
    Ok((EnvVariable { name, value }, behind))
}

/// The name before a `=`, without `export`.
fn name_of(text: &str) -> Option<&str> {
    let text = text.trim_end_matches(BLANKS);
    let exported = text.strip_prefix("export");
    let exported = exported.filter(|name| name.starts_with(BLANKS));
    let name = exported.map_or(text, |name| name.trim_start_matches(BLANKS));
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (begins && name.chars().all(is_of_name)).then_some(name)
}

/// A value without quotes: what the line has, up to a comment.
fn plain(text: &str) -> Result<&str, EnvFileProblem> {
    let line = text.lines().next().unwrap_or_default();
    let comment = BLANKS
        .iter()
        .filter_map(|blank| line.find(&format!("{blank}#")));
    let value = comment.min().map_or(line, |at| &line[..at]).trim_end();
    let is_wrong = |c: char| c.is_whitespace() || "'\"\\".contains(c);
    if value.starts_with('#') || value.contains(is_wrong) {
        return Err(EnvFileProblem::NeedsQuotes);
    }
    Ok(value)
}

/// The value up to the closing quote, and the text behind that.
fn double_quoted(text: &str) -> Result<(String, &str), EnvFileProblem> {
    let mut value = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next().ok_or(EnvFileProblem::OpenQuote)? {
            '"' => return Ok((value, chars.as_str())),
            '\\' => value.push(match chars.next().ok_or(EnvFileProblem::OpenQuote)? {
                'n' => '\n',
                same @ ('"' | '$' | '\\') => same,
                _ => return Err(EnvFileProblem::Escape),
            }),
            other => value.push(other),
        }
    }
}

/// The text behind the line on which a quote was closed.
fn next_after_quote(text: &str) -> Result<&str, EnvFileProblem> {
    let line = text.lines().next().unwrap_or_default();
    let is_empty = line.trim().is_empty();
    let is_comment = line.starts_with(BLANKS) && line.trim_start().starts_with('#');
    if is_empty || is_comment {
        Ok(next_line(text))
    } else {
        Err(EnvFileProblem::BehindQuote)
    }
}

fn next_line(text: &str) -> &str {
    text.split_once('\n').map_or("", |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(text: &str) -> Result<String, EnvFileProblem> {
        let parsed = parse(text).map_err(|wrong| wrong.problem)?;
        assert_eq!(parsed.len(), 1, "{text:?}");
        assert_eq!(parsed[0].name, "NAME", "{text:?}");
        Ok(parsed[0].value.clone())
    }

    #[test]
    fn a_value_is_what_the_file_says() {
        for (text, expected) in [
            ("NAME=0123$456789", "0123$456789"),
            ("NAME=p$w@h${x}$(y)`z`", "p$w@h${x}$(y)`z`"),
            ("NAME=\"id = $1\"", "id = $1"),
            ("NAME='id = $1 \\n \"x\"'", "id = $1 \\n \"x\""),
            (r#"NAME="a\nb\"c\\d\$e'""#, "a\nb\"c\\d$e'"),
            ("NAME=", ""),
            ("NAME= # nothing", ""),
            ("NAME=''", ""),
            ("NAME=a#b=c", "a#b=c"),
            ("NAME=a\t# b", "a"),
            ("NAME=\"a\" # 'b", "a"),
            ("  export  NAME = a  \r\n", "a"),
            ("\u{feff}NAME=a", "a"),
            ("# NAME=b\n\n \t\nNAME=a\n#", "a"),
            ("NAME='select 1\n  = $1'\n", "select 1\n  = $1"),
        ] {
            assert_eq!(value(text).as_deref(), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn what_may_mean_two_things_is_refused() {
        use EnvFileProblem::{BehindQuote, Escape, Form, NeedsQuotes, Nul, OpenQuote};
        for (text, problem) in [
            ("NAME", Form),
            ("=a", Form),
            ("1NAME=a", Form),
            ("A NAME=a", Form),
            ("NAME\n=a", Form),
            ("NAME: a=b", Form),
            ("NAME=a b", NeedsQuotes),
            ("NAME=a\\b", NeedsQuotes),
            ("NAME=it's", NeedsQuotes),
            ("NAME=#a", NeedsQuotes),
            ("NAME='a", OpenQuote),
            ("NAME=\"a\\\"", OpenQuote),
            ("NAME=\"a\\tb\"", Escape),
            ("NAME='a'b", BehindQuote),
            ("NAME='a'#b", BehindQuote),
            ("NAME='it'\\''s'", BehindQuote),
            ("NAME=a\0b", Nul),
        ] {
            assert_eq!(value(text), Err(problem), "{text:?}");
        }
    }

    #[test]
    fn the_line_that_is_wrong_is_counted_from_1_over_values_of_several_lines() {
        for (text, line) in [("A", 1), ("A='1\n2\n'\n# b\nA b", 5), ("\r\nA='", 2)] {
            assert_eq!(parse(text).unwrap_err().line, line, "{text:?}");
        }
    }

    fn in_double_quotes(value: &str) -> String {
        format!("\"{}\"", value.replace('\\', r"\\").replace('"', r#"\""#))
    }

    proptest! {
        #[test]
        fn any_value_comes_back_from_quotes(values in proptest::collection::vec("[^\0]*", 0..4), single in "[^\0']*") {
            let quoted = values.iter().map(|value| in_double_quotes(value));
            let lines: Vec<_> = quoted.chain([format!("'{single}'")]).map(|value| format!("NAME={value} # '\n")).collect();
            let parsed = parse(&lines.concat()).unwrap();
            let parsed: Vec<_> = parsed.into_iter().map(|variable| variable.value).collect();
            prop_assert_eq!(parsed, [&values[..], &[single]].concat());
        }

        #[test]
        fn a_value_without_spaces_quotes_and_backslashes_needs_no_quotes(value in r#"[!-~&&[^'"\\#]][!-~&&[^'"\\]]*"#) {
            let parsed = parse(&format!("NAME={value} # more\n")).unwrap();
            prop_assert_eq!(&parsed[0].value, &value);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "([A-C=#'\"\\\\ \n]|\\PC|\0){0,40}") {
            if let Ok(variables) = parse(&text) {
                let names = variables.iter().all(|one| !one.name.is_empty() && !one.name.contains('='));
                prop_assert!(names && variables.iter().all(|one| !one.value.contains('\0')));
            }
        }
    }
}
