# The wiki's automount without sudo, and every option.
{
  services.ironborg.automount = {
    borg-home-danbst = {
      directory = "/run/user/1002/borg-home-danbst";
      source = "user@example.com:/media/backup/backups/station/home-danbst::station-home-danbst-2020-06-10T00:00:46";
      user = "danbst";
      uid = 1002;
      paths = [ "home/danbst" ];
      stripComponents = 2;
      identity = "/home/danbst/.ssh/id_ed25519";
      environment = {
        BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK = "yes";
        BORG_RELOCATED_REPO_ACCESS_IS_OK = "yes";
      };
      options = [ "exec" ];
      idleTimeout = null;
    };
    disk = {
      source = "/mnt/disk/laptop";
      passCommand = "cat /etc/a,b \"\\";
    };
    by-file = {
      source = "/mnt/disk/two";
      passphraseFile = "/root/passphrase";
    };
    by-credential = {
      source = "ssh://borg@nas/./laptop";
      credential = "borg";
      idleTimeout = "1h";
    };
  };
}
