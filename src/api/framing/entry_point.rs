//! Bytes of a connection.

use super::{Checked, Framing, Then};
use crate::platform::entry_point::{EntryPoint, pieces};

pub(in crate::api) const FRAMING: EntryPoint = EntryPoint {
    name: "framing",
    read,
};

/// The same bytes pass, however the network cuts them. Only a request that is refused may have passed in part.
fn read(bytes: &[u8]) {
    let mut whole = Framing::new();
    let Checked { passed, then } = whole.check(bytes);
    assert!(passed <= bytes.len());
    let mut cut = Framing::new();
    let (mut waiting, mut passed_in_pieces) = (Vec::new(), 0);
    for piece in pieces(bytes) {
        waiting.extend_from_slice(piece);
        let checked = cut.check(&waiting);
        passed_in_pieces += checked.passed;
        waiting.drain(..checked.passed);
        if checked.then != Then::Wait {
            break;
        }
    }
    assert_eq!(whole.has_ended(), cut.has_ended());
    match then {
        Then::Wait | Then::Drop => assert_eq!(passed, passed_in_pieces),
        // The head of a request may pass before its body turns out to be malformed.
        Then::RefuseRequest(_) | Then::RefuseBody => assert!(passed <= passed_in_pieces),
    }
}
