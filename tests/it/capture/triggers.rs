//! Triggers of the CRM's own, beside those of the watch.

use super::{Crm, in_short};

const OF_ITS_OWN: &str = "create function public.name_it() returns trigger language plpgsql as $$
    begin
        if new.notes is null then
            update public.listings set notes = 'named', version = version + 1 where id = new.id;
        elsif new.notes = 'go' then
            delete from public.listings where id = new.id;
        end if;
        return null;
    end $$;
    create trigger a_name after insert or update on public.listings
        for each row execute function public.name_it()";
const WATCH: &str = "select porchlight.watch('public.listings', module => 'listings',
    broker_column => 'broker_id', team_column => 'team_id', version_column => 'version',
    hidden_columns => '{broker_id,team_id,agent_id,archived_at,updated_by,commission}')";

#[tokio::test]
async fn the_last_event_of_a_row_that_a_trigger_changed_again_has_its_final_values() {
    let mut crm = Crm::with_listings().await;
    crm.run(WATCH).await;
    crm.run(OF_ITS_OWN).await;
    crm.run("insert into public.listings (id, team_id) values ('l-1', 'a')")
        .await;
    crm.run("update public.listings set notes = null, list_price = 2, version = 3")
        .await;
    crm.run("update public.listings set notes = 'mine', list_price = 3")
        .await;
    // A trigger that takes the row away decides too.
    crm.run("insert into public.listings (id, team_id, notes) values ('l-2', 'a', 'go')")
        .await;
    let received: Vec<_> = crm.listed().await.iter().map(in_short).collect();
    assert_eq!(
        received,
        [
            r#"listing:updated l-1 {"notes":"named","version":2}"#,
            r#"listing:created l-1 {"id":"l-1","listPrice":null,"notes":"named","version":2}"#,
            r#"listing:updated l-1 {"notes":"named","version":4}"#,
            r#"listing:updated l-1 {"listPrice":2,"version":4}"#,
            r#"listing:updated l-1 {"listPrice":3,"notes":"mine"}"#,
            "listing:deleted l-2",
        ]
    );
    assert_eq!(crm.reasons().await, [""; 0]);
}

#[tokio::test]
async fn rows_that_the_trigger_may_not_read_are_published_as_they_were_written() {
    let mut crm = Crm::with_listings().await;
    crm.run(WATCH).await;
    crm.run(OF_ITS_OWN).await;
    // Whoever the triggers run as sees nothing of the table, and its writer all of it.
    crm.run(&format!(
        "create role \"{0}\"; alter table public.listings owner to \"{0}\";
         create role \"{0}_teller\"; grant usage on schema porchlight to \"{0}_teller\";
         grant all on all tables in schema porchlight to \"{0}_teller\";
         grant create on schema porchlight to \"{0}_teller\";
         alter function porchlight.capture() owner to \"{0}_teller\"",
        crm.a.database.name()
    ))
    .await;
    crm.run("insert into public.listings (id, team_id) values ('l-1', 'a')")
        .await;
    let received: Vec<_> = crm.listed().await.iter().map(in_short).collect();
    assert_eq!(
        received,
        [
            r#"listing:updated l-1 {"notes":"named","version":2}"#,
            r#"listing:created l-1 {"id":"l-1","listPrice":null,"notes":null,"version":1}"#,
        ]
    );
    assert_eq!(crm.reasons().await, [""; 0]);
}

#[tokio::test]
async fn a_trigger_that_does_not_raise_the_version_leads_to_two_events_with_the_same() {
    let mut crm = Crm::with_listings().await;
    crm.run(WATCH).await;
    crm.run(&OF_ITS_OWN.replace(", version = version + 1", ""))
        .await;
    crm.run("insert into public.listings (id, team_id, notes) values ('l-1', 'a', 'mine')")
        .await;
    crm.run("update public.listings set notes = null, list_price = 2, version = 2")
        .await;
    let received = crm.listed().await;
    let versions: Vec<_> = received.iter().map(|event| &event["version"]).collect();
    assert_eq!(versions, [1, 2, 2]);
    let received: Vec<_> = received.iter().map(in_short).collect();
    assert_eq!(
        received[1..],
        [
            r#"listing:updated l-1 {"notes":"named"}"#,
            r#"listing:updated l-1 {"listPrice":2,"notes":"named","version":2}"#,
        ]
    );
}
