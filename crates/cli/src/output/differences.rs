//! What differs between two archives, as `diff` shows it: text or JSON lines.
//!
//! Source: Borg 1.4, `ItemDiff`, `do_diff`.

use std::fmt::Write as _;

use ironborg_archive::diff::{Change, Moment, Special};
use ironborg_types::text;

use super::json::{push_bytes, push_text as push_json_text};
use super::size::{SizeUnits, format_count, format_size_precisely};
use super::{item_fields, time};

/// Appends one line of text for an item: its changes, then its path.
pub(crate) fn push_line(path: &[u8], changes: &[Change<'_>], out: &mut String) {
    // Columns as wide as usual; more changes than fit move the path to the right.
    const WIDTH: usize = 19;
    let start = out.len();
    for change in changes.iter().filter(|change| !change.is_none()) {
        if out.len() > start {
            out.push(' ');
        }
        push_change(change, out);
    }
    let width = out[start..].chars().count();
    out.extend(std::iter::repeat_n(' ', WIDTH.saturating_sub(width)));
    out.push(' ');
    out.push_str(&text::display(path));
    out.push('\n');
}

fn push_change(change: &Change<'_>, out: &mut String) {
    let size = |size: u64| format_count(size, SizeUnits::Decimal);
    let signed = |size: i128| format_size_precisely(size, SizeUnits::Decimal, 1, true);
    // Writing to a string cannot fail.
    let _ = match change {
        Change::AddedSpecial(special) => write!(out, "added {}", name_of(*special)),
        Change::RemovedSpecial(special) => write!(out, "removed {}", name_of(*special)),
        Change::LinkTarget => write!(out, "changed link"),
        Change::Added { size: of } => write!(out, "added {:>13}", size(*of)),
        Change::Removed { size: of } => write!(out, "removed {:>11}", size(*of)),
        Change::Modified { added, removed } => {
            let (added, removed) = (signed((*added).into()), signed(-i128::from(*removed)));
            write!(out, "{added:>9} {removed:>9}")
        }
        Change::ModifiedSomehow => write!(out, "modified"),
        Change::Owner { old, new } => {
            let name = |name: Option<&[u8]>| {
                name.map_or("None".into(), |name| text::display(name).into_owned())
            };
            let [[old_user, old_group], [new_user, new_group]] = [old, new].map(|o| o.map(name));
            write!(out, "[{old_user}:{old_group} -> {new_user}:{new_group}]")
        }
        Change::Mode { old, new } => {
            out.push('[');
            out.extend(item_fields::letters_of(*old).map(char::from));
            out.push_str(" -> ");
            out.extend(item_fields::letters_of(*new).map(char::from));
            out.push(']');
            Ok(())
        }
        Change::Time { moment, old, new } => {
            let _ = write!(out, "[{}: ", key_of(*moment));
            time::push_text(time::item_time(*old), out);
            out.push_str(" -> ");
            time::push_text(time::item_time(*new), out);
            out.push(']');
            Ok(())
        }
    };
}

/// Appends one line of JSON for an item.
pub(crate) fn push_json(path: &[u8], changes: &[Change<'_>], out: &mut String) {
    out.push_str("{\"changes\": [");
    let mut separator = "";
    for change in changes.iter().filter(|change| !change.is_none()) {
        out.push_str(separator);
        separator = ", ";
        push_json_change(change, out);
    }
    out.push_str("], \"path\": ");
    push_json_text(&text::display(path), out);
    out.push_str("}\n");
}

/// Appends the object of a change, its keys sorted.
fn push_json_change(change: &Change<'_>, out: &mut String) {
    // Writing to a string cannot fail.
    let _ = match change {
        Change::AddedSpecial(special) => {
            write!(out, "{{\"type\": \"added {}\"}}", name_of(*special))
        }
        Change::RemovedSpecial(special) => {
            write!(out, "{{\"type\": \"removed {}\"}}", name_of(*special))
        }
        Change::LinkTarget => write!(out, "{{\"type\": \"changed link\"}}"),
        Change::Added { size } => write!(out, "{{\"size\": {size}, \"type\": \"added\"}}"),
        Change::Removed { size } => write!(out, "{{\"size\": {size}, \"type\": \"removed\"}}"),
        Change::Modified { added, removed } => write!(
            out,
            "{{\"added\": {added}, \"removed\": {removed}, \"type\": \"modified\"}}"
        ),
        Change::ModifiedSomehow => write!(out, "{{\"type\": \"modified\"}}"),
        Change::Owner { old, new } => {
            for (key, name) in [
                ("{\"new_group\": ", new[1]),
                (", \"new_user\": ", new[0]),
                (", \"old_group\": ", old[1]),
                (", \"old_user\": ", old[0]),
            ] {
                out.push_str(key);
                match name {
                    Some(name) => push_bytes(name, out),
                    None => out.push_str("null"),
                }
            }
            out.push_str(", \"type\": \"owner\"}");
            Ok(())
        }
        Change::Mode { old, new } => {
            out.push_str("{\"new_mode\": \"");
            out.extend(item_fields::letters_of(*new).map(char::from));
            out.push_str("\", \"old_mode\": \"");
            out.extend(item_fields::letters_of(*old).map(char::from));
            out.push_str("\", \"type\": \"mode\"}");
            Ok(())
        }
        Change::Time { moment, old, new } => {
            let key = key_of(*moment);
            let _ = write!(out, "{{\"new_{key}\": \"");
            time::push_iso(time::item_time(*new), out);
            let _ = write!(out, "\", \"old_{key}\": \"");
            time::push_iso(time::item_time(*old), out);
            write!(out, "\", \"type\": \"{key}\"}}")
        }
    };
}

fn name_of(special: Special) -> &'static str {
    match special {
        Special::Link => "link",
        Special::Directory => "directory",
        Special::BlockDevice => "blkdev",
        Special::CharDevice => "chrdev",
        Special::Fifo => "fifo",
    }
}

fn key_of(moment: Moment) -> &'static str {
    match moment {
        Moment::Ctime => "ctime",
        Moment::Mtime => "mtime",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(changes: &[Change<'_>], expected_line: &str, expected_json: &str) {
        let (mut line, mut json) = (String::new(), String::new());
        push_line(b"data/bad-\xff", changes, &mut line);
        push_json(b"data/bad-\xff", changes, &mut json);
        assert_eq!(line, format!("{expected_line} data/bad-?\n"));
        let expected = format!("{{\"changes\": [{expected_json}], \"path\": \"data/bad-?\"}}\n");
        assert_eq!(json, expected);
    }

    #[test]
    fn changes_look_as_stock_borg_prints_them() {
        check(
            &[Change::Added { size: 3 }],
            "added           3 B",
            r#"{"size": 3, "type": "added"}"#,
        );
        check(
            &[Change::Removed { size: 3000 }],
            "removed     3.00 kB",
            r#"{"size": 3000, "type": "removed"}"#,
        );
        check(
            &[Change::AddedSpecial(Special::Directory)],
            "added directory    ",
            r#"{"type": "added directory"}"#,
        );
        check(
            &[
                Change::Modified {
                    added: 12,
                    removed: 200_000,
                },
                Change::Mode {
                    old: 0o100_644,
                    new: 0o104_755,
                },
            ],
            "    +12 B -200.0 kB [-rw-r--r-- -> -rwsr-xr-x]",
            r#"{"added": 12, "removed": 200000, "type": "modified"}, {"new_mode": "-rwsr-xr-x", "old_mode": "-rw-r--r--", "type": "mode"}"#,
        );
    }

    #[test]
    fn a_change_of_nothing_is_not_shown() {
        let nothing = Change::Modified {
            added: 0,
            removed: 0,
        };
        check(&[nothing], "                   ", "");
    }

    #[test]
    fn owners_without_names_are_none_and_null() {
        check(
            &[Change::Owner {
                old: [Some(b"root"), None],
                new: [Some(b"b\xff"), Some(b"caf\xc3\xa9")],
            }],
            "[root:None -> b?:caf\u{e9}]",
            r#"{"new_group": "caf\u00e9", "new_user": "b\udcff", "old_group": null, "old_user": "root", "type": "owner"}"#,
        );
    }
}
