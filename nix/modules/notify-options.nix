# The options of a way of telling somebody.
{ lib }:
let
  inherit (lib) mkOption types;

  optional =
    type: description:
    mkOption {
      type = types.nullOr type;
      default = null;
      inherit description;
    };

  list =
    description:
    mkOption {
      type = types.listOf types.str;
      default = [ ];
      inherit description;
    };
in
{
  type = mkOption {
    type = types.enum [
      "desktop"
      "mail"
      "ntfy"
      "webhook"
      "healthchecks"
      "command"
    ];
    description = "Which way it is.";
  };
  subject = optional types.str "The subject, with placeholders.";
  body = optional types.lines "The text, with placeholders.";
  atMostEvery = optional types.str "The same is not told again for so long, such as `1h`.";

  users = list "Of `desktop`: whose; nobody: that of the job's user, or of all who are logged in if that is root.";

  from = optional types.str "Of `mail`: the sender.";
  to = list "Of `mail`: the recipients.";
  sendmail = optional types.path "Of `mail`: the program that takes it, if it is not sent to a server.";
  smtp = {
    host = optional types.str "The server.";
    port = optional types.port "Its port.";
    security = optional (types.enum [
      "none"
      "starttls"
      "tls"
    ]) "How the connection is kept secret.";
    user = optional types.str "The name to log in with.";
    password = optional types.str "The password. It ends up in the world-readable store: use one of the next two.";
    passwordFile = optional types.str "File that holds the password.";
    passwordCredential = optional types.str "Name of a systemd credential that holds the password.";
  };

  url = optional types.str ''
    Of `ntfy`, `webhook` and `healthchecks`: the address. It ends up in the world-readable store: if it is a secret, use
    one of the next two.
  '';
  urlFile = optional types.str "File that holds the address.";
  urlCredential = optional types.str "Name of a systemd credential that holds the address.";
  caFile = optional types.str "File with certificates of authorities that are trusted too.";
  token = optional types.str "Of `ntfy`: an access token. It ends up in the world-readable store.";
  tokenFile = optional types.str "File that holds the token.";
  tokenCredential = optional types.str "Name of a systemd credential that holds the token.";
  priority = optional types.str "Of `ntfy`: `min` to `urgent`.";

  method = optional (types.enum [
    "POST"
    "PUT"
    "GET"
  ]) "Of `webhook`: how it is asked.";
  headers = mkOption {
    type = types.attrsOf types.str;
    default = { };
    description = "Of `webhook`: headers.";
  };

  command = optional types.str "Of `command`: a shell command, which finds everything in variables.";
}
