//! The JSON Schema of a policy file, made from the types that read it: an editor completes and checks by it.
//!
//! It is draft 7, which yaml-language-server and VS Code take in full in every version in use; of the later drafts they
//! take parts, and nothing of those is needed here. `enumDescriptions` and `patternErrorMessage` are words of theirs that
//! others pass over.

pub(super) mod rules;
pub(super) mod shape;

use super::document::Document;
use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform as _};
use serde_json::{Value, json};
use shape::DEFAULT;

/// The schema of one file.
#[must_use]
pub fn schema() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Document>();
    RecursiveTransform(for_people).transform(&mut schema);
    let mut whole = json!({"$schema": "http://json-schema.org/draft-07/schema#", "title": "Gate25 policy"});
    if let (Value::Object(whole), Value::Object(schema)) = (&mut whole, schema.to_value()) {
        whole.extend(schema);
    }
    whole
}

/// The schema as it is shipped.
#[must_use]
pub fn text() -> String {
    format!("{:#}\n", schema())
}

/// Names of Rust and defaults that nobody writes go; a description is one paragraph.
fn for_people(schema: &mut Schema) {
    schema.remove("title");
    schema.remove("default");
    if let Some(default) = schema.remove(DEFAULT) {
        schema.insert("default".into(), default);
    }
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ");
    }
    // Elsewhere the marks of code would be shown.
    for (plain, marked) in
        [("description", "markdownDescription"), ("enumDescriptions", "markdownEnumDescriptions")]
    {
        if let Some(text) = schema.get(plain).filter(|text| text.to_string().contains('`')).cloned() {
            schema.insert(marked.into(), text);
        }
    }
}
