# The whole wiki page the way it is meant here: shared options are said once; the notice, the wait for the network, the
# run that was missed and the mount need no scripts.
{
  services.ironborg = {
    defaults = {
      exclude = map (name: "{path}/${name}") [
        ".cache"
        "*/cache2"
        "*/Cache"
        ".config/Slack/logs"
        ".config/Code/CachedData"
        ".container-diff"
        ".npm/_cacache"
        "*/node_modules"
        "*/bower_components"
        "*/_build"
        "*/.tox"
        "*/venv"
        "*/.venv"
      ];
      encryption.mode = "none";
      environment.BORG_RSH = "ssh -i /home/danbst/.ssh/id_ed25519";
      repo = "ssh://user@example.com//media/backup/backups/station/{job}";
      compression = "zstd,1";
      user = "danbst";
      persistentTimer = true;
      conditions.wait = "30min";
      notify.by = [ "desktop" ];
    };
    jobs = {
      home-danbst = {
        paths = "/home/danbst";
        exclude = [
          "/home/danbst/dev/company1"
          "/home/danbst/dev/company2"
          "/home/danbst/Downloads"
        ];
      };
      home-danbst-downloads.paths = "/home/danbst/Downloads";
      extra-drive-important.paths = "/media/extra-drive/important";
    };
    notify.desktop = {
      type = "desktop";
      users = [ "danbst" ];
    };
    automount.home-danbst = {
      source = "ssh://user@example.com//media/backup/backups/station/home-danbst";
      user = "danbst";
      identity = "/home/danbst/.ssh/id_ed25519";
      environment.BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK = "yes";
    };
  };

  networking.hostName = "station";
  users.users.danbst.group = "users";
}
