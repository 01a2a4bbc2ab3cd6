//! Lines of fstab: mount(8) of the system finds the program under the name of its helper, and systemd makes units of them.
//!
//! A script runs in mounts of its own, where the program is linked to as `/sbin/mount.fuse.borgfs`: nothing of it is seen
//! by, or left on, the machine.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ironborg_testkit::{Program, Run};

use super::scene::{Scene, text};

/// Makes the helpers of mount(8) known inside of the script's own mounts.
const PREAMBLE: &str = r#"
set -u
mount -t tmpfs none "$ROOM"
mkdir "$ROOM/upper" "$ROOM/work" "$ROOM/bin"
SBIN=$(realpath /sbin)
mount -t overlay overlay -o "lowerdir=$SBIN,upperdir=$ROOM/upper,workdir=$ROOM/work" "$SBIN"
ln -s "$PROGRAM" "$SBIN/mount.fuse.borgfs"
ln -s "$PROGRAM" "$SBIN/mount.borgfs"
tell() { printf '%s: %s\n' "$1" "$(printf '%s' "$2" | tr '\n' '~')"; }
"#;

/// A repository with an archive of a small tree, and a file with the passphrase.
fn scene() -> Scene {
    let scene = Scene::with_repository(Program::Ours, "repokey");
    let tree = scene.scratch.dir("tree/in side");
    fs::write(tree.join("a file"), "content").expect("room");
    fs::set_permissions(tree.join("a file"), Permissions::from_mode(0o600)).expect("our own file");
    scene.create(Program::Ours, "a", &[], "tree");
    // Other users get at what is mounted below, and at nothing else.
    fs::set_permissions(scene.scratch.path(), Permissions::from_mode(0o755))
        .expect("our own directory");
    let passphrase = scene.home.environment()[OsStr::new("BORG_PASSPHRASE")].clone();
    fs::write(scene.scratch.join("pass,word file"), passphrase.as_bytes()).expect("room");
    scene
}

/// Runs a script after the preamble. The environment has no passphrase: only what mount(8) is told counts.
fn run(scene: &Scene, script: &str) -> Run {
    let mut home = scene.home.clone();
    home.unset("BORG_PASSPHRASE")
        .set("PROGRAM", Program::Ours.path())
        .set("REPO", scene.repo())
        .set("ROOM", scene.empty_dir("room"))
        .set("AT", scene.empty_dir("mounted here"))
        .set("TOP", scene.scratch.path());
    let script = format!("{PREAMBLE}{script}");
    let args = ["--mount", "--propagation", "private", "bash", "-c", &script];
    home.tool(Path::new("unshare"), args)
        .dir(scene.scratch.path())
        .run()
}

/// What was told, by name.
fn told(run: &Run) -> BTreeMap<String, String> {
    let lines = run.out();
    let pairs = lines.lines().filter_map(|line| line.split_once(": "));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[track_caller]
fn assert_told(run: &Run, expected: &[(&str, &str)]) {
    let told = told(run);
    for (name, value) in expected {
        assert_eq!(
            told.get(*name).map(String::as_str),
            Some(*value),
            "{name}\n{run}"
        );
    }
}

#[test]
fn mount_takes_words_and_lines_of_fstab() {
    let scene = scene();
    let run = run(
        &scene,
        r#"
OPTIONS='noauto,x-systemd.automount,nofail,user=x,comment=mine,passphrase_file="'$TOP'/pass,word file"'
mount -t fuse.borgfs "$REPO::a" "$AT" -o "$OPTIONS,uid=1"; tell code $?
tell type "$(findmnt -n -o FSTYPE "$AT")"
tell source "$(findmnt -n -o SOURCE "$AT")"
tell options "$(findmnt -n -o FS-OPTIONS "$AT" | tr , '\n' | grep -e allow_other -e default_permissions | sort)"
tell owner "$(stat -c '%u %a' "$AT/tree/in side/a file")"
tell read "$(setpriv --reuid 1 --regid 1 --clear-groups cat "$AT/tree/in side/a file")"
tell unread "$(setpriv --reuid 2 --regid 2 --clear-groups cat "$AT/tree/in side/a file" 2>&1)"
umount "$AT"; tell unmounted "$? $(ls "$AT")"
mount -t borgfs "$REPO" "$AT" -o "$OPTIONS,uid=1,noallow_other"; tell other $?
tell archives "$(ls "$AT")"
tell shut "$(setpriv --reuid 1 --regid 1 --clear-groups ls "$AT" 2>&1 | grep -o 'Permission denied')"
umount "$AT"

cat > fstab <<END
$REPO::a ${AT// /\\040} fuse.borgfs ro,_netdev,passcommand="cat\\040'$TOP/pass,word\\040file'",path=tree/in\\040side,strip_components=1 0 0
END
mount --fstab fstab "$AT"; tell line $?
tell part "$(cd "$AT" && find . | sort)"
mount --fstab fstab --all; tell again "$? $(findmnt -n "$AT" | wc -l)"
umount "$AT"
mount --fstab fstab --fake "$AT"; tell fake "$? $(ls "$AT")"
"#,
    );
    assert_told(
        &run,
        &[
            ("code", "0"),
            ("type", "fuse.borgfs"),
            ("source", &scene.archive("a")),
            ("options", "allow_other~default_permissions"),
            ("owner", "1 600"),
            ("read", "content"),
            ("unmounted", "0 "),
            ("other", "0"),
            ("archives", "a"),
            ("shut", "Permission denied"),
            ("line", "0"),
            ("part", ".~./in side~./in side/a file"),
            ("again", "0 1"),
            ("fake", "0 "),
        ],
    );
    assert!(told(&run)["unread"].ends_with("Permission denied"), "{run}");
}

#[test]
fn what_cannot_be_mounted_is_said_and_is_no_mount() {
    let scene = scene();
    let run = run(
        &scene,
        r#"
try() {
    said=$(mount -t fuse.borgfs "$1" "$AT" -o "$2" 2>&1 </dev/null); code=$?
    tell "$3" "$code $said"; tell "$3 left" "$(ls "$AT")$(findmnt -n "$AT")"
}
OPTIONS='passphrase_file="'$TOP'/pass,word file"'
try "$REPO::b" "$OPTIONS" archive
try "$REPO::a" "passcommand=echo wrong" passphrase
try "$REPO::a" "passphrase_file=/no/such/file" file
try "$REPO::a" "credential=no-such" credential
try "$REPO::a" "$OPTIONS,colour=blue" option
try "$REPO::a" "$OPTIONS,umask=x" value
try "$REPO::a" "$OPTIONS,setuid=no-such-user" user
try "$REPO::a" "$OPTIONS,remount" remount
try "$REPO/x" "$OPTIONS" repository
"#,
    );
    let told = told(&run);
    for (name, words) in [
        ("archive", "32 Archive b does not exist"),
        ("passphrase", "32 Passphrase supplied in"),
        (
            "file",
            "32 Cannot acquire a passphrase: [Errno 2] No such file or directory",
        ),
        (
            "credential",
            "32 mount.fuse.borgfs: there is no credential no-such",
        ),
        ("option", "32 fuse: unknown option"),
        ("value", "32 "),
        (
            "user",
            "32 mount.fuse.borgfs: there is no user no-such-user",
        ),
        ("remount", "1 mount.fuse.borgfs: option remount"),
        ("repository", "32 Repository "),
    ] {
        assert!(told[name].starts_with(words), "{name}\n{run}");
        assert_eq!(told[&format!("{name} left")], "", "{name}\n{run}");
    }
}

#[test]
fn another_user_mounts_for_himself() {
    let scene = scene();
    let run = run(
        &scene,
        r#"
cp -r "$REPO" theirs; chown -R nobody theirs "$AT" "pass,word file"
mkdir -m 700 "home of nobody"; chown nobody "home of nobody"
export BORG_BASE_DIR="$TOP/home of nobody" BORG_RELOCATED_REPO_ACCESS_IS_OK=yes
mount -t fuse.borgfs "$TOP/theirs::a" "$AT" -o 'setuid=nobody,passphrase_file="'"$TOP"'/pass,word file"'; tell code $?
tell options "$(findmnt -n -o FS-OPTIONS "$AT" | tr , '\n' | grep user_id)"
tell read "$(setpriv --reuid nobody --regid nogroup --clear-groups ls "$AT")"
tell root "$(ls "$AT" 2>&1 | grep -o 'Permission denied')"
umount "$AT"; tell unmounted $?
tell ours "$(find "home of nobody" ! -user nobody)"
"#,
    );
    let user_id = format!("user_id={}", 65_534);
    assert_told(
        &run,
        &[
            ("code", "0"),
            ("options", &user_id),
            ("read", "tree"),
            ("root", "Permission denied"),
            ("unmounted", "0"),
            ("ours", ""),
        ],
    );
}

/// What makes units of the lines of fstab, for a system that is booted.
const GENERATOR: &str = "/usr/lib/systemd/system-generators/systemd-fstab-generator";

#[test]
fn lines_of_fstab_become_units_of_systemd() {
    let scene = Scene::new();
    let at = scene.empty_dir("mounted here");
    let place = text(&at).replace(' ', "\\040");
    let fstab = scene.scratch.join("fstab");
    let options = "noauto,x-systemd.automount,x-systemd.idle-timeout=60,_netdev,nofail,uid=1000,\
        passcommand=\"cat\\040'/pass,word'\",path=home/in\\040side";
    let line = format!("ssh://u@host/./repo::a {place} fuse.borgfs {options} 0 0\n");
    fs::write(&fstab, line).expect("room");
    let units = scene.scratch.dir("units");
    let dirs = [text(&units); 3];
    let mut home = scene.home.clone();
    home.set("SYSTEMD_FSTAB", &fstab);
    home.tool(Path::new(GENERATOR), dirs).run().ok();
    let named = |ending: &str| {
        let files = fs::read_dir(&units).expect("a directory just made");
        let mut paths = files.map(|file| file.expect("it can be read").path());
        let found = paths.find(|path| path.extension().is_some_and(|name| name == ending));
        found.unwrap_or_else(|| panic!("no unit that ends with .{ending}"))
    };
    let (mount, automount) = (named("mount"), named("automount"));
    let content = fs::read_to_string(&mount).expect("a unit just made");
    assert!(content.contains("Type=fuse.borgfs"), "{content}");
    // What mount(8) gets is what it gets from the line.
    let expected = "passcommand=\"cat '/pass,word'\",path=home/in side\n";
    assert!(content.contains(expected), "{content}");
    let args = ["verify", "--man=no", text(&automount), text(&mount)];
    let run = home.tool(Path::new("systemd-analyze"), args).run().ok();
    assert_eq!(run.err(), "", "{run}");
}
