//! The files of the page and the client, by their paths in `web`. A test compares the list with the folders.

macro_rules! files {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../../web/", $name)))),+]
    };
}

/// The view that a page shows.
#[derive(Clone, Copy, Debug)]
pub(super) enum PageView {
    Crm,
    Inspector,
    Operations,
}

impl PageView {
    pub(super) const ALL: [Self; 3] = [Self::Crm, Self::Inspector, Self::Operations];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Crm => "crm",
            Self::Inspector => "inspector",
            Self::Operations => "operations",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Crm => "CRM",
            Self::Inspector => "Inspector",
            Self::Operations => "Operations",
        }
    }

    pub(super) fn script(self) -> &'static str {
        match self {
            Self::Crm => "console/crm/crm.js",
            Self::Inspector => "console/inspector/inspector.js",
            Self::Operations => "console/operations/operations.js",
        }
    }

    pub(super) fn style(self) -> &'static str {
        match self {
            Self::Crm => "console/crm/crm.css",
            Self::Inspector => "console/inspector/inspector.css",
            Self::Operations => "console/operations/operations.css",
        }
    }
}

/// The page of every view.
pub(super) const PAGE: &str = include_str!("../../../web/console/index.html");
/// The script that starts every view.
pub(super) const START: &str = "console/console.js";
/// The script of the worker that has the stream of all tabs.
pub(super) const WORKER: &str = "client/src/tabs/worker.js";
/// The styles of every view.
pub(super) const STYLES: [&str; 3] = [
    "console/tokens.css",
    "console/elements.css",
    "console/console.css",
];

pub(super) const FILES: &[(&str, &str)] = files![
    "client/src/backoff.js",
    "client/src/client.js",
    "client/src/collaboration.js",
    "client/src/collaboration/idle_watch.js",
    "client/src/collaboration/locks.js",
    "client/src/collaboration/people.js",
    "client/src/collaboration/presence.js",
    "client/src/collaboration/typing.js",
    "client/src/connection.js",
    "client/src/connection_status.js",
    "client/src/cursor.js",
    "client/src/environment.js",
    "client/src/error.js",
    "client/src/event_hub.js",
    "client/src/event_reading.js",
    "client/src/evictions.js",
    "client/src/feeds.js",
    "client/src/feeds/activity.js",
    "client/src/feeds/feed.js",
    "client/src/feeds/notifications.js",
    "client/src/feeds/task.js",
    "client/src/feeds/task_run.js",
    "client/src/feeds/tasks.js",
    "client/src/identity.js",
    "client/src/index.js",
    "client/src/line_watch.js",
    "client/src/outbox/conflict.js",
    "client/src/outbox/context.js",
    "client/src/outbox/lane.js",
    "client/src/outbox/last_writes.js",
    "client/src/outbox/outbox.js",
    "client/src/outbox/outboxes.js",
    "client/src/outbox/owner.js",
    "client/src/outbox/rows.js",
    "client/src/outbox/send.js",
    "client/src/outbox/sender.js",
    "client/src/outbox/split.js",
    "client/src/outbox/storage.js",
    "client/src/outbox/unload_warning.js",
    "client/src/outbox/waits.js",
    "client/src/page_events.js",
    "client/src/position.js",
    "client/src/received.js",
    "client/src/records/catalogue.js",
    "client/src/records/collection.js",
    "client/src/records/live.js",
    "client/src/records/live_record.js",
    "client/src/records/missing.js",
    "client/src/records/pending.js",
    "client/src/records/record.js",
    "client/src/records/records.js",
    "client/src/refusal.js",
    "client/src/renewal.js",
    "client/src/request.js",
    "client/src/rights.js",
    "client/src/same.js",
    "client/src/sse_parser.js",
    "client/src/store.js",
    "client/src/tabs/channel_link.js",
    "client/src/tabs/hub.js",
    "client/src/tabs/kept_messages.js",
    "client/src/tabs/ports.js",
    "client/src/tabs/share_key.js",
    "client/src/tabs/shared_stream.js",
    "client/src/tabs/tools.js",
    "client/src/tabs/waiting_tabs.js",
    "client/src/tabs/worker.js",
    "client/src/tabs/worker_link.js",
    "client/src/timers.js",
    "client/src/token.js",
    "client/src/transport/choice.js",
    "client/src/transport/event_source.js",
    "client/src/transport/fetch_stream.js",
    "client/src/transport/long_poll.js",
    "client/src/turns.js",
    "client/src/version.js",
    "client/src/writes.js",
    "console/console.css",
    "console/console.js",
    "console/crm/actions.js",
    "console/crm/activity.js",
    "console/crm/bad_rows.js",
    "console/crm/changes.js",
    "console/crm/conflict.js",
    "console/crm/create.js",
    "console/crm/crm.css",
    "console/crm/crm.js",
    "console/crm/csv.js",
    "console/crm/dashboard.js",
    "console/crm/field_row.js",
    "console/crm/fields.js",
    "console/crm/import.js",
    "console/crm/modules.js",
    "console/crm/note.js",
    "console/crm/record.js",
    "console/crm/record_lock.js",
    "console/crm/rows.js",
    "console/crm/side.js",
    "console/crm/tasks.js",
    "console/crm/viewers.js",
    "console/elements.css",
    "console/elements/dialog.js",
    "console/elements/dom.js",
    "console/elements/elements.js",
    "console/elements/format.js",
    "console/elements/keyed_rows.js",
    "console/elements/once.js",
    "console/elements/popover.js",
    "console/elements/toast.js",
    "console/elements/units.js",
    "console/elements/virtual_rows.js",
    "console/inspector/as_code.js",
    "console/inspector/breakable_line.js",
    "console/inspector/choice_form.js",
    "console/inspector/code_dialog.js",
    "console/inspector/connection_panel.js",
    "console/inspector/event_panel.js",
    "console/inspector/event_rows.js",
    "console/inspector/event_store.js",
    "console/inspector/event_view.js",
    "console/inspector/history.js",
    "console/inspector/inspected_stream.js",
    "console/inspector/inspector.css",
    "console/inspector/inspector.js",
    "console/inspector/json.js",
    "console/inspector/kinds.js",
    "console/inspector/outbox_panel.js",
    "console/inspector/position_at.js",
    "console/inspector/requests.js",
    "console/inspector/row.js",
    "console/inspector/send_panel.js",
    "console/inspector/summary.js",
    "console/inspector/tabs.js",
    "console/inspector/token_panel.js",
    "console/inspector/toolbar.js",
    "console/operations/alerts.js",
    "console/operations/chart.js",
    "console/operations/connections.js",
    "console/operations/facts.js",
    "console/operations/figures.js",
    "console/operations/histogram.js",
    "console/operations/keyed_table.js",
    "console/operations/operations.css",
    "console/operations/operations.js",
    "console/operations/overview.js",
    "console/operations/overview_feed.js",
    "console/operations/pages.js",
    "console/operations/relay.js",
    "console/operations/repeated.js",
    "console/operations/tasks.js",
    "console/shell/attention.js",
    "console/shell/badge.js",
    "console/shell/bars.js",
    "console/shell/bell.js",
    "console/shell/keys.js",
    "console/shell/notices.js",
    "console/shell/online.js",
    "console/shell/people.js",
    "console/shell/session.js",
    "console/shell/shell.js",
    "console/shell/sign_in.js",
    "console/shell/storage.js",
    "console/start.js",
    "console/tokens.css",
];
