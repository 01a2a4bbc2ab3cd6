# services.borgbackup with this program.
{
  services.ironborg.replaceBorgbackup = true;
}
