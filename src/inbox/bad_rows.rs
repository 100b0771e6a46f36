//! What an import has left out.

use serde::Deserialize;

use crate::log::Event;

/// The type of import tasks.
const IMPORT: &str = "import_csv";

/// The fields that matter in the data of an event.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ImportEnd {
    task_type: String,
    result: ImportCounts,
}

#[derive(Deserialize)]
struct ImportCounts {
    bad: u64,
}

/// How many rows became no records, if this is the end of an import.
pub(super) fn bad_rows(event: &Event) -> u64 {
    let data = event.body.data.as_deref();
    let end = data.and_then(|data| serde_json::from_str::<ImportEnd>(data.get()).ok());
    let import = end.filter(|end| end.task_type == IMPORT);
    import.map_or(0, |import| import.result.bad)
}
