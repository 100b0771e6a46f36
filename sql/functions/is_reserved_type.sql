-- revision: 1
-- Whether only Porchlight itself publishes events of this type (about tasks, notifications, locks, presence,
-- signals and streams). Clients rely on that. `src/platform/ids/reserved.rs` has the same rules. Only the
-- service knows the signals that a deployment adds; it sets such events aside.
create or replace function porchlight.is_reserved_type(type text)
    returns boolean
    language sql
    immutable
    parallel safe
return type in ('hb', 'error', 'open', 'message', 'user:typing')
    or type ~ '^(stream|presence|locks|ai:task|notification|user:presence|user:viewing|user:editing):'
    or type ~ '^user:stopped_'
    or type ~ '(^|:)(locked|unlocked|lock_requested|lock_available)$';
