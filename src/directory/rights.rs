//! Which parts of an event a caller may see.

use crate::identity::{Caller, Role};
use crate::log::Rights;
use crate::platform::UserId;

#[must_use]
pub fn of(caller: &Caller) -> Rights {
    of_role(&caller.user, caller.role)
}

/// The rights of a user whose token has this role.
#[must_use]
pub fn of_role(user: &UserId, role: Role) -> Rights {
    Rights {
        user: user.clone(),
        sees_private: role.may_administer(),
    }
}
