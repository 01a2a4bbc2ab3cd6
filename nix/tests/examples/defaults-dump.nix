# What a program prints, to a device that comes and goes.
{
  services.ironborg = {
    defaults = {
      dumpCommand = "/run/current-system/sw/bin/dump-database";
      repo = "/mnt/stick/{job}";
      removableDevice = true;
      encryption = {
        mode = "repokey";
        passphrase = "in the store, for all to see";
      };
    };
    jobs.database = { };
  };
}
