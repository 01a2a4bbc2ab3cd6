//! What helps people: suggestions, completions, manual pages.

use std::path::Path;
use std::process::Command;

use super::scene::{Ran, Scene};

/// The last line on standard error of a command line that is refused.
fn hint(program: &str, words: &[&str]) -> String {
    let ran = Scene::with_program(program).run(words);
    assert_eq!(ran.code, 2, "{ran:?}");
    ran.err.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn a_mistyped_word_gets_a_suggestion() {
    for (words, expected) in [
        (&["lsit"][..], "Did you mean \"ironborg list\"?"),
        (&["rm", "x::y"], "Did you mean \"ironborg delete\"?"),
        (
            &["key", "exprot", "x"],
            "Did you mean \"ironborg key export\"?",
        ),
        (&["list", "--formt", "x", "y"], "Did you mean \"--format\"?"),
        (
            &["create", "--one-filesystem", "x::y", "z"],
            "Did you mean \"--one-file-system\"?",
        ),
        (
            &["help", "patern"],
            "Did you mean \"ironborg help patterns\"?",
        ),
        (
            &["help", "key", "export"],
            "Try \"ironborg key export --help\".",
        ),
    ] {
        assert_eq!(hint("ironborg", words), expected, "{words:?}");
    }
}

#[test]
fn under_stock_borgs_name_a_script_reads_what_stock_borg_says() {
    let message = hint("borg", &["lsit"]);
    assert_eq!(
        message,
        "borg: error: argument <command>: invalid choice: 'lsit' (choose from 'benchmark', 'break-lock', \
         'check', 'compact', 'config', 'create', 'debug', 'delete', 'diff', 'export-tar', 'extract', 'help', \
         'info', 'version', 'init', 'key', 'list', 'mount', 'prune', 'recreate', 'rename', 'serve', 'umount', \
         'upgrade', 'with-lock', 'import-tar')"
    );
    let message = hint("borg", &["completions", "bash"]);
    assert!(
        message.contains("invalid choice: 'completions'"),
        "{message}"
    );
    let message = hint("borg", &["list", "--formt", "x", "y"]);
    assert_eq!(message, "borg: error: unrecognized arguments: --formt");
}

/// What bash offers for the last of the words, after loading the completion script.
fn offered(script: &Path, words: &[&str]) -> Vec<String> {
    let last = words.len() - 1;
    let harness = format!(
        "source '{}'; COMP_WORDS=({}); COMP_CWORD={last}; f=$(complete -p {} | sed 's/.*-F \\([^ ]*\\).*/\\1/'); \
         $f {} '{}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display(),
        words.join(" "),
        words[0],
        words[0],
        words[last],
        words[last - 1],
    );
    let mut command = Command::new("bash");
    command.args(["--norc", "--noprofile", "-c", &harness]);
    let ran = Ran::of(command, b"");
    assert!(ran.code == 0 && ran.err.is_empty(), "{ran:#?}");
    ran.out.lines().map(ToOwned::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_values_of_both_names() {
    let scene = Scene::with_program("ironborg");
    let script = scene.root().join("completion");
    std::fs::write(&script, scene.ok(["completions", "bash"]).out).unwrap();
    for program in ["ironborg", "borg"] {
        assert_eq!(offered(&script, &[program, "ext"]), ["extract"]);
        assert_eq!(
            offered(&script, &[program, "create", "--one-f"]),
            ["--one-file-system"]
        );
        assert_eq!(
            offered(&script, &[program, "key", "expo"]),
            ["export", "export-related-secrets"]
        );
        assert_eq!(
            offered(&script, &[program, "key", "export", "--qr"]),
            ["--qr-html"]
        );
        let modes = offered(&script, &[program, "init", "--encryption", "repo"]);
        assert_eq!(modes, ["repokey", "repokey-blake2"]);
        assert_eq!(
            offered(&script, &[program, "list", "--log-"]),
            ["--log-json"]
        );
    }
}

#[test]
fn completion_scripts_are_accepted_by_their_shells() {
    let scene = Scene::with_program("ironborg");
    for (shell, names) in [
        ("bash", "-o default borg\n"),
        ("zsh", "#compdef ironborg borg\n"),
        ("fish", "complete -c borg -w ironborg\n"),
    ] {
        let script = scene.root().join(shell);
        let text = scene.ok(["completions", shell]).out;
        assert!(text.contains(names), "{shell} does not complete both names");
        // As bash, zsh and fish would have it.
        for hidden in [" --debug-profile ", "'--debug-profile=", "-l debug-profile"] {
            assert!(!text.contains(hidden), "{shell} offers what is hidden");
        }
        std::fs::write(&script, text).unwrap();
        // Which shells there are differs; bash always is one of them.
        let checked = Command::new(shell).arg("-n").arg(&script).output();
        match checked {
            Ok(output) => assert!(output.status.success(), "{shell}: {output:?}"),
            Err(_) => assert_ne!(shell, "bash"),
        }
    }
    let refused = hint("ironborg", &["completions", "tcsh"]);
    assert!(
        refused.contains("choose from 'bash', 'zsh', 'fish'"),
        "{refused}"
    );
}

#[test]
fn every_command_and_topic_has_a_manual_page() {
    let scene = Scene::with_program("ironborg");
    scene.ok(["man", "share/man1"]);
    let dir = scene.home().join("share/man1");
    let page = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap_or_default();
    let create = page("ironborg-create.1");
    for part in [
        ".TH ironborg-create 1",
        ".SH NAME",
        "\\-\\-exclude",
        ".SH EXAMPLES",
        ".SH \"SEE ALSO\"",
        "ironborg(1)",
    ] {
        assert!(create.contains(part), "{part} is missing:\n{create}");
    }
    assert!(!create.contains("\\-\\-lock\\-wait"), "{create}");
    let program = page("ironborg.1");
    assert!(
        program.contains("\\-\\-lock\\-wait") && program.contains("ironborg\\-create(1)"),
        "{program}"
    );
    assert!(page("ironborg-key-export.1").contains("\\-\\-paper"));
    assert!(page("ironborg-patterns.1").contains("shell pattern"));
    assert_eq!(page("borg-create.1"), ".so man1/ironborg-create.1\n");
    assert_eq!(page("borg-backup.1"), "");
    assert!(page("ironborg-backup.1").contains(".SH EXAMPLES"));
    let mut pages: Vec<_> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("iron"))
        })
        .collect();
    pages.sort();
    assert!(pages.len() > 45, "{} pages", pages.len());
    // Where a formatter is installed it finds nothing to complain of.
    let mut groff = Command::new("groff");
    groff.args(["-man", "-ww", "-z", "-Tutf8"]).args(&pages);
    if let Ok(output) = groff.output() {
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && complaints.is_empty(),
            "{complaints}"
        );
    }
}

#[test]
fn help_has_topics_and_its_own_options() {
    let scene = Scene::with_program("ironborg");
    let create = scene.ok(["help", "create"]).out;
    assert!(create.contains("Owner of piped data"), "{create}");
    assert!(
        !scene
            .ok(["create", "--help"])
            .out
            .contains("Owner of piped data")
    );
    let options = scene.ok(["help", "options"]).out;
    assert!(options.contains("--lock-wait SECONDS"), "{options}");
    let examples = scene.ok(["help", "--epilog-only", "prune"]).out;
    assert!(examples.starts_with("Examples:\n"), "{examples}");
    let usage = scene.ok(["help", "--usage-only", "prune"]).out;
    assert!(!usage.contains("Examples:"), "{usage}");
    let ran = scene.run(["help", "--bypass-lock", "patterns"]);
    assert_eq!(
        ran.err,
        "Error: Not allowed to bypass locking mechanism for chosen command\n"
    );
}
