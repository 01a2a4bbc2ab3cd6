//! Logging set up by a file.

use ironborg_testkit::Program;

use crate::same_output::normal;
use crate::scene::Scene;

/// Everything to standard error with its level and logger; lists to a file of their own, warnings also to another.
const CONF: &str = "\
[loggers]
keys = root, list, archiver

[handlers]
keys = console, file, warnings, nothing

[formatters]
keys = long, short

[logger_root]
level = INFO
handlers = console

[logger_list]
qualname = borg.output.list
handlers = file
propagate = 0

[logger_archiver]
qualname = borg.archiver
level = INFO
handlers = warnings, nothing

[handler_console]
class = StreamHandler
formatter = long
args = (sys.stderr,)

[handler_file]
class = logging.FileHandler
formatter = short
args = ('list.log',)

[handler_warnings]
class = FileHandler
level = WARNING
kwargs = {'filename': 'warnings.log', 'mode': 'a'}

[handler_nothing]
class = NullHandler
args = ()

[formatter_long]
format = %(levelname)-8s %(levelno)d %(name)s: %(message)s

[formatter_short]
format = %(message)s (%(levelname).1s)
datefmt = %H
";

#[test]
fn records_go_where_a_file_says() {
    let mut scene = Scene::with_repository(Program::Stock, "none");
    scene.scratch.dir("tree");
    std::fs::write(scene.scratch.join("tree/a"), "a").expect("a file of this test");
    std::fs::write(scene.scratch.join("logging.conf"), CONF).expect("a file of this test");
    scene.home.set("BORG_LOGGING_CONF", "logging.conf");
    scene
        .home
        .set("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes");
    let archive = scene.archive("a");
    let lists: &[&[&str]] = &[
        &[
            "create",
            "--list",
            "--show-rc",
            "--timestamp",
            "2024-01-02T03:04:05",
            "-C",
            "none",
            &archive,
            "tree",
            "nosuch",
        ],
        &["--critical", "list", "nosuch"],
        &["--log-json", "list", "--show-rc", "nosuch"],
        &["--log-json", "--progress", "delete", "--list", &archive],
    ];
    let sides = scene.each_from_same_state(|program| {
        let found: Vec<String> = lists
            .iter()
            .map(|args| {
                let run = scene.run(program, args);
                let (code, err) = (run.code(), normal(&run.stderr));
                // What only developers read is each program's own.
                let mut lines: Vec<&str> = err.lines().collect();
                lines.retain(|line| {
                    !line.starts_with("DEBUG") && !line.starts_with("INFO     20 borg.cache")
                });
                format!("{args:?} rc {code}\n{}\n", lines.join("\n"))
            })
            .collect();
        let logs = ["list.log", "warnings.log"].map(|name| {
            let path = scene.scratch.join(name);
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            // Absent logs are as equal as they should be.
            let _ = std::fs::remove_file(path);
            normal(text.as_bytes())
        });
        (found.concat(), logs)
    });
    let [(ours, our_logs), (stock, stock_logs)] = sides;
    assert!(ours.contains("ERROR    40 borg.archiver: "), "{ours}");
    assert!(
        our_logs[1].contains("nosuch does not exist"),
        "{our_logs:?}"
    );
    assert!(our_logs[0].contains("A tree/a (I)"), "{our_logs:?}");
    assert_eq!(ours, stock, "standard error, ours first");
    assert_eq!(our_logs, stock_logs, "logs, ours first");
}

#[test]
fn a_file_that_cannot_be_used_is_warned_about() {
    let scene = Scene::new();
    let cases = [
        None,
        Some("nothing but text"),
        Some("[loggers]\nkeys = root\n"),
        Some(
            "[loggers]\nkeys=root\n[handlers]\nkeys=h\n[formatters]\nkeys=\n[logger_root]\nhandlers=h\n[handler_h]\nclass=NoHandler\n",
        ),
        Some(
            "[loggers]\nkeys=root\n[handlers]\nkeys=\n[formatters]\nkeys=f\n[formatter_f]\nformat=x\n[logger_root]\nhandlers=\n",
        ),
    ];
    for case in cases {
        if let Some(text) = case {
            std::fs::write(scene.scratch.join("conf"), text).expect("a file of this test");
        }
        let mut first_line = Program::BOTH.map(|program| {
            let home = scene.home.with("BORG_LOGGING_CONF", "conf");
            let run = scene.run_on(&home, program, &["--log-json", "list", "nosuch"]);
            assert_eq!(run.code(), 2, "{run}");
            let err = normal(&run.stderr);
            assert!(err.contains("nosuch does not exist"), "{run}");
            let line = err.lines().next().unwrap_or_default().to_owned();
            assert!(line.contains("\"name\": \"borg.logger\""), "{run}");
            line
        });
        if case.is_some() {
            // Why it cannot be used is each program's own wording.
            for line in &mut first_line {
                line.truncate(line.find("failed with").expect("it says so"));
            }
        }
        assert_eq!(first_line[0], first_line[1]);
    }
}
