# A client and a server in virtual machines: backup by timer's service, wait for the server, notice, mount, restore.
#
# It needs nixpkgs and /dev/kvm: `nix build .#checks.x86_64-linux.vm`.
{
  # nixosModules.default
  module,
  testers,
  runCommand,
  openssh,
}:
let
  keys = runCommand "test-keys" { nativeBuildInputs = [ openssh ]; } ''
    mkdir $out
    ssh-keygen -q -N "" -t ed25519 -f $out/key
  '';
in
testers.runNixOSTest {
  name = "ironborg";

  nodes.server = {
    imports = [ module ];
    services.openssh.enable = true;
    services.ironborg.repos.client = {
      path = "/var/lib/backup-of-client";
      quota = "1G";
      authorizedKeys = [ (builtins.readFile "${keys}/key.pub") ];
    };
  };

  nodes.client =
    { pkgs, ... }:
    {
      imports = [ module ];
      users.users.me = {
        isNormalUser = true;
        uid = 1000;
      };
      environment.etc."backup-key" = {
        source = "${keys}/key";
        mode = "0400";
        user = "me";
      };
      services.ironborg = {
        defaults = {
          encryption = {
            mode = "repokey-blake2";
            passCommand = "echo secret";
          };
          environment.BORG_RSH = "ssh -i /etc/backup-key -o StrictHostKeyChecking=no";
          user = "me";
          startAt = [ ];
        };
        jobs.documents = {
          paths = "/home/me/documents";
          repo = "borg@server:.";
          prune.keep.daily = 7;
          checks.drill.every = "0";
          conditions.wait = "5min";
        };
        jobs.broken = {
          paths = "/home/me/documents";
          repo = "/home/me/not-there";
          doInit = false;
          notify.by = [ "note" ];
        };
        notify.note = {
          type = "command";
          command = "${pkgs.coreutils}/bin/touch /tmp/told";
        };
        jobs.broken.privateTmp = false;
        automount.documents = {
          directory = "/mnt/documents";
          source = "borg@server:.";
          user = "me";
          passCommand = "echo secret";
          identity = "/etc/backup-key";
        };
      };
    };

  testScript = ''
    client.start()
    client.wait_for_unit("multi-user.target")
    client.succeed("su me -c 'mkdir ~/documents && echo precious > ~/documents/file'")

    with subtest("a backup waits for a server that comes up later"):
        client.succeed("systemctl start --no-block ironborg-job-documents.service")
        client.succeed("sleep 5; systemctl is-active --quiet ironborg-job-documents.service || systemctl show -P SubState ironborg-job-documents.service | grep start")
        server.start()
        server.wait_for_unit("sshd.service")
        client.wait_until_succeeds("test $(systemctl show -P Result ironborg-job-documents.service) = success -a $(systemctl show -P SubState ironborg-job-documents.service) = dead", timeout=300)

    with subtest("it is there, and nobody else can read it"):
        server.succeed("test -f /var/lib/backup-of-client/config")
        server.succeed("test $(stat -c %a:%U /var/lib/backup-of-client) = 700:borg")
        client.succeed("su me -c 'borg-job-documents list' | grep client-documents-")
        client.succeed("ironborg jobs status --json | grep documents")

    with subtest("the key opens this repository only"):
        client.fail("su me -c 'ssh -i /etc/backup-key -o StrictHostKeyChecking=no borg@server true'")

    with subtest("it is mounted for its user when looked at"):
        client.succeed("su me -c 'ls /mnt/documents' | grep client-documents-")
        client.succeed("su me -c 'cat /mnt/documents/*/home/me/documents/file' | grep precious")

    with subtest("a restore gives back what was there"):
        client.succeed("su me -c 'rm -r ~/documents; cd / && borg-job-documents extract ::$(borg-job-documents list --short | tail -n 1)'")
        client.succeed("grep precious /home/me/documents/file")

    with subtest("a failure is told"):
        client.fail("systemctl start ironborg-job-broken.service")
        client.wait_until_succeeds("test -e /tmp/told")
  '';
}
