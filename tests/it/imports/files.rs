//! Files in other encodings, empty, far too wide, and full of quotes.

use serde_json::json;

use super::{ann, failure, import, result, upload, working};

#[tokio::test]
async fn letters_are_what_the_file_says() {
    let service = working().await;
    let ann = ann();
    let names = async || {
        let page = service.list("/records/leads?sort=name", &ann).await;
        let records = page["records"].as_array().unwrap().clone();
        let names = records
            .iter()
            .map(|r| r["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    let latin = upload(&service, &ann, &b"Name\nAda\nZo\xEB \x80\n"[..]).await;
    let params = json!({"module": "leads", "upload": latin});
    let (code, message) = failure(&import(&service, &ann, params).await);
    assert_eq!(code, "not_utf8");
    assert!(
        message.contains("line 3, byte 12") && message.contains("latin-1"),
        "{message}"
    );
    let params = json!({"module": "leads", "upload": latin, "encoding": "latin-1"});
    result(&import(&service, &ann, params).await);
    assert_eq!(names().await, ["Ada", "Zoë €"]);
    // A byte order mark in front of the first header is no part of its name.
    let marked = upload(&service, &ann, "\u{feff}Name\nZed\n").await;
    let params = json!({"module": "leads", "upload": marked, "encoding": "latin-1"});
    result(&import(&service, &ann, params).await);
    assert_eq!(names().await, ["Ada", "Zed", "Zoë €"]);
    let wide = upload(&service, &ann, &b"\xFF\xFEN\0a\0m\0e\0"[..]).await;
    let params = json!({"module": "leads", "upload": wide});
    let (code, message) = failure(&import(&service, &ann, params).await);
    assert!(
        code == "not_utf8" && message.contains("UTF-16"),
        "{message}"
    );
}

#[tokio::test]
async fn files_that_cannot_be_imported_say_why() {
    let service = working().await;
    let ann = ann();
    let wide = format!("Name{}\nAnn\n", ",x".repeat(3_000_000));
    let long = format!("Name\n{}", "Ann\n".repeat(100_001));
    for (file, code, word) in [
        (wide, "too_many_columns", "1000"),
        (long, "too_many_rows", "100,000"),
        ("\n".to_owned(), "empty_csv", "empty"),
        ("\u{feff}".to_owned(), "empty_csv", "empty"),
        ("Name,Phone\n".to_owned(), "empty_csv", "no rows"),
        ("Name,Phone\n,\n , \n".to_owned(), "empty_csv", "no rows"),
        ("Phone\n1\n".to_owned(), "missing_column", "name"),
        ("Name,NAME\na,b\n".to_owned(), "duplicate_column", "NAME"),
        ("Name,\"Phone\nAnn,1\n".to_owned(), "open_quote", "header"),
    ] {
        let upload = upload(&service, &ann, file).await;
        let params = json!({"module": "leads", "upload": upload});
        let (found, message) = failure(&import(&service, &ann, params).await);
        assert!(
            found == code && message.contains(word),
            "{found}: {message}"
        );
    }
    let params = json!({"module": "leads", "csv": ""});
    let (found, _) = failure(&import(&service, &ann, params).await);
    assert_eq!(found, "empty_csv");
}

#[tokio::test]
async fn rows_that_are_too_large_are_bad_and_the_others_good() {
    let service = working().await;
    let ann = ann();
    let huge = "x".repeat(2_000_000);
    let wide = ",".repeat(5_000);
    let file = format!("Name,Phone\nAnn,1\n{huge},2\n{wide}\n\"Bob\n\"\"B\"\"\",3\n");
    let upload = upload(&service, &ann, file).await;
    let params = json!({"module": "leads", "upload": upload});
    let done = result(&import(&service, &ann, params).await);
    let expected = json!([
        {"line": 3, "reason": "is longer than 1 MiB"},
        {"line": 4, "reason": "has over 1000 values where the header has 2"},
    ]);
    assert_eq!((&done["created"], &done["errors"]), (&json!(2), &expected));
}

#[tokio::test]
async fn a_quote_that_is_never_closed_is_a_bad_row_and_no_text() {
    let service = working().await;
    let ann = ann();
    let file = "Name,Notes\nAnn,\"5\"\"\"\nBob,\"6\nCyd,7\nDee,8\n";
    let upload = upload(&service, &ann, file).await;
    let params = json!({"module": "leads", "upload": upload});
    let done = result(&import(&service, &ann, params).await);
    assert_eq!(
        (&done["created"], &done["errors"][0]["line"]),
        (&json!(1), &json!(3))
    );
    let reason = done["errors"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("never closed"), "{reason}");
}
