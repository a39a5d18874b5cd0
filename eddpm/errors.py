"""What the user can get wrong. The command line prints the message as one line and exits with 2."""


class EddpmError(Exception):
    """A mistake of the user's; the message names the place, the value and the remedy."""


class ConfigError(EddpmError):
    """A configuration file, a runs table or a settings file that cannot be used."""


class ArtifactError(EddpmError):
    """A data set, checkpoint or sample file that is missing, damaged or of another kind than asked for."""
