//! Values of the `cel` crate, beside which ours is tested and measured.

use std::sync::Arc;

use cel::objects::{Key, Map};
use tidegate_cel::Json;

/// A value of theirs with the kinds of ours.
pub(crate) fn theirs(json: &Json<'_>) -> cel::Value {
    match json {
        Json::Null => cel::Value::Null,
        Json::Bool(value) => cel::Value::Bool(*value),
        Json::Int(value) => cel::Value::Int(*value),
        Json::Uint(value) => cel::Value::UInt(*value),
        Json::Double(value) => cel::Value::Float(*value),
        Json::String(text) => cel::Value::String(Arc::new(text.to_string())),
        Json::Array(list) => cel::Value::List(Arc::new(list.iter().map(theirs).collect())),
        Json::Object(object) => {
            let members = object.members().iter();
            let members = members.map(|(name, value)| (Key::String(Arc::new(name.to_string())), theirs(value)));
            cel::Value::Map(Map { map: Arc::new(members.collect()) })
        }
    }
}
