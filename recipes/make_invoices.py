"""Renders the sample invoices in `recipes/invoices/`, and what there is to find in them.

    python recipes/make_invoices.py [FOLDER]

Thirteen invoices in six layouts and five languages. Everybody in them is invented; the amounts add up.
Running it again gives the same bytes: no clock, no dice, no compression of pages.
`truth.json` holds the expected fields of each file, and the versions of the libraries that made them.
Needs reportlab and factur-x (the `dev` extra).
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import attrs
import facturx
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4, LETTER
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

FOLDER = Path(__file__).with_name("invoices")
CENT = Decimal("0.01")


# What an invoice says.


@attrs.frozen(kw_only=True)
class Party:
    """Somebody invented."""

    name: str
    address: tuple[str, ...]
    tax_id: str = ""
    contact: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Item:
    """One line."""

    number: str
    description: str
    quantity: Decimal = attrs.field(converter=Decimal)
    unit: str = ""
    price: Decimal = attrs.field(converter=Decimal)
    #: Percent.
    tax: Decimal = attrs.field(converter=Decimal)

    @property
    def net(self) -> Decimal:
        """Quantity times price, in cents."""
        return (self.quantity * self.price).quantize(CENT, ROUND_HALF_UP)


@attrs.frozen(kw_only=True)
class Invoice:
    """One document."""

    file: str
    layout: str
    supplier: Party
    customer: Party
    number: str
    issued: date
    due: date
    currency: str
    items: tuple[Item, ...]
    #: Whether the XML goes in as well.
    factur_x: bool = False

    @property
    def rates(self) -> dict[Decimal, Decimal]:
        """Percent → the net amount taxed with it, the highest first."""
        percents = sorted({item.tax for item in self.items}, reverse=True)
        return {tax: sum((i.net for i in self.items if i.tax == tax), Decimal(0)) for tax in percents}

    @property
    def net(self) -> Decimal:
        """The sum of the lines."""
        return sum(self.rates.values(), Decimal(0))

    @property
    def tax(self) -> Decimal:
        """The sum of the taxes, each in cents."""
        return sum((tax_on(net, percent) for percent, net in self.rates.items()), Decimal(0))

    @property
    def total(self) -> Decimal:
        """What is to be paid."""
        return self.net + self.tax


def tax_on(net: Decimal, percent: Decimal) -> Decimal:
    """*percent* of *net*, in cents."""
    return (net * percent / 100).quantize(CENT, ROUND_HALF_UP)


# How it is written.


def grouped(number: Decimal, group: str, mark: str, places: int = 2) -> str:
    """*number* with its digits in threes."""
    return f"{number:,.{places}f}".replace(",", "\0").replace(".", mark).replace("\0", group)


def plain(number: Decimal, mark: str = ".") -> str:
    """*number* with as many places as it needs."""
    return f"{number.normalize():f}".replace(".", mark)


ENGLISH_MONTHS = "January February March April May June July August September October November December"
FRENCH_MONTHS = "janvier février mars avril mai juin juillet août septembre octobre novembre décembre"
SPANISH_MONTHS = "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre"


def long_date(day: date, months: str, between: str = " ") -> str:
    """*day* with the month's name."""
    return between.join([str(day.day), months.split()[day.month - 1], str(day.year)])


class Sheet:
    """A canvas whose origin is the top left, in points."""

    def __init__(self, invoice: Invoice, size: tuple[float, float], font: str) -> None:
        self.buffer = io.BytesIO()
        self.width, self.height = size
        self.regular, self.bold = font, FONTS[font]
        # The same bytes every time, whichever zlib is installed.
        self.canvas = Canvas(self.buffer, pagesize=size, invariant=1, pageCompression=0)
        self.canvas.setTitle(f"{invoice.supplier.name} {invoice.number}")
        self.canvas.setAuthor(invoice.supplier.name)

    def text(self, x: float, y: float, words: str, size: float = 9, **look: Any) -> None:
        """*words* from *x* on; to the left of it with `right=True`, around it with `middle=True`."""
        bold = bool(look.get("bold"))
        color = HexColor(look.get("color", "#1b1b1b"))
        self.canvas.setFont(self.bold if bold else self.regular, size)
        self.canvas.setFillColor(color)
        self.canvas.setStrokeColor(color)
        self.canvas.setLineWidth(size / 28)
        draw = self.canvas.drawString
        if look.get("right"):
            draw = self.canvas.drawRightString
        elif look.get("middle"):
            draw = self.canvas.drawCentredString
        # Mode 2 also draws the outline: bold for a font that comes in one weight.
        draw(x, self.height - y, words, mode=2 if bold and self.bold == self.regular else 0)

    def lines(self, x: float, y: float, words: Sequence[str], size: float = 9, **look: Any) -> float:
        """*words* one below the other; gives the `y` below them."""
        for line in words:
            self.text(x, y, line, size, **look)
            y += size * 1.4
        return y

    def rule(self, x: float, y: float, to: float, color: str = "#888888", width: float = 0.6) -> None:
        """A level line."""
        self.canvas.setStrokeColor(HexColor(color))
        self.canvas.setLineWidth(width)
        self.canvas.line(x, self.height - y, to, self.height - y)

    def fill(self, x: float, y: float, width: float, height: float, color: str) -> None:
        """A filled rectangle."""
        self.canvas.setFillColor(HexColor(color))
        self.canvas.rect(x, self.height - y - height, width, height, stroke=0, fill=1)

    def frame(self, x: float, y: float, width: float, height: float, color: str = "#777777") -> None:
        """An empty rectangle."""
        self.canvas.setStrokeColor(HexColor(color))
        self.canvas.setLineWidth(0.7)
        self.canvas.rect(x, self.height - y - height, width, height, stroke=1, fill=0)

    def row(self, y: float, cells: Sequence[tuple[float, str, str]], size: float = 9, **look: Any) -> None:
        """One line of a table: `(x, "left" or "right", words)`, drawn from left to right."""
        for x, side, words in cells:
            self.text(x, y, words, size, right=side == "right", **look)

    def pdf(self) -> bytes:
        """The finished document."""
        self.canvas.save()
        return self.buffer.getvalue()


#: Regular → bold. Vera comes with reportlab and has the letters of all five languages; it is embedded, and
#: a second weight would double the size of the file.
FONTS = {"Helvetica": "Helvetica-Bold", "Times-Roman": "Times-Bold", "Vera": "Vera"}


# The layouts.


def british(invoice: Invoice) -> bytes:
    """A studio's invoice: name on the left, facts on the right, a thin table."""
    ink = "#1f3a5f"
    sheet = Sheet(invoice, A4, "Helvetica")

    def money(number: Decimal) -> str:
        return "£" + grouped(number, ",", ".")

    sheet.text(50, 70, invoice.supplier.name, 17, bold=True, color=ink)
    sheet.lines(50, 88, invoice.supplier.address, 8.5, color="#555555")
    sheet.text(545, 70, "INVOICE", 22, right=True, color=ink)
    facts = {
        "Invoice number": invoice.number,
        "Invoice date": long_date(invoice.issued, ENGLISH_MONTHS),
        "Payment due": long_date(invoice.due, ENGLISH_MONTHS),
        "VAT registration": invoice.supplier.tax_id,
    }
    y = 160.0
    for label, fact in facts.items():
        sheet.text(330, y, label, color="#555555")
        sheet.text(545, y, fact, right=True, bold=True)
        y += 15
    sheet.text(50, 160, "Bill to", color="#555555")
    sheet.text(50, 175, invoice.customer.name, 10, bold=True)
    sheet.lines(50, 189, invoice.customer.address)
    y = 275.0
    columns = ((50, "left"), (110, "left"), (380, "right"), (465, "right"), (545, "right"))

    def row(y: float, *cells: str, **look: Any) -> None:
        sheet.row(y, [(x, side, cell) for (x, side), cell in zip(columns, cells, strict=True)], **look)

    row(y, "Code", "Description", "Qty", "Unit price", "Amount", bold=True, color=ink)
    sheet.rule(50, y + 6, 545, ink, 1.2)
    for item in invoice.items:
        y += 22
        row(y, item.number, item.description, plain(item.quantity), money(item.price), money(item.net))
        sheet.rule(50, y + 7, 545, "#cccccc", 0.4)
    y += 34
    sheet.text(380, y, "Subtotal")
    sheet.text(545, y, money(invoice.net), right=True)
    for percent, net in invoice.rates.items():
        y += 16
        sheet.text(380, y, f"VAT {plain(percent)}% on {money(net)}")
        sheet.text(545, y, money(tax_on(net, percent)), right=True)
    if len(invoice.rates) > 1:
        y += 16
        sheet.text(380, y, "Total VAT")
        sheet.text(545, y, money(invoice.tax), right=True)
    y += 10
    sheet.rule(380, y, 545, ink, 1.2)
    y += 17
    sheet.text(380, y, f"Total due {invoice.currency}", 11, bold=True)
    sheet.text(545, y, money(invoice.total), 11, right=True, bold=True)
    sheet.rule(50, 770, 545, "#cccccc")
    sheet.lines(50, 784, invoice.supplier.contact, 7.5, color="#777777")
    return sheet.pdf()


def american(invoice: Invoice) -> bytes:
    """A parts dealer's invoice on letter paper; long ones run over several pages."""
    ink = "#8a3b12"
    sheet = Sheet(invoice, LETTER, "Times-Roman")
    columns = ((54, "left"), (140, "left"), (400, "right"), (480, "right"), (558, "right"))
    pages = [invoice.items[:20]]
    rest = invoice.items[20:]
    while rest:
        pages.append(rest[:30])
        rest = rest[30:]

    def row(y: float, *cells: str, **look: Any) -> None:
        sheet.row(y, [(x, side, cell) for (x, side), cell in zip(columns, cells, strict=True)], 10, **look)

    def money(number: Decimal) -> str:
        return grouped(number, ",", ".")

    y = 0.0
    for page, items in enumerate(pages, start=1):
        if page == 1:
            sheet.fill(54, 48, 34, 34, ink)
            sheet.text(71, 73, invoice.supplier.name[0], 24, middle=True, color="#ffffff", bold=True)
            sheet.text(98, 63, invoice.supplier.name, 16, bold=True)
            sheet.text(98, 78, ", ".join(invoice.supplier.address), 9, color="#555555")
            sheet.text(54, 120, "Sold to:", 10, bold=True)
            sheet.lines(54, 134, [invoice.customer.name, *invoice.customer.address], 10)
            y = 120.0
            for label, fact in {
                "Invoice #": invoice.number,
                "Date:": f"{invoice.issued:%m/%d/%Y}",
                "Due date:": f"{invoice.due:%m/%d/%Y}",
                "Federal tax ID:": invoice.supplier.tax_id,
            }.items():
                sheet.text(390, y, label, 10, bold=True)
                sheet.text(478, y, fact, 10)
                y += 14
            y = 215.0
        else:
            sheet.canvas.showPage()
            sheet.text(54, 60, f"{invoice.supplier.name}, invoice {invoice.number}, continued", 10, color=ink)
            y = 90.0
        sheet.fill(54, y - 12, 504, 17, "#f1e4da")
        row(y, "Part no.", "Description", "Quantity", "Price each", "Extended", bold=True)
        for item in items:
            y += 19
            row(y, item.number, item.description, plain(item.quantity), money(item.price), money(item.net))
        if page < len(pages):
            sheet.text(558, y + 30, "Continued on next page", 9, right=True, color="#555555")
        sheet.text(306, 760, f"Page {page} of {len(pages)}", 8, middle=True, color="#777777")
    y += 30
    sheet.rule(390, y - 14, 558, ink)
    (percent,) = invoice.rates
    for label, amount in {
        "Merchandise total": money(invoice.net),
        f"Sales tax {plain(percent)}%": money(invoice.tax),
    }.items():
        sheet.text(390, y, label, 10)
        sheet.text(558, y, amount, 10, right=True)
        y += 15
    sheet.text(390, y + 4, f"Balance due ({invoice.currency})", 11, bold=True)
    sheet.text(558, y + 4, "$" + money(invoice.total), 11, right=True, bold=True)
    sheet.lines(54, y + 44, invoice.supplier.contact, 9, color="#555555")
    return sheet.pdf()


def german(invoice: Invoice) -> bytes:
    """A business letter with an address window, in the manner of DIN 5008."""
    sheet = Sheet(invoice, A4, "Vera")
    supplier = invoice.supplier

    def money(number: Decimal) -> str:
        return grouped(number, ".", ",")

    sheet.text(545, 60, supplier.name, 15, right=True, bold=True, color="#2d5a3d")
    sheet.rule(57, 72, 545, "#2d5a3d", 1.5)
    sheet.text(57, 128, " · ".join([supplier.name, *supplier.address]), 5.5, color="#666666")
    sheet.lines(57, 146, [invoice.customer.name, *invoice.customer.address], 9)
    y = 146.0
    for label, fact in {
        "Rechnungsnummer": invoice.number,
        "Rechnungsdatum": f"{invoice.issued:%d.%m.%Y}",
        "Fällig am": f"{invoice.due:%d.%m.%Y}",
        "USt-IdNr.": supplier.tax_id,
    }.items():
        sheet.text(355, y, label, 8, color="#666666")
        sheet.text(450, y, fact, 8)
        y += 13
    sheet.text(57, 270, f"Rechnung {invoice.number}", 12, bold=True)
    sheet.lines(
        57,
        292,
        ["Sehr geehrte Damen und Herren,", f"wir berechnen wie vereinbart; alle Beträge in {invoice.currency}."],
        8.5,
    )
    y = 335.0
    columns = (
        (57, "left"), (82, "left"), (135, "left"), (375, "right"), (382, "left"), (455, "right"),
        (490, "right"), (545, "right"),
    )  # fmt: skip

    def row(y: float, *cells: str, **look: Any) -> None:
        sheet.row(y, [(x, side, cell) for (x, side), cell in zip(columns, cells, strict=True)], 8, **look)

    sheet.fill(53, y - 11, 496, 16, "#e6efe9")
    row(y, "Pos.", "Art.-Nr.", "Bezeichnung", "Menge", "Einh.", "Preis", "USt.", "Gesamt", bold=True)
    for position, item in enumerate(invoice.items, start=1):
        y += 19
        row(
            y, str(position), item.number, item.description, plain(item.quantity, ","), item.unit,
            money(item.price), f"{plain(item.tax)}%", money(item.net),
        )  # fmt: skip
    sheet.rule(57, y + 9, 545)
    y += 28
    sums = {"Nettobetrag": money(invoice.net)}
    for percent, net in invoice.rates.items():
        sums[f"USt. {plain(percent)}% auf {money(net)}"] = money(tax_on(net, percent))
    for label, amount in sums.items():
        sheet.text(340, y, label, 8)
        sheet.text(545, y, amount, 8, right=True)
        y += 14
    if len(invoice.rates) > 1:
        sheet.text(340, y, "USt. gesamt", 8)
        sheet.text(545, y, money(invoice.tax), 8, right=True)
        y += 14
    sheet.rule(340, y - 6, 545)
    sheet.text(340, y + 8, f"Rechnungsbetrag {invoice.currency}", 9, bold=True)
    sheet.text(545, y + 8, money(invoice.total), 9, right=True, bold=True)
    sheet.text(57, y + 48, "Bitte überweisen Sie den Betrag ohne Abzug auf das unten genannte Konto.", 8.5)
    sheet.rule(57, 765, 545, "#2d5a3d", 0.8)
    sheet.lines(57, 778, supplier.contact, 6.5, color="#666666")
    return sheet.pdf()


def french(invoice: Invoice) -> bytes:
    """A coloured band across the head, two boxes below it."""
    ink = "#6b2d5c"
    sheet = Sheet(invoice, A4, "Helvetica")

    def money(number: Decimal) -> str:
        return grouped(number, " ", ",") + " €"

    sheet.fill(0, 0, 595.3, 92, ink)
    sheet.text(45, 48, invoice.supplier.name, 18, bold=True, color="#ffffff")
    sheet.text(45, 66, " - ".join(invoice.supplier.address), 8.5, color="#eadfe7")
    sheet.text(550, 52, "FACTURE", 24, right=True, color="#ffffff")
    sheet.frame(45, 115, 235, 92)
    y = 133.0
    for label, fact in {
        "Facture n°": invoice.number,
        "Date de facturation :": long_date(invoice.issued, FRENCH_MONTHS),
        "Date d'échéance :": long_date(invoice.due, FRENCH_MONTHS),
        "N° TVA intracommunautaire :": invoice.supplier.tax_id,
    }.items():
        sheet.text(55, y, label, 8.5, color="#666666")
        sheet.text(272, y, fact, 8.5, right=True, bold=True)
        y += 18
    sheet.frame(315, 115, 235, 92)
    sheet.text(325, 133, "Facturé à", 8.5, color="#666666")
    sheet.text(325, 150, invoice.customer.name, 10, bold=True)
    sheet.lines(325, 165, invoice.customer.address)
    y = 250.0
    columns = ((52, "left"), (110, "left"), (365, "right"), (435, "right"), (475, "right"), (545, "right"))

    def row(y: float, *cells: str, **look: Any) -> None:
        sheet.row(y, [(x, side, cell) for (x, side), cell in zip(columns, cells, strict=True)], **look)

    sheet.fill(45, y - 13, 505, 19, ink)
    row(y, "Réf.", "Désignation", "Qté", "PU HT", "TVA", "Total HT", bold=True, color="#ffffff")
    for number, item in enumerate(invoice.items):
        y += 20
        if number % 2:
            sheet.fill(45, y - 13, 505, 19, "#f6f0f4")
        row(
            y, item.number, item.description, plain(item.quantity, ","), money(item.price),
            f"{plain(item.tax, ',')} %", money(item.net),
        )  # fmt: skip
    y += 40
    sheet.text(340, y, "Total HT")
    sheet.text(545, y, money(invoice.net), right=True)
    for percent, net in invoice.rates.items():
        y += 17
        sheet.text(340, y, f"TVA {plain(percent, ',')} % sur {money(net)}")
        sheet.text(545, y, money(tax_on(net, percent)), right=True)
    if len(invoice.rates) > 1:
        y += 17
        sheet.text(340, y, "Total TVA")
        sheet.text(545, y, money(invoice.tax), right=True)
    sheet.fill(333, y + 9, 217, 22, ink)
    sheet.text(340, y + 24, "Net à payer TTC", 11, bold=True, color="#ffffff")
    sheet.text(545, y + 24, money(invoice.total), 11, right=True, bold=True, color="#ffffff")
    sheet.lines(45, 775, invoice.supplier.contact, 7.5, color="#666666")
    return sheet.pdf()


def mexican(invoice: Invoice) -> bytes:
    """Everything in frames, with the RFC of both parties."""
    ink = "#006847"
    sheet = Sheet(invoice, LETTER, "Helvetica")

    def money(number: Decimal) -> str:
        return "$" + grouped(number, ",", ".")

    sheet.frame(40, 40, 532, 80, ink)
    sheet.text(52, 62, invoice.supplier.name, 13, bold=True, color=ink)
    sheet.text(52, 78, f"RFC emisor: {invoice.supplier.tax_id}")
    sheet.lines(52, 92, invoice.supplier.address, 8, color="#555555")
    sheet.text(560, 64, "FACTURA", 16, right=True, bold=True)
    sheet.text(560, 82, f"Folio: {invoice.number}", 10, right=True)
    sheet.frame(40, 128, 532, 62)
    sheet.text(52, 146, f"Receptor: {invoice.customer.name}", bold=True)
    sheet.text(52, 160, f"RFC receptor: {invoice.customer.tax_id}")
    sheet.text(52, 174, ", ".join(invoice.customer.address), 8, color="#555555")
    dates = {
        "Fecha de emisión": invoice.issued,
        "Fecha de vencimiento": invoice.due,
    }
    for y, (label, day) in zip((146.0, 160.0), dates.items(), strict=True):
        sheet.text(560, y, f"{label}: {long_date(day, SPANISH_MONTHS, ' de ')}", 8.5, right=True)
    sheet.text(560, 174, f"Moneda: {invoice.currency}", 8.5, right=True)
    columns = ((48, "left"), (115, "right"), (125, "left"), (185, "left"), (480, "right"), (564, "right"))

    def row(y: float, *cells: str, **look: Any) -> None:
        sheet.row(y, [(x, side, cell) for (x, side), cell in zip(columns, cells, strict=True)], 8.5, **look)

    y = 214.0
    top = y - 14
    sheet.fill(40, top, 532, 19, ink)
    row(y, "Clave", "Cantidad", "Unidad", "Concepto", "Valor unitario", "Importe", bold=True, color="#ffffff")
    for item in invoice.items:
        y += 19
        row(
            y, item.number, plain(item.quantity), item.unit, item.description, money(item.price),
            money(item.net),
        )  # fmt: skip
    sheet.frame(40, top, 532, y + 8 - top)
    y += 32
    (percent,) = invoice.rates
    for label, amount in {"Subtotal": invoice.net, f"IVA {plain(percent)}%": invoice.tax}.items():
        sheet.text(400, y, label)
        sheet.text(564, y, money(amount), right=True)
        y += 15
    sheet.rule(400, y - 8, 564, ink, 1)
    sheet.text(400, y + 6, f"Total {invoice.currency}", 11, bold=True)
    sheet.text(564, y + 6, money(invoice.total), 11, right=True, bold=True)
    sheet.lines(40, 730, invoice.supplier.contact, 7.5, color="#777777")
    return sheet.pdf()


def slovenian(invoice: Invoice) -> bytes:
    """A plain form, a summary of the taxes in a frame of its own."""
    sheet = Sheet(invoice, A4, "Vera")

    def money(number: Decimal) -> str:
        return grouped(number, ".", ",")

    sheet.text(60, 62, invoice.supplier.name, 12, bold=True)
    sheet.lines(60, 78, [*invoice.supplier.address, f"ID za DDV: {invoice.supplier.tax_id}"], 8)
    sheet.rule(60, 118, 535, "#d0342c", 2)
    sheet.text(60, 145, f"RAČUN št. {invoice.number}", 14, bold=True, color="#d0342c")
    sheet.text(60, 172, "Kupec:", 8, color="#666666")
    sheet.lines(60, 186, [invoice.customer.name, *invoice.customer.address], 9)
    y = 172.0
    for label, day in {
        "Datum izdaje:": invoice.issued,
        "Rok plačila:": invoice.due,
    }.items():
        sheet.text(360, y, label, 8, color="#666666")
        sheet.text(535, y, f"{day.day}. {day.month}. {day.year}", 8, right=True)
        y += 14
    y = 262.0
    columns = (
        (60, "left"), (120, "left"), (350, "right"), (358, "left"), (430, "right"), (470, "right"), (535, "right"),
    )  # fmt: skip

    def row(y: float, *cells: str, **look: Any) -> None:
        sheet.row(y, [(x, side, cell) for (x, side), cell in zip(columns, cells, strict=True)], 8, **look)

    sheet.rule(60, y - 12, 535, "#333333")
    row(y, "Šifra", "Opis", "Količina", "EM", "Cena", "DDV", "Znesek", bold=True)
    sheet.rule(60, y + 6, 535, "#333333")
    for item in invoice.items:
        y += 19
        row(
            y, item.number, item.description, plain(item.quantity, ","), item.unit, money(item.price),
            f"{plain(item.tax, ',')} %", money(item.net),
        )  # fmt: skip
    y += 34
    sheet.frame(60, y - 14, 230, 20 + 14 * len(invoice.rates))
    header = [(68, "left", "Stopnja"), (180, "right", "Osnova"), (280, "right", "Znesek davka")]
    sheet.row(y, header, 7.5, bold=True)
    for percent, net in invoice.rates.items():
        y += 14
        cells = [(f"{plain(percent, ',')} %"), money(net), money(tax_on(net, percent))]
        sheet.row(y, [(68, "left", cells[0]), (180, "right", cells[1]), (280, "right", cells[2])], 7.5)
    y += 40
    for label, amount in {"Skupaj brez DDV": invoice.net, "Skupaj DDV": invoice.tax}.items():
        sheet.text(345, y, label, 8)
        sheet.text(535, y, f"{money(amount)} €", 8, right=True)
        y += 15
    sheet.rule(345, y - 8, 535, "#d0342c", 1)
    sheet.text(345, y + 6, "Za plačilo", 11, bold=True)
    sheet.text(535, y + 6, f"{money(invoice.total)} €", 11, right=True, bold=True)
    sheet.lines(60, 770, invoice.supplier.contact, 7, color="#777777")
    return sheet.pdf()


LAYOUTS: dict[str, Callable[[Invoice], bytes]] = {
    "british": british,
    "american": american,
    "german": german,
    "french": french,
    "mexican": mexican,
    "slovenian": slovenian,
}


# The XML of Factur-X, profile EN 16931.


def with_xml(invoice: Invoice, pdf: bytes) -> bytes:
    """*pdf* with *invoice* embedded as Factur-X."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "factur-x.pdf")
        facturx.generate_from_file(
            io.BytesIO(pdf),
            cross_industry_invoice(invoice).encode(),
            flavor="factur-x",
            level="en16931",
            pdf_metadata={
                "author": invoice.supplier.name,
                "keywords": "Factur-X, invoice",
                "title": f"{invoice.supplier.name} {invoice.number}",
                "subject": f"Factur-X invoice {invoice.number}",
            },
            lang="de-DE",
            output_pdf_file=str(target),
            afrelationship="alternative",
            xmp_compression=False,
        )
        made = target.read_bytes()
    # The library writes the time of day, in two ways. The digits are replaced one by one, so that no
    # offset in the file moves.
    made = re.sub(rb"(\(D(?::|\\072))\d{14}", rb"\g<1>%d120000" % int(f"{invoice.issued:%Y%m%d}"), made)
    noon = f"{invoice.issued}T12:00:00+00:00".encode()
    return re.sub(rb"(<xmp:(?:Create|Modify)Date>)[^<]{25}", rb"\g<1>" + noon, made)


def stamp(day: date) -> str:
    """*day* as CII writes it."""
    return f'<udt:DateTimeString format="102">{day:%Y%m%d}</udt:DateTimeString>'


def cross_industry_invoice(invoice: Invoice) -> str:
    """The XML."""
    lines = "".join(
        f"""
    <ram:IncludedSupplyChainTradeLineItem>
      <ram:AssociatedDocumentLineDocument>
        <ram:LineID>{number}</ram:LineID>
      </ram:AssociatedDocumentLineDocument>
      <ram:SpecifiedTradeProduct>
        <ram:SellerAssignedID>{escape(item.number)}</ram:SellerAssignedID>
        <ram:Name>{escape(item.description)}</ram:Name>
      </ram:SpecifiedTradeProduct>
      <ram:SpecifiedLineTradeAgreement>
        <ram:NetPriceProductTradePrice>
          <ram:ChargeAmount>{item.price}</ram:ChargeAmount>
        </ram:NetPriceProductTradePrice>
      </ram:SpecifiedLineTradeAgreement>
      <ram:SpecifiedLineTradeDelivery>
        <ram:BilledQuantity unitCode="C62">{item.quantity}</ram:BilledQuantity>
      </ram:SpecifiedLineTradeDelivery>
      <ram:SpecifiedLineTradeSettlement>
        <ram:ApplicableTradeTax>
          <ram:TypeCode>VAT</ram:TypeCode><ram:CategoryCode>S</ram:CategoryCode>
          <ram:RateApplicablePercent>{item.tax}</ram:RateApplicablePercent>
        </ram:ApplicableTradeTax>
        <ram:SpecifiedTradeSettlementLineMonetarySummation>
          <ram:LineTotalAmount>{item.net}</ram:LineTotalAmount>
        </ram:SpecifiedTradeSettlementLineMonetarySummation>
      </ram:SpecifiedLineTradeSettlement>
    </ram:IncludedSupplyChainTradeLineItem>"""
        for number, item in enumerate(invoice.items, start=1)
    )
    taxes = "".join(
        f"""
      <ram:ApplicableTradeTax>
        <ram:CalculatedAmount>{tax_on(net, percent)}</ram:CalculatedAmount><ram:TypeCode>VAT</ram:TypeCode>
        <ram:BasisAmount>{net}</ram:BasisAmount><ram:CategoryCode>S</ram:CategoryCode>
        <ram:RateApplicablePercent>{percent}</ram:RateApplicablePercent>
      </ram:ApplicableTradeTax>"""
        for percent, net in invoice.rates.items()
    )

    def party(role: str, who: Party) -> str:
        street, town = who.address
        code, _, city = town.partition(" ")
        registration = (
            f"""
        <ram:SpecifiedTaxRegistration>
          <ram:ID schemeID="VA">{who.tax_id}</ram:ID>
        </ram:SpecifiedTaxRegistration>"""
            if who.tax_id
            else ""
        )
        return f"""
      <ram:{role}TradeParty>
        <ram:Name>{escape(who.name)}</ram:Name>
        <ram:PostalTradeAddress>
          <ram:PostcodeCode>{code}</ram:PostcodeCode><ram:LineOne>{escape(street)}</ram:LineOne>
          <ram:CityName>{escape(city)}</ram:CityName><ram:CountryID>DE</ram:CountryID>
        </ram:PostalTradeAddress>{registration}
      </ram:{role}TradeParty>"""

    return f"""<?xml version="1.0" encoding="UTF-8"?>
<rsm:CrossIndustryInvoice xmlns:rsm="urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100"
    xmlns:ram="urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100"
    xmlns:udt="urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100">
  <rsm:ExchangedDocumentContext>
    <ram:GuidelineSpecifiedDocumentContextParameter>
      <ram:ID>urn:cen.eu:en16931:2017</ram:ID>
    </ram:GuidelineSpecifiedDocumentContextParameter>
  </rsm:ExchangedDocumentContext>
  <rsm:ExchangedDocument>
    <ram:ID>{invoice.number}</ram:ID>
    <ram:TypeCode>380</ram:TypeCode>
    <ram:IssueDateTime>{stamp(invoice.issued)}</ram:IssueDateTime>
  </rsm:ExchangedDocument>
  <rsm:SupplyChainTradeTransaction>{lines}
    <ram:ApplicableHeaderTradeAgreement>{party("Seller", invoice.supplier)}{party("Buyer", invoice.customer)}
    </ram:ApplicableHeaderTradeAgreement>
    <ram:ApplicableHeaderTradeDelivery>
      <ram:ActualDeliverySupplyChainEvent>
        <ram:OccurrenceDateTime>{stamp(invoice.issued)}</ram:OccurrenceDateTime>
      </ram:ActualDeliverySupplyChainEvent>
    </ram:ApplicableHeaderTradeDelivery>
    <ram:ApplicableHeaderTradeSettlement>
      <ram:InvoiceCurrencyCode>{invoice.currency}</ram:InvoiceCurrencyCode>{taxes}
      <ram:SpecifiedTradePaymentTerms>
        <ram:DueDateDateTime>{stamp(invoice.due)}</ram:DueDateDateTime>
      </ram:SpecifiedTradePaymentTerms>
      <ram:SpecifiedTradeSettlementHeaderMonetarySummation>
        <ram:LineTotalAmount>{invoice.net}</ram:LineTotalAmount>
        <ram:TaxBasisTotalAmount>{invoice.net}</ram:TaxBasisTotalAmount>
        <ram:TaxTotalAmount currencyID="{invoice.currency}">{invoice.tax}</ram:TaxTotalAmount>
        <ram:GrandTotalAmount>{invoice.total}</ram:GrandTotalAmount>
        <ram:DuePayableAmount>{invoice.total}</ram:DuePayableAmount>
      </ram:SpecifiedTradeSettlementHeaderMonetarySummation>
    </ram:ApplicableHeaderTradeSettlement>
  </rsm:SupplyChainTradeTransaction>
</rsm:CrossIndustryInvoice>
"""


# The invoices. Nobody here exists.

TIDEWATER = Party(
    name="Tidewater Joinery Ltd",
    address=("4 Slipway Yard", "Marlhaven MH3 9QX"),
    tax_id="GB 417 2093 88",
    contact=(
        "Tidewater Joinery Ltd, registered in England, company no. 99041772",
        "Sort code 00-11-22, account 00412093. Please quote the invoice number.",
    ),
)
QUILLFEATHER = Party(
    name="Quillfeather Press Ltd",
    address=("Unit 12, Old Ropewalk", "Ashby Fell AF1 4TT"),
    tax_id="GB 602 7714 05",
    contact=(
        "Quillfeather Press Ltd, registered in Scotland, company no. 99118305",
        "Sort code 00-33-44, account 00771405. Thank you for your custom.",
    ),
)
COPPERLEAF = Party(
    name="Copperleaf Instruments Inc.",
    address=("2210 Foundry Row", "Cedar Notch, OR 97999"),
    tax_id="00-4417820",
    contact=(
        "Remit to Copperleaf Instruments Inc., P.O. Box 41, Cedar Notch, OR 97999",
        "Questions? accounts@copperleaf.example",
    ),
)
NORDHALM = Party(
    name="Nordhalm Büromöbel GmbH",
    address=("Deichgasse 18", "26999 Osterwarf"),
    tax_id="DE999204471",
    contact=(
        "Nordhalm Büromöbel GmbH · Deichgasse 18 · 26999 Osterwarf · Geschäftsführung: Wiebke Harms",
        "Küstenbank Osterwarf · IBAN DE00 9999 0000 0020 4471 00 · BIC KUESDE00XXX",
    ),
)
WIESENTAL = Party(
    name="Käsekontor Wiesental e.K.",
    address=("Am Molkeweg 3", "79999 Wiesental"),
    tax_id="DE999731806",
    contact=(
        "Käsekontor Wiesental e.K. · Inhaberin: Rosa Brändle · Amtsgericht Wiesental HRA 99173",
        "Talbank Wiesental · IBAN DE00 9999 0000 0073 1806 00 · BIC TALBDE00XXX",
    ),
)
VERDELUNE = Party(
    name="Atelier Verdelune",
    address=("27 rue des Tisserands", "69999 Saint-Orme"),
    tax_id="FR 00 999417203",
    contact=(
        "Atelier Verdelune, SARL au capital de 8 000 euros, RCS Saint-Orme 999 417 203",
        "IBAN FR00 9999 9000 0099 9417 2030 000. Pénalités de retard : 10 % par an.",
    ),
)
TOURNESAC = Party(
    name="Moulins Tournesac",
    address=("Chemin du Bief", "46999 Tournesac-le-Haut"),
    tax_id="FR 00 999860154",
    contact=("Moulins Tournesac, SAS au capital de 40 000 euros, RCS Tournesac 999 860 154",),
)
CIELO_ALTO = Party(
    name="Papelería Cielo Alto S.A. de C.V.",
    address=("Calle Jacaranda 118, Col. Las Lomitas", "C.P. 99901, San Telmo, Méx."),
    tax_id="PCA150312QX4",
    contact=("Régimen fiscal: 601 General de Ley Personas Morales. Forma de pago: transferencia.",),
)
TZOLIN = Party(
    name="Ingeniería Tzolín S. de R.L.",
    address=("Av. del Faro 7, Parque Industrial", "C.P. 99977, Puerto Bruma, Méx."),
    tax_id="ITZ090821HM6",
    contact=("Régimen fiscal: 601 General de Ley Personas Morales. Pago en una sola exhibición.",),
)
LIPOV_GAJ = Party(
    name="Lipov gaj d.o.o.",
    address=("Čebelarska pot 9", "9999 Gornja Žlebina"),
    tax_id="SI99941720",
    contact=("Lipov gaj d.o.o., matična številka 9994172000, TRR SI56 0000 0999 4172 000",),
)
BRINJE = Party(
    name="Brinje elektro d.o.o.",
    address=("Pri mlinu 31", "9998 Šentruperk"),
    tax_id="SI99988305",
    contact=("Brinje elektro d.o.o., matična številka 9998830500, TRR SI56 0000 0999 8830 500",),
)

INVOICES = (
    Invoice(
        file="tidewater-2025-0117.pdf",
        layout="british",
        supplier=TIDEWATER,
        customer=Party(name="Harrow & Wick Bookshop", address=("19 Lantern Street", "Marlhaven MH1 2BD")),
        number="TJ-2025-0117",
        issued=date(2025, 1, 17),
        due=date(2025, 2, 16),
        currency="GBP",
        items=(
            Item(number="OAK-14", description="Oak shelving, made to measure", quantity="6", price="148.50", tax="20"),
            Item(number="FIT-01", description="Fitting on site, per hour", quantity="7.5", price="42.00", tax="20"),
            Item(number="WAX-02", description="Beeswax finish, 500 ml", quantity="3", price="11.95", tax="20"),
        ),
    ),
    Invoice(
        file="quillfeather-88213.pdf",
        layout="british",
        supplier=QUILLFEATHER,
        customer=Party(name="Marlhaven Choral Society", address=("St Brannoc's Hall", "Marlhaven MH2 7LE")),
        number="88213",
        issued=date(2025, 11, 3),
        due=date(2025, 12, 3),
        currency="GBP",
        items=(
            Item(
                number="BKS-A5", description="Programme booklets, A5, 24 pages", quantity="450", price="1.12", tax="0"
            ),
            Item(number="PST-A2", description="Posters, A2, two colours", quantity="60", price="2.35", tax="20"),
            Item(number="DLV-00", description="Delivery by van", quantity="1", price="18.00", tax="20"),
        ),
    ),
    Invoice(
        file="copperleaf-CI-30417.pdf",
        layout="american",
        supplier=COPPERLEAF,
        customer=Party(name="Bluestem Weather Lab", address=("801 Prairie Loop", "Tallgrass, KS 66999")),
        number="CI-30417",
        issued=date(2025, 3, 4),
        due=date(2025, 4, 3),
        currency="USD",
        items=(
            Item(number="HG-220", description="Hygrometer, bench model", quantity="2", price="389.00", tax="7.25"),
            Item(number="BR-105", description="Barometer, aneroid", quantity="4", price="126.40", tax="7.25"),
            Item(number="CAL-K1", description="Calibration kit", quantity="1", price="1250.00", tax="7.25"),
        ),
    ),
    Invoice(
        file="copperleaf-CI-30502-two-pages.pdf",
        layout="american",
        supplier=COPPERLEAF,
        customer=Party(name="Ironwood Observatory", address=("1 Summit Road", "Halfmoon, NM 87999")),
        number="CI-30502",
        issued=date(2025, 6, 12),
        due=date(2025, 7, 12),
        currency="USD",
        items=tuple(
            Item(
                number=f"{kind}-{100 + size}",
                description=f"{what}, {size} mm",
                quantity=str(count),
                price=price,
                tax="7.25",
            )
            for kind, what, count, price in (
                ("LN", "Lens, achromatic", 4, "86.15"),
                ("MR", "Mirror, first surface", 2, "143.90"),
                ("CL", "Clamp, brass", 12, "7.05"),
                ("RD", "Rod, stainless", 10, "5.40"),
                ("FL", "Filter, neutral density", 6, "38.75"),
                ("TB", "Tube, blackened", 8, "21.30"),
            )
            for size in (10, 12, 16, 20, 25, 32, 40)
        ),
    ),
    Invoice(
        file="nordhalm-RE-2025-1042.pdf",
        layout="german",
        supplier=NORDHALM,
        customer=Party(
            name="Sprachschule Lindenhof",
            address=("Frau Tomke Ahlers", "Lindenhof 2", "26998 Westerwarf"),
        ),
        number="RE-2025-1042",
        issued=date(2025, 2, 28),
        due=date(2025, 3, 14),
        currency="EUR",
        items=(
            Item(
                number="ST-810",
                description="Schreibtisch Buche, 160 x 80 cm",
                quantity="4",
                unit="Stk",
                price="412.00",
                tax="19",
            ),
            Item(
                number="DR-233",
                description="Drehstuhl mit Armlehnen",
                quantity="4",
                unit="Stk",
                price="289.50",
                tax="19",
            ),
            Item(
                number="MO-001",
                description="Lieferung und Montage",
                quantity="3.5",
                unit="Std",
                price="58.00",
                tax="19",
            ),
        ),
    ),
    Invoice(
        file="wiesental-7731.pdf",
        layout="german",
        supplier=WIESENTAL,
        customer=Party(name="Gasthof Zum Stieglitz", address=("Dorfplatz 1", "79998 Hinterau")),
        number="7731",
        issued=date(2025, 9, 5),
        due=date(2025, 9, 19),
        currency="EUR",
        items=(
            Item(number="BK-12", description="Bergkäse, 12 Monate", quantity="8.25", unit="kg", price="21.80", tax="7"),
            Item(
                number="ZF-03", description="Ziegenfrischkäse im Glas", quantity="24", unit="Stk", price="4.15", tax="7"
            ),
            Item(
                number="KB-50", description="Käsebrett Ahorn, geölt", quantity="5", unit="Stk", price="34.90", tax="19"
            ),
        ),
    ),
    Invoice(
        file="nordhalm-RE-2025-1107-factur-x.pdf",
        layout="german",
        supplier=NORDHALM,
        customer=Party(name="Kanzlei Ohlsen & Petry", address=("Hafenkontor 5", "26997 Süderwarf")),
        number="RE-2025-1107",
        issued=date(2025, 5, 6),
        due=date(2025, 5, 20),
        currency="EUR",
        items=(
            Item(
                number="RG-417",
                description="Regal Esche, sechs Böden",
                quantity="9",
                unit="Stk",
                price="198.00",
                tax="19",
            ),
            Item(
                number="BU-020",
                description="Fachbuch Ergonomie im Büro",
                quantity="2",
                unit="Stk",
                price="24.90",
                tax="7",
            ),
        ),
        factur_x=True,
    ),
    Invoice(
        file="verdelune-F2025-034.pdf",
        layout="french",
        supplier=VERDELUNE,
        customer=Party(name="Hôtel du Grand Cerf", address=("12 place de la Halle", "69998 Orme-sur-Laye")),
        number="F2025-034",
        issued=date(2025, 3, 14),
        due=date(2025, 4, 13),
        currency="EUR",
        items=(
            Item(
                number="RID-07", description="Rideaux en lin lavé, sur mesure", quantity="18", price="94.50", tax="20"
            ),
            Item(number="COU-22", description="Coussins brodés 45 x 45 cm", quantity="32", price="27.80", tax="20"),
            Item(number="POS-01", description="Pose, forfait journalier", quantity="1.5", price="320.00", tax="20"),
        ),
    ),
    Invoice(
        file="tournesac-2025-0871.pdf",
        layout="french",
        supplier=TOURNESAC,
        customer=Party(name="Boulangerie Aux Trois Épis", address=("3 rue Basse", "46998 Cazelle")),
        number="2025-0871",
        issued=date(2025, 8, 1),
        due=date(2025, 8, 31),
        currency="EUR",
        items=(
            Item(
                number="FAR-65", description="Farine de blé T65, sac de 25 kg", quantity="40", price="19.45", tax="5.5"
            ),
            Item(
                number="FAR-13",
                description="Farine de seigle T130, sac de 25 kg",
                quantity="12",
                price="23.10",
                tax="5.5",
            ),
            Item(number="PAL-01", description="Palette consignée", quantity="2", price="15.00", tax="20"),
        ),
    ),
    Invoice(
        file="cielo-alto-A-2291.pdf",
        layout="mexican",
        supplier=CIELO_ALTO,
        customer=Party(
            name="Colegio Valle Sereno A.C.",
            address=("Camino Real 45", "C.P. 99902, San Telmo"),
            tax_id="CVS010605TT1",
        ),
        number="A-2291",
        issued=date(2025, 1, 22),
        due=date(2025, 2, 21),
        currency="MXN",
        items=(
            Item(
                number="14111507",
                description="Papel bond carta, caja con 10 paquetes",
                quantity="15",
                unit="CAJA",
                price="689.00",
                tax="16",
            ),
            Item(
                number="44121706",
                description="Lápices de grafito, caja con 12",
                quantity="80",
                unit="CAJA",
                price="47.25",
                tax="16",
            ),
            Item(
                number="44111907",
                description="Pizarrón blanco 120 x 90 cm",
                quantity="3",
                unit="PIEZA",
                price="1145.90",
                tax="16",
            ),
        ),
    ),
    Invoice(
        file="tzolin-B-118-usd.pdf",
        layout="mexican",
        supplier=TZOLIN,
        customer=Party(
            name="Empacadora Bruma del Pacífico S.A.",
            address=("Muelle 4", "C.P. 99978, Puerto Bruma"),
            tax_id="EBP881130KR2",
        ),
        number="B-118",
        issued=date(2025, 10, 9),
        due=date(2025, 11, 8),
        currency="USD",
        items=(
            Item(
                number="81101600",
                description="Diseño de banda transportadora",
                quantity="1",
                unit="SERV",
                price="12480.00",
                tax="16",
            ),
            Item(
                number="26101500",
                description="Motor trifásico 5 HP",
                quantity="4",
                unit="PIEZA",
                price="735.60",
                tax="16",
            ),
        ),
    ),
    Invoice(
        file="lipov-gaj-25-0093.pdf",
        layout="slovenian",
        supplier=LIPOV_GAJ,
        customer=Party(name="Čajnica Pri Žabi, s.p.", address=("Stari trg 4", "9997 Koširje")),
        number="25-0093",
        issued=date(2025, 4, 7),
        due=date(2025, 4, 22),
        currency="EUR",
        items=(
            Item(
                number="MED-LI",
                description="Lipov med, kozarec 900 g",
                quantity="36",
                unit="kos",
                price="9.80",
                tax="9.5",
            ),
            Item(
                number="ČAJ-07",
                description="Planinski čaj, ročno nabran",
                quantity="4.5",
                unit="kg",
                price="38.00",
                tax="9.5",
            ),
            Item(
                number="SVE-02",
                description="Sveča iz čebeljega voska",
                quantity="20",
                unit="kos",
                price="6.40",
                tax="22",
            ),
        ),
    ),
    Invoice(
        file="brinje-2025-418.pdf",
        layout="slovenian",
        supplier=BRINJE,
        customer=Party(name="Mizarstvo Hrast d.o.o.", address=("Obrtna cona 8", "9996 Ježica ob Kolpici")),
        number="2025-418",
        issued=date(2025, 12, 1),
        due=date(2026, 1, 15),
        currency="EUR",
        items=(
            Item(
                number="OMR-33",
                description="Razdelilna omarica, vgradna",
                quantity="2",
                unit="kos",
                price="184.75",
                tax="22",
            ),
            Item(
                number="DEL-01",
                description="Elektroinštalacijska dela",
                quantity="14",
                unit="ura",
                price="39.00",
                tax="22",
            ),
        ),
    ),
)


def truth(invoice: Invoice) -> dict[str, Any]:
    """What there is to find in *invoice*."""
    return {
        "fields": {
            "supplier_name": invoice.supplier.name,
            "supplier_vat_id": invoice.supplier.tax_id,
            "customer_name": invoice.customer.name,
            "invoice_number": invoice.number,
            "issue_date": invoice.issued.isoformat(),
            "due_date": invoice.due.isoformat(),
            "currency": invoice.currency,
            "net_amount": str(invoice.net),
            "tax_amount": str(invoice.tax),
            "total_amount": str(invoice.total),
        },
        "line_items": [
            {
                "product_number": item.number,
                "description": item.description,
                "quantity": str(item.quantity),
                "unit_price": str(item.price),
                "net_amount": str(item.net),
            }
            for item in invoice.items
        ],
        # Sales tax is no value added tax.
        "vat_rates": []
        if invoice.layout == "american"
        else [
            {"vat_rate_percentage": str(percent), "vat_rate_net": str(net)} for percent, net in invoice.rates.items()
        ],
    }


def make(folder: Path) -> None:
    """Write all invoices and the truth about them into *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    pdfmetrics.registerFont(TTFont("Vera", "Vera.ttf"))
    for invoice in INVOICES:
        pdf = LAYOUTS[invoice.layout](invoice)
        (folder / invoice.file).write_bytes(with_xml(invoice, pdf) if invoice.factur_x else pdf)
    told = {
        "made_with": {name: importlib.metadata.version(name) for name in ("factur-x", "pypdf", "reportlab")},
        "invoices": {invoice.file: truth(invoice) for invoice in INVOICES},
    }
    text = json.dumps(told, ensure_ascii=False, indent=1) + "\n"
    (folder / "truth.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
