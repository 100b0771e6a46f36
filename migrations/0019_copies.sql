-- Copies of a database, such as restored backups: how they are recognised, and what they never give twice.

-- The transaction that wrote the row, modulo 2^32, which is its `xmin`. A row that was loaded from a dump has
-- another one, even in the same database. Null: an older version wrote the row.
alter table porchlight.origin add column written_in bigint;
-- No lock had a greater fence before the epochs were last renewed. Fences of new rows of locks continue from here.
alter table porchlight.origin add column fence_floor bigint not null default 0;

-- A copy does not know the attempts that began after the backup. So their numbers are skipped: `attempt` is the
-- fence, and `attempt - skipped_attempts` is how often the task was started.
alter table porchlight.tasks add column skipped_attempts integer not null default 0;
alter table porchlight.tasks drop constraint task_attempts_bounded;
alter table porchlight.tasks add constraint task_attempts_bounded check (
    attempt - skipped_attempts between 0 and max_attempts and skipped_attempts >= 0
    and max_attempts between 1 and 10 and (attempt = 0 or not is_workflow));
