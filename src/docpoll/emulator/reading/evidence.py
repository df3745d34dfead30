"""What stands on a page besides the labels and their values, and whether it fits with them.

No list of words is complete. So a value of an unknown layout is believed only where everything that may concern it
is understood: the title, the heading of its block, the amounts that no label explains, the word behind a sum. What
is not understood is a doubt.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal
from statistics import median

from docpoll.emulator.reading.segments import Segment, Sheet
from docpoll.emulator.reading.vocabulary import CURRENCIES, FILLERS, LEGAL_FORM, VAT_ID, Label, Role, title_of
from docpoll.emulator.reading.writing import NUMBER, Convention, folded, read_number

__all__ = [
    "MONEY",
    "Labels",
    "has_company",
    "is_partial",
    "is_titled",
    "other_documents",
    "postcodes",
    "unexplained_money",
    "unknown_money_word",
    "vat_ids",
]

#: What `labels_at` finds at the start of each segment, by the segment's id.
Labels = Mapping[int, Sequence[Label]]

_SIGNS = "|".join(re.escape(sign) for sign in sorted({*CURRENCIES, "$", "¥", "Euro", "Euros"}, key=len, reverse=True))
_SIGN = rf"(?<![A-Za-z])(?:{_SIGNS})(?![A-Za-z])"
#: A number that can only be money: with cents, or with a currency.
MONEY = re.compile(
    rf"{_SIGN} ?[-−–]? ?(?P<behind>{NUMBER})(?! ?%)|(?<![\d.,])(?P<before>{NUMBER}) ?{_SIGN}"
    r"|(?<![\d.,])(?P<cents>(?:\d{1,3}(?:[.,'’ ]\d{3})+|\d+)[.,]\d{2})(?![\d.,]|\.\d| ?%)"
)
_PERCENT = re.compile(rf"({NUMBER}) ?%")
#: Money that is nobody's debt: the share capital in the foot, the lump sum that French law has printed.
_OF_THE_LAW = re.compile(r"capital|indemnite|forfait|recouvrement")
_DISCOUNT = re.compile(r"skonto|escompte|discount|pronto pago|sconto")
_PARTIAL = re.compile(
    r"anzahlung|vorauszahlung|abschlag|teilrechnung|teilzahlung|schlussrechnung|zwischenrechnung|deposit|down ?payment|"
    r"progress|stages?\b|interim|instal+ment|partial|part (?:invoice|payment)|final (?:invoice|account)|milestone|"
    r"retainer|acompte|situation|anticip|acconto|a cuenta|facture de solde|saldo"
)
_NUMBERED = re.compile(r"(?:(?:no|nr|n[°ºr.]*|num|nummer|numero|number|#)?[.:]{0,2} ?#?)?[a-z0-9][a-z0-9/._-]*")
_DATED = re.compile(r"(?:vom|du|of|dated|del|from|for|fur|de|per|issued|le)\b.*\d.*")
_OTHER_DOCUMENT = re.compile(
    r"(?:.*\b)?[a-z]*(?:note|memo|form|document|invoice|bill|rechnung|beleg|schein|facture|avoir|factura|fattura|nota|rma|"
    r"credit|return|claim)[a-z]*\b.*?(?P<what>\bno\b|\bnr\b|number|nummer|n[°º]|numero|\bid\b|date|datum|fecha|\bdata\b)"
)
_POSTCODE = re.compile(
    r"(?:^|, ?)(?:[A-Z]{1,3}[- ])?\d{4,5} [A-Z]{0,2} ?[^\W\d_]"
    r"|\b[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}\b|\b[A-Z]{2,3},? \d{4,5}(?:-\d{4})?$|\b[A-Z]\d[A-Z] ?\d[A-Z]\d\b"
    r"|(?:California|Texas|York|Ohio|Florida) \d{5}\b"
)
_VAT_SHAPE = re.compile(rf"(?<![A-Za-z0-9])(?=[A-Z]{{2}})(?:{VAT_ID.pattern})(?![A-Za-z0-9])")
#: Small words within names of companies.
_SMALL_WORDS = frozenset(
    re.findall(
        r"\w+",
        "of the and for und fur der die das des dem von vom zu zum zur am im in de du la le les l d et aux au en y e i "
        "del los las el di da della delle dei degli a van den het z",
    )
)


def is_titled(sheet: Sheet) -> bool:
    """Whether an invoice's title, and nothing that is not understood, stands on a line of the first page."""
    page = sheet.pages()[0]
    usual = median(segment.height for segment in page)
    for segment in page:
        told = title_of(segment.folded)
        if told is None or not told[0]:
            continue
        rest = segment.folded[told[1] :].strip(" .#-")
        large = segment.height >= 1.15 * usual
        if not rest and (large or len(sheet.row(segment)) <= 1):
            return True
        if rest.startswith(("/", "| ")) or (large and (_NUMBERED.fullmatch(rest.lstrip(": ")) or _DATED.match(rest))):
            return True
        if _DATED.fullmatch(rest) or (":" not in segment.text and re.fullmatch(r"n[.°ºr]* ?[\w/.-]+ .*\d{4}", rest)):
            return True
    return False


def is_partial(sheet: Sheet) -> bool:
    """Whether a title or a large line speaks of a part of a whole: a deposit, a stage, what is left."""
    for page in sheet.pages():
        usual = median(segment.height for segment in page)
        for segment in page:
            large = segment.height >= 1.1 * usual
            if (large or title_of(segment.folded) is not None) and _PARTIAL.search(segment.folded):
                return True
    return False


def other_documents(sheet: Sheet, labels: Labels) -> Iterator[str]:
    """Of unknown labels such as "Adjustment note no" and "Form date" what they are labels of: "no", "date"."""
    for segment in sheet.segments:
        if labels[id(segment)] or len(segment.text) > 40:
            continue
        beside = bool(sheet.to_the_right(segment)) or sheet.below(segment) is not None or ":" in segment.text
        found = _OTHER_DOCUMENT.match(segment.folded.partition(":")[0])
        if beside and found is not None:
            yield "date" if found["what"] in ("date", "datum", "fecha", "data") else "no"


def has_company(name: str) -> bool:
    """Whether *name* is a company's name and nothing else: it ends with a legal form, and no phrase stands before."""
    plain = folded(name)
    forms = [form for form in LEGAL_FORM.finditer(plain) if form.end() >= len(plain) - 1]
    if not forms or forms[-1].start() <= 2 or re.search(r"\w: ?|\|", name):
        return False
    for word in re.findall(r"[^\W\d_]+", name[: forms[-1].start()]):
        if word[0].islower() and folded(word) not in _SMALL_WORDS and LEGAL_FORM.fullmatch(folded(word)) is None:
            return False
    return True


def postcodes(segments: Sequence[Segment]) -> list[Segment]:
    """Those of *segments* that hold a postcode and a town."""
    return [segment for segment in segments if _POSTCODE.search(segment.text)]


def vat_ids(sheet: Sheet) -> set[str]:
    """All that has the shape of a VAT number with its country, without blanks and in lower case."""
    return {
        re.sub(r"[\s.-]", "", found[0]).lower()
        for segment in sheet.segments
        for found in _VAT_SHAPE.finditer(segment.text)
    }


def unknown_money_word(sheet: Sheet, labels: Labels, amounts: AbstractSet[Role]) -> bool:
    """Whether a word or a sign stands behind or before an amount of a label, and is no currency that is known."""
    for segment in sheet.segments:
        if not any(label.role in amounts for label in labels[id(segment)]):
            continue
        start = labels[id(segment)][0].end
        for one in (segment.text[start:], *(beside.text for beside in sheet.to_the_right(segment))):
            if any(unicodedata.category(sign) == "Sc" and sign not in CURRENCIES and sign not in "$¥" for sign in one):
                return True
            for word in re.findall(r"\d ?([^\W\d_]{1,4})(?![^\W_])", one):
                known = {word.upper(), word.upper() + "."} & {*CURRENCIES, "KR", "CR", "DR"}
                if not known and folded(word) not in FILLERS:
                    return True
    return False


def unexplained_money(
    sheet: Sheet,
    convention: Convention,
    *,
    totals: Sequence[Segment],
    heads: Sequence[Segment],
    known: AbstractSet[Decimal],
    sums: tuple[Decimal | None, Decimal | None, Decimal],
) -> bool:
    """Whether money stands outside the table of items that is not among the *known* amounts.

    *totals* are the lines of the sums (net, tax and total as in *sums*), *heads* what stands above the items.
    """
    place = {id(segment): at for at, segment in enumerate(sheet.segments)}
    end = min(place[id(segment)] for segment in totals)
    start, headed = _table_start(sheet, place, end, heads)
    per_rate = _per_rate(sheet, convention, sums)
    for at, segment in enumerate(sheet.segments):
        if _OF_THE_LAW.search(segment.folded):
            continue
        for found in MONEY.finditer(segment.text):
            if start <= at < end and _is_cell(segment, found, headed=headed):
                continue
            amount = read_number(found[found.lastgroup or 0], convention)
            if amount is not None and (amount in known or amount in per_rate):
                continue
            if amount is not None and _is_discounted(sheet, segment, amount, sums[2], convention):
                continue
            return True
    return False


def _table_start(sheet: Sheet, place: Mapping[int, int], end: int, heads: Sequence[Segment]) -> tuple[int, bool]:
    """Where the items begin, and whether a row of headings says so."""
    for segment in sheet.segments[:end]:
        row = [segment, *sheet.row(segment)]
        if len(row) >= 3 and not any(re.search(r"\d", one.text) or ":" in one.text for one in row):
            return place[id(segment)], True
    return max((place[id(head)] for head in heads if place[id(head)] < end), default=end), False


def _is_cell(segment: Segment, found: re.Match[str], *, headed: bool) -> bool:
    rest = segment.text[: found.start()] + segment.text[found.end() :]
    words = [word for word in re.findall(r"[^\W\d_]{2,}", MONEY.sub(" ", rest)) if word.upper() not in CURRENCIES]
    return not words or (headed and found.lastgroup == "cents")


def _per_rate(
    sheet: Sheet, convention: Convention, sums: tuple[Decimal | None, Decimal | None, Decimal]
) -> set[Decimal]:
    """The amounts of a table of rates, where its columns add up to the sums."""
    net, tax, total = sums
    rows: dict[tuple[int, int], list[Decimal]] = {}
    bases, taxes = Decimal(0), Decimal(0)
    for segment in sheet.segments:
        line = sorted([segment, *sheet.row(segment)], key=lambda one: one.left)
        key = segment.page, round(line[0].middle)
        if key in rows:
            continue
        rows[key] = []
        text = " ".join(one.text for one in line)
        rates = [rate for one in _PERCENT.findall(text) if (rate := read_number(one, convention)) is not None]
        money = [read_number(one[one.lastgroup or 0], convention) for one in MONEY.finditer(text)]
        amounts = [one for one in money if one is not None]
        if len(rates) != 1 or not 2 <= len(amounts) <= 3:
            continue
        for base, part in ((base, part) for base in amounts for part in amounts if base is not part):
            if abs(base * rates[0] / 100 - part) <= Decimal("0.02") and base + part <= abs(total):
                rows[key] = amounts
                bases, taxes = bases + base, taxes + part
                break
    if bases == net or (taxes == tax and taxes):
        return {amount for amounts in rows.values() for amount in amounts}
    return set()


def _is_discounted(sheet: Sheet, segment: Segment, amount: Decimal, total: Decimal, convention: Convention) -> bool:
    """Whether *amount* is a part of *total* that is taken off for paying early, or what is then left."""
    line = " ".join(one.text for one in (segment, *sheet.row(segment)))
    if _DISCOUNT.search(folded(line)) is None:
        return False
    rates = [rate for one in _PERCENT.findall(line) if (rate := read_number(one, convention)) is not None]
    return any(abs(total * share / 100 - amount) <= Decimal("0.01") for rate in rates for share in (rate, 100 - rate))
