"""Files and folders of systems, cameras, servers and programs between people's own, known by their names."""

import re

# Folders that systems, cameras, servers and programs make, in lower case. Those that begin with "." are theirs, too.
SYSTEM_FOLDERS = re.compile(
    r"\..*"
    r"|__macosx|network trash folder|temporary items|thevolumesettingsfolder|thefindbycontentfolder"  # macOS
    r"|\$recycle\.bin|recycler|system volume information|found\.\d{3}|_vti_(cnf|pvt)"  # Windows
    r"|lost\+found|lost\.dir"  # Linux, Android
    r"|@eadir|@tmp|@recycle|@recently-snapshot|@__thumb|@sharebin|@syno.*|#recycle|#snapshot"  # Synology, QNAP
    r"|.*\.(lrdata|lrcat-data|photoslibrary|photolibrary|aplibrary|cocatalog)|captureone|nksc_param|\[originals\]"
    r"|__pycache__",
    re.DOTALL,
)
SYSTEM_FILES = re.compile(
    r"\..*|thumbs\.db.*|ehthumbs.*\.db|desktop\.ini|icon\r|desktop d[bf]|zbthumbnail\.info|picasa\.ini|pspbrwse\.jbf"
    r"|.*:zone\.identifier|synoindex_media_info|.*@syno(eastream|resource)|~\$.*|~syncthing~.*",
    re.DOTALL,
)
PLACEHOLDER = re.compile(r"\.(.+)\.icloud")  # of a file that iCloud keeps elsewhere


def is_system_folder(name: str) -> bool:
    """Whether a folder of this name is a system's or a program's own."""
    return bool(SYSTEM_FOLDERS.fullmatch(name.lower()))


def is_system_file(name: str) -> bool:
    """Whether a file of this name is a system's or a program's own; a placeholder of a person's file is not."""
    return bool(SYSTEM_FILES.fullmatch(name.lower())) and not PLACEHOLDER.fullmatch(name)
