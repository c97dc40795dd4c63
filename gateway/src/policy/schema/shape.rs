//! What the value of each key looks like, as far as a schema can tell: it never refuses what `check` takes, and leaves
//! to `check` what only that can see (host bits, references, overlaps).
//!
//! Patterns are in what ECMA 262 and RE2 have in common, so that every editor and every checker reads them alike.

use super::rules::{ANY, words};
use crate::policy::words::{ACTIONS, KINDS, MODES, RETURN_PATHS};
use crate::policy::{Suspects, validate};
use gate25_common::verdict::{Action, Mode, ReturnPath};
use schemars::{Schema, SchemaGenerator};
use serde_json::{Value, json};
use std::ops::RangeInclusive;

/// From 1 to 65535.
const PORT: &str = "0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])";
/// Of a year with a 29th of February.
const DATE: &str = "[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|[12][0-9]))";
const TIME: &str = r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?";

/// The default of a key, until the whole schema is made: schemars would put that of the field there, which is none.
pub(super) const DEFAULT: &str = "x-default";

type Generator = SchemaGenerator;

const V4: &str =
    r"((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
/// Of hexadecimal groups and colons; which of them make an address, `check` knows.
const V6: &str = r"[0-9A-Fa-f]{0,4}(:[0-9A-Fa-f]{0,4}){2,8}(\.[0-9]{1,3}){0,3}";

fn schema(value: Value) -> Schema {
    // Made here, and always an object.
    Schema::try_from(value).unwrap_or_default()
}

/// A text; what an editor says where it is none such; examples.
fn text(pattern: &str, message: &str, examples: &[&str]) -> Value {
    json!({"type": "string", "pattern": pattern, "patternErrorMessage": message, "examples": examples})
}

/// A list with at least one entry.
fn list(item: Value, examples: Value) -> Value {
    json!({"type": "array", "minItems": 1, "items": item, "examples": [examples]})
}

fn number(range: &RangeInclusive<u64>) -> Value {
    json!({"type": "integer", "minimum": range.start(), "maximum": range.end()})
}

fn with(mut value: Value, key: &str, more: impl Into<Value>) -> Schema {
    value[key] = more.into();
    schema(value)
}

pub(in crate::policy) fn version(_: &mut Generator) -> Schema {
    schema(json!({"type": "integer", "enum": [1]}))
}

pub(in crate::policy) fn id(_: &mut Generator) -> Schema {
    let id = text(r"\S", "write a short name", &["west", "campus-2027"]);
    with(id, "maxLength", validate::MAX_ID)
}

fn prefix() -> Value {
    let pattern = format!("^({V4}(/(3[0-2]|[12]?[0-9]))?|{V6}(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?)$");
    let mut prefix = text(&pattern, "write an address or a prefix, as 192.0.2.25 or 2001:db8:25::/64", &[]);
    prefix["examples"] = json!(["192.0.2.25", "198.51.100.0/24", "2001:db8:25::/64"]);
    prefix
}

pub(in crate::policy) fn prefixes(_: &mut Generator) -> Schema {
    schema(list(prefix(), json!(["192.0.2.25", "2001:db8:25::/64"])))
}

pub(in crate::policy) fn subscribers(_: &mut Generator) -> Schema {
    schema(list(prefix(), json!(["203.0.113.0/24", "2001:db8:100::/40"])))
}

pub(in crate::policy) fn destinations(_: &mut Generator) -> Schema {
    let list = list(prefix(), json!(["198.51.100.0/24", "2001:db8:51::/48"]));
    // By type, so that an editor tells of a list what is wrong with its entries.
    let word = json!({"if": {"type": "string"}, "then": {"enum": [ANY]}});
    let mut both = list;
    both["type"] = json!(["array", "string"]);
    both["allOf"] = json!([word]);
    both["examples"] = json!([both["examples"][0], ANY]);
    schema(both)
}

fn endpoint() -> Value {
    let pattern = format!(r"^({V4}|\[{V6}\]):{PORT}$");
    let message = "write an address and its port, as 192.0.2.25:25 or [2001:db8:25::25]:25";
    text(&pattern, message, &["192.0.2.26:2525", "[2001:db8:26::1]:2525"])
}

pub(in crate::policy) fn endpoints(_: &mut Generator) -> Schema {
    let mut both = endpoint();
    both["type"] = json!(["string", "array"]);
    both["items"] = endpoint();
    both["minItems"] = json!(1);
    both["maxItems"] = json!(2);
    both["examples"] = json!(["192.0.2.26:2525", ["192.0.2.26:2525", "[2001:db8:26::1]:2525"]]);
    schema(both)
}

fn name() -> Value {
    let last = "([0-9]*[A-Za-z]([0-9A-Za-z-]*[0-9A-Za-z])?|[0-9]+-[0-9A-Za-z-]*[0-9A-Za-z])";
    let pattern = format!(r"^([0-9A-Za-z]([0-9A-Za-z-]*[0-9A-Za-z])?\.)+{last}\.?$");
    text(&pattern, "write a host name in full, as smtp.west.example.net", &["smtp.west.example.net"])
}

pub(in crate::policy) fn names(_: &mut Generator) -> Schema {
    schema(list(name(), json!(["smtp.west.example.net"])))
}

pub(in crate::policy) fn domains(_: &mut Generator) -> Schema {
    schema(list(name(), json!(["campus.example"])))
}

pub(in crate::policy) fn zones(_: &mut Generator) -> Schema {
    schema(list(json!({"type": "string"}), json!(["west"])))
}

pub(in crate::policy) fn mode(_: &mut Generator) -> Schema {
    with(words(MODES), DEFAULT, Mode::Monitor.label())
}

pub(in crate::policy) fn action(_: &mut Generator) -> Schema {
    with(words(ACTIONS), DEFAULT, Action::Drop.label())
}

pub(in crate::policy) fn return_path(_: &mut Generator) -> Schema {
    with(words(RETURN_PATHS), DEFAULT, ReturnPath::Off.label())
}

pub(in crate::policy) fn kind(_: &mut Generator) -> Schema {
    with(words(KINDS), DEFAULT, "other")
}

pub(in crate::policy) fn instant(_: &mut Generator) -> Schema {
    let pattern = format!("^{DATE}[Tt]{TIME}([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$");
    let message = "write date, T, time and the offset from UTC, as 2027-06-30T00:00:00-07:00";
    with(
        text(&pattern, message, &["2027-07-01T00:00:00-07:00", "2027-07-01T07:00:00Z"]),
        "format",
        "date-time",
    )
}

fn duration(examples: &[&str]) -> Value {
    text("^0*[1-9][0-9]*[smhd]$", "write a number and s, m, h or d, as 30m, 48h or 7d", examples)
}

pub(in crate::policy) fn keep_old_for(_: &mut Generator) -> Schema {
    // Without the default, which editors would write into every new relay; the comment of the key has it.
    schema(duration(&["48h", "7d"]))
}

pub(in crate::policy) fn within(_: &mut Generator) -> Schema {
    let minutes = Suspects::default().within.as_secs() / 60;
    with(duration(&["10m", "1h"]), DEFAULT, format!("{minutes}m"))
}

pub(in crate::policy) fn attempts(_: &mut Generator) -> Schema {
    with(number(&validate::ATTEMPTS), DEFAULT, Suspects::default().attempts)
}

pub(in crate::policy) fn remotes(_: &mut Generator) -> Schema {
    with(number(&validate::REMOTES), DEFAULT, Suspects::default().remotes)
}

pub(in crate::policy) fn subscriber_bits(_: &mut Generator) -> Schema {
    with(number(&validate::SUBSCRIBER_BITS), DEFAULT, 64)
}

pub(in crate::policy) fn limit(_: &mut Generator) -> Schema {
    with(number(&validate::LIMIT), "examples", vec![120])
}

pub(in crate::policy) fn permanent(_: &mut Generator) -> Schema {
    schema(json!({"type": "boolean", "examples": [true]}))
}

pub(in crate::policy) fn submission(_: &mut Generator) -> Schema {
    let message = "write one line of printable ASCII";
    let text = text("^[ -~]*[!-~][ -~]*$", message, &["smtp.example.net port 587 or 465"]);
    with(text, "maxLength", validate::MAX_TEXT)
}

pub(in crate::policy) fn url(_: &mut Generator) -> Schema {
    let message = "write https://, http:// or mailto:, no spaces";
    let text = text("^(https?://|mailto:)[!-~]+$", message, &["https://example.net/port25"]);
    with(text, "maxLength", validate::MAX_TEXT)
}

/// A text that people read, or the path of a file.
fn words_of_people(examples: &[&str]) -> Schema {
    schema(json!({"type": "string", "examples": examples}))
}

pub(in crate::policy) fn subscribers_file(_: &mut Generator) -> Schema {
    file("lists/campus-staff.txt")
}

pub(in crate::policy) fn destinations_file(_: &mut Generator) -> Schema {
    file("lists/campus-mail.txt")
}

fn file(example: &str) -> Schema {
    schema(json!({"type": "string", "minLength": 1, "examples": [example]}))
}

pub(in crate::policy) fn owner(_: &mut Generator) -> Schema {
    words_of_people(&["noc@example.net"])
}

pub(in crate::policy) fn contact(_: &mut Generator) -> Schema {
    words_of_people(&["postmaster@campus.example"])
}

pub(in crate::policy) fn ticket(_: &mut Generator) -> Schema {
    words_of_people(&["ABUSE-1182"])
}

pub(in crate::policy) fn reason(_: &mut Generator) -> Schema {
    words_of_people(&["staff at home use the campus relays"])
}
