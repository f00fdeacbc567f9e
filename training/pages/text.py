"""Running text in many languages, drawn from Debian's spelling dictionaries.

The detector must not learn words, only how text looks: word lengths, diacritics, scripts, punctuation, figures. So a
sentence is a Zipf draw over a random choice of dictionary words, mixed with the language's most common short words.
"""

from __future__ import annotations

import functools
import itertools
import re
from pathlib import Path
from random import Random

HUNSPELL = Path("/usr/share/hunspell")

#: language -> (dictionary, how often, function words). Polish and English lead: they are what is judged first.
LANGUAGES: dict[str, tuple[str, float, str]] = {
    "pl": ("pl_PL", 34, "i w z na do się nie że to o jest jak po od za przez dla są oraz lub tym ich być przy który która"),
    "en": ("en_US", 26, "the of and to in a is that for it as was with be by on not he at from are this or an which but"),
    "de": ("de_DE", 6, "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden"),
    "fr": ("fr", 5, "de la le et les des en un du une que est pour qui dans a par plus pas au sur ne se ce il sont avec"),
    "es": ("es_ES", 4, "de la que el en y a los se del las un por con no una su para es al lo como más o pero sus le"),
    "cs": ("cs_CZ", 4, "a se v na je že s z do o i to k jako za by pro ve ale po které nebo však od si aby jsou"),
    "it": ("it_IT", 2, "di e la il che in a per un è del non i una le si da con al dei come nel più o della sono"),
    "pt": ("pt_PT", 2, "de a o que e do da em um para é com não uma os no se na por mais as dos como mas ao"),
    "sv": ("sv_SE", 1.5, "och i att det som en på är av för med den till inte om ett men de var sig så vi från"),
    "hu": ("hu_HU", 1.5, "a az és hogy nem is ez egy meg csak de mint volt el már még vagy ki kell lesz ha"),
    "nl": ("nl_NL", 1.5, "de en van het een in is dat op te zijn met voor niet aan er om ook als bij maar door"),
    "tr": ("tr_TR", 1, "ve bir bu da de için ile çok ne gibi daha olan o en kadar ama sonra"),
    "ru": ("ru_RU", 3, "и в не на я что он с как а то это по к но из у за от же для о бы или при"),
    "uk": ("uk_UA", 2, "і в не на що з у до як та за це від для про по або його але є ми при так"),
    "el": ("el_GR", 1.5, "και το να η του ο της με που από για τα είναι σε δεν θα στο τη στην τον οι"),
    "ar": ("ar", 1, "في من على إلى أن عن مع هذا كان ما هو بين لا كل قد"),
    "he": ("he_IL", 1, "של את על לא הוא זה עם כי גם או אם היה כל אל בין"),
    "hi": ("hi_IN", 0.6, "के में की है और से को का पर यह ने एक हैं कि भी"),
    "zh": ("", 1.2, "的 一 是 不 了 在 人 有 我 他 这 中 大 来 上 国"),
    "ja": ("", 0.8, "の に は を た が で て と し れ さ ある いる も"),
    "ko": ("", 0.6, "이 그 는 을 를 에 의 가 은 도 로 와 한 하다"),
}
RTL = {"ar", "he"}
CJK = {"zh", "ja"}
VOCABULARY = 4000
#: between a vowel and a consonant with its vowel, two letters from either end: about where hyphens go
SYLLABLE = re.compile(r"(?<=\w[aeiouyąęáéíóúěäöüаеиоуыіяює])(?=[bcdfghjklmnprstvwzžščбвгдзклмнпрстфхцчшщ][aeiouyąęáéíóúěäöüаеиоуыіяює]\w)")

MONTHS = {
    "pl": "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia",
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
}
#: what a document calls its parts: table, figure, page, chapter, contents, references, article of law
NAMES = {
    "pl": ("Tabela", "Rysunek", "Strona", "Rozdział", "Spis treści", "Bibliografia", "Art."),
    "en": ("Table", "Figure", "Page", "Chapter", "Contents", "References", "Article"),
    "de": ("Tabelle", "Abbildung", "Seite", "Kapitel", "Inhalt", "Literatur", "§"),
    "fr": ("Tableau", "Figure", "Page", "Chapitre", "Table des matières", "Références", "Article"),
    "es": ("Tabla", "Figura", "Página", "Capítulo", "Índice", "Referencias", "Artículo"),
    "cs": ("Tabulka", "Obrázek", "Strana", "Kapitola", "Obsah", "Literatura", "§"),
    "ru": ("Таблица", "Рис.", "Стр.", "Глава", "Содержание", "Литература", "Статья"),
    "uk": ("Таблиця", "Рис.", "Стор.", "Розділ", "Зміст", "Література", "Стаття"),
    "el": ("Πίνακας", "Σχήμα", "Σελίδα", "Κεφάλαιο", "Περιεχόμενα", "Βιβλιογραφία", "Άρθρο"),
}


@functools.cache
def dictionary(lang: str) -> list[str]:
    """The words of `lang` in a fixed order; for languages written without spaces, characters of the common blocks."""
    if lang == "zh":
        return [chr(c) for c in range(0x4E00, 0x8E00, 7)]
    if lang == "ja":
        return [chr(c) for c in itertools.chain(range(0x3042, 0x308D), range(0x30A2, 0x30ED), range(0x4E00, 0x8E00, 19))]
    if lang == "ko":
        syllables = [chr(c) for c in range(0xAC00, 0xD7A0, 28)]
        maker = Random("ko")
        return ["".join(maker.choices(syllables, k=maker.randint(1, 4))) for _ in range(6000)]
    stem = LANGUAGES[lang][0]
    raw = (HUNSPELL / f"{stem}.dic").read_bytes()
    found = re.search(rb"^SET\s+(\S+)", (HUNSPELL / f"{stem}.aff").read_bytes(), re.M)
    lines = raw.decode(found.group(1).decode() if found else "utf-8", "ignore").splitlines()[1:]
    words = (re.split(r"[/\t ]", line, maxsplit=1)[0] for line in lines)
    return [w for w in words if 1 < len(w) < 19 and all(c.isalpha() or "\u0900" <= c <= "\u097f" for c in w)]


def draw_language(rng: Random) -> str:
    """A language, as often as LANGUAGES says."""
    return rng.choices(list(LANGUAGES), [row[1] for row in LANGUAGES.values()])[0]


class Text:
    """A writer with a vocabulary of its own; everything it returns is plain text that is safe inside HTML."""

    def __init__(self, rng: Random, lang: str) -> None:
        self.rng, self.lang = rng, lang
        words = dictionary(lang)
        vocabulary = rng.sample(words, min(VOCABULARY, len(words)))
        # Common words are short in every language: rank by length with much noise.
        vocabulary.sort(key=lambda w: len(w) + rng.gauss(0, 3.5))
        common = LANGUAGES[lang][2].split()
        self.vocabulary = common + vocabulary
        weights = [0.42 / len(common)] * len(common)
        zipf = [1 / (rank + 12) for rank in range(len(vocabulary))]
        scale = 0.58 / sum(zipf)
        self.cumulative = list(itertools.accumulate(weights + [z * scale for z in zipf]))
        self.content = vocabulary
        self.space = "" if lang in CJK else " "
        self.stop = {"zh": "。", "ja": "。", "hi": "।"}.get(lang, ".")
        self.comma = {"zh": "，", "ja": "、", "ar": "،"}.get(lang, ",")
        self.names = NAMES.get(lang, NAMES["en"])

        self.hyphenate = False

    def word(self) -> str:
        """One content word."""
        return self.content[int(len(self.content) * self.rng.random() ** 1.6)]

    def phrase(self, low: int, high: int) -> str:
        """A few words, first letter capital, no stop: a heading, a label, a table cell."""
        words = [self.word() if self.rng.random() < 0.75 else self.rng.choice(self.vocabulary[:24]) for _ in range(self.rng.randint(low, high))]
        words[-1] = self.word()
        return capital(self.space.join(words))

    def sentence(self, mean: float = 15) -> str:
        """A sentence with commas, now and then a number, a date, brackets or quotation marks."""
        rng = self.rng
        count = max(3, min(45, round(rng.lognormvariate(0, 0.5) * mean)))
        if self.lang in CJK:
            count *= 2
        words = rng.choices(self.vocabulary, cum_weights=self.cumulative, k=count)
        for i in range(1, count - 1):
            chance = rng.random()
            if chance < 0.075:
                words[i] += self.comma
            elif chance < 0.095:
                words[i] = self.number()
            elif chance < 0.105:
                words[i] = f"({words[i]})" if rng.random() < 0.5 else f"„{words[i]}”"
            elif chance < 0.115:
                words[i] = f"[{rng.randint(1, 60)}]"
            elif chance < 0.13:
                words[i] = capital(words[i])
            elif chance < 0.135:
                words[i] += " –"
        if self.hyphenate:
            words = [SYLLABLE.sub("\u00ad", word) if len(word) > 6 else word for word in words]
        return capital(self.space.join(words)) + rng.choices([self.stop, "?", "!", ":"], [94, 3, 1, 2])[0]

    def paragraph(self, characters: int) -> str:
        """Sentences of together about `characters` characters."""
        parts: list[str] = []
        length = 0
        mean = self.rng.uniform(9, 20)
        while length < characters:
            parts.append(self.sentence(min(mean, max(3, (characters - length) / 6))))
            length += len(parts[-1])
        return self.space.join(parts)

    def number(self) -> str:
        """A number as it stands in text: 7, 12,5, 1 204, 45%, 1997."""
        rng = self.rng
        return rng.choice(
            [
                str(rng.randint(0, 30)),
                f"{rng.uniform(0, 100):.1f}".replace(".", rng.choice(".,")),
                str(rng.randint(1900, 2026)),
                f"{rng.randint(1, 99)}%",
                f"{rng.randint(1, 900)} {rng.randint(0, 999):03}",
            ]
        )

    def amount(self) -> str:
        """An amount of money or a figure of a balance sheet."""
        rng = self.rng
        value = rng.lognormvariate(6, 2)
        shape = rng.random()
        text = f"{value:,.2f}" if shape < 0.5 else f"{value:,.0f}"
        return text if rng.random() < 0.5 else text.replace(",", " ").replace(".", ",")

    def date(self) -> str:
        """A date in words or figures."""
        rng = self.rng
        day, month, year = rng.randint(1, 28), rng.randint(1, 12), rng.randint(1950, 2026)
        if self.lang in MONTHS and rng.random() < 0.6:
            return f"{day} {MONTHS[self.lang].split()[month - 1]} {year}"
        return rng.choice([f"{day:02}.{month:02}.{year}", f"{year}-{month:02}-{day:02}", f"{month:02}/{day:02}/{year}"])

    def name(self) -> str:
        """A person."""
        first = capital(self.word()[:7])
        if self.rng.random() < 0.3:
            first = first[0] + "."
        return f"{first} {capital(self.word()[:11])}"

    def company(self) -> str:
        """A firm or an office."""
        return f"{self.phrase(1, 3)} {self.rng.choice(['Ltd', 'S.A.', 'GmbH', 'sp. z o.o.', 'Inc.', 'AG', ''])}".strip()

    def address(self) -> list[str]:
        """Street and town, a line each."""
        rng = self.rng
        return [f"{capital(self.word())} {rng.randint(1, 180)}", f"{rng.randint(10, 99)}-{rng.randint(100, 999)} {capital(self.word())}"]

    def mail(self) -> str:
        """An e-mail or web address, Latin letters only."""
        rng = self.rng
        letters = "abcdeiklmnoprstuw"
        part = lambda: "".join(rng.choices(letters, k=rng.randint(3, 9)))
        return rng.choice([f"{part()}.{part()}@{part()}.org", f"www.{part()}.com", f"https://{part()}.eu/{part()}/{part()}"])

    def reference(self) -> str:
        """One entry of a bibliography."""
        rng = self.rng
        people = ", ".join(self.name() for _ in range(rng.randint(1, 4)))
        pages = rng.randint(1, 400)
        return (
            f"{people}: <i>{self.phrase(4, 12)}</i>. {self.phrase(1, 4)} {rng.randint(1, 60)} "
            f"({rng.randint(1960, 2026)}), {pages}–{pages + rng.randint(2, 30)}{self.stop}"
        )


def capital(text: str) -> str:
    """`text` with a capital first letter and the rest as it is."""
    return text[:1].upper() + text[1:]
