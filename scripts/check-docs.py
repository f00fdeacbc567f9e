#!/usr/bin/env python3
"""Names lines of the documentation with more than 100 columns or more than one sentence; tables and code are free."""
import re
import subprocess
import sys

MOST = 100
# The end of a sentence and the start of the next one.
NEXT = re.compile(r"[\w)`\"*]{2}[.!?] +[`*\[(]*[A-Z]")

listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
wrong = []
for file in subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split():
    code = False
    for number, line in enumerate(open(file, encoding="utf-8"), 1):
        line, text = line.rstrip("\n"), line.strip()
        if text.startswith("```"):
            code = not code
        if code or line.startswith(("    ", "#")) or text.startswith(("|", "![")):
            continue
        if len(line) > MOST:
            wrong.append(f"{file}:{number}: {len(line)} columns")
        if NEXT.search(re.sub(r"`[^`]*`", "``", text)):
            wrong.append(f"{file}:{number}: more than one sentence")
sys.exit("\n".join(wrong) or 0)
