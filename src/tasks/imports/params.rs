//! What an import is asked to do.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::refusal::Refusal;
use crate::log::field_at_fault;
use crate::platform::{TeamId, UploadId};

/// What an import is asked to do.
#[derive(Clone, Debug)]
pub(super) struct Params {
    pub(super) module: String,
    pub(super) source: Source,
    /// Fields by the headers of their columns; none for a column that is left alone.
    pub(super) mapping: BTreeMap<String, Option<String>>,
    /// The headers of the columns that are used, if not all.
    pub(super) only: Option<Vec<String>>,
    pub(super) mode: Mode,
    pub(super) encoding: Encoding,
    pub(super) delimiter: u8,
    /// The team of records whose row names none.
    pub(super) team: Option<TeamId>,
}

#[derive(Clone, Debug)]
pub(super) enum Source {
    Upload(UploadId),
    Inline(String),
}

/// What becomes of good rows when there are bad ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mode {
    #[default]
    Keep,
    AllOrNothing,
}

/// How the file's bytes are letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum Encoding {
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// As Windows writes it, like everybody who says so.
    #[serde(rename = "latin-1")]
    Latin1,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ParamsJson {
    module: String,
    upload: Option<UploadId>,
    csv: Option<String>,
    #[serde(default)]
    mapping: BTreeMap<String, Option<String>>,
    only_columns: Option<Vec<String>>,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    encoding: Encoding,
    delimiter: Option<String>,
    team_id: Option<TeamId>,
}

impl Params {
    /// Reads the parameters of a task.
    pub(super) fn parse(raw: Option<&RawValue>) -> Result<Self, Refusal> {
        let json = parse(raw.map_or("{}", RawValue::get))?;
        let source = match (json.upload, json.csv) {
            (Some(upload), None) => Source::Upload(upload),
            (None, Some(csv)) => Source::Inline(csv),
            _ => return Err(invalid("upload", "give either upload or csv")),
        };
        let delimiter = delimiter(json.delimiter.as_deref()).ok_or_else(|| {
            let why = "delimiter is one character that stands between values, like , ; | or a tab";
            invalid("delimiter", why)
        })?;
        Ok(Self {
            module: json.module,
            source,
            mapping: json.mapping,
            only: json.only_columns,
            mode: json.mode,
            encoding: json.encoding,
            delimiter,
            team: json.team_id,
        })
    }
}

fn invalid(field: &str, why: &str) -> Refusal {
    Refusal::at(field, "invalid_params", format!("params: {why}."))
}

fn parse(text: &str) -> Result<ParamsJson, Refusal> {
    // A list of the fields' values would do for a struct, too.
    if !text.starts_with('{') {
        return Err(invalid("", "must be an object"));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let why = error.into_inner().to_string();
        invalid(&field_at_fault(&path, &why).unwrap_or_default(), &why)
    })
}

fn delimiter(text: Option<&str>) -> Option<u8> {
    match text.unwrap_or(",").as_bytes() {
        [b'\t'] => Some(b'\t'),
        [byte] if byte.is_ascii_punctuation() && !b"\"'.-_$%".contains(byte) => Some(*byte),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Params, Refusal> {
        Params::parse(Some(&RawValue::from_string(json.to_owned()).unwrap()))
    }

    #[test]
    fn what_is_left_out_is_as_usual() {
        let params = parse(r#"{"module":"leads","csv":"Name\nAnn"}"#).unwrap();
        assert_eq!((params.mode, params.encoding), (Mode::Keep, Encoding::Utf8));
        assert_eq!(params.delimiter, b',');
    }

    #[test]
    fn wrong_parameters_are_refused_by_name() {
        let with = |more: &str| format!(r#"{{"module":"leads","csv":"a",{more}}}"#);
        for (json, field, word) in [
            ("{}", "module", "module"),
            ("[]", "", "object"),
            (r#"["leads",null,"a"]"#, "", "object"),
            (r#""csv""#, "", "object"),
            (r#"{"module":"leads"}"#, "upload", "upload or csv"),
            (&with(r#""upload":"b""#), "upload", "upload or csv"),
            (&with(r#""mode":"some""#), "mode", "some"),
            (&with(r#""encoding":"utf-16""#), "encoding", "utf-16"),
            (&with(r#""delimiter":"ab""#), "delimiter", "delimiter"),
            (&with(r#""delimiter":"\"""#), "delimiter", "delimiter"),
            (&with(r#""delimiter":"\n""#), "delimiter", "delimiter"),
            (&with(r#""speed":1"#), "speed", "speed"),
            (&with(r#""mapping":{"Price":5}"#), "mapping.Price", "string"),
            (&with(r#""teamId":"a/b""#), "teamId", "characters"),
        ] {
            let Err(why) = parse(json) else {
                panic!("{json}");
            };
            assert_eq!((why.code, &*why.field), ("invalid_params", field), "{json}");
            assert!(why.sentence.contains(word), "{json}: {why:?}");
        }
    }
}
