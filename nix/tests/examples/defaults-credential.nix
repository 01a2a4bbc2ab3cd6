# One passphrase for all, a credential of systemd.
{
  services.ironborg = {
    defaults = {
      repo = "/mnt/disk/{job}";
      encryption = {
        mode = "repokey";
        credential = "borg";
      };
    };
    jobs.home.paths = "/home";
  };
}
