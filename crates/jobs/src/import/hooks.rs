//! Commands before and after.

use super::job::Draft;
use super::yaml::Yaml;

/// Whether the value was of use; nothing if it is another key.
pub(super) fn translate(draft: &mut Draft, key: &str, value: &Yaml) -> Option<bool> {
    let ours = match key {
        "before_everything" | "before_actions" | "before_backup" => "pre_hook",
        "after_backup" => "post_create",
        "after_prune" => "post_prune",
        "after_actions" | "after_everything" => "post_hook",
        "on_error" => "on_failure",
        "before_prune" | "before_compact" | "before_check" | "before_extract" | "after_compact"
        | "after_check" | "after_extract" => {
            draft.leave(key, "there is no hook at this point; see `pre_hook`, `post_create`, `post_prune`, `post_hook`");
            return Some(true);
        }
        "commands" => return Some(commands(draft, value)),
        _ => return None,
    };
    Some(add(draft, key, ours, value))
}

fn add(draft: &mut Draft, key: &str, ours: &'static str, value: &Yaml) -> bool {
    let Some(lines) = value.texts() else {
        return false;
    };
    if ours == "post_hook" {
        draft.leave(
            key,
            "`post_hook` runs after a failure too: $exitStatus tells",
        );
    }
    if lines
        .iter()
        .any(|line| line.contains('{') && line.contains('}'))
    {
        draft.leave(
            key,
            "what borgmatic replaces in braces, such as {repository} or {error}, stays as it is",
        );
    }
    draft.add_script(ours, lines);
    true
}

/// `commands:`: at which point, for which actions, after which outcome.
fn commands(draft: &mut Draft, value: &Yaml) -> bool {
    let Yaml::List(items) = value else {
        return false;
    };
    for (index, item) in items.iter().enumerate() {
        let name = format!("commands[{index}]");
        let text = |key: &str| item.get(key).and_then(Yaml::text).unwrap_or_default();
        let list = |key: &str| item.get(key).and_then(Yaml::texts).unwrap_or_default();
        let (when, states) = (list("when"), list("states"));
        let for_create = when.is_empty() || when.iter().any(|action| action == "create");
        let only = |action: &str| when.len() == 1 && when.iter().any(|it| it == action);
        let ours = match (text("before").as_str(), text("after").as_str()) {
            ("repository" | "configuration" | "everything", "") if for_create => "pre_hook",
            ("action", "") if only("create") => "pre_hook",
            ("", "action") if only("create") && !states.iter().any(|it| it == "fail") => {
                "post_create"
            }
            ("", "action") if only("prune") && !states.iter().any(|it| it == "fail") => {
                "post_prune"
            }
            ("", "error") => "on_failure",
            ("", "repository" | "configuration" | "everything")
                if states.len() == 1 && states.iter().any(|it| it == "fail") =>
            {
                "on_failure"
            }
            ("", "repository" | "configuration" | "everything") if for_create => "post_hook",
            _ => {
                draft.leave(name, "there is no hook at this point; see `pre_hook`, `post_create`, `post_prune`, `post_hook`");
                continue;
            }
        };
        let lines = item.get("run").cloned().unwrap_or(Yaml::Null);
        if !add(draft, &name, ours, &lines) {
            return false;
        }
    }
    true
}
