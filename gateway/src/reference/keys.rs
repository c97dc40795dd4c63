//! The keys of a policy, out of its schema.

use super::Block;
use crate::policy::schema;
use serde_json::Value;

/// A key and what there is to say of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// As it is written.
    pub name: String,
    /// Whether it must be there.
    pub is_required: bool,
    /// What it means.
    pub meaning: String,
    /// What holds where it is left out.
    pub default: Option<String>,
    /// The least and the largest number.
    pub range: Option<(String, String)>,
    /// The words there are, each with its meaning.
    pub words: Vec<(String, String)>,
    /// How it may be written.
    pub example: Option<String>,
}

/// Every mapping of the policy, outermost first: a heading, what it is, its keys.
pub(super) fn sections() -> Vec<Block> {
    let mut blocks = Vec::new();
    section("KEYS OF A FILE", &schema::schema(), &mut blocks);
    blocks
}

fn section(heading: &str, schema: &Value, blocks: &mut Vec<Block>) {
    blocks.push(Block::Heading(heading.to_owned()));
    blocks.push(Block::Text(text(schema, "description")));
    let properties = schema["properties"].as_object().into_iter().flatten();
    blocks.extend(properties.clone().map(|(name, property)| Block::Key(key(schema, name, property))));
    for (name, property) in properties {
        if property["items"]["properties"].is_object() {
            section(&format!("KEYS OF AN ENTRY OF {}", name.to_uppercase()), &property["items"], blocks);
        } else if property["properties"].is_object() {
            section(&format!("KEYS OF {}", name.to_uppercase()), property, blocks);
        }
    }
}

fn key(schema: &Value, name: &str, property: &Value) -> Key {
    let words = property["enumDescriptions"].as_array().into_iter().flatten();
    Key {
        name: name.to_owned(),
        is_required: schema["required"].as_array().is_some_and(|keys| keys.iter().any(|key| key == name)),
        meaning: text(property, "description"),
        default: property.get("default").map(written),
        range: property
            .get("minimum")
            .zip(property.get("maximum"))
            .map(|(least, most)| (written(least), written(most))),
        words: property["enum"]
            .as_array()
            .into_iter()
            .flatten()
            .zip(words)
            .map(|(word, meaning)| (written(word), written(meaning)))
            .collect(),
        example: property["examples"].as_array().and_then(|examples| examples.first()).map(written),
    }
}

fn text(schema: &Value, key: &str) -> String {
    schema[key].as_str().unwrap_or_default().to_owned()
}

/// A value as people write it in YAML.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            // Quotes, for a colon or bracket has a meaning between brackets.
            let items: Vec<String> = items.iter().map(ToString::to_string).collect();
            format!("[{}]", items.join(", "))
        }
        value => value.to_string(),
    }
}
