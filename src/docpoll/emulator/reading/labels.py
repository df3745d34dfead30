"""Invoices of a layout that nobody described: labels, and the values beside or below them.

It says nothing rather than something wrong. What it relies on:

- A value is taken when all of it reads as what the label calls for: "Total hours 12.00" is no total, "see invoice 17
  of May" no number. What a label means is in `vocabulary`, how dates and numbers are written in `writing`.
- Two different values for one field are none.
- Amounts above `DOUBTED` have been added up: net and tax, with freight and discounts where they are printed, give the
  total, in one way only; and no other total or amount due stands there unexplained.
- A document that is titled as something else (a quotation, an order, a delivery note, a reminder) gives nothing, and
  so do several invoices in one document.

Rows of tables are left alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date
from decimal import Decimal
from functools import cached_property
from itertools import product
from statistics import median

import attrs

from docpoll.emulator.reading.evidence import (
    MONEY,
    has_company,
    is_partial,
    is_titled,
    other_documents,
    postcodes,
    unexplained_money,
    unknown_money_word,
    vat_ids,
)
from docpoll.emulator.reading.invoice import CONFIRMED, DOUBTED, LABELLED, Box, Invoice, Value, wire_date, wire_number
from docpoll.emulator.reading.pages import Pages
from docpoll.emulator.reading.segments import Segment, Sheet, segments
from docpoll.emulator.reading.vocabulary import (
    CREDIT,
    CURRENCIES,
    FILLERS,
    LEGAL_FORM,
    SELF_BILLED,
    VAT_ID,
    Label,
    Role,
    labels_at,
    title_of,
)
from docpoll.emulator.reading.writing import NUMBER, Convention, folded, read_date, read_number

__all__ = ["read_labels"]

_AMOUNTS = frozenset(
    {Role.NET, Role.TAX, Role.TOTAL, Role.SUM, Role.PAYABLE, Role.PAID, Role.WITHHELD, Role.EXTRA}
)  # fmt: skip
_DATES = frozenset({Role.ISSUED, Role.DATE, Role.DUE})
_NUMBERS = frozenset({Role.NUMBER, Role.CREDIT_NUMBER})
_VAT_IDS = frozenset({Role.VAT_ID, Role.SUPPLIER_VAT_ID, Role.CUSTOMER_VAT_ID})
_NAMES = frozenset({Role.CUSTOMER, Role.SUPPLIER})

_CURRENCY = r"(?:US|CA|AU|NZ|MX|C|A)?\$|[€£¥]|(?<![A-Za-z])(?:[A-Z]{3}|[Ee]uros?|SFr|Fr\.|zł|Kč|kr\.?)(?![A-Za-z])"
_PIECES = re.compile(
    r"(?P<date>(?<![\d.,])\d{1,2}([./-])\d{1,2}\2(?:\d{4}|\d{2})(?![\d.,]))"
    rf"|(?P<percent>{NUMBER} ?%)"
    rf"|(?P<amount>(?P<before>[-−–(+]? ?)(?:(?P<left>{_CURRENCY}) ?)?(?P<sign>[-−–]?)"
    rf"(?P<number>{NUMBER})(?![.,]\d| ?%)(?:[.,][-−–—]{{1,2}})?"
    rf"(?: ?(?P<right>{_CURRENCY}))?(?P<after> ?[-−–)](?=$|\s))?)"
    rf"|(?P<currency>{_CURRENCY})"
    r"|(?P<word>[^\W\d_]+(?:['’.][^\W\d_]+)*\.?)"
    r"|(?P<mark>[\s:=*()/.,;|+@-]+)"
    r"|(?P<strange>.)"
)
_TOKEN = re.compile(r"#?([A-Za-z0-9][\w/.#-]*[A-Za-z0-9]|\d)")
_NUMBER_OF = re.compile(
    rf"{_TOKEN.pattern}[,;]? (?:vom|du|of|dated|del|from|issued (?:at|on)|le|de fecha|in data) (.+)"
)
#: "Invoice 05/2024" and "Rechnung 2024" name a month or a year.
_PERIOD = re.compile(r"(?:0?[1-9]|1[0-2])[/.-](?:19|20)\d\d|(?:19|20)\d\d(?:[/.-](?:0?[1-9]|1[0-2]))?")
#: What may follow the last day to pay.
_AFTER_DATE = re.compile(
    r"[.,]? ?(?:\(?(?:ohne abzug|rein netto|netto|net|sans escompte|without deduction|at the latest|spatestens)\)?)?"
    r"[.]?$",
    re.IGNORECASE,
)
#: North America writes dates in both orders, in French and in Spanish too.
_SEVERAL_ORDERS = re.compile(r"\b(?:TVQ|TPS|QST|GST|HST|CAD|USD|Canada|U\.?S\.?A)\b|US\$|C\$")
_CENTS = re.compile(r"(?<![\d.,])(?:\d{1,3}(?:[.,'’ ]\d{3})+|\d+)[.,]\d{2}(?![\d.,]|\.\d| ?%)")
_DISCOUNT = re.compile(r"skonto|escompte|cash discount|early payment|prompt payment|pronto pago|sconto cassa")
_DUE = re.compile(r"fallig|due|echeance|vencimiento|scadenza")
_MONEY = re.compile(r"\d+[.,]\d{2}")
_NOT_A_NAME = re.compile(
    r"(?:attn|attention|c/o|z\.? ?h|zu handen|herrn?|frau|mr|mrs|ms|m\.|mme|monsieur|madame|sr|sra|sig)\b"
    r"|(?:a/?c|tel|fax|email|www|http|page|seite)\b"
    r"|.*@"
)
_LONGEST_NAME = 80
#: What stands further to the right than this, in heights of a line, belongs to something else.
_FARTHEST = 16
#: No ten pages of invoices hold so much; a book would take its time.
_MOST_CHARACTERS = 60_000
#: With more amounts of one kind there is always one that adds up, and trying them all takes its time.
_MOST_SUMS = 40
#: Labels that mean the one who is billed, and nobody else.
_BILLED = re.compile(
    r"bill|invoiced? (?:to|address)|sold|charge to|rechnung|kaufer|leistungsempf|factur|adresse de factur|acheteur|"
    r"receptor|comprador|datos del cliente|intestat|cession|fattur|spett|buyer"
)
_DAYS = re.compile(r"(?<!\d)(\d{1,3}) ?-?(?:days?|tagen?|jours?|dias|giorni|gg|d\.f\.)\b")
#: What a sign or a word that many countries have may stand for.
_CROWNS = frozenset({"SEK", "NOK", "DKK", "ISK"})
_VAGUE = {
    "$": frozenset({"USD", "CAD", "AUD", "NZD", "MXN", "SGD", "HKD", "ARS", "CLP", "COP", "UYU"}),
    "¥": frozenset({"JPY", "CNY"}),
    "KR": _CROWNS,
    "KR.": _CROWNS,
}
_NET_LIKE = frozenset({Role.NET, Role.SUM, Role.TOTAL})
_TOTAL_LIKE = frozenset({Role.TOTAL, Role.SUM, Role.PAYABLE})


@attrs.frozen(eq=False)
class _Found:
    """A value beside a label."""

    role: Role
    #: A string, or an amount as a Decimal.
    value: str | Decimal
    segment: Segment
    start: int
    end: int
    label: Segment
    currency: str | None = None
    #: The dollar, the crown or the yen: the currency of many.
    vague_currency: str | None = None
    confidence: float = LABELLED
    rate: Decimal | None = None


def read_labels(pages: Pages) -> Invoice | None:
    """What the labels on *pages* say, or None where they are no invoice's."""
    if len(pages.text) > _MOST_CHARACTERS:
        return None
    sheet = Sheet(segments(pages.words()))
    found = _invoice_pages(sheet)
    if found is None:
        return None
    return _Reader(pages, found, complete=pages.complete and len(found.pages()) == len(sheet.pages())).invoice()


# Whether it is an invoice.


def _invoice_pages(sheet: Sheet) -> Sheet | None:
    """The pages up to one that is titled as something else, a timesheet say; None where the first one is."""
    kept: list[Segment] = []
    for page in sheet.pages():
        if _title_says(sheet, page) is False:
            break
        kept += page
    titled = any(_title_says(sheet, page) for page in sheet.pages() if page[0] in kept)
    numbered = any(label.role in _NUMBERS for segment in kept for label in labels_at(segment.folded))
    return Sheet(kept) if titled or numbered else None


def _title_says(sheet: Sheet, page: Sequence[Segment]) -> bool | None:
    """Whether *page* is titled as an invoice; None where it has no title.

    The largest title decides; of equal ones an invoice's does, unless only the other stands alone.
    """
    titles: list[tuple[float, bool, bool]] = []
    usual = median(segment.height for segment in page)
    for segment in page:
        told = title_of(segment.folded)
        if told is None:
            continue
        invoice, end = told
        rest = segment.folded[end:].strip(" :.#-")
        # "Delivery note 4711" in the size of all other words is a reference, as "Order" is with a number beside it.
        beside = sheet.to_the_right(segment)
        labelled = bool(rest) or bool(beside and _level_token(segment, beside[0]))
        large = segment.height >= 1.15 * usual
        numbered = re.fullmatch(r"(?:(?:no|nr|n[°º]|num|nummer|number)?[.:]? ?#?)?[a-z0-9/.-]*\d[a-z0-9/.-]*", rest)
        if not rest or large or (invoice and numbered):
            titles.append((segment.height if large else usual, invoice, not labelled or large))
    others = [height for height, invoice, title in titles if not invoice and title]
    ours = [height for height, invoice, _ in titles if invoice]
    if others and (not ours or max(others) >= max(ours) * 0.98):
        return False
    return True if ours else None


def _level_token(label: Segment, other: Segment) -> bool:
    return other.left - label.right < 12 * label.height and any(character.isdigit() for character in other.text)


class _Reader:
    """One document."""

    def __init__(self, pages: Pages, sheet: Sheet, *, complete: bool) -> None:
        self._pages = pages
        # Whether no page was left out, on which the invoice may go on.
        self._complete = complete
        self._sheet = sheet
        text = "\n".join(segment.text for segment in sheet.segments)
        self._convention = Convention.from_text(text)
        self._text = text
        self._labels = {id(segment): _labels_of(segment.folded) for segment in sheet.segments}
        #: Language → how many labels are of that one only.
        self._languages: Counter[str] = Counter()
        for labels in self._labels.values():
            if len(own := {label.language for label in labels}) == 1:
                self._languages.update(own)
        self._language = self._usual_language()
        self._found = list(self._all_found())

    def invoice(self) -> Invoice:
        """All fields that the labels give."""
        number = self._invoice_number()
        if number is None:
            return Invoice()
        fields: dict[str, Value | None] = {"invoice_number": number if number.value else None}
        fields["issue_date"] = self._issue_date()
        fields["due_date"] = self._due_date(fields["issue_date"])
        fields |= self._amounts()
        customer, blocks = self._customer()
        self_billed = SELF_BILLED.search("\n".join(segment.folded for segment in self._sheet.segments)) is not None
        fields["customer_name"] = customer
        supplier, head = self._supplier(customer, blocks)
        fields["supplier_name"] = supplier
        fields["supplier_vat_id"] = self._supplier_vat_id(blocks, head)
        if self_billed:
            # Whose letterhead it is, and who stands in the window, is not sure.
            for name in ("customer_name", "supplier_name", "supplier_vat_id"):
                if (value := fields[name]) is not None:
                    fields[name] = attrs.evolve(value, confidence=DOUBTED)
        doubted = set(self._in_doubt(fields))
        return Invoice(
            fields={
                name: attrs.evolve(value, confidence=min(value.confidence, DOUBTED)) if name in doubted else value
                for name, value in fields.items()
                if value is not None
            }
        )

    def _in_doubt(self, fields: Mapping[str, Value | None]) -> Iterator[str]:
        """The names of the fields that something on the pages speaks against, or nothing speaks for."""
        if not is_titled(self._sheet):
            yield from fields
        others = set(other_documents(self._sheet, self._labels))
        if "no" in others:
            yield from ("invoice_number", "issue_date")
        if "date" in others:
            yield "issue_date"
        if not self._complete or is_partial(self._sheet):
            yield from ("net_amount", "tax_amount", "total_amount")

    # Labels and what stands beside or below them.

    def _usual_language(self) -> str:
        if self._several_orders:
            return "en"
        counts = self._languages
        language = max(counts, key=lambda language: counts[language], default="en")
        return language if counts[language] >= max(3, 2 * counts["en"]) else "en"

    @cached_property
    def _several_orders(self) -> bool:
        """Whether the page is from where dates are written in both orders; a dollar is, unless it is Mexico's."""
        return _SEVERAL_ORDERS.search(self._text) is not None or (
            "$" in self._text and re.search(r"\bR\.?F\.?C\b|\bMXN\b|MX\$|CFDI|[Pp]eso", self._text) is None
        )

    def _is_foreign(self, segment: Segment) -> bool:
        """Whether the label at the start of *segment* is of another language than the others are."""
        languages = {label.language for label in self._labels[id(segment)]}
        if not languages:
            return False
        most = max(self._languages.values(), default=0)
        return most >= 3 and max(self._languages[language] for language in languages) * 4 < most

    def _all_found(self) -> Iterator[_Found]:
        for segment in self._sheet.segments:
            doubtful = self._is_foreign(segment)
            for found in self._found_at(segment):
                doubted = doubtful or (
                    found.role in (Role.DATE, Role.DUE) and self._under_a_foreign_heading(found.label)
                )
                yield attrs.evolve(found, confidence=DOUBTED) if doubted else found

    def _under_a_foreign_heading(self, label: Segment) -> bool:
        """Whether the block of *label* has a heading that says nothing of the invoice: "Your membership"."""
        last = label
        for _ in range(12):
            above = self._sheet.above(last, within=1.2)
            if above is None or abs(above.left - label.left) > 1.5 * label.height:
                return False
            if not self._labels[id(above)] and not self._sheet.to_the_right(above) and ":" not in above.text:
                return re.search(r"invoice|rechnung|factur|fattura|detail|summary|payment", above.folded) is None
            if self._labels[id(above)] and not self._is_header(above) and not self._sheet.to_the_right(above):
                return True
            last = above
        return False

    def _is_header(self, segment: Segment) -> bool:
        """Whether *segment* is a label of what stands once at the head of an invoice."""
        roles = {label.role for label in self._labels[id(segment)]}
        return bool(roles & (_NUMBERS | _DATES | _VAT_IDS | _NAMES)) or title_of(segment.folded) is not None

    def _found_at(self, segment: Segment) -> Iterator[_Found]:
        start = 0
        while start < len(segment.text):
            labels = self._labels[id(segment)] if start == 0 else labels_at(segment.folded[start:])
            labels = [attrs.evolve(label, end=label.end + start) for label in labels]
            if not labels:
                break
            end = self._next_label(segment, labels[0].end)
            yield from self._values(segment, labels, end)
            start = end
        if start == 0 or self._labels[id(segment)][0].role in (Role.BARE_NUMBER, Role.OTHER):
            yield from self._title_number(segment)

    def _next_label(self, segment: Segment, start: int) -> int:
        """Where a further label begins in *segment*: after a value, and with a colon of its own."""
        for match in re.finditer(r"(?<=\s)\S", segment.folded[start:]):
            at = start + match.start()
            before = segment.text[start:at].split()
            if not before or not any(character.isdigit() for character in before[-1]):
                continue
            labels = labels_at(segment.folded[at:])
            if labels and ":" in segment.text[at : at + labels[0].end]:
                return at
        return len(segment.text)

    def _values(self, segment: Segment, labels: Sequence[Label], end: int) -> Iterator[_Found]:
        for label in labels:
            if label.role is Role.BARE_NUMBER:
                # "Number" is the invoice's where it stands at the title and nowhere else.
                for title in (self._sheet.above(segment, within=2.5), *self._sheet.to_the_left(segment)[:1]):
                    if title is not None and title_of(title.folded) == (True, len(title.text)):
                        role = Role.CREDIT_NUMBER if CREDIT.match(title.folded) else Role.NUMBER
                        yield from self._value_at(segment, attrs.evolve(label, role=role), end)
                        break
            elif label.role in _AMOUNTS:
                yield from self._amounts_at(segment, label, end)
            elif label.role in _NAMES:
                yield from self._name_at(segment, label, end)
            elif label.role not in (Role.OTHER, Role.PLACE):
                yield from self._value_at(segment, label, end)

    def _is_label(self, segment: Segment) -> bool:
        """Whether *segment* is a label and no value: nothing follows it, or a colon does."""
        labels = self._labels[id(segment)]
        if not labels:
            return False
        end = labels[0].end
        return end >= len(segment.text) or ":" in segment.text[:end]

    def _value_at(self, segment: Segment, label: Label, end: int) -> Iterator[_Found]:
        """The date, number, code of one label: behind it, else to its right, else below."""
        if segment.text[label.end : end].strip(" .:#"):
            found = self._parse(segment, label, label.end, end, segment)
            if found is not None:
                yield found
                yield from self._date_of(segment, found, end)
            return
        beside = self._right_value(segment, label)
        below = self._below_value(segment, label)
        if beside is not None and below is not None:
            # Which of the two the page does not say.
            return
        found = beside or below
        if found is not None:
            yield found

    def _right_value(self, segment: Segment, label: Label) -> _Found | None:
        beside = self._sheet.to_the_right(segment)
        if not beside or self._is_label(beside[0]) or beside[0].left - segment.right > _FARTHEST * segment.height:
            return None
        found = self._parse(beside[0], label, 0, len(beside[0].text), segment)
        if found is None:
            return None
        if label.role in _DATES and len(beside) > 1 and self._is_money(beside[1]):
            return None  # a posting: what was billed, or paid, on that day
        # Values may stand before their labels: then what is to the left of this label is its own.
        before = self._sheet.to_the_left(segment)
        if before and self._is_loose(before[0], label):
            further = self._sheet.to_the_left(before[0])
            if not further or not self._labels[id(further[0])]:
                return None
        return found

    def _below_value(self, segment: Segment, label: Label) -> _Found | None:
        below = self._sheet.below(segment)
        if below is None or self._is_label(below):
            return None
        found = self._parse(below, label, 0, len(below.text), segment)
        if found is None:
            return None
        above = self._sheet.above(segment)
        if above is not None and self._is_loose(above, label):
            further = self._sheet.above(above)
            left = self._sheet.to_the_left(above)
            if not (further is not None and self._labels[id(further)]) and not (left and self._labels[id(left[0])]):
                return None
        if any(self._is_money(one) for one in self._sheet.row(below)) or self._captions_are_below(below):
            return attrs.evolve(found, confidence=DOUBTED)
        # A column of such values is a table, and the label its heading.
        next_below = self._sheet.below(below)
        if next_below is not None and self._is_loose(next_below, label):
            return None
        return attrs.evolve(found, confidence=DOUBTED) if self._heads_a_table(segment, label) else found

    def _is_money(self, segment: Segment) -> bool:
        money = MONEY.search(segment.text)
        return money is not None and not re.search(r"[^\W\d_]{4}", segment.text)

    def _captions_are_below(self, value: Segment) -> bool:
        """Whether labels and values take turns below *value*, and a label ends them: then *value* is that one's."""
        for _ in range(12):
            label = self._sheet.below(value)
            if label is None or not self._labels[id(label)] or ":" in label.text:
                return False
            following = self._sheet.below(label)
            if following is None or self._labels[id(following)]:
                return self._right_of(label) is None
            value = following
        return False

    def _right_of(self, label: Segment) -> Segment | None:
        """The value beside *label*: not another label, and not far away."""
        beside = self._sheet.to_the_right(label)
        if not beside or self._labels[id(beside[0])] or beside[0].left - label.right > _FARTHEST * label.height:
            return None
        return beside[0]

    def _heads_a_table(self, segment: Segment, label: Label) -> bool:
        """Whether the value below is rather a cell of a table: of work done, of payments, of others' invoices."""
        row = [*self._sheet.to_the_left(segment), *self._sheet.to_the_right(segment)]
        roles = {other.role for one in row for other in self._labels[id(one)]}
        # Among headings of which one is not understood, a day or a number may be anybody's.
        if len(row) >= 2 and not all(self._labels[id(one)] for one in row):
            return True
        # A heading "Date" is the invoice's where the invoice's number stands beside it.
        return bool(roles & _AMOUNTS) or (label.role is Role.DATE and not roles & _NUMBERS)

    def _is_loose(self, segment: Segment, label: Label) -> bool:
        """Whether *segment* is a value of *label*'s kind without a label in front of it."""
        return not self._labels[id(segment)] and self._parse(segment, label, 0, len(segment.text), segment) is not None

    def _parse(self, segment: Segment, label: Label, start: int, end: int, at: Segment) -> _Found | None:
        raw = segment.text[start:end]
        start += len(raw) - len(raw.lstrip(" :#"))
        raw = raw.strip(" :#").rstrip(",;")
        end = start + len(raw)
        if not raw:
            return None
        role = label.role
        if role in _DATES:
            # Where the label's language or the page's knows one order only, that is how its dates are read.
            several = self._several_orders
            language = label.language if label.language != "en" and not several else self._language
            raw = _AFTER_DATE.sub("", raw)
            end = start + len(raw)
            day = read_date(raw, self._convention, day_first=True if language != "en" else None)
            return None if day is None else _Found(role, wire_date(day), segment, start, end, at)
        if role in _NUMBERS:
            return self._parse_number(segment, role, raw, start, at)
        if role is Role.SERIES:
            return _Found(role, raw, segment, start, end, at) if re.fullmatch(r"[A-Z0-9]{1,10}", raw) else None
        if role in _VAT_IDS:
            match = VAT_ID.match(raw)
            if (
                match is None
                or raw[match.end() :].strip(" .,;()")
                or (match.end() < len(raw) and raw[match.end()].isalnum())
            ):
                return None
            return _Found(role, match[0], segment, start, start + match.end(), at)
        if role is Role.CURRENCY:
            code = re.fullmatch(r"([A-Z]{3}|[€£])(?: ?[(/–-].*)?\.?", raw)
            if code is None or code[1] not in CURRENCIES:
                return None
            return _Found(role, CURRENCIES[code[1]], segment, start, start + code.end(1), at)
        return None

    def _parse_number(self, segment: Segment, role: Role, raw: str, start: int, at: Segment) -> _Found | None:
        confidence = LABELLED
        dated = _NUMBER_OF.fullmatch(raw)
        if dated is not None and read_date(dated[2].rstrip("."), self._convention, day_first=True) is not None:
            value = dated[1]
        elif (token := _TOKEN.fullmatch(raw)) is not None:
            value = token[1]
        else:
            # A number in pieces, or two things side by side.
            pieces = raw.split()
            if (
                len(pieces) > 3
                or len(raw) > 20
                or not all(re.fullmatch(r"[A-Z0-9][A-Z0-9/-]*", piece) for piece in pieces)
            ):
                return None
            value, confidence = " ".join(pieces), DOUBTED
        if not any(character.isdigit() for character in value) or len(value) > 30:
            return None
        if _MONEY.fullmatch(value) or read_date(value, Convention(day_first=True)) is not None:
            return None
        offset = start + raw.index(value)
        return _Found(role, value, segment, offset, offset + len(value), at, confidence=confidence)

    def _date_of(self, segment: Segment, number: _Found, end: int) -> Iterator[_Found]:
        """The date in "Rechnung Nr. 17 vom 4. Mai 2024"."""
        if number.role not in _NUMBERS:
            return
        dated = _NUMBER_OF.fullmatch(segment.text[number.start : end].strip().rstrip(".,"))
        if dated is None:
            return
        day = read_date(dated[2], self._convention, day_first=True if self._language != "en" else None)
        if day is not None:
            start = number.start + dated.start(2)
            yield _Found(Role.ISSUED, wire_date(day), segment, start, start + len(dated[2]), segment)

    def _title_number(self, segment: Segment) -> Iterator[_Found]:
        """The number in a title such as "Invoice RE-2024-17", where it can be nothing else."""
        told = title_of(segment.folded)
        if told is None or not told[0]:
            return
        credit = CREDIT.match(segment.folded) is not None
        raw = segment.text[told[1] :]
        value = re.sub(
            r"^(?:(?:Nr|No|N[°º]|n[°º.]?|nr|no|Num|Número)\b[.:]{0,2} ?|[Nn][°º] ?)", "", raw.strip(" :#")
        ).strip(" :#")
        beside = self._sheet.to_the_right(segment)
        if not value and ":" in raw and beside and beside[0].left - segment.right <= _FARTHEST * segment.height:
            segment, raw = beside[0], beside[0].text
            told, value = (True, 0), raw.strip(" #")
        if not value or _TOKEN.fullmatch(value) is None or _PERIOD.fullmatch(value):
            return
        if sum(character.isdigit() for character in value) < 3:
            return
        role = Role.CREDIT_NUMBER if credit else Role.NUMBER
        found = self._parse_number(segment, role, value, told[1] + raw.index(value), segment)
        if found is not None:
            yield found

    # Names.

    def _name_at(self, segment: Segment, label: Label, end: int) -> Iterator[_Found]:
        behind = segment.text[label.end : end].strip(" :")
        if behind:
            if ":" not in segment.text[: label.end] and not segment.folded.startswith(("spett", "bill", "invoice")):
                return  # "Customer service", "Client portal": prose
            start = segment.text.index(behind, label.end)
            found = self._parse_name(segment, label.role, start, end, segment)
            if found is not None:
                yield found
            return
        beside = self._sheet.to_the_right(segment)
        below = self._sheet.below(segment)
        right = beside[0] if beside and not self._is_label(beside[0]) else None
        if right is not None and right.left - segment.right > 10 * segment.height:
            right = None
        if below is not None and abs(below.left - segment.left) > 1.5 * segment.height:
            centred = abs((below.left + below.right) - (segment.left + segment.right)) < 2 * segment.height
            below = below if centred else None
        if below is not None and self._is_label(below):
            below = None
        if (right is None) == (below is None):
            return
        chosen = right or below
        assert chosen is not None
        found = self._parse_name(chosen, label.role, 0, len(chosen.text), segment)
        if found is not None and chosen is below and self._heads_a_table(segment, label):
            found = attrs.evolve(found, confidence=DOUBTED)
        if found is not None:
            yield found

    def _parse_name(self, segment: Segment, role: Role, start: int, end: int, at: Segment) -> _Found | None:
        name = segment.text[start:end].strip(" ,")
        plain = folded(name)
        if (
            not 2 < len(name) <= _LONGEST_NAME
            or name.endswith(":")
            or not any(character.isalpha() for character in name)
        ):
            return None
        if _NOT_A_NAME.match(plain) or (title_of(plain) or (False, 0))[1] == len(plain):
            return None
        # "Foo Ltd, 12 High Street" and "J. Smith, Foo Ltd" are more than a name.
        formal = has_company(name) and ("," not in name or re.search(r", ?\S{2,8}$", name) is not None)
        if any(character.isdigit() for character in name) and not formal:
            return None
        if start == 0 and self._is_label(segment):
            return None
        # Two names of narrow columns, with little between them.
        if segment.widest_gap > 0.45 * segment.height:
            return None
        # A name that goes on in the next line is half a name.
        below = self._sheet.below(segment, within=0.7)
        if name.endswith(("&", "-", "+", "/")):
            return None
        if below is not None and abs(below.left - segment.left) < segment.height:
            if below.folded.startswith(("& ", "+ ", "co.", "und ", "and ", "et ", "y ", "e ")):
                return None
            if LEGAL_FORM.search(below.folded) and not self._labels[id(below)]:
                return None
        start = segment.text.index(name, start)
        return _Found(role, name, segment, start, start + len(name), at, confidence=LABELLED if formal else DOUBTED)

    def _customer(self) -> tuple[Value | None, Sequence[Segment]]:
        """The customer's name, and the segments of the block it heads."""
        found = self._of(Role.CUSTOMER)
        block: list[Segment] = []
        places: list[Segment] = []
        for label in {id(one.label): one.label for one in found}.values():
            block += self._block(label)
        for segment in self._sheet.segments:
            labels = self._labels[id(segment)]
            if (
                any(label.role is Role.CUSTOMER for label in labels)
                and self._is_label(segment)
                and segment not in block
            ):
                block += self._block(segment)
            elif any(label.role is Role.PLACE for label in labels) and self._is_label(segment):
                places += self._block(segment)
        sender = self._sender_line()
        if not found and not block and sender is not None:
            window = self._parse_name(sender[2], Role.CUSTOMER, 0, len(sender[2].text), sender[1])
            found = [] if window is None else [window]
            block = [sender[2], *self._block(sender[2])]
        first_line = sender[2] if sender is not None else None
        found = [
            one if self._is_the_customer(one, first_line, places) else attrs.evolve(one, confidence=DOUBTED)
            for one in found
        ]
        return self._one(found), [*block, *places] if block else []

    def _is_the_customer(self, found: _Found, window: Segment | None, places: Sequence[Segment]) -> bool:
        """Whether the name is surely the one that is billed, and no other name stands in an address of its own.

        "Customer", "To", "Destinataire" may be the customer's customer, or where the goods go.
        """
        if window is not None and _bare(window.text) != _bare(found.value):
            return False
        if window is not None or _BILLED.match(found.label.folded):
            return True
        own = list(self._block(found.label if found.segment is found.label else found.segment))
        if not postcodes(own):
            return False
        page = self._sheet.on_page(found.segment.page)
        top, bottom = min(one.top for one in page), max(one.bottom for one in page)
        others = [
            one
            for one in postcodes(page)
            if one not in own
            and one not in places
            and top + 0.09 * (bottom - top) < one.top < top + 0.85 * (bottom - top)
        ]
        return not others

    def _block(self, label: Segment) -> Iterator[Segment]:
        """*label* and the lines that follow it closely in its column."""
        yield label
        last = label
        for _ in range(9):
            following = self._sheet.below(last, within=1.3)
            if following is None:
                return
            yield following
            last = following

    def _sender_line(self) -> tuple[str, Segment, Segment] | None:
        """The sender's name in small print above an address window, its line, and the first line of the window."""
        lines = []
        page = self._sheet.on_page(self._sheet.segments[0].page)
        middle = (min(one.top for one in page) + max(one.bottom for one in page)) / 2
        for segment in self._sheet.on_page(self._sheet.segments[0].page):
            parts = re.split(r" ?[·•●|] ?| [–—-] ", segment.text)
            if len(parts) < 3 or re.search(r"(?<!\d)\d{4,5}(?!\d)", segment.text) is None:
                continue
            below = self._sheet.below(segment, within=3)
            if below is None or below.top > middle or segment.height > 0.9 * below.height:
                continue
            if abs(below.left - segment.left) < 1.5 * below.height:
                lines.append((parts[0].strip(), segment, below))
        return lines[0] if len(lines) == 1 else None

    def _supplier(self, customer: Value | None, block: Sequence[Segment]) -> tuple[Value | None, Sequence[Segment]]:
        """The supplier's name, and the segments of the block it heads."""
        found = self._of(Role.SUPPLIER)
        labelled = self._one(found)
        if labelled is not None:
            block = list(self._block(found[0].label))
            if not postcodes(block):
                labelled = attrs.evolve(labelled, confidence=DOUBTED)  # "From" is also where the goods come from
            return labelled, block
        sender = self._sender_line()
        if sender is not None and has_company(sender[0]):
            return Value(value=sender[0], confidence=LABELLED), []
        # The letterhead: the one company on the pages that is not the customer.
        others: dict[str, Segment] = {}
        for segment in self._sheet.segments:
            plain = folded(segment.text)
            if not has_company(segment.text) or segment in block:
                continue
            if customer is None or plain != folded(customer.value):
                others.setdefault(plain, segment)
        if len(others) != 1 or not block:
            return None, []
        (segment,) = others.values()
        if segment.page != self._sheet.segments[0].page:
            return None, []
        page = self._sheet.on_page(segment.page)
        top, bottom = min(one.top for one in page), max(one.bottom for one in page)
        if segment.top > top + 0.2 * (bottom - top) or self._labels[id(segment)]:
            return None, []
        # "Partner of Large Motors Ltd" stands in smaller letters than the partner's own name.
        head = [one for one in page if one.top <= top + 0.2 * (bottom - top) and title_of(one.folded) is None]
        if segment.height < max(one.height for one in head):
            return None, []
        return Value(value=segment.text, confidence=LABELLED), list(self._block(segment))

    def _supplier_vat_id(self, block: Sequence[Segment], head: Sequence[Segment]) -> Value | None:
        ours = self._of(Role.SUPPLIER_VAT_ID)
        if ours:
            return self._one(ours)
        theirs = {_bare(found.value) for found in self._of(Role.CUSTOMER_VAT_ID)}
        loose = []
        for found in self._of(Role.VAT_ID):
            if found.segment in block or found.label in block:
                theirs.add(_bare(found.value))
            else:
                loose.append(found)
        loose = [found for found in loose if _bare(found.value) not in theirs]
        loose = [found for found in loose if found.label in head] or loose
        sure = theirs or any(found.label in head or self._in_foot(found.segment) for found in loose)
        # Another number of the same shape may be the supplier's as well, wherever it stands.
        sure = sure and not vat_ids(self._sheet) - {*theirs, *(_bare(found.value) for found in loose)}
        return self._one([attrs.evolve(found, confidence=LABELLED if sure else DOUBTED) for found in loose])

    def _in_foot(self, segment: Segment) -> bool:
        page = self._sheet.on_page(segment.page)
        top, bottom = min(one.top for one in page), max(one.bottom for one in page)
        return segment.top > top + 0.85 * (bottom - top)

    # Numbers and dates.

    def _of(self, *roles: Role) -> list[_Found]:
        return [found for found in self._found if found.role in roles]

    def _one(self, found: Sequence[_Found]) -> Value | None:
        """The value that all of *found* agree on, with the best confidence; None where they do not."""
        if len({_bare(one.value) for one in found}) != 1:
            return None
        best = max(found, key=lambda one: one.confidence)
        return Value(value=str(best.value), confidence=best.confidence, box=self._box(best))

    def _invoice_number(self) -> Value | None:
        """The number, with the value "" where there is none; None where there are several invoices."""
        credited, numbers = self._of(Role.CREDIT_NUMBER), self._of(Role.NUMBER)
        if credited:
            return self._one(credited)
        if self._is_credit():
            # The number may be that of the invoice which is credited.
            numbers = [attrs.evolve(found, confidence=DOUBTED) for found in numbers]
        entitled = [found for found in numbers if title_of(found.segment.folded) and self._is_large(found.segment)]
        if entitled:
            numbers = entitled  # the others are those of invoices that this one speaks of
        different = {str(_bare(found.value)) for found in numbers}
        if len(different) > 1:
            longest = max(different, key=len)
            if not all(longest.endswith(number) or longest.startswith(number) for number in different):
                return None
            # A payment slip may shorten it.
            numbers = [attrs.evolve(found, confidence=DOUBTED) for found in numbers if _bare(found.value) == longest]
        number = self._one(numbers)
        series = self._one(self._of(Role.SERIES))
        if number is not None and series is not None and not number.value.startswith(series.value):
            # As in the XML of such invoices; on the page they are two things.
            number = attrs.evolve(number, value=f"{series.value}-{number.value}", confidence=DOUBTED)
        return number or Value(value="", confidence=0.0)

    def _is_large(self, segment: Segment) -> bool:
        page = self._sheet.on_page(segment.page)
        return segment.height >= 1.15 * median(one.height for one in page)

    def _is_credit(self) -> bool:
        return bool(self._of(Role.CREDIT_NUMBER)) or any(
            CREDIT.match(segment.folded) and title_of(segment.folded) for segment in self._sheet.segments
        )

    def _issue_date(self) -> Value | None:
        issued = self._of(Role.ISSUED)
        if self._is_credit():
            # The date of the invoice that is credited is not this one's.
            own = [
                found
                for found in issued
                if re.search(r"invoice|rechnung|factur|fattura|fra", found.label.folded) is None
            ]
            issued = own if own or self._of(Role.DATE) else [attrs.evolve(one, confidence=DOUBTED) for one in issued]
        if issued:
            dates = {found.value for found in [*issued, *self._of(Role.DATE)]}
            told = self._one(issued)
            return attrs.evolve(told, confidence=DOUBTED) if told is not None and len(dates) > 1 else told
        # A bare "Date" far down is that of a signature or of a payment.
        return self._one(
            [
                found if self._in_upper_half(found.label) else attrs.evolve(found, confidence=DOUBTED)
                for found in self._of(Role.DATE)
            ]
        )

    def _in_upper_half(self, segment: Segment) -> bool:
        page = self._sheet.on_page(segment.page)
        return segment.middle < (min(one.top for one in page) + max(one.bottom for one in page)) / 2

    def _due_date(self, issued: Value | None) -> Value | None:
        found = self._of(Role.DUE)
        if _DISCOUNT.search(folded(self._text)):
            # "Payable until the 15th", and in the next line "less 2 %": the last day for the discount.
            found = [one if _DUE.search(one.label.folded) else attrs.evolve(one, confidence=DOUBTED) for one in found]
        found = [attrs.evolve(one, confidence=DOUBTED) if self._is_for_a_discount(one) else one for one in found]
        due = self._one(found)
        if due is not None and issued is not None and not self._agrees_with_terms(issued.value, due.value):
            return attrs.evolve(due, confidence=DOUBTED)
        if due is not None and issued is not None and due.value < issued.value:
            return attrs.evolve(due, confidence=DOUBTED)
        return due

    def _is_for_a_discount(self, found: _Found) -> bool:
        """Whether a percentage stands on the line of a last day or on the next, and its label does not say "due"."""
        if _DUE.search(found.label.folded):
            return False
        below = self._sheet.below(found.segment)
        lines = [found.segment, *self._sheet.row(found.segment), *([] if below is None else [below])]
        return any("%" in one.text for one in lines)

    def _agrees_with_terms(self, issued: str, due: str) -> bool:
        """Whether the days that the terms give, the most of them, lead from one date to the other."""
        days = [int(found) for found in _DAYS.findall(folded(self._text))]
        apart = (date.fromisoformat(due) - date.fromisoformat(issued)).days
        return not days or max(days) == apart

    # Amounts.

    def _amounts_at(self, segment: Segment, label: Label, end: int) -> Iterator[_Found]:
        percents = re.findall(rf"({NUMBER}) ?%", segment.text[: label.end])
        rates = [rate for one in percents if (rate := read_number(one, self._convention)) is not None]
        told = self._pieces(segment, label, label.end, end, rates, at=segment)
        if told is None:
            return
        numbers, currency = told
        if end < len(segment.text) and not numbers:
            return
        if not numbers or (label.role is Role.TAX and len(numbers) == 1 and rates):
            # The tax may stand behind its base, "VAT 20 % on 100.00 | 20.00".
            for beside in self._sheet.to_the_right(segment):
                if self._labels[id(beside)]:
                    break
                more = self._pieces(beside, label, 0, len(beside.text), rates, at=segment)
                if more is None:
                    break
                numbers += more[0]
                currency = currency or more[1]
            if numbers and self._stands_before(segment, label):
                return
        if not numbers:
            numbers = self._column(segment, label)
        # "Total EUR | 120.00": the code belongs to the number, unless that has one of its own.
        numbers = [attrs.evolve(found, currency=found.currency or currency) for found in numbers]
        yield from self._chosen(label.role, numbers, rates)

    def _stands_before(self, segment: Segment, label: Label) -> bool:
        """Whether the amounts of this line stand before their labels."""
        before = self._sheet.to_the_left(segment)
        if not before or self._labels[id(before[0])]:
            return False
        further = self._sheet.to_the_left(before[0])
        if further and self._labels[id(further[0])]:
            return False
        return bool(self._only_amounts(before[0], label, segment))

    def _column(self, segment: Segment, label: Label) -> list[_Found]:
        """The one amount below a heading; a column of several is a table."""
        below = self._sheet.below(segment)
        if below is None or self._labels[id(below)]:
            return []
        following = self._sheet.below(below)
        if following is not None and not self._labels[id(following)] and self._only_amounts(following, label, segment):
            return []
        return self._only_amounts(below, label, segment)

    def _only_amounts(self, segment: Segment, label: Label, at: Segment) -> list[_Found]:
        """The amounts that are all of *segment*."""
        told = self._pieces(segment, label, 0, len(segment.text), [], at=at)
        return [] if told is None else [attrs.evolve(found, currency=found.currency or told[1]) for found in told[0]]

    def _chosen(self, role: Role, numbers: Sequence[_Found], rates: Sequence[Decimal]) -> Iterator[_Found]:
        """Which of the amounts of one line the label means."""
        rate = rates[0] if len(rates) == 1 else None
        if len(numbers) == 1:
            yield attrs.evolve(numbers[0], rate=rate)
        elif len(numbers) == 2:
            first, second = numbers
            if first.currency and second.currency and first.currency != second.currency:
                yield first
                yield second
            elif role is Role.TAX and rate is not None:
                # The base and the tax on it.
                on, tax = first.value, second.value
                assert isinstance(on, Decimal)
                assert isinstance(tax, Decimal)
                if abs(on * rate / 100 - tax) <= Decimal("0.02"):
                    yield attrs.evolve(second, rate=rate)
        elif len(numbers) == 3 and role in (Role.TOTAL, Role.SUM):
            net, tax, total = (found.value for found in numbers)
            assert isinstance(net, Decimal)
            assert isinstance(tax, Decimal)
            if net + tax == total:
                yield attrs.evolve(numbers[2], role=Role.TOTAL)

    def _pieces(
        self, segment: Segment, label: Label, start: int, end: int, rates: list[Decimal], *, at: Segment
    ) -> tuple[list[_Found], str | None] | None:
        """The amounts in `segment.text[start:end]` and a currency that stands alone; percentages go into *rates*.

        None where other words stand there.
        """
        numbers: list[_Found] = []
        currency: str | None = None
        for piece in _PIECES.finditer(segment.text, start, end):
            match "amount" if piece["amount"] is not None else piece.lastgroup:
                case "date" if label.role is not Role.PAID:
                    return None
                case "percent":
                    rate = read_number(re.sub(r"[ %]+$", "", piece[0]), self._convention)
                    if rate is not None:
                        rates.append(rate)
                case "amount":
                    found = self._amount(segment, label.role, piece, at)
                    if found is None:
                        return None
                    numbers.append(found)
                case "currency":
                    word = piece[0].upper()
                    if word in CURRENCIES:
                        currency = CURRENCIES[word]
                    elif word.lower() not in FILLERS and word not in {"$", "¥", "KR", "KR."}:
                        return None
                case "word":
                    if folded(piece[0]).replace(".", "") not in FILLERS:
                        return None
                case "strange":
                    return None
        return numbers, currency

    def _amount(self, segment: Segment, role: Role, piece: re.Match[str], at: Segment) -> _Found | None:
        number = read_number(piece["number"], self._convention)
        # Three digits behind the only mark are hardly cents, whatever the other numbers look like.
        thousandths = re.fullmatch(r"\d{1,3}[.,]\d{3}", piece["number"]) and number != int(number or 0)
        if number is None or thousandths or (number < 1000 and re.fullmatch(r"\d{1,3}[.,]000", piece["number"])):
            return None
        before, after = piece["before"].strip(), (piece["after"] or "").strip()
        brackets = before == "(" and after == ")"
        if (before == "(") != (after == ")"):
            # One bracket belongs to the words around it, unless it encloses the currency.
            before, after = before.strip("("), after.strip(")")
        minus = bool(piece["sign"]) or before in {"-", "−", "–"} or after in {"-", "−", "–"} or brackets
        marker = (piece["left"] or piece["right"] or "").upper()
        if marker and marker not in CURRENCIES and marker not in {"$", "¥", "KR", "KR."}:
            return None
        return _Found(
            role,
            -number if minus else number,
            segment,
            piece.start("number"),
            piece.end("number"),
            at,
            currency=CURRENCIES.get(marker),
            vague_currency=(marker or None) if marker not in CURRENCIES else None,
        )

    def _amounts(self) -> dict[str, Value | None]:
        net = self._of(Role.NET, Role.SUM)
        tax = self._of(Role.TAX)
        total = self._of(Role.TOTAL, Role.SUM, Role.PAYABLE)
        sums = _Sums(
            net=_decimals(net) | _decimals(self._of(Role.TOTAL)),
            tax=_decimals(tax),
            tax_lines=[found for found in tax if found.rate is not None],
            total=_decimals(total),
            extra=[found.value for found in self._of(Role.EXTRA) if isinstance(found.value, Decimal)],
            withheld=_decimals(self._of(Role.WITHHELD)),
        )
        solved = sums.solved()
        if solved is None:
            fields = {
                "net_amount": self._doubted(self._of(Role.NET)),
                "tax_amount": self._doubted(tax),
                "total_amount": self._doubted(self._of(Role.TOTAL) or self._of(Role.SUM) or self._of(Role.PAYABLE)),
            }
            return fields | {"currency": self._currency(total, total)}
        explained = self._explained(solved) and self._accounted_for(solved)
        told: dict[str, tuple[Decimal | None, Sequence[_Found]]] = {
            "net_amount": (solved.net, [*net, *self._of(Role.TOTAL)]),
            "tax_amount": (solved.tax, tax),
            "total_amount": (solved.total, total),
        }
        chosen: list[_Found] = []
        fields = {}
        for name, (value, found) in told.items():
            mine = [one for one in found if one.value == value]
            chosen += mine
            sure = explained and not (solved.withheld and name == "total_amount")
            fields[name] = self._amount_value(mine[-1], CONFIRMED if sure else DOUBTED) if mine else None
        return fields | {"currency": self._currency(chosen, total)}

    def _explained(self, solved: _Solution) -> bool:
        """Whether every other total on the pages has its reason."""
        totals = self._of(Role.TOTAL, Role.SUM, Role.PAYABLE)
        taken_off = [abs(one.value) for one in self._of(Role.PAID, Role.WITHHELD) if isinstance(one.value, Decimal)]
        left = solved.total - sum(taken_off, Decimal(0))
        for found in totals:
            if found.value in (solved.total, solved.base, solved.net, solved.tax, Decimal(0)):
                continue
            if taken_off and found.role is not Role.SUM and found.value == left:
                continue
            return False
        known = {solved.total, solved.base, solved.net, solved.tax, left, Decimal(0)}
        return not any(self._goes_on_below(found, known) for found in totals if found.value == solved.total)

    def _accounted_for(self, solved: _Solution) -> bool:
        """Whether all money outside the table of items is understood: paid, added, taken off, or one of the sums."""
        paid = self._of(Role.PAID)
        payable = _decimals(self._of(Role.PAYABLE))
        taken_off = {abs(one.value) for one in [*paid, *self._of(Role.WITHHELD)] if isinstance(one.value, Decimal)}
        each = [abs(one.value) for one in [*paid, *self._of(Role.WITHHELD)] if isinstance(one.value, Decimal)]
        # Two equal payments, or one that is printed twice: what is left tells.
        left = solved.total - sum(each, Decimal(0))
        if left not in payable:
            left = solved.total - sum(taken_off, Decimal(0))
        if any(one.rate is not None for one in paid) or left < 0 < solved.total:
            return False
        if paid and left not in payable and left != 0:
            return False
        if paid and left == 0 and 0 not in payable:
            return False
        known = {solved.total, solved.base, solved.net, solved.tax, left, Decimal(0), *taken_off}
        between = _decimals(self._of(Role.NET, Role.SUM, Role.TOTAL))
        start = solved.base if solved.base is not None else solved.net
        for one in self._of(Role.EXTRA):
            assert isinstance(one.value, Decimal)
            amount = abs(one.value)
            if solved.base is not None:
                known.add(amount)  # it is one of those that were added up
            elif start is not None and (before := {start - amount, start + amount} & between):
                known |= {amount, *before}
            elif amount:
                return False
        chosen = [
            found
            for role, value in (
                (_NET_LIKE, solved.net or solved.base),
                ({Role.TAX}, solved.tax),
                (_TOTAL_LIKE, solved.total),
            )
            for found in [one for one in self._found if one.role in role and one.value == value][-1:]
        ]
        heads = [found.label for found in self._found if found.role in (_NUMBERS | _DATES | _NAMES)]
        rates = {line.value for line in self._of(Role.TAX) if isinstance(line.value, Decimal)}
        if solved.tax is None or sum(rates, Decimal(0)) == solved.tax:
            known |= rates
        return not unexplained_money(
            self._sheet,
            self._convention,
            totals=[found.label for found in chosen],
            heads=heads,
            known={abs(one) for one in known if one is not None},
            sums=(solved.net, solved.tax, solved.total),
        )

    def _goes_on_below(self, total: _Found, known: AbstractSet[Decimal | None]) -> bool:
        """Whether further amounts without a label of ours stand below *total* in its column: a sum of another name."""
        labelled = {id(found.segment) for found in self._found if isinstance(found.value, Decimal)}
        if total in [other for other in self._found if other.role is total.role and other.value == total.value][:-1]:
            return False  # it is printed once more, further down
        for segment in self._sheet.on_page(total.segment.page):
            apart = min(abs(segment.right - total.segment.right), abs(segment.left - total.segment.left))
            if segment.top < total.segment.bottom or apart > segment.height or id(segment) in labelled:
                continue
            before = self._sheet.to_the_left(segment)
            if self._labels[id(segment)] or (before and self._labels[id(before[0])]):
                continue
            for money in _CENTS.findall(segment.text):
                amount = read_number(money, self._convention)
                if amount is not None and amount not in known and -amount not in known:
                    return True
        return False

    def _doubted(self, found: Sequence[_Found]) -> Value | None:
        if len({one.value for one in found}) != 1:
            return None
        return self._amount_value(found[-1], DOUBTED)

    def _amount_value(self, found: _Found, confidence: float) -> Value | None:
        assert isinstance(found.value, Decimal)
        wire = wire_number(found.value)
        return None if wire is None else Value(value=wire, confidence=confidence, box=self._box(found))

    def _currency(self, chosen: Sequence[_Found], total: Sequence[_Found]) -> Value | None:
        standing = {found.currency for found in chosen if found.currency}
        labelled = self._of(Role.CURRENCY)
        codes = standing | {str(found.value) for found in labelled}
        if unknown_money_word(self._sheet, self._labels, _AMOUNTS):
            return None
        vague = {sign for found in (*chosen, *total) if (sign := found.vague_currency) is not None}
        if any(code not in _VAGUE[sign] for sign in vague for code in codes):
            return None
        if len(codes) != 1:
            if codes:
                return None
            return self._currency_of_the_page()
        others = {found.currency for found in total if found.currency} - codes
        (code,) = codes
        return Value(value=code, confidence=DOUBTED if others and not labelled else CONFIRMED if standing else LABELLED)

    def _currency_of_the_page(self) -> Value | None:
        codes: set[str] = set()
        for match in re.finditer(
            rf"(?:{_CURRENCY})(?= ?\d)|(?<=\d) ?(?:{_CURRENCY})|(?<=\()(?:{_CURRENCY})(?=\))", self._text
        ):
            word = match[0].strip().upper()
            if word in {"$", "¥", "KR", "KR."}:
                return None
            if word in CURRENCIES:
                codes.add(CURRENCIES[word])
        if len(codes) != 1:
            return None
        (code,) = codes
        # No sum stands with it: it may be what the sums are worth elsewhere.
        return Value(value=code, confidence=DOUBTED)

    def _box(self, found: _Found) -> Box | None:
        return Box.around(self._pages.box(*span) for span in found.segment.spans(found.start, found.end))


def _labels_of(text: str) -> Sequence[Label]:
    """The labels at the start of the folded *text*; one that is repeated in another language ends where that ends."""
    labels = labels_at(text)
    if labels and (again := re.match(r"(?:/|\||[–-] )\s*", text[labels[0].end :])) is not None:
        start = labels[0].end + again.end()
        roles = {label.role for label in labels}
        for other in labels_at(text[start:]):
            if other.role in roles or roles == {Role.OTHER}:
                return [attrs.evolve(label, end=start + other.end) for label in labels]
    return labels


def _bare(value: str | Decimal) -> str | Decimal:
    return re.sub(r"[\s.-]", "", folded(value)) if isinstance(value, str) else value


def _decimals(found: Iterable[_Found]) -> set[Decimal]:
    return {one.value for one in found if isinstance(one.value, Decimal)}


@attrs.frozen
class _Solution:
    """Amounts that add up; None for what is not printed."""

    net: Decimal | None
    tax: Decimal | None
    total: Decimal
    #: What freight and discounts were added to.
    base: Decimal | None = None
    withheld: bool = False


@attrs.frozen(kw_only=True)
class _Sums:
    """The printed amounts by what their labels call them."""

    net: set[Decimal]
    tax: set[Decimal]
    tax_lines: Sequence[_Found]
    total: set[Decimal]
    extra: Sequence[Decimal]
    withheld: set[Decimal]

    def solved(self) -> _Solution | None:
        """The one way in which net and tax give a total, or None where there is none or another."""
        if max(len(self.net), len(self.tax), len(self.total), len(self.tax_lines)) > _MOST_SUMS:
            return None
        for ways in (self._plain(), self._with_extras(), self._with_withholding(), self._with_tax_inside()):
            solutions = set(ways)
            if len({(one.net, one.total) for one in solutions}) > 1:
                return None
            printed = [one for one in solutions if one.tax is not None]
            if len(printed) > 1:
                return None
            if solutions:
                return printed[0] if printed else solutions.pop()
        return None

    def _taxes(self) -> Iterator[tuple[Decimal | None, Decimal]]:
        """Each tax that is printed, and the sum of the rates' taxes, which is not."""
        for tax in self.tax:
            yield tax, tax
        rates: Mapping[Decimal | None, Decimal] = {
            line.rate: line.value for line in self.tax_lines if isinstance(line.value, Decimal)
        }
        if len(rates) > 1:
            yield None, sum(rates.values(), Decimal(0))

    def _plain(self) -> Iterator[_Solution]:
        for net, (printed, tax), total in product(self.net, list(self._taxes()), self.total):
            if net + tax == total and total != 0 and abs(tax) <= abs(net) / 2:
                yield _Solution(net, printed, total)

    def _with_extras(self) -> Iterator[_Solution]:
        extras = [value for value in self.extra if value]
        if not 0 < len(extras) <= 4:
            return
        for net, (printed, tax), total in product(self.net, list(self._taxes()), self.total):
            for signs in product((1, -1), repeat=len(extras)):
                if net + tax + sum(sign * value for sign, value in zip(signs, extras, strict=True)) == total and tax:
                    yield _Solution(None, printed, total, base=net)

    def _with_withholding(self) -> Iterator[_Solution]:
        for net, (printed, tax), total, kept in product(self.net, list(self._taxes()), self.total, self.withheld):
            if net + tax - abs(kept) == total and tax:
                yield _Solution(net, printed, total, withheld=True)

    def _with_tax_inside(self) -> Iterator[_Solution]:
        """Prices with tax, of which the page tells the tax and its rate."""
        if len(self.tax_lines) != 1 or self.net - self.total:
            return
        (line,) = self.tax_lines
        if not line.rate or not isinstance(line.value, Decimal) or not line.value:
            return
        for total in self.total:
            if abs(total * line.rate / (100 + line.rate) - line.value) <= Decimal("0.005"):
                yield _Solution(None, line.value, total)
