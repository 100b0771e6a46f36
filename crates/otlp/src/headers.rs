//! Headers of all requests, as `OTEL_EXPORTER_OTLP_HEADERS` lists them.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

/// Lines of the head of a request. Their values are secret.
#[derive(Clone, Default)]
pub struct ExportHeaders(String);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the headers are not `name=value` with commas between, and values percent-encoded")]
pub struct BadHeaders;

impl ExportHeaders {
    pub(crate) fn lines(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ExportHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExportHeaders")
    }
}

impl FromStr for ExportHeaders {
    type Err = BadHeaders;

    fn from_str(text: &str) -> Result<Self, BadHeaders> {
        let mut lines = String::new();
        let listed = text.split(',').map(str::trim);
        for header in listed.filter(|header| !header.is_empty()) {
            let (name, value) = header.split_once('=').ok_or(BadHeaders)?;
            let (name, value) = (name.trim(), value.trim());
            let value = percent_decode_str(value).decode_utf8();
            let value = value.map_err(|_| BadHeaders)?;
            if !is_name(name) || !value.bytes().all(|c| (b' '..=b'~').contains(&c)) {
                return Err(BadHeaders);
            }
            lines.extend([name, ": ", &value, "\r\n"]);
        }
        Ok(Self(lines))
    }
}

fn is_name(name: &str) -> bool {
    let is_of_name = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
    !name.is_empty() && name.bytes().all(is_of_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_becomes_lines() {
        let lines = |text: &str| text.parse::<ExportHeaders>().map(|headers| headers.0);
        assert_eq!(lines(""), Ok(String::new()));
        assert_eq!(
            lines("api-key=abc%3D, x-tenant = one ,,"),
            Ok("api-key: abc=\r\nx-tenant: one\r\n".to_owned())
        );
        for bad in ["a", "=b", "a b=c", "a=%0d%0aHost: x", "a=%ff", "a:=b"] {
            assert_eq!(lines(bad), Err(BadHeaders), "{bad}");
        }
    }

    #[test]
    fn values_are_not_shown() {
        let headers: ExportHeaders = "authorization=secret".parse().unwrap();
        assert!(!format!("{headers:?}").contains("secret"));
    }
}
