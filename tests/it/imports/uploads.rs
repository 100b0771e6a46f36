//! Files on their way to the service.

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::json;

use super::{WORKING, ann, count, failure, import, refused, result, send_file, upload, working};
use crate::support::{Answer, Service, Token};

#[tokio::test]
async fn an_upload_is_a_csv_file_of_a_bounded_size() {
    let service = Service::with(&["--upload-bytes=1024"]).await;
    let ann = ann();
    let sent = send_file(&service, &ann, vec![b'x'; 1_024]).await;
    assert_eq!((sent.status, &sent.json()["bytes"]), (201, &json!(1_024)));
    let refused = send_file(&service, &ann, vec![b'x'; 1_025]).await;
    refused.refused(413, "body_too_large", "a file that is too large");
    let refused = send_file(&service, &ann, "").await;
    refused.refused(400, "empty_upload", "an empty file");
    let with = async |name: reqwest::header::HeaderName, value: &str, path: &str| {
        let request = service.client.post(service.url(path)).body("a");
        let request = request.bearer_auth(ann.signed());
        let request = if name == CONTENT_TYPE {
            request
        } else {
            request.header(CONTENT_TYPE, "text/csv")
        };
        Answer::to(request.header(name, value)).await
    };
    let json = with(CONTENT_TYPE, "application/json", "/uploads").await;
    let field = json.refused(415, "unsupported_media_type", "JSON");
    assert_eq!(field.as_deref(), Some("Content-Type"));
    let zipped = with(CONTENT_ENCODING, "gzip", "/uploads").await;
    zipped.refused(415, "unsupported_encoding", "a compressed file");
    let asked = with(CONTENT_TYPE, "text/csv", "/uploads?name=x").await;
    asked.refused(400, "invalid_parameter", "an unknown parameter");
    let nobody = service.client.post(service.url("/uploads")).body("a");
    Answer::to(nobody)
        .await
        .refused(401, "token_missing", "nobody");
}

#[tokio::test]
async fn a_user_has_so_many_uploads_and_an_import_makes_room() {
    let service = working().await;
    let ann = ann();
    let first = upload(&service, &ann, "Name\nAnn\n").await;
    let file = || send_file(&service, &ann, "Name\nBob\n");
    for _ in 1..16 {
        assert_eq!(file().await.status, 201);
    }
    // At once, so that counting them must take turns.
    let sent = futures_util::future::join_all((0..8).map(|_| file())).await;
    let kept = sent.iter().filter(|sent| sent.status == 201).count();
    assert_eq!(kept, 4, "{sent:?}");
    file()
        .await
        .refused(429, "too_many_uploads", "one too many");
    // Another user's uploads are counted separately.
    upload(&service, &Token::user("bob", &[]), "Name\n").await;
    let params = json!({"module": "leads", "upload": first});
    result(&import(&service, &ann, params).await);
    upload(&service, &ann, "Name\n").await;
}

#[tokio::test]
async fn files_that_were_tried_in_vain_make_room_for_better_ones() {
    let service = working().await;
    let ann = ann();
    let mut tried = Vec::new();
    for _ in 0..20 {
        tried.push(upload(&service, &ann, "Nom\nAnn\n").await);
    }
    let file = || send_file(&service, &ann, "Name\nAnn\n");
    file()
        .await
        .refused(429, "too_many_uploads", "none is tried");
    for id in &tried[1..3] {
        let task = import(&service, &ann, json!({"module": "leads", "upload": id})).await;
        assert_eq!(failure(&task).0, "missing_column");
    }
    assert_eq!(file().await.status, 201);
    let of = |id: &str| json!({"module": "leads", "upload": id, "mapping": {"Nom": "name"}});
    // The older one was removed, and the newer one can still be retried.
    let (_, reason, _) = refused(&service, &ann, of(&tried[1])).await;
    assert_eq!(reason, "no_such_upload");
    for id in [&tried[2], &tried[0]] {
        let task = import(&service, &ann, of(id)).await;
        assert_eq!(result(&task)["created"], 1);
    }
}

#[tokio::test]
async fn files_whose_imports_were_refused_make_room_after_a_while() {
    let service = working().await;
    let ann = ann();
    let mut files = Vec::new();
    for _ in 0..20 {
        files.push(upload(&service, &ann, "Nom\nAnn\n").await);
    }
    let params = |id: &str| json!({"module": "leads", "upload": id, "mapping": {"Nom": "nothing"}});
    for id in &files {
        refused(&service, &ann, params(id)).await;
    }
    let file = async || send_file(&service, &ann, "Name\nAnn\n").await;
    let full = file().await;
    full.refused(429, "too_many_uploads", "all may still be imported");
    assert!(full.text.contains("15 minutes"), "{}", full.text);
    let mut sql = service.database.connect().await;
    let age = "update porchlight.uploads set created_at = now() - interval '16 minutes'
        where id = any($1)";
    let aged = sqlx::query(age).bind(&files[3..5]).execute(&mut sql);
    aged.await.unwrap();
    for _ in 0..2 {
        assert_eq!(file().await.status, 201);
    }
    file()
        .await
        .refused(429, "too_many_uploads", "the others are young");
    // The unused ones were removed.
    for id in &files[3..5] {
        let of = json!({"module": "leads", "upload": id, "mapping": {"Nom": "name"}});
        let (_, reason, _) = refused(&service, &ann, of).await;
        assert_eq!(reason, "no_such_upload");
    }
}

#[tokio::test]
async fn an_upload_goes_after_a_day() {
    let flags = ["--retention-interval-seconds=1"]
        .into_iter()
        .chain(WORKING.iter().copied());
    let service = Service::with(&flags.collect::<Vec<_>>()).await;
    let (old, new) = (ann(), Token::user("bob", &[]));
    upload(&service, &old, "Name\n").await;
    upload(&service, &new, "Name\n").await;
    let mut sql = service.database.connect().await;
    let age = "update porchlight.uploads set created_at = now() - interval '25 hours'
        where user_id = 'ann'";
    sqlx::query(age).execute(&mut sql).await.unwrap();
    let left = crate::support::eventually("the old one is gone", async || {
        let mut sql = service.database.connect().await;
        let left = count(&mut sql, "select count(*) from porchlight.uploads").await;
        (left < 2).then_some(left)
    });
    assert_eq!(left.await, 1);
}
