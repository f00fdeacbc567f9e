#!/usr/bin/env python3
"""Fails where files under src/ name each other in a circle, or where one has more than 400 lines.

File A depends on file B where A names an item that B defines, in a `use` or in a path, also by way of re-exports.
A re-export by itself is no dependency, nor is naming what a module defines that the file is a part of.
What is for tests only may name anything.
Methods are not followed, since text does not say whose they are.
"""

import re
import sys
from pathlib import Path

SRC = Path(__file__).resolve().parent.parent / "src"
MOST_LINES = 400

# Comments, strings and characters, none of which name anything.
NOISE = re.compile(
    r"""//[^\n]*|/\*.*?\*/|b?r(?P<hashes>\#*)".*?"(?P=hashes)|b?"(?:\\.|[^"\\])*"|b?'(?:\\.[^']*|[^'\\])'""",
    re.DOTALL,
)
MODULE = re.compile(r"^(?:pub(?:\([^)]*\))? )?mod (\w+);", re.MULTILINE)
WITH_PATH = re.compile(r'^#\[path = "([^"]+)"\]\nmod \w+;', re.MULTILINE)
ITEM = re.compile(
    r"^(?:pub(?:\([^)]*\))? )?(?:(?:async|unsafe|const|extern) )*"
    r"(?:fn|struct|enum|trait|type|union|const|static(?: mut)?|macro_rules!) (\w+)",
    re.MULTILINE,
)
USE = re.compile(r"^[ \t]*(?P<again>pub(?:\([^)]*\))? )?use (?P<tree>[^;]+);", re.MULTILINE)
PATH = re.compile(r"(?<![\w:.$])(?:\$?crate|\w+)(?:::\w+)+")


class Module:
    """A file, by what it defines and names."""

    def __init__(self, file, parent):
        self.file, self.parent = file, parent
        self.children, self.imports, self.used, self.globs = {}, {}, [], []
        source = file.read_text()
        self.text = without_tests(NOISE.sub(lambda m: "\n" * m[0].count("\n") or " ", source))
        self.items = set(ITEM.findall(self.text))
        for use in USE.finditer(self.text):
            for path, name in leaves(" ".join(use["tree"].split())):
                if name == "*":
                    self.globs.append(path)
                else:
                    self.imports.setdefault(name, path)
                    if not use["again"]:
                        self.used.append(path)
        folder = file.parent if file.name in ("mod.rs", "lib.rs") else file.with_suffix("")
        for name in set(MODULE.findall(self.text)):
            for place in (folder / f"{name}.rs", folder / name / "mod.rs"):
                if place.exists():
                    self.children[name] = Module(place, self)
        # What stands for a module elsewhere is looked at, but no path leads there.
        for path in WITH_PATH.findall(source):
            self.children[path] = Module(file.parent / path, self)

    def all(self):
        yield self
        for child in self.children.values():
            yield from child.all()

    def find(self, path, seen=()):
        """The module that defines what a path names; None for what is no item of this crate."""
        if (self, path) in seen:
            return None
        seen = (*seen, (self, path))
        here = self
        for i, name in enumerate(path):
            rest = path[i + 1 :]
            if name in ("crate", "$crate"):
                here = root
            elif name == "self":
                pass
            elif name == "super":
                here = here.parent or here
            elif name in here.children:
                here = here.children[name]
            elif name in here.items:
                return here
            elif name in here.imports and here.imports[name][0] != name:
                return here.find(here.imports[name] + rest, seen)
            else:
                modules = filter(None, map(here.at, here.globs))
                return next(filter(None, (m.find((name, *rest), seen) for m in modules)), None)
        # A module by itself is nobody's item.
        return None

    def names(self):
        """What this file names of others: (module, path)."""
        text = USE.sub("", self.text)
        words = set(re.findall(r"\w+", text))
        again = [path for name, path in self.imports.items() if name in words]
        paths = [tuple(m[0].split("::")) for m in PATH.finditer(text)]
        for path in [*self.used, *again, *paths]:
            module = self.find(path)
            if module and module not in self.within():
                yield module, "::".join(path)
        for glob in self.globs:
            module = self.at(glob)
            if module and module.items and module not in self.within():
                yield module, "::".join(glob) + "::*"

    def within(self):
        """Itself and what it is a part of."""
        return [self, *(self.parent.within() if self.parent else [])]

    def at(self, path):
        """The module of a path; None for another crate's, and for an enum."""
        here = self
        for name in path:
            here = {"crate": root, "self": here, "super": here.parent, **here.children}.get(name)
            if not here:
                return None
        return here


def leaves(tree, prefix=()):
    """The (path, name) pairs of a `use`."""
    head, brace, inside = tree.partition("{")
    if brace:
        prefix = (*prefix, *filter(None, head.strip().split("::")))
        for part in parts(inside.rstrip()[:-1]):
            yield from leaves(part, prefix)
        return
    path, _, alias = tree.partition(" as ")
    path = (*prefix, *path.strip().split("::"))
    if path[-1] == "*":
        yield path[:-1], "*"
    elif path[-1] == "self" and len(path) > 1:
        yield path[:-1], alias.strip() or path[-2]
    else:
        yield path, alias.strip() or path[-1]


def parts(text):
    """What stands between a list's outer commas."""
    depth, start = 0, 0
    for i, c in enumerate(text + ","):
        depth += {"{": 1, "}": -1}.get(c, 0)
        if c == "," and depth == 0:
            if text[start:i].strip():
                yield text[start:i].strip()
            start = i + 1


def without_tests(text):
    """Without the items that are compiled for tests only."""
    out, at = [], 0
    for test in re.finditer(r"^( *)#\[cfg\((?:all\()?test\b.*\]\n", text, re.MULTILINE):
        if test.start() < at:
            continue
        out.append(text[at : test.start()])
        # An item ends with a semicolon, or with a brace below its beginning.
        end = re.compile(rf"[^{{]*?;\n|.*?\n{test[1]}\}}\n", re.DOTALL).match(text, test.end())
        at = end.end() if end else test.end()
    return "".join(out) + text[at:]


def circles(edges):
    """One shortest circle through each file that is on one, none twice."""
    done = set()
    for start in sorted(edges):
        if start in done:
            continue
        before, line = {start: None}, [start]
        while line:
            file = line.pop(0)
            if start in edges.get(file, {}):
                circle = [file]
                while before[circle[-1]]:
                    circle.append(before[circle[-1]])
                done.update(circle)
                yield circle[::-1]
                break
            for other in sorted(edges.get(file, {})):
                if other not in before:
                    before[other] = file
                    line.append(other)


def shown(file):
    return str(file.relative_to(SRC.parent))


wrong = []
for file in sorted(f for f in SRC.rglob("*") if f.is_file()):
    lines = file.read_text(errors="replace").count("\n")
    if lines > MOST_LINES:
        wrong.append(f"{shown(file)} has {lines} lines; {MOST_LINES} are the most.")

root = Module(SRC / "lib.rs", None)
edges = {}
for module in root.all():
    for other, path in module.names():
        edges.setdefault(shown(module.file), {}).setdefault(shown(other.file), path)
for circle in circles(edges):
    pairs = zip(circle, circle[1:] + circle[:1])
    wrong.append("Files name each other in a circle: " + ", ".join(
        f"{a} names {edges[a][b]} of {b}" for a, b in pairs) + ".")

for sentence in wrong:
    print(sentence, file=sys.stderr)
sys.exit(bool(wrong))
