//! What a key may have as its value: reading it, and describing it.
//!
//! A table of settings is declared once, by `settings!`. Out of that come the structure, reading with every mistake
//! noted, the defaults' way into it, and the JSON schema.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::document::{Node, Place};

/// A value of some kind.
pub trait Setting: Sized {
    /// Reads it; what is wrong is noted with the node's reading.
    fn read(node: &Node<'_>) -> Option<Self>;

    /// Its JSON schema. Tables are put into `definitions` by name.
    fn schema(definitions: &mut Definitions) -> Value;
}

/// Values that defaults add to.
pub trait Join {
    /// Adds what follows.
    fn add(&mut self, more: Self);
}

/// The parts of a JSON schema, by name.
pub type Definitions = BTreeMap<&'static str, Value>;

/// The value of a key, and where it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Field<T> {
    place: Option<Place>,
    value: Option<T>,
}

impl<T> Default for Field<T> {
    fn default() -> Self {
        Self {
            place: None,
            value: None,
        }
    }
}

impl<T> Field<T> {
    /// Whether the key is there, be its value of use or not.
    pub fn is_given(&self) -> bool {
        self.place.is_some()
    }

    /// Where the key's value is.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// The value, if there is a good one.
    pub fn get(&self) -> Option<&T> {
        self.value.as_ref()
    }

    /// The value and where it is.
    pub fn located(&self) -> Option<(&T, &Place)> {
        self.value.as_ref().zip(self.place.as_ref())
    }

    /// What is given here, or else there.
    #[must_use]
    pub fn or(self, default: Self) -> Self {
        if self.is_given() { self } else { default }
    }
}

impl<T> Field<T> {
    /// The same with another value.
    #[must_use]
    pub fn map(self, change: impl FnOnce(T) -> T) -> Self {
        Self {
            place: self.place,
            value: self.value.map(change),
        }
    }
}

impl<T: Clone> Field<T> {
    /// A copy of the value.
    pub fn cloned(&self) -> Option<T> {
        self.value.clone()
    }
}

impl<T: Setting> Field<T> {
    /// Reads a value.
    pub fn read(node: &Node<'_>) -> Self {
        Self {
            place: Some(node.place()),
            value: T::read(node),
        }
    }
}

impl<T: Join> Field<T> {
    /// What the defaults have, and then what is given here.
    #[must_use]
    pub fn joined(self, default: Self) -> Self {
        let Some(place) = self.place.or(default.place) else {
            return Self::default();
        };
        let value = match (default.value, self.value) {
            (Some(mut first), Some(more)) => {
                first.add(more);
                Some(first)
            }
            (first, more) => first.or(more),
        };
        Self {
            place: Some(place),
            value,
        }
    }
}

/// A table of settings within another one.
pub trait Settings: Setting + Default {
    /// What is given here, and else in the defaults.
    #[must_use]
    fn over(self, defaults: Self) -> Self;
}

impl<T: Settings> Field<T> {
    /// What is given here, and else in the defaults, key by key.
    #[must_use]
    pub fn merged(self, default: Self) -> Self {
        let Some(place) = self.place.or(default.place) else {
            return Self::default();
        };
        let value = match (self.value, default.value) {
            (Some(own), Some(default)) => Some(own.over(default)),
            (own, default) => own.or(default),
        };
        Self {
            place: Some(place),
            value,
        }
    }
}

/// Declares a table of settings: a key on each line, how it goes together with defaults (`replace`, `join` what is added to
/// what, `merge` key by key), and its type. The name in front is that in the JSON schema.
#[macro_export]
macro_rules! settings {
    (
        $(#[doc = $about:literal])+
        $vis:vis struct $name:ident as $schema:literal {
            $($(#[doc = $doc:literal])+ $strategy:ident $field:ident: $kind:ty,)+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, Default, PartialEq)]
        $vis struct $name {
            $($(#[doc = $doc])+ pub $field: $crate::config::setting::Field<$kind>,)+
        }

        impl $name {
            /// The keys.
            pub const KEYS: &'static [&'static str] =
                &[$($crate::config::setting::key(stringify!($field))),+];
        }

        impl $crate::config::setting::Setting for $name {
            fn read(node: &$crate::config::document::Node<'_>) -> Option<Self> {
                Some(Self::read_table(&node.table("a table")?))
            }

            fn schema(definitions: &mut $crate::config::setting::Definitions) -> serde_json::Value {
                if !definitions.contains_key($schema) {
                    definitions.insert($schema, serde_json::Value::Null);
                    let properties = vec![$((
                        $crate::config::setting::key(stringify!($field)),
                        concat!($($doc),+),
                        <$kind as $crate::config::setting::Setting>::schema(definitions),
                    )),+];
                    let about = concat!($($about),+);
                    let schema = $crate::config::setting::table_schema(about, properties);
                    definitions.insert($schema, schema);
                }
                serde_json::json!({ "$ref": concat!("#/$defs/", $schema) })
            }
        }

        impl $name {
            /// Reads a table; what is wrong with it is noted.
            pub fn read_table(table: &$crate::config::document::TableNode<'_>) -> Self {
                let mut settings = Self::default();
                table.for_each(|key, place, node| match key {
                    $(_ if key == $crate::config::setting::key(stringify!($field)) => {
                        settings.$field = $crate::config::setting::Field::read(node);
                    })+
                    _ => table.unknown(key, place, Self::KEYS),
                });
                settings
            }
        }

        impl $crate::config::setting::Settings for $name {
            fn over(self, defaults: Self) -> Self {
                Self {
                    $($field: $crate::settings!(@$strategy self defaults $field),)+
                }
            }
        }
    };
    (@replace $own:ident $defaults:ident $field:ident) => { $own.$field.or($defaults.$field) };
    (@join $own:ident $defaults:ident $field:ident) => { $own.$field.joined($defaults.$field) };
    (@merge $own:ident $defaults:ident $field:ident) => { $own.$field.merged($defaults.$field) };
}

/// The key of a field: its name, without the mark of one that is a word of the language too.
pub const fn key(field: &'static str) -> &'static str {
    match field.as_bytes() {
        [b'r', b'#', ..] => field.split_at(2).1,
        _ => field,
    }
}

/// The JSON schema of a table, of its keys with their descriptions and schemas.
pub fn table_schema(about: &str, keys: Vec<(&'static str, &'static str, Value)>) -> Value {
    let mut properties = Map::new();
    for (key, description, mut schema) in keys {
        if let Value::Object(members) = &mut schema {
            members.insert("description".to_owned(), json!(description.trim()));
        }
        properties.insert(key.to_owned(), schema);
    }
    json!({
        "type": "object",
        "description": about.trim(),
        "properties": properties,
        "additionalProperties": false,
    })
}

impl Setting for bool {
    fn read(node: &Node<'_>) -> Option<Self> {
        node.boolean()
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "boolean" })
    }
}

impl Setting for String {
    fn read(node: &Node<'_>) -> Option<Self> {
        node.text("a string").map(str::to_owned)
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "string" })
    }
}

/// An integer from `LEAST` to `MOST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Integer<const LEAST: i64, const MOST: i64>(pub i64);

impl<const LEAST: i64, const MOST: i64> Setting for Integer<LEAST, MOST> {
    fn read(node: &Node<'_>) -> Option<Self> {
        node.integer(LEAST, MOST).map(Self)
    }

    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "integer", "minimum": LEAST, "maximum": MOST })
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn read(node: &Node<'_>) -> Option<Self> {
        // A list with a mistake in it is not a shorter list.
        let mut items = Some(Self::new());
        node.items("a list", |item| match (T::read(item), &mut items) {
            (Some(item), Some(items)) => items.push(item),
            (None, _) => items = None,
            (Some(_), None) => {}
        })?;
        items
    }

    fn schema(definitions: &mut Definitions) -> Value {
        json!({ "type": "array", "items": T::schema(definitions) })
    }
}

impl<T> Join for Vec<T> {
    fn add(&mut self, more: Self) {
        self.extend(more);
    }
}

/// A list, which may be written without brackets if it has one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T: Setting> Setting for OneOrMany<T> {
    fn read(node: &Node<'_>) -> Option<Self> {
        if node.is_list() {
            return Vec::read(node).map(Self);
        }
        if !node.is_text() {
            return node.expected("a string or a list of strings");
        }
        T::read(node).map(|item| Self(vec![item]))
    }

    fn schema(definitions: &mut Definitions) -> Value {
        let item = T::schema(definitions);
        json!({ "anyOf": [item, { "type": "array", "items": item }] })
    }
}

impl<T> Join for OneOrMany<T> {
    fn add(&mut self, more: Self) {
        self.0.extend(more.0);
    }
}

/// Values by name.
pub type ByName<T> = BTreeMap<String, T>;

impl<T: Setting> Setting for ByName<T> {
    fn read(node: &Node<'_>) -> Option<Self> {
        let mut entries = Self::new();
        node.table("a table")?.for_each(|key, _, value| {
            entries.extend(T::read(value).map(|value| (key.to_owned(), value)));
        });
        Some(entries)
    }

    fn schema(definitions: &mut Definitions) -> Value {
        json!({ "type": "object", "additionalProperties": T::schema(definitions) })
    }
}

impl<T> Join for ByName<T> {
    fn add(&mut self, more: Self) {
        self.extend(more);
    }
}
