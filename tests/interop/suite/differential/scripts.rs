//! The lines.

use super::compare;

const MODERN: (&str, &str) = ("BORG_EXIT_CODES", "modern");

#[test]
fn what_only_reads() {
    compare(
        &[MODERN],
        "\
list r
list --short r
list --json r
list --consider-checkpoints --format '{archive} {comment} {tam}{NL}' r
list -P a r
list -a 'a*' --sort-by name --first 1 r
list --last 2 r
list r::a1
list --short r::a1 t/dir
list --json-lines r::a1
list --format '{type} {mode} {path}{extra} {size} {dsize} {num_chunks} {sha256}{NL}' r::a1
list -e '*/c' r::a1
list r::a1 nosuch
list r::nosuch
list r a1
list --json r::a1
list --json-lines r
list --format '{nosuch}' r
list --format '{nosuch}' r::a1
list nosuch
list t
list --show-version --show-rc r::a2
list --iec r::a2
list --log-json --show-version --show-rc -v r::nosuch
info r
info --json r
info r::a1
info --iec r::a1
info --json r::a1
info -a 'a*' r
info --first 1 r
info -a x r
info r::nosuch
info --last 1 r::a1
info u
info k
info n
diff r::a1 a3
diff --json-lines r::a1 a2
diff --content-only r::a1 a2
diff --sort-by size r::a1 a2
diff r::a1 a2 t/dir nosuch
diff r::a1 nosuch
diff r::nosuch a1
extract -n r::a1
extract -n --list r::a1
extract -n --list --log-json r::a1 t/dir
extract -n r::a1 nosuch
extract --stdout r::a1 t/a t/dir/c
extract r::nosuch
export-tar --list r::a1 - t/a nosuch
export-tar r::nosuch -
check r::nosuch --bypass-lock --umask=x
config --list r
config r segments_per_dir
config r nosuch
version r
debug dump-manifest r -
debug dump-archive-items r::nosuch
debug refcount-obj r zz 0000000000000000000000000000000000000000000000000000000000000000
debug get-obj r zz x
key export r
key export n
upgrade --dry-run r
prune r
with-lock r true
with-lock r false
with-lock r sh -c 'echo out; echo err >&2; exit 7'
with-lock r nosuchcommand
",
    );
}

#[test]
fn what_writes() {
    compare(
        &[MODERN],
        "\
create -C none n::x t
create -C none n::x t
create -C none -s n::y t
create -C none --quick-stats --iec n::z t
create -C none --json n::json t
create -C none --list n::list t nosuch
create -C none --list --filter AM n::filtered t
create -C none --log-json --list --show-rc n::logged t/a nosuch
create -C none -n --list -e '*/dir' n::dry t
create -C none -n -s n::dry t
create -C none n::nothing nosuch
create -C none 'n::bad/name' t
create n t
create nosuch::x t
create -C none --comment '{nosuch}' n::x2 t
create -C none --timestamp x n::x2 t
create -C none --dry-run --stats --list n::dry2 t/a
rename n::x x1
rename n::x1 y
rename n::nosuch q
rename n::x1 ''
list --short n
delete -n --list n::y
delete -n --list n::nosuch n::x
delete --list n::y
delete -s --list n z json
delete --quick-stats n::list
delete n::nosuch
delete --list n nosuch filtered
delete --log-json --list --show-rc n::x1
delete --force n::nosuch
delete -a '*' --first 1 --list n
delete --cache-only n
compact -v r
compact -v --cleanup-commits r
compact --threshold 0 -v --log-json --show-rc r
compact nosuch
prune -n --list --keep-last 1 r
prune -v --list -s --keep-last 2 r
prune --log-json --list --keep-daily 1 -a 'a*' r
prune --keep-within 2x r
recreate -n --list -e '*/c' r
recreate --list -s -v -e '*/c' r::a1
recreate --log-json -v --target new r::a3
recreate r::nosuch
recreate --comment changed r::a3
list r
delete --list r
delete nosuch
delete --log-json n
list n
",
    );
}

#[test]
fn keys_settings_and_tarballs() {
    compare(
        &[MODERN],
        "\
key export r exported
key export r exported
key export r /nosuch/dir/exported
key export --paper r paper
key export --qr-html r page.html
key import r exported
key import r nosuch
key import r t/a
key import n exported
key import k exported
key change-passphrase r
key change-passphrase n
key change-passphrase --log-json --show-rc k
config r append_only 1
config r append_only x
config -d r append_only
config r max_segment_size 1
config r nosuch 5
config r x.y z
config r x.y
config -d r x.y
config --cache r
config --cache --list n
config nosuch
export-tar r::a1 a1.tar
export-tar r::a1 a1.tar
export-tar --progress r::a1 a1.tar.gz t/dir
export-tar --strip-components 1 --list r::a1 -
export-tar --tar-filter 'cat' r::a1 filtered.tar
export-tar --tar-filter true r::a1 filtered.tar
export-tar --tar-filter false r::a1 filtered.tar
export-tar --tar-filter false --log-json r::a1 filtered.tar
export-tar --tar-filter 'dd bs=100 count=1 status=none' r::a1 -
export-tar --list --progress r::a1 a1.tar
export-tar --list --progress --log-json r::a1 a1.tar
export-tar r::a1 /dev/full
extract --stdout r::a1 t/b t/nosuch
import-tar -C none --tar-filter true n::empty a1.tar
import-tar -C none --tar-filter 'head -c 20000' n::cut a1.tar
import-tar -C none --tar-filter nosuchprogram n::none a1.tar
key export-related-secrets r secrets.json
key export-related-secrets k secrets.json
key export-related-secrets u -
key export-related-secrets r t
key export --paper r t
key export r t
import-tar -C none --list n::imported a1.tar
import-tar -C none -s n::stats a1.tar
import-tar -C none --json n::json a1.tar
import-tar -C none n::imported a1.tar
import-tar -C none n::nosuch nosuch.tar
import-tar -C none n::garbage t/b
upgrade r
upgrade --tam r
upgrade --check-tam r
upgrade --check-archives-tam r
upgrade --archives-tam n
upgrade --disable-tam r
upgrade --check-tam r
break-lock r
break-lock nosuch
init -e none r
init -e none n::x
init -e repokey --make-parent-dirs new/dir/repo
init -e none /proc/nosuch
init -e authenticated --append-only --storage-quota 20M new2
init -e none --log-json --show-rc -v new3
debug id-hash r t/a
debug put-obj n 0000000000000000000000000000000000000000000000000000000000000001 t/a
debug get-obj n 0000000000000000000000000000000000000000000000000000000000000001 got
debug delete-obj n 0000000000000000000000000000000000000000000000000000000000000001 zz
debug dump-archive r::a1 -
umount nosuch
",
    );
}

#[test]
fn legacy_codes() {
    compare(
        &[],
        "\
create -C none n::x t nosuch
list r::nosuch
list nosuch
extract r::a1 nosuch
extract -n r::a1 t/a
info -a x r
delete r nosuch
rename r::a1 a2
with-lock r sh -c 'exit 100'
key import r nosuch
list --show-rc --log-json r::nosuch
create -C none --show-rc n::y nosuch
create -C none --critical --show-rc n::z nosuch
create -C none --error n::q nosuch
create -C none --debug-topic nosuch n::w t/a
list --bypass-lock r
create -C none --bypass-lock n::l t
",
    );
}

#[test]
fn progress_as_text_and_as_records() {
    compare(
        &[MODERN],
        "\
info r
extract --progress -n r::a1
extract --progress --log-json -n r::a1
delete --progress r::a1
delete --progress --log-json --list r::a2
prune --progress --log-json --keep-last 1 r
compact --progress r
compact --progress --log-json --threshold 0 r
rename --progress --log-json r::a3 b3
recreate --progress --log-json --comment x r::b3
info --progress --log-json r
list --progress --log-json r
list --progress --log-json r::b3
diff --progress --log-json r::b3 b3
export-tar --progress --log-json r::b3 x.tar
key change-passphrase --progress --log-json r
check --progress --log-json --bogus
",
    );
}

#[test]
fn a_wrong_passphrase() {
    compare(
        &[MODERN, ("BORG_PASSPHRASE", "wrong")],
        "\
list r
list --log-json --show-rc r
list u
list k
list n
create r::x t
info r::a1
delete r
delete --log-json r::a1
key export r exported
key change-passphrase r
debug dump-manifest r -
with-lock r true
",
    );
}
