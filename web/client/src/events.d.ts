// Generated from openapi/openapi.yaml by scripts/event_types.mjs. Do not edit.

/** One thing that a user did. */
export type Act = { position: Position; at: string; userId?: UserId; /** The user's name from their tokens, or else the id; `Somebody` if the user is not known. */ userName: string; type: EventType; module?: Id; recordId?: Id; /** What people call the record, if the log has it. */ label?: string; text: string; version?: number; /** The fields that changed. */ changes?: any };

/** The params of tasks of other types. */
export type AnyValue = { [field: string]: unknown } | unknown[] | string | number | boolean | null;

/** Who may see an event. */
export type Audience = { user: UserId } | { team: Id } | { broker: true };

/** A group of people: the whole broker, a team, the people who have a record (`escrows/e-1`) open, one user, or the workers. */
export type Crowd = { broker: true } | { team: Id } | { record: RecordPath } | { user: UserId } | { workers: true };

/** A user started or stopped editing a record. */
export type EditingChanged = Omit<Event, 'data'> & { module: NonNullable<Event['module']> } & { recordId: NonNullable<Event['recordId']> } & { userId: NonNullable<Event['userId']> } & { data: { editing: boolean; /** How many do so now. */ editors: number; /** How many of the people there are online. */ online: number; status: 'online' | 'away' | 'offline' } };

/** What happened, as the `data` of a stream's events. */
export type Event = { type: EventType; module?: Id; /** The part of the type after its last colon. */ action: string; recordId?: Id; /** The content of the event; `[REDACTED]` in place of a private field. */ data?: any; /** Only the changed fields; `[REDACTED]` in place of a private field. */ changes?: any; version?: number; userId?: UserId; /** The event was too large to be sent with its data; fetch the record instead. */ truncated?: true; /** When it was appended, in UTC, with milliseconds. */ timestamp: string };

/** What happened. */
export type EventType = string;

/** An opaque id. */
export type Id = string;

/** The `partial` of an import that was cancelled or has `bad_rows` has the same form, without `ignoredColumns`. */
export type ImportResult = { rows: number; created: number; bad: number; /** The first errors; the output has all. */ errors: { /** The line of the file on which the row begins. */ line: number; /** The header of the column. */ column?: string; field?: string; reason: string }[]; ignoredColumns?: string[] };

/** The lock of a record. */
export type Lock = { module: Id; recordId: Id; holder: LockHolder; /** Grows with every grant of this record and is never used twice. */ fence: number; /** When it was granted. */ lockedAt: string; /** When it ends unless a session renews it. */ lockedUntil: string; /** How many users have asked for it. */ waiting: number };

/** A lock that this user requested is free. */
export type LockAvailable = Omit<Event, 'data'> & { module: NonNullable<Event['module']> } & { recordId: NonNullable<Event['recordId']> } & { data: { fence: number } };

/** The lock of the record ended. */
export type LockEnded = Omit<Event, 'data'> & { module: NonNullable<Event['module']> } & { recordId: NonNullable<Event['recordId']> } & { data: { holder: LockHolder; fence: number; lockedAt: string; reason: 'released' | 'expired' | 'taken_over'; /** Who took it over. */ by?: LockHolder } };

export type LockHolder = { userId: UserId; /** One of the holder's sessions that share the lock. */ session: Id };

/** A user requested a lock that this user holds. */
export type LockRequested = Omit<Event, 'data'> & { module: NonNullable<Event['module']> } & { recordId: NonNullable<Event['recordId']> } & { userId: NonNullable<Event['userId']> } & { data: { by: { userId: UserId; session?: Id } } };

/** A user got the lock of the record. */
export type LockStarted = Omit<Event, 'data'> & { module: NonNullable<Event['module']> } & { recordId: NonNullable<Event['recordId']> } & { userId: NonNullable<Event['userId']> } & { data: { holder: LockHolder; fence: number; lockedAt: string; lockedUntil: string } };

/** The locks in the scope of the stream, at most 1,000 of them. Events up to `position` are already included. */
export type LocksSnapshot = { type: 'locks:snapshot'; position: Position; /** The oldest come first. */ locks: Lock[]; /** There are more. `next` says where they begin. */ truncated?: true; /** Only with `truncated`: the `cursor` of `GET /locks` with which the next page begins. */ next?: string };

/** An event of the log. */
export type LoggedEvent = Event;

/** A message to people; the `data` of its event. A newer one has a higher `id`. */
export type Notification = { id: number; audience: Audience; level: NotificationLevel; /** Why the service created it. */ kind?: 'taskEnded' | 'lockTakenOver' | 'lockRequested' | 'recordChanged'; system?: 'maintenance' | 'broadcast'; title: string; body?: string; module?: Id; recordId?: Id; /** Who caused it. */ userId?: UserId; /** How often it happened while the notification was unread. */ count: number; /** When it was last published. */ at: string; /** In lists: whether the caller has read it. */ read?: boolean; /** In events to one user: the number of unread ones after it. */ unread?: number };

/** A notification. */
export type NotificationEvent = Omit<Event, 'data'> & { data: Notification };

export type NotificationLevel = 'info' | 'success' | 'warning' | 'error';

/** Notifications were read on some device: `ids`, or all up to `upTo`. */
export type NotificationsRead = Omit<Event, 'data'> & { userId: NonNullable<Event['userId']> } & { data: { ids: number[]; unread: number } | { upTo: number; unread: number } };

export type Person = { userId: UserId; status: 'online' | 'away'; /** Since when the user has this status. */ since: string; viewing: Record[]; editing: Record[] };

/** A position in a broker's log. */
export type Position = string;

/** How many people of a large group are online. */
export type PresenceCount = Omit<Event, 'data'> & { data: { online: number; /** Which people were counted. */ of: Crowd } };

/** The people in the scope of the stream. Each snapshot, at the beginning and later, replaces the one before. For a team or brokerage with more than 250 people online or away, only their number is published: `complete` is false then, and `presence:count` has each change of the number. */
export type PresenceSnapshot = { type: 'presence:snapshot'; users: Person[]; online: number; complete: boolean; stale?: Stale; staleSince?: StaleSince };

/** Why a request was refused. Some problems have more members; their responses name them. */
export type Problem = { type: string; title: string; status: number; /** A stable name of the error. Programs should use it and nothing else. */ code: string; /** A sentence that helps. */ detail: string; /** The wrong parameter, header or field: `events[2].type`. */ field?: string };

export type Record = { module: Id; recordId: Id };

export type RecordPath = string;

/** A signal ended. */
export type SignalEnded = Omit<Event, 'data'> & { userId: NonNullable<Event['userId']> } & { data: { session?: Id; team?: Id; reason: 'said' | 'ended' } };

/** A signal like typing, as `POST /signals` takes it. */
export type SignalStarted = Omit<Event, 'data'> & { userId: NonNullable<Event['userId']> } & { data: { session?: Id; team?: Id; endsInMs: number } };

/** This instance does not reach the database, so people at other instances may have changed since `staleSince`. Absent otherwise. */
export type Stale = true;

/** When this instance last read the state of other instances. Only together with `stale`. */
export type StaleSince = string;

/** A user came online, went away or went offline. */
export type StatusChanged = Omit<Event, 'data'> & { userId: NonNullable<Event['userId']> } & { data: { status: 'online' | 'away' | 'offline'; since: string; online: number; /** Which people were counted. */ of: Crowd } };

/** A record as a flat object: the common fields, and the fields of its module as `GET /records` describes them. Numbers are returned as they were written (`395000.00`). The default modules are: | module | fields | |---|---| | `escrows` | **address**, `city`, `state`, `zip`, `status` (open, pending, contingent, closed, cancelled), `purchasePrice` number, `earnestMoney` number, `commission` (private) number, `openDate` date, `closeDate` date, `buyerName`, `sellerName`, `titleCompany`, `notes` | | `listings` | **address**, `city`, `state`, `zip`, `status` (coming_soon, active, pending, sold, withdrawn, expired), `listPrice` number, `soldPrice` number, `commissionRate` (private) number, `bedrooms` integer, `bathrooms` number, `squareFeet` integer, `yearBuilt` integer, `mlsNumber`, `listedOn` date, `soldOn` date, `description` | | `clients` | **name**, `email`, `phone`, `status` (active, inactive, past), `kind` (buyer, seller, both), `budgetMin` number, `budgetMax` number, `tags` texts, `birthday` date, `notes` (private) | | `appointments` | **title**, `status` (scheduled, confirmed, completed, cancelled, no_show), `kind` (showing, open_house, inspection, signing, meeting), `startsAt` timestamp, `endsAt` timestamp, `location`, `clientId`, `notes` (private) | | `leads` | **name**, `email`, `phone`, `status` (new, contacted, qualified, converted, lost), `source`, `score` integer, `interest`, `budget` number, `followUpOn` date, `notes` (private) | Fields in bold are required. A private field is `"[REDACTED]"` for everyone except the owner and admins. */
export type StoredRecord = { id: Id; /** Rises by one with every change. */ version: number; /** The team that the record belongs to; null: the whole brokerage. */ teamId: string | null; /** The user who owns it. */ ownerId: UserIdOrNull; createdAt: string; updatedAt: string; archivedAt: string | null; [field: string]: any };

/** The stream ends. */
export type StreamClosing = { type: 'stream:closing'; /** `drain`: the service stops. `expired`: the token has expired, or the brokerage that was looked up for its user has changed. `revoked`: the token was revoked, or its key removed; it opens nothing any more. `changed`: the teams or the role of the user have changed; a new stream has the new rights. `evicted`: the user has opened too many streams. `disconnected`: an admin has ended the stream. `overloaded`: the instance is full. `rate_limited`: the user opens streams too often. `unavailable`: the instance cannot reach the database. */ reason: 'drain' | 'expired' | 'revoked' | 'changed' | 'evicted' | 'disconnected' | 'overloaded' | 'rate_limited' | 'unavailable'; /** When to reconnect, in milliseconds; the same as `retry:`. */ retryMs: number };

/** The token expires soon. */
export type StreamExpiring = { type: 'stream:expiring'; inSeconds: number };

/** The stream begins. */
export type StreamReady = { type: 'stream:ready'; /** The id of this stream. */ stream: string; /** Where it starts. */ position: Position; /** Whose events the stream has. */ scopes: { user: string | null; teams: Id[]; broker: string | null; /** On the stream of workers. */ workers?: true }; /** A stream that is silent for two or three times as long is broken. */ heartbeatSeconds: number };

/** The stream has a fresh token. It lasts so long. */
export type StreamRenewed = { type: 'stream:renewed'; inSeconds: number };

/** The cursor cannot be served: fetch the list again. `locks:snapshot` follows before any event of the log. */
export type StreamReset = { type: 'stream:reset'; reason: 'expired' | 'unknown' | 'ahead'; /** The position after which the stream continues. */ position: Position; /** The path of the same events as a list. */ snapshot: string };

export type Task = { id: Id; type: Id; title?: string; state: TaskState; userId: UserId; teamId?: Id; params?: any; /** The fence of the newest claim: how often it was started, and 1000 more for each time that the database was restored meanwhile. */ attempt: number; maxAttempts: number; percent?: number; step?: number; steps?: number; message?: string; partial?: any; result?: ImportResult | AnyValue; error?: TaskFault; parentId?: Id; isWorkflow?: boolean; retryOf?: Id; /** Grows with every published change. */ version: number; createdAt: string; startedAt?: string; cancelRequestedAt?: string; /** The task cannot be claimed before. */ runAfter?: string; endedAt?: string };

/** A task waits for a worker. */
export type TaskAvailable = Omit<Event, 'data'> & { data: { taskId: Id; taskType: Id } };

/** A task is being cancelled, or was cancelled. Its worker should stop. */
export type TaskCancelled = Omit<Event, 'data'> & { data: TaskStateData | { taskId: Id; taskType: Id; fence: number } };

/** The state of a task changed. The event has all fields except the params. */
export type TaskChanged = Omit<Event, 'data'> & { version: NonNullable<Event['version']> } & { data: TaskStateData };

export type TaskFault = { /** For programs. The service itself uses `worker_lost` and `child_failed`. */ code: Id; message: string; retryable?: boolean };

/** The progress of a task. */
export type TaskProgressed = Omit<Event, 'data'> & { version: NonNullable<Event['version']> } & { data: { taskId: Id; state: TaskState; attempt: number; percent?: number; step?: number; steps?: number; message?: string; partial?: any } };

export type TaskState = 'queued' | 'running' | 'cancelling' | 'completed' | 'failed' | 'cancelled';

export type TaskStateData = { taskId: Id; taskType: Id; title?: string; state: TaskState; attempt: number; percent?: number; step?: number; steps?: number; message?: string; partial?: any; result?: ImportResult | AnyValue; error?: TaskFault; parentId?: Id; retryOf?: Id };

/** The id of a user at the identity provider, without a space at either end. */
export type UserId = string;

/** A user; null is the same as omitting it. */
export type UserIdOrNull = string | null;

/** A user opened or closed a record. */
export type ViewingChanged = Omit<Event, 'data'> & { module: NonNullable<Event['module']> } & { recordId: NonNullable<Event['recordId']> } & { userId: NonNullable<Event['userId']> } & { data: { viewing: boolean; /** How many do so now. */ viewers: number; /** How many of the people there are online. */ online: number; status: 'online' | 'away' | 'offline' } };

/** A reset that the client makes itself: what was loaded with other rights (`rights`) or as another user (`user`) must be loaded again. */
export type RightsReset = { type: 'stream:reset'; reason: 'rights' | 'user'; /** The position after which the stream continues. */ position: Position; snapshot?: undefined };

/** Events whose type is known by name. */
export interface KnownEvents {
  'stream:ready': StreamReady;
  'stream:reset': StreamReset | RightsReset;
  'stream:expiring': StreamExpiring;
  'stream:renewed': StreamRenewed;
  'stream:closing': StreamClosing;
  'locks:snapshot': LocksSnapshot;
  'presence:snapshot': PresenceSnapshot;
  'presence:count': PresenceCount;
  'user:presence:online': StatusChanged;
  'user:presence:away': StatusChanged;
  'user:presence:offline': StatusChanged;
  'ai:task:available': TaskAvailable;
  'ai:task:progress': TaskProgressed;
  'ai:task:queued': TaskChanged;
  'ai:task:started': TaskChanged;
  'ai:task:completed': TaskChanged;
  'ai:task:failed': TaskChanged;
  'ai:task:cancelling': TaskCancelled;
  'ai:task:cancelled': TaskCancelled;
  'notification:read': NotificationsRead;
  'notification:info': NotificationEvent;
  'notification:success': NotificationEvent;
  'notification:warning': NotificationEvent;
  'notification:error': NotificationEvent;
  'system:maintenance': NotificationEvent | LoggedEvent;
  'system:broadcast': NotificationEvent | LoggedEvent;
}

type PatternEvent<Type extends string> =
  Type extends `user:viewing:${string}` ? ViewingChanged :
  Type extends `user:editing:${string}` ? EditingChanged :
  Type extends `user:stopped_${string}` ? SignalEnded :
  Type extends `user:${string}` ? SignalStarted :
  Type extends `${string}:locked` ? LockStarted :
  Type extends `${string}:unlocked` ? LockEnded :
  Type extends `${string}:lock_available` ? LockAvailable :
  Type extends `${string}:lock_requested` ? LockRequested :
  LoggedEvent;

type Beginning<Prefix extends string> = KnownEvents[keyof KnownEvents & `${Prefix}${string}`];

/** The event of a type like `escrow:updated`, or the events of a pattern like `ai:task:*`. */
export type EventOf<Type extends string> =
  string extends Type ? any :
  Type extends keyof KnownEvents ? KnownEvents[Type] :
  Type extends '*' ? any :
  Type extends `${infer Prefix}*` ? ([Beginning<Prefix>] extends [never] ? PatternEvent<Type> : Beginning<Prefix>) :
  PatternEvent<Type>;
