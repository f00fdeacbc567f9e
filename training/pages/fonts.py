"""Which installed families can write which language, by kind."""

from __future__ import annotations

import functools
import subprocess
from random import Random

FAMILIES = {
    "serif": """Liberation Serif;Liberation Serif;Tinos;Nimbus Roman;TeX Gyre Termes;TeX Gyre Pagella;TeX Gyre Schola;
        TeX Gyre Bonum;P052;C059;URW Bookman;DejaVu Serif;EB Garamond;Linux Libertine O;Caladea;Vollkorn;CMU Serif;CMU Serif;
        Latin Modern Roman;Latin Modern Roman;CMU Concrete;Gentium Basic;Charis SIL;GFS Didot;GFS Artemisia;Junicode Two Beta;
        Old Standard TT;PT Serif;Roboto Slab;Noto Serif;STIXGeneral;FreeSerif;Accanthis ADF Std;Baskervald ADF Std;
        Romande ADF Std;Prociono;Noto Serif Hebrew;Amiri;Noto Naskh Arabic;Noto Serif Devanagari;Noto Serif CJK SC;
        Noto Serif CJK JP;Noto Serif CJK KR""",
    "sans": """Liberation Sans;Liberation Sans;Liberation Sans;Arimo;Nimbus Sans;TeX Gyre Heros;DejaVu Sans;Lato;Lato;Roboto;
        Roboto;Open Sans;Open Sans;Carlito;Carlito;GFS Neohellenic;Cantarell;Quicksand;Cabin;Gillius ADF;Universalis ADF Std;
        Libris ADF Std;Inter;Inter;Karla;Clear Sans;PT Sans;Andika;Jura;Tuffy;Noto Sans;Noto Sans;FreeSans;CMU Sans Serif;
        CMU Bright;Latin Modern Sans;TeX Gyre Adventor;URW Gothic;Linux Biolinum O;Comic Neue;Liberation Sans Narrow;
        Open Sans Condensed;PT Sans Narrow;Nimbus Sans Narrow;Roboto Condensed;TeX Gyre Heros Cn;Play;Noto Sans Hebrew;
        Noto Sans Arabic;Noto Kufi Arabic;Noto Sans Devanagari;Lohit Devanagari;Noto Sans CJK SC;Noto Sans CJK JP;Noto Sans CJK KR""",
    "mono": """Liberation Mono;DejaVu Sans Mono;Inconsolata;Fira Code;Courier Prime;Hack;JetBrains Mono;mononoki;Cousine;
        Latin Modern Mono;TeX Gyre Cursor;FreeMono;CMU Typewriter Text;Nimbus Mono PS""",
    "display": """League Spartan;Yanone Kaffeesatz;Lobster Two;Dancing Script;OpenDin;Play;TeX Gyre Chorus;Z003;Quicksand;
        Noto Serif Display;Noto Sans Display;Inter Display;Averia Serif;Open Sans Condensed;Liberation Sans Narrow""",
}
FC_NAMES = {"zh": "zh-cn"}


@functools.cache
def families(kind: str, lang: str) -> tuple[str, ...]:
    """The installed families of a kind that have all letters of `lang`; names may repeat (common fonts weigh more)."""
    listing = subprocess.run(["fc-list", f":lang={FC_NAMES.get(lang, lang)}", "family"], check=True, capture_output=True, text=True).stdout
    installed = {name.strip() for line in listing.splitlines() for name in line.split(",")}
    return tuple(name for name in (part.strip() for part in FAMILIES[kind].split(";")) if name in installed)


def draw_family(rng: Random, kind: str, lang: str) -> str:
    """A CSS font-family value; falls back to any kind that knows the script."""
    choices = families(kind, lang) or families("sans", lang) or families("serif", lang)
    generic = {"serif": "serif", "mono": "monospace"}.get(kind, "sans-serif")
    return f"'{rng.choice(choices)}', {generic}" if choices else generic
