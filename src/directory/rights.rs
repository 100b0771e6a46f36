//! Which parts of an event a caller may see.

use crate::identity::Caller;
use crate::log::Rights;

#[must_use]
pub fn of(caller: &Caller) -> Rights {
    Rights {
        user: caller.user.clone(),
        sees_private: caller.may_administer(),
    }
}
