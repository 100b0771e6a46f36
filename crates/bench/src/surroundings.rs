//! What a load needs from its caller.

/// What a load needs from its caller.
pub struct Surroundings {
    /// Signs the tokens that the requests show.
    pub tokens: Box<dyn Tokens>,
    /// Shows how far the load is.
    pub progress: Progress,
}

/// Shows one line of progress. Each line replaces the one before.
pub type Progress = Box<dyn Fn(&str)>;

/// Signs the tokens of subscribers and publishers. It is asked for the tokens that the
/// templates show, and for no others. An error is the sentence that the user gets.
pub trait Tokens {
    /// The token of a user who may read what belongs to a topic, and publish there.
    fn member(&self, user: &str, topic: &str) -> Result<String, String>;

    /// The token of a service that may publish to every topic.
    fn service(&self) -> Result<String, String>;
}
