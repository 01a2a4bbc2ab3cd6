# A server: the one of the tutorial, and one with everything.
{
  services.ironborg.repos = {
    my_borg_repo = {
      authorizedKeys = [
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE+u6Q/ycvxM1XG7JitWqla/nTKvT29rHS9IUjZMaPwH jlippmann@NUE-MAC-087"
      ];
      path = "/var/lib/my_borg_repo";
    };
    family = {
      path = "/srv/backup/the family's";
      user = "family";
      group = "backup";
      quota = "1.5T";
      allowSubRepos = true;
      authorizedKeys = [
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMMV1IiTn7IAWHgnQ1KZEaSnHblfPbqb2U4h7GRFWsNW me@laptop"
      ];
      authorizedKeysAppendOnly = [
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAkWzYAQ7fP7XGdkAm1sGcKC3zzpnU2l9MK+3ZJRdME3 me@phone"
      ];
    };
  };
}
