//! The stable codes of problems.

use crate::identity::TokenError;

macro_rules! codes {
    ($($name:ident = $text:literal),+ $(,)?) => {
        /// What went wrong, as clients see it in `code`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $($name),+
        }

        impl Code {
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The code on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text),+
                }
            }
        }
    };
}

codes! {
    AlreadyRetried = "already_retried",
    Archived = "archived",
    AudienceRefused = "audience_refused",
    BodyTimeout = "body_timeout",
    BodyTooLarge = "body_too_large",
    BodyTooSlow = "body_too_slow",
    BrokerUnknown = "broker_unknown",
    Busy = "busy",
    CannotRetry = "cannot_retry",
    CursorAhead = "cursor_ahead",
    CursorExpired = "cursor_expired",
    CursorUnknown = "cursor_unknown",
    DatabaseUnavailable = "database_unavailable",
    EmptyUpload = "empty_upload",
    EventTooLarge = "event_too_large",
    FenceLost = "fence_lost",
    HeadTimeout = "head_timeout",
    HeadTooLarge = "head_too_large",
    IdTaken = "id_taken",
    IdempotencyKeyReused = "idempotency_key_reused",
    Internal = "internal",
    InvalidBatch = "invalid_batch",
    InvalidBody = "invalid_body",
    InvalidField = "invalid_field",
    InvalidLease = "invalid_lease",
    InvalidParameter = "invalid_parameter",
    InvalidParams = "invalid_params",
    LeaseLost = "lease_lost",
    Locked = "locked",
    MalformedRequest = "malformed_request",
    MetricsTokenNeeded = "metrics_token_needed",
    MethodNotAllowed = "method_not_allowed",
    ModuleMissing = "module_missing",
    NoRecords = "no_records",
    NoTeam = "no_team",
    NotFound = "not_found",
    NotLocked = "not_locked",
    NotOwner = "not_owner",
    NotReady = "not_ready",
    NotYourTask = "not_your_task",
    NotYourTeam = "not_your_team",
    OriginNotAllowed = "origin_not_allowed",
    OutputTooLarge = "output_too_large",
    OwnLock = "own_lock",
    ParentIsChild = "parent_is_child",
    PresenceUnavailable = "presence_unavailable",
    PrivateField = "private_field",
    QuotaExceeded = "quota_exceeded",
    RateLimited = "rate_limited",
    ReadOnlyField = "read_only_field",
    ReservedType = "reserved_type",
    RightsChanged = "rights_changed",
    RoleNeeded = "role_needed",
    Stale = "stale",
    TakeoverRefused = "takeover_refused",
    TicketInvalid = "ticket_invalid",
    TokenAlgorithmRefused = "token_algorithm_refused",
    TokenClaimInvalid = "token_claim_invalid",
    TokenClaimMissing = "token_claim_missing",
    TokenExpired = "token_expired",
    TokenKeyUnknown = "token_key_unknown",
    TokenMalformed = "token_malformed",
    TokenMissing = "token_missing",
    TokenNotYetValid = "token_not_yet_valid",
    TokenRevoked = "token_revoked",
    TokenSignatureInvalid = "token_signature_invalid",
    TooManyChildren = "too_many_children",
    TooManyRevocations = "too_many_revocations",
    TooManySessions = "too_many_sessions",
    TooManySignals = "too_many_signals",
    TooManyUploads = "too_many_uploads",
    TooManyUploadsAtOnce = "too_many_uploads_at_once",
    TooManyWaiting = "too_many_waiting",
    Unconfirmed = "unconfirmed",
    UnknownConnection = "unknown_connection",
    UnknownField = "unknown_field",
    UnknownModule = "unknown_module",
    UnknownNotification = "unknown_notification",
    UnknownPoison = "unknown_poison",
    UnknownRecord = "unknown_record",
    UnknownSession = "unknown_session",
    UnknownSignal = "unknown_signal",
    UnknownStream = "unknown_stream",
    UnknownTask = "unknown_task",
    UnknownTeam = "unknown_team",
    UnsupportedEncoding = "unsupported_encoding",
    UnsupportedMediaType = "unsupported_media_type",
    WrongOffset = "wrong_offset",
    WrongState = "wrong_state",
}

impl serde::Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl From<&TokenError> for Code {
    fn from(error: &TokenError) -> Self {
        match error {
            TokenError::TooLong | TokenError::Malformed(_) => Self::TokenMalformed,
            TokenError::Expired => Self::TokenExpired,
            TokenError::NotYetValid(_) => Self::TokenNotYetValid,
            TokenError::SignatureInvalid => Self::TokenSignatureInvalid,
            TokenError::AlgorithmRefused(_) => Self::TokenAlgorithmRefused,
            TokenError::Revoked => Self::TokenRevoked,
            TokenError::KeyUnknown => Self::TokenKeyUnknown,
            TokenError::ClaimMissing(_) => Self::TokenClaimMissing,
            TokenError::ClaimInvalid { .. } => Self::TokenClaimInvalid,
        }
    }
}
