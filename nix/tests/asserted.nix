# Configurations that evaluate, and are refused with a reason.
{
  no-key.services.ironborg.repos.a = { };
  same-key.services.ironborg.repos = {
    a.authorizedKeys = [ "ssh-ed25519 AAAA a" ];
    b = {
      path = "/srv/b";
      authorizedKeysAppendOnly = [ "ssh-ed25519  AAAA another comment" ];
    };
  };
  two-users.services.ironborg.repos = {
    a.authorizedKeys = [ "ssh-ed25519 AAAA a" ];
    b = {
      path = "/srv/b";
      user = "other";
      authorizedKeys = [ "ssh-ed25519 AAAA a" ];
    };
  };
  foreign-variable.services.ironborg.automount.a = {
    source = "/mnt/a";
    environment.PATH = "/bin";
  };
}
