//! `list --json-lines`: one object for each item, without a value tree in between.
//!
//! Source: Borg 1.4, `ItemFormatter.format_item_json`.

use std::fmt::Write as _;

use ironborg_format::item::ItemView;
use ironborg_types::text;

use super::item_fields::{self, ItemKey, Owner};
use super::item_format::{ItemFacts, ItemFormat, number_of, time_of};
use super::json::push_text;
use super::time;

/// Appends the object of an item and a line feed; the format only chooses keys.
pub(crate) fn push(
    format: &ItemFormat,
    archive: (&str, &str),
    item: &ItemView<'_>,
    facts: &ItemFacts,
    out: &mut String,
) {
    out.push('{');
    for (key, value) in [("archivename", archive.0), ("archiveid", archive.1)] {
        if format.keys().any(|(_, name)| name == key) {
            push_member(key, value, out);
            out.push_str(", ");
        }
    }
    out.push_str("\"type\": \"");
    out.push(char::from(item_fields::type_letter(item.mode)));
    out.push_str("\", \"mode\": \"");
    out.extend(item_fields::mode_letters(item).map(char::from));
    out.push_str("\", \"user\": ");
    push_owner(&Owner::user(item), out);
    out.push_str(", \"group\": ");
    push_owner(&Owner::group(item), out);
    let _ = write!(
        out,
        ", \"uid\": {}, \"gid\": {}, \"path\": ",
        item.uid.unwrap_or(0),
        item.gid.unwrap_or(0)
    );
    push_text(&text::display(item.path), out);
    out.push_str(if item.chunks_healthy.is_some() {
        ", \"healthy\": false, "
    } else {
        ", \"healthy\": true, "
    });
    let source = item_fields::source(item);
    push_member("source", &source, out);
    out.push_str(", ");
    push_member("linktarget", &source, out);
    let _ = write!(out, ", \"flags\": {}", item.bsdflags.unwrap_or(0));
    for (key, name) in format.keys() {
        push_chosen(format, key, name, item, facts, out);
    }
    out.push_str("}\n");
}

/// Appends a key that is there only because the format names it.
fn push_chosen(
    format: &ItemFormat,
    key: ItemKey,
    name: &str,
    item: &ItemView<'_>,
    facts: &ItemFacts,
    out: &mut String,
) {
    match key {
        ItemKey::Size
        | ItemKey::Csize
        | ItemKey::Dsize
        | ItemKey::Dcsize
        | ItemKey::NumChunks
        | ItemKey::UniqueChunks => {
            let number = number_of(key, item, facts).unwrap_or(0);
            let _ = write!(out, ", \"{name}\": {number}");
        }
        ItemKey::Mtime
        | ItemKey::Ctime
        | ItemKey::Atime
        | ItemKey::IsoMtime
        | ItemKey::IsoCtime
        | ItemKey::IsoAtime => {
            let _ = write!(out, ", \"{name}\": \"");
            time::push_iso(time_of(key, item), out);
            out.push('"');
        }
        ItemKey::Hash(index) => {
            out.push_str(", ");
            push_member(name, format.hash_of(index, facts), out);
        }
        _ => {}
    }
}

fn push_member(key: &str, value: &str, out: &mut String) {
    push_text(key, out);
    out.push_str(": ");
    push_text(value, out);
}

fn push_owner(owner: &Owner<'_>, out: &mut String) {
    match owner {
        Owner::Name(name) => push_text(name, out),
        Owner::Number(number) => {
            let _ = write!(out, "{number}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ironborg_format::item::OwnerName;

    #[test]
    fn an_item_becomes_the_object_borg_prints() {
        let item = ItemView {
            path: b"data/hard",
            mode: 0o100_644,
            uid: Some(0),
            gid: Some(0),
            user: OwnerName::Name(b"root"),
            group: OwnerName::Nil,
            size: Some(6),
            ..ItemView::default()
        };
        let format = ItemFormat::new("{archiveid}{size:8} {path}{bpath}", "a1", "ff").unwrap();
        let mut out = String::new();
        push(
            &format,
            ("a1", "ff"),
            &item,
            &ItemFacts::default(),
            &mut out,
        );
        assert_eq!(
            out,
            "{\"archiveid\": \"ff\", \"type\": \"-\", \"mode\": \"-rw-r--r--\", \"user\": \"root\", \"group\": 0, \
             \"uid\": 0, \"gid\": 0, \"path\": \"data/hard\", \"healthy\": true, \"source\": \"\", \
             \"linktarget\": \"\", \"flags\": 0, \"size\": 6}\n"
        );
    }
}
