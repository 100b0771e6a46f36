//! The parameters of an import.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::refusal::ParamsRefusal;
use crate::log::field_at_fault;
use crate::platform::{TeamId, UploadId};

#[derive(Clone, Debug)]
pub(super) struct ImportParams {
    pub(super) module: String,
    pub(super) source: CsvSource,
    /// Fields by the headers of their columns. None for a column that is ignored.
    pub(super) mapping: BTreeMap<String, Option<String>>,
    /// The headers of the columns that are used. None for all.
    pub(super) only: Option<Vec<String>>,
    pub(super) mode: ImportMode,
    pub(super) encoding: TextEncoding,
    pub(super) delimiter: u8,
    /// The team of records whose rows name none.
    pub(super) team: Option<TeamId>,
}

#[derive(Clone, Debug)]
pub(super) enum CsvSource {
    Upload(UploadId),
    Inline(String),
}

/// What happens to good rows when there are bad ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ImportMode {
    #[default]
    Keep,
    AllOrNothing,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum TextEncoding {
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// Windows-1252, which most files that are called Latin-1 have.
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
    mode: ImportMode,
    #[serde(default)]
    encoding: TextEncoding,
    delimiter: Option<String>,
    team_id: Option<TeamId>,
}

impl ImportParams {
    pub(super) fn parse(raw: Option<&RawValue>) -> Result<Self, ParamsRefusal> {
        let json = parse(raw.map_or("{}", RawValue::get))?;
        let source = match (json.upload, json.csv) {
            (Some(upload), None) => CsvSource::Upload(upload),
            (None, Some(csv)) => CsvSource::Inline(csv),
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

fn invalid(field: &str, why: &str) -> ParamsRefusal {
    ParamsRefusal::at(field, "invalid_params", format!("params: {why}."))
}

fn parse(text: &str) -> Result<ParamsJson, ParamsRefusal> {
    // Serde would also accept an array of the values of the fields.
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

    fn parse(json: &str) -> Result<ImportParams, ParamsRefusal> {
        ImportParams::parse(Some(&RawValue::from_string(json.to_owned()).unwrap()))
    }

    #[test]
    fn parameters_have_defaults() {
        let params = parse(r#"{"module":"leads","csv":"Name\nAnn"}"#).unwrap();
        assert_eq!(
            (params.mode, params.encoding),
            (ImportMode::Keep, TextEncoding::Utf8)
        );
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
