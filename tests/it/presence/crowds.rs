//! Many people at once: a large group is shown as a number.

use serde_json::json;

use super::{is_here, leave, next_change};
use crate::support::{Service, Token};

#[tokio::test]
async fn a_large_group_is_shown_as_a_number_and_a_small_team_in_it_by_name() {
    let flags = ["--presence-crowd=10", "--presence-grace-seconds=0"];
    let service = Service::with(&flags).await;
    let ann = Token::user("ann", &["small"]);
    let mut stream = service.stream("/stream", &ann).await;
    let first = stream.next_state("presence:snapshot").await;
    assert_eq!(first["complete"], true);
    for n in 0..30 {
        let token = Token::user(&format!("u-{n}"), &["large"]);
        is_here(&service, &token, json!({"session": "s"})).await;
    }
    // The eleventh makes it a crowd.
    let crowd = stream.next_state("presence:snapshot").await;
    assert_eq!(crowd["complete"], false);
    assert_eq!(crowd["users"][0]["userId"], "ann");
    assert_eq!(crowd["users"].as_array().map(Vec::len), Some(1));
    let count = stream.next_state("presence:count").await;
    assert_eq!(count["data"]["online"], 31);
    let mate = Token::user("mate", &["small"]);
    is_here(&service, &mate, json!({"session": "s"})).await;
    let (user, status, _) = next_change(&mut stream).await;
    assert_eq!((&user[..], &status[..]), ("mate", "online"));
    let all = service.list("/presence", &ann).await;
    assert_eq!(
        (&all["online"], &all["complete"]),
        (&json!(32), &json!(true))
    );
    assert_eq!(all["users"].as_array().map(Vec::len), Some(32));
    // Viewers of one record still see who comes to it.
    let mut record = service.stream("/stream/records/escrows/e-1", &ann).await;
    record.next_state("presence:snapshot").await;
    let viewing = json!({"session": "s", "viewing": {"module": "escrows", "recordId": "e-1"}});
    is_here(&service, &Token::user("u-1", &["large"]), viewing).await;
    let came = record.next_state("user:viewing:escrow").await;
    assert_eq!(came["userId"], "u-1");
    for n in 0..30 {
        let token = Token::user(&format!("u-{n}"), &["large"]);
        assert_eq!(leave(&service, &token, "s").await.status, 204);
    }
    // They have gone. Those that are left are named again.
    let small = stream.next_state("presence:snapshot").await;
    assert_eq!(small["complete"], true);
}
