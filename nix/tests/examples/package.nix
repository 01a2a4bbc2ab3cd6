# A package of one's own.
{
  services.ironborg = {
    package = {
      type = "derivation";
      name = "mine";
      outPath = "/nix/store/00000000000000000000000000000000-mine";
      meta.mainProgram = "ironborg";
    };
    repos.one.authorizedKeys = [
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE+u6Q/ycvxM1XG7JitWqla/nTKvT29rHS9IUjZMaPwH me@laptop"
    ];
  };
}
