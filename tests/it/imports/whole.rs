//! All or nothing.

use serde_json::{Value, json};

use super::{ann, ask, count, ended, failure, import, output, result, upload, working};
use crate::support::Service;

async fn escrows(service: &Service) -> i64 {
    let mut sql = service.database.connect().await;
    count(&mut sql, "select count(*) from porchlight.escrows").await
}

#[tokio::test]
async fn one_bad_row_and_nothing_is_created() {
    let service = working().await;
    let ann = ann();
    let good = |n: usize| format!("{n} Oak St,2025-01-01,2025-02-01,e-{n}\n");
    let good: String = (0..300).map(good).collect();
    let params =
        |upload: &str| json!({"module": "escrows", "upload": upload, "mode": "all_or_nothing"});
    let header = "Address,Open Date,Close Date,Id\n";
    // What can be seen in the file; what only the table knows; a name that is taken in the file.
    for (bad, reason) in [
        ("x,nonsense,,\n", "must be a day like 2025-11-02"),
        ("x,2025-03-01,2025-02-01,\n", "must not be before openDate"),
        (
            "x,,,e-7\n",
            "cannot be used; choose another, or leave it empty",
        ),
    ] {
        let file = upload(&service, &ann, format!("{header}{good}{bad}{bad}")).await;
        let id = ask(&service, &ann, params(&file)).await;
        let task = ended(&service, &ann, &id).await;
        let (code, message) = failure(&task);
        assert_eq!(code, "bad_rows");
        assert!(message.starts_with("2 of 302 rows are bad"), "{message}");
        let partial = &task["partial"];
        assert_eq!(
            (&partial["created"], &partial["bad"]),
            (&json!(0), &json!(2)),
            "{task}"
        );
        let lines: Vec<_> = partial["errors"].as_array().unwrap().iter().collect();
        let named = |error: &Value| (error["line"].clone(), error["reason"].clone());
        assert_eq!(named(lines[0]), (json!(302), json!(reason)));
        assert_eq!(named(lines[1]), (json!(303), json!(reason)));
        assert_eq!(output(&service, &ann, &id).await.len(), 2);
        assert_eq!(escrows(&service).await, 0);
    }
    let file = upload(&service, &ann, format!("{header}{good}")).await;
    let task = import(&service, &ann, params(&file)).await;
    assert_eq!(
        result(&task),
        json!({"rows": 300, "created": 300, "bad": 0, "errors": []})
    );
    assert_eq!(
        (escrows(&service).await, &task["percent"]),
        (300, &json!(100))
    );
    let csv = format!("{header}{}", "1 Elm St,,,e-1\n2 Elm St,,,\n");
    let kept = json!({"module": "escrows", "csv": csv});
    let done = result(&import(&service, &ann, kept).await);
    assert_eq!((&done["created"], &done["bad"]), (&json!(1), &json!(1)));
    assert_eq!(
        done["errors"][0]["reason"],
        "cannot be used; choose another, or leave it empty"
    );
    assert_eq!(escrows(&service).await, 301);
}
