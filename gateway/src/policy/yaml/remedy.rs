//! What to do about a text that is no YAML, by what the scanner says of it.

use crate::policy::problem::Position;

/// The remedy for that cause, in the innermost brackets that are open, if there are any.
pub(super) fn of(cause: &str, bracket: Option<Position>) -> String {
    let is_about = |words: &[&str]| words.iter().any(|word| cause.contains(word));
    let remedy = if is_about(&["tab"]) {
        "indent with blanks"
    } else if is_about(&["quoted scalar"]) {
        "close the quotes, and write a ' between them twice"
    } else if is_about(&["anchor", "unexpected character"]) {
        "put it in quotes, if it is text"
    } else if let Some(Position { line, column }) = bracket {
        return format!("close the bracket of {line}:{column}, or mend the quotes and commas behind it");
    } else if is_about(&["simple key"]) {
        "write a blank behind each colon, here or just above"
    } else if is_about(&["mapping values"]) {
        "indent it like the key above, or put a text with a colon in quotes"
    } else {
        "mend the indentation, quotes or brackets here or just above"
    };
    remedy.to_owned()
}
