//! Many runs of stock Borg in one process: its start takes longer than most of what it is asked to do.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use crate::Run;

/// Loads stock Borg, then forks for each list of arguments and runs its main function in the copy.
pub(crate) const SCRIPT: &str = "
import json, os, sys, tempfile
import borg.archiver
def start(program, run, out, err):
    args = run['args']
    os.environ.update(run.get('variables', {}))
    os.chdir(run.get('dir', '.'))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    sys.argv = [program] + args
    code = 0
    try:
        borg.archiver.main()
    except SystemExit as e:
        code = e.code or 0
    for stream in sys.stdout, sys.stderr:
        # A command that wrote to a file called '-' has closed it.
        if not stream.closed:
            stream.flush()
    os._exit(code)
wanted = json.load(sys.stdin)
found = []
for run in wanted['runs']:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        pid = os.fork()
        if pid == 0:
            start(wanted['program'], run, out, err)
        status = os.waitpid(pid, 0)[1]
        streams = []
        for stream in out, err:
            stream.seek(0)
            streams.append(stream.read().decode('latin-1'))
        found.append([status] + streams)
json.dump(found, sys.stdout)
";

/// The runs the script has reported.
///
/// # Panics
/// When it has reported something else.
pub(crate) fn read(report: &Run, wanted: &[Vec<String>]) -> Vec<Run> {
    let found: Vec<(i32, String, String)> =
        serde_json::from_value(report.json()).expect("three facts for each run");
    assert_eq!(found.len(), wanted.len(), "runs reported\n{report}");
    let elapsed = report.elapsed / u32::try_from(found.len().max(1)).expect("a few runs");
    let runs = found.into_iter().zip(wanted);
    runs.map(|((status, out, err), args)| {
        let status = ExitStatus::from_raw(status);
        let streams = [out, err].map(|text| bytes(&text));
        Run::from_parts(
            &format!("[stock] borg {}", args.join(" ")),
            status,
            streams,
            elapsed,
        )
    })
    .collect()
}

/// Every byte travelled as the character of its number.
fn bytes(text: &str) -> Vec<u8> {
    let byte = |c: char| u8::try_from(c).expect("a character of Latin-1");
    text.chars().map(byte).collect()
}
