# One passphrase for all, in a file.
{
  services.ironborg = {
    defaults = {
      repo = "/mnt/disk/{job}";
      encryption = {
        mode = "repokey";
        passphraseFile = "/root/passphrase";
      };
    };
    jobs.home.paths = "/home";
  };
}
