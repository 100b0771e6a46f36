-- When each stream of a user at an instance was opened, in microseconds since 1970 on the clock of the
-- instance, separated by commas. The instances together limit the streams of a user by it.
alter table porchlight.presence add column streams text not null default '';
