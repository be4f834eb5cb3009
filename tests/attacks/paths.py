"""The ways to write a path that leads where nobody may look."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote


def ways_to(secret: Path, allowed: Path) -> list[str]:
    """Spellings of the folder `secret` beside `allowed`, the folder of the process, and of other forbidden places."""
    up, name = "..", secret.name
    dotted = os.path.join(allowed, up, name)
    whole = str(secret)
    home = os.path.relpath(secret, os.path.expanduser("~"))
    return [
        # up and over
        f"../{name}",
        f"./../{name}",
        f"cat/../../{name}",
        f"cat/../cat/../../{name}",
        f"../allowed/../{name}",
        f"..//{name}",
        f".././{name}/",
        f"{'../' * 40}{whole.lstrip('/')}",
        f"{allowed}/{'../' * 40}{whole.lstrip('/')}",
        dotted,
        f"{dotted}/.",
        f"{allowed}/./../{name}",
        f"{allowed}//..//{name}//",
        # whole
        whole,
        f"{whole}/",
        f"{whole}/.",
        f"/.{whole}",
        f"/..{whole}",
        f"/{whole}",
        f"//{whole}",
        f"  {whole}  ",
        f"{whole}\t",
        # links
        "link",
        f"{allowed}/link",
        f"{allowed}/link/.",
        f"link/../{name}",
        f"cat/../link/../{name}",
        # homes
        "~",
        "~/",
        f"~/{home}",
        "~root",
        "~nobody-is-called-so/x",
        "~/../../../etc",
        # Windows and other computers
        f"..\\{name}",
        f"..\\..\\{name}",
        f"{allowed}\\..\\{name}",
        "\\\\server\\share",
        "\\\\127.0.0.1\\c$\\windows",
        "//server/share",
        "\\\\?\\C:\\windows",
        "\\\\.\\PhysicalDrive0",
        "//?/C:/windows",
        "C:\\windows",
        "C:/windows",
        "C:",
        "CON",
        "NUL",
        "aux.png",
        "\\\\.\\pipe\\x",
        # codes
        quote(f"../{name}", safe=""),
        f"%2e%2e/{name}",
        f"..%2f{name}",
        f"%252e%252e%252f{name}",
        f"..%c0%af{name}",
        f"..%00/{name}",
        f"..\0/{name}",
        f"{whole}\0.png",
        f"{allowed}\0/../{name}",
        f"．．/{name}",
        f"..∕{name}",
        f"..／{name}",
        f"....//{name}",
        f"..;/{name}",
        f"file://{whole}",
        f"file:{whole}",
        # what the system shows as files
        "/etc",
        "/etc/passwd",
        "/proc/self/cwd/../" + name,
        f"/proc/self/root{whole}",
        "/proc/self/environ",
        "/proc/self/fd",
        "/dev/zero",
        "/dev/stdin",
        "/",
        ".",
        # odd ones
        "x" * 300,
        f"{'a/' * 3000}x",
        "$HOME",
        "`ls`",
        "$(ls)",
        "|ls",
        "; ls",
        "\ud800",
        "\n",
        "-",
        "*",
    ]
