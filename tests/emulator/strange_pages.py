"""Renders invoices in layouts that no template knows, and some documents that are no invoices.

    python tests/emulator/strange_pages.py FOLDER

Everybody in them is invented. Each page is a function that draws and gives the truth: field → value, as it is
printed; a field that is not there, or that cannot be told from the page alone, is missing from the truth and must
not be found above 0.5. Needs reportlab (the `dev` extra).
"""

# ruff: noqa: E501 - a line of a made-up invoice stays a line

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs
from reportlab.lib.pagesizes import A4, LETTER
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

Truth = Mapping[str, str]
Draw = Callable[["Paper"], Truth]

PAGES: dict[str, tuple[Draw, tuple[float, float]]] = {}


class Paper:
    """A canvas whose origin is the top left, in points."""

    def __init__(self, size: tuple[float, float]) -> None:
        pdfmetrics.registerFont(TTFont("Vera", "Vera.ttf"))
        self.buffer = io.BytesIO()
        self.height = size[1]
        self.canvas = Canvas(self.buffer, pagesize=size, invariant=1)

    def put(
        self, x: float, y: float, *lines: str, size: float = 9.5, font: str = "Helvetica", apart: float = 0
    ) -> None:
        """*lines* below each other, the first with its base at *y*; letters *apart* points further than usual."""
        for line in lines:
            self.canvas.setFont(font, size)
            self.canvas.drawString(x, self.height - y, line, charSpace=apart)
            y += size * 1.35

    def right(self, x: float, y: float, *lines: str, size: float = 9.5, font: str = "Helvetica") -> None:
        """As `put`, each line ending at *x*."""
        for line in lines:
            self.canvas.setFont(font, size)
            self.canvas.drawRightString(x, self.height - y, line)
            y += size * 1.35

    def pairs(
        self, x: float, to: float, y: float, rows: Sequence[tuple[str, str]], *, step: float = 15, size: float = 9.5
    ) -> None:
        """Labels from *x* on, their values ending at *to*."""
        for label, value in rows:
            self.put(x, y, label, size=size)
            self.right(to, y, value, size=size)
            y += step

    def row(self, y: float, cells: Sequence[tuple[float, str]], *, size: float = 9.5, font: str = "Helvetica") -> None:
        """Cells of one line, each from its own x on."""
        for x, words in cells:
            self.put(x, y, words, size=size, font=font)

    def turn_over(self) -> None:
        """The next page."""
        self.canvas.showPage()

    def pdf(self) -> bytes:
        """The finished document."""
        self.canvas.save()
        return self.buffer.getvalue()


@attrs.frozen
class Page:
    """A document and what there is to find in it."""

    name: str
    pdf: bytes = attrs.field(repr=False)
    truth: Truth


def drawn(size: tuple[float, float] = A4) -> Callable[[Draw], Draw]:
    """Registers a page under its function's name."""

    def register(draw: Draw) -> Draw:
        PAGES[draw.__name__] = draw, size
        return draw

    return register


def render(name: str) -> Page:
    """The page of that name."""
    draw, size = PAGES[name]
    paper = Paper(size)
    truth = draw(paper)
    return Page(name, paper.pdf(), truth)


# The first five: an ordinary page in each language.


@drawn()
def english_month_names(p: Paper) -> Truth:
    """Facts on the right, value beside the label."""
    p.put(50, 60, "Hawthorn & Vale Ltd", size=16, font="Helvetica-Bold")
    p.put(50, 78, "9 Ropewalk, Eastmere ZZ3 9AA", "VAT Reg No: GB 990 1234 56", size=8)
    p.put(400, 60, "INVOICE", size=20)
    p.put(50, 130, "Bill to:", "Marlow Kettering Plc", "Accounts Payable", "77 Quay Road", "Norchester ZZ8 1BB")
    p.pairs(
        340,
        545,
        130,
        [
            ("Invoice Number", "HV-20417"),
            ("Invoice Date", "3 May 2024"),
            ("Due Date", "2 June 2024"),
            ("Purchase Order", "PO-88121"),
        ],
    )
    p.row(260, [(50, "Description"), (380, "Qty"), (430, "Price"), (510, "Amount")], font="Helvetica-Bold")
    p.row(278, [(50, "Oak shelving, fitted"), (380, "3"), (430, "240.00"), (510, "720.00")])
    p.row(294, [(50, "Brass hinges"), (380, "40"), (430, "4.25"), (510, "170.00")])
    p.pairs(380, 545, 330, [("Subtotal", "£890.00"), ("VAT @ 20%", "£178.00"), ("Total", "£1,068.00")])
    p.put(50, 780, "Hawthorn & Vale Ltd is registered in England no. 0099887", size=7)
    return {
        "supplier_name": "Hawthorn & Vale Ltd", "supplier_vat_id": "GB 990 1234 56", "customer_name": "Marlow Kettering Plc",
        "invoice_number": "HV-20417", "issue_date": "2024-05-03", "due_date": "2024-06-02", "currency": "GBP",
        "net_amount": "890.00", "tax_amount": "178.00", "total_amount": "1068.00",
    }  # fmt: skip


@drawn()
def german_letter(p: Paper) -> Truth:
    """An address window without a label, two rates, the VAT number in the foot."""
    p.put(50, 50, "Steinbruch Keramik GmbH", size=14, font="Helvetica-Bold")
    p.put(50, 130, "Steinbruch Keramik GmbH · Am Anger 4 · 99999 Mühlried", size=6.5)
    p.put(50, 145, "Gasthof Zur Linde", "Frau Petra Amsel", "Dorfstr. 1", "99998 Oberau", size=10)
    p.pairs(
        360,
        545,
        145,
        [
            ("Rechnungs-Nr.:", "2024/0815"),
            ("Datum:", "07.03.2024"),
            ("Kunden-Nr.:", "10442"),
            ("Lieferdatum:", "05.03.2024"),
        ],
    )
    p.put(50, 250, "Rechnung", size=15, font="Helvetica-Bold")
    p.row(
        280,
        [(50, "Pos"), (80, "Bezeichnung"), (380, "Menge"), (440, "Einzelpreis"), (515, "Gesamt")],
        font="Helvetica-Bold",
    )
    p.row(298, [(50, "1"), (80, "Teller, glasiert"), (380, "60"), (440, "18,50"), (515, "1.110,00")])
    p.row(314, [(50, "2"), (80, "Kochbuch"), (380, "10"), (440, "24,00"), (515, "240,00")])
    p.pairs(
        360,
        555,
        350,
        [
            ("Summe netto", "1.350,00 €"),
            ("zzgl. 19 % MwSt. auf 1.110,00 €", "210,90 €"),
            ("zzgl. 7 % MwSt. auf 240,00 €", "16,80 €"),
            ("Gesamtbetrag", "1.577,70 €"),
        ],
    )
    p.put(50, 450, "Zahlbar bis zum 21.03.2024 ohne Abzug.")
    p.row(
        790,
        [(50, "Sparkasse Oberau"), (220, "IBAN DE00 1234 5678 9012 3456 00"), (430, "USt-IdNr.: DE999888777")],
        size=7,
    )
    return {
        "supplier_name": "Steinbruch Keramik GmbH", "supplier_vat_id": "DE999888777", "customer_name": "Gasthof Zur Linde",
        "invoice_number": "2024/0815", "issue_date": "2024-03-07", "due_date": "2024-03-21", "currency": "EUR",
        "net_amount": "1350.00", "total_amount": "1577.70",
    }  # fmt: skip


@drawn()
def french_values_below(p: Paper) -> Truth:
    """The facts are a table: a line of labels, a line of values."""
    p.put(50, 60, "FACTURE", size=22, font="Helvetica-Bold")
    p.put(
        330,
        60,
        "Atelier du Noyer SARL",
        "12 rue du Lavoir",
        "99100 Bellefont",
        "TVA intracommunautaire : FR 40 303 265 045",
        size=9,
    )
    p.row(
        140,
        [(50, "N° de facture"), (160, "Date de facture"), (280, "Échéance"), (390, "N° client")],
        font="Helvetica-Bold",
    )
    p.row(155, [(50, "FA-2024-118"), (160, "05/06/2024"), (280, "05/07/2024"), (390, "C0091")])
    p.put(50, 190, "Facturé à :", "Mairie de Valmont SA", "1 place de l'Église", "99101 Valmont")
    p.row(280, [(50, "Désignation"), (330, "Qté"), (400, "PU HT"), (490, "Total HT")], font="Helvetica-Bold")
    p.row(298, [(50, "Bancs en chêne"), (330, "12"), (400, "412,50"), (490, "4 950,00")])
    p.pairs(350, 545, 340, [("Total HT", "4 950,00 €"), ("TVA 20,00 %", "990,00 €"), ("Total TTC", "5 940,00 €")])
    return {
        "supplier_name": "Atelier du Noyer SARL", "supplier_vat_id": "FR 40 303 265 045", "customer_name": "Mairie de Valmont SA",
        "invoice_number": "FA-2024-118", "issue_date": "2024-06-05", "due_date": "2024-07-05", "currency": "EUR",
        "net_amount": "4950.00", "tax_amount": "990.00", "total_amount": "5940.00",
    }  # fmt: skip


@drawn()
def spanish_two_parties(p: Paper) -> Truth:
    """Both parties side by side, each with its NIF."""
    p.put(50, 60, "FACTURA", size=18, font="Helvetica-Bold")
    p.put(50, 100, "Emisor", "Talleres Lobero S.L.", "NIF: B99887766", "C/ Olmo 3, 99200 Ribalta")
    p.put(320, 100, "Cliente", "Hostal Puerta Vieja S.A.", "NIF: A11223344", "Pza. Mayor 8, 99201 Alcor")
    p.put(50, 180, "Factura nº: 24-0077", "Fecha de emisión: 09/02/2024", "Vencimiento: 10/03/2024")
    p.row(250, [(50, "Concepto"), (380, "Unidades"), (450, "Precio"), (510, "Importe")], font="Helvetica-Bold")
    p.row(266, [(50, "Revisión de caldera"), (380, "2"), (450, "310,00"), (510, "620,00")])
    p.pairs(380, 545, 310, [("Base imponible", "620,00 €"), ("IVA 21%", "130,20 €"), ("Total factura", "750,20 €")])
    return {
        "supplier_name": "Talleres Lobero S.L.", "supplier_vat_id": "B99887766", "customer_name": "Hostal Puerta Vieja S.A.",
        "invoice_number": "24-0077", "issue_date": "2024-02-09", "due_date": "2024-03-10", "currency": "EUR",
        "net_amount": "620.00", "tax_amount": "130.20", "total_amount": "750.20",
    }  # fmt: skip


@drawn()
def italian_one_line(p: Paper) -> Truth:
    """Number and date in one line, amounts in one row under their headings."""
    p.put(50, 55, "Vetreria Lunardi S.r.l.", size=13, font="Helvetica-Bold")
    p.put(50, 72, "Via dei Salici 14, 99300 Montelupo", "P. IVA: IT01234567897", size=8)
    p.put(50, 120, "Fattura n. 311/A del 14 marzo 2024", size=12)
    p.put(330, 120, "Spett.le", "Osteria Al Pontile S.n.c.", "Riva 2", "99301 Porto Lido")
    p.row(250, [(50, "Descrizione"), (400, "Q.tà"), (500, "Importo")], font="Helvetica-Bold")
    p.row(266, [(50, "Bicchieri soffiati"), (400, "48"), (500, "1.056,00")])
    p.row(320, [(50, "Imponibile"), (200, "IVA 22%"), (350, "Totale fattura")], font="Helvetica-Bold")
    p.row(335, [(50, "€ 1.056,00"), (200, "€ 232,32"), (350, "€ 1.288,32")])
    p.put(50, 380, "Scadenza: 30 aprile 2024")
    return {
        "supplier_name": "Vetreria Lunardi S.r.l.", "supplier_vat_id": "IT01234567897", "customer_name": "Osteria Al Pontile S.n.c.",
        "invoice_number": "311/A", "issue_date": "2024-03-14", "due_date": "2024-04-30", "currency": "EUR",
        "net_amount": "1056.00", "tax_amount": "232.32", "total_amount": "1288.32",
    }  # fmt: skip


# Fresh ones, each with something to fall over.


@drawn()
def deposit_and_balance(p: Paper) -> Truth:
    """A deposit was paid: the total is not the amount due. The order's number and date stand above the invoice's."""
    p.put(50, 55, "Larkfield Boatyard Limited", size=15, font="Times-Bold")
    p.put(50, 72, "Slipway 3, Tarnmouth ZZ1 4BB", "VAT number GB 991 2233 44", size=8, font="Times-Roman")
    p.put(430, 55, "Sales Invoice", size=15, font="Times-Roman")
    p.put(
        50,
        125,
        "Order number: 7741",
        "Order date: 28/11/2023",
        "Invoice number: 90-3312",
        "Invoice date: 03/01/2024",
        "Payment due: 17/01/2024",
        font="Times-Roman",
    )
    p.put(320, 125, "Customer", "Mr A. Penhallow", "Gull Cottage", "Tarnmouth ZZ1 9PP", font="Times-Roman")
    p.pairs(
        330,
        545,
        330,
        [
            ("Net total", "£2,400.00"),
            ("VAT 20.0%", "£480.00"),
            ("Invoice total", "£2,880.00"),
            ("Less deposit paid 28/11/2023", "-£1,000.00"),
            ("Amount due", "£1,880.00"),
        ],
    )
    return {
        "supplier_vat_id": "GB 991 2233 44", "customer_name": "Mr A. Penhallow", "supplier_name": "Larkfield Boatyard Limited",
        "invoice_number": "90-3312", "issue_date": "2024-01-03", "due_date": "2024-01-17", "currency": "GBP",
        "net_amount": "2400.00", "tax_amount": "480.00", "total_amount": "2880.00",
    }  # fmt: skip


@drawn(LETTER)
def american_ambiguous(p: Paper) -> Truth:
    """Every date can be read in two ways, and a dollar is a dollar of many countries."""
    p.put(54, 60, "Prairie Signal Co.", size=18, font="Helvetica-Bold")
    p.put(54, 78, "400 Mill Street, Elmore", size=9)
    p.put(400, 60, "Invoice #: 55120", "Date: 03/04/2024", "Due: 04/03/2024", "Terms: Net 30")
    p.put(54, 150, "BILL TO", "Cedar Falls Transit Inc.", "12 Depot Rd")
    p.put(320, 150, "SHIP TO", "Cedar Falls Transit Inc. Garage 2", "90 Tower Rd")
    p.row(240, [(54, "Item"), (330, "Qty"), (400, "Rate"), (500, "Total")], font="Helvetica-Bold")
    p.row(256, [(54, "Signal heads"), (330, "6"), (400, "315.00"), (500, "1,890.00")])
    p.pairs(
        380,
        545,
        300,
        [("Subtotal", "$1,890.00"), ("Shipping", "$60.00"), ("Sales Tax (7.5%)", "$141.75"), ("TOTAL", "$2,091.75")],
    )
    return {
        "supplier_name": "Prairie Signal Co.", "customer_name": "Cedar Falls Transit Inc.", "invoice_number": "55120",
        "tax_amount": "141.75", "total_amount": "2091.75",
    }  # fmt: skip


@drawn()
def german_credit_note(p: Paper) -> Truth:
    """A credit note with negative amounts, which names the invoice it corrects and its date."""
    p.put(50, 50, "Falkenried Werkzeuge AG", size=14, font="Helvetica-Bold")
    p.put(50, 150, "Falkenried Werkzeuge AG | Ring 8 | 99400 Tannau", size=6.5)
    p.put(50, 165, "Bauhof Eschental GmbH", "Kiesweg 2", "99401 Eschental")
    p.put(50, 250, "Gutschrift", size=15, font="Helvetica-Bold")
    p.pairs(
        50,
        250,
        275,
        [
            ("Gutschriftsnummer", "G-2024-031"),
            ("Belegdatum", "12.04.2024"),
            ("Rechnungsnummer", "R-2024-199"),
            ("Rechnungsdatum", "02.04.2024"),
            ("Ihre USt-IdNr.", "DE111222333"),
        ],
    )
    p.pairs(360, 545, 400, [("Nettobetrag", "-200,00"), ("USt 19%", "-38,00"), ("Gesamtbetrag EUR", "-238,00")])
    p.put(50, 790, "USt-IdNr. DE444555666", size=7)
    return {
        "supplier_name": "Falkenried Werkzeuge AG", "supplier_vat_id": "DE444555666", "customer_name": "Bauhof Eschental GmbH",
        "invoice_number": "G-2024-031", "issue_date": "2024-04-12", "currency": "EUR",
        "net_amount": "-200.00", "tax_amount": "-38.00", "total_amount": "-238.00",
    }  # fmt: skip


@drawn()
def swiss_two_currencies(p: Paper) -> Truth:
    """Apostrophes between thousands, and the total a second time in euros."""
    p.put(50, 50, "Alpsicht Messtechnik AG", size=13, font="Helvetica-Bold")
    p.put(50, 66, "Seestrasse 9, 9999 Uferswil", "UID: CHE-123.456.789 MWST", size=8)
    p.put(350, 120, "Rechnungsempfänger:", "Gletscherbahn Hochfirn AG", "Talstation", "9998 Hochfirn")
    p.put(
        50,
        120,
        "Rechnungsnummer: 100482",
        "Rechnungsdatum: 15. Januar 2024",
        "Leistungsdatum: 20. Dezember 2023",
        "Fälligkeitsdatum: 14. Februar 2024",
    )
    p.pairs(
        300,
        545,
        300,
        [
            ("Zwischensumme", "CHF 12'400.00"),
            ("MwSt. 8.1%", "CHF 1'004.40"),
            ("Total", "CHF 13'404.40"),
            ("Total in EUR", "EUR 14'208.66"),
        ],
    )
    return {
        "supplier_name": "Alpsicht Messtechnik AG", "supplier_vat_id": "CHE-123.456.789 MWST", "customer_name": "Gletscherbahn Hochfirn AG",
        "invoice_number": "100482", "issue_date": "2024-01-15", "due_date": "2024-02-14", "currency": "CHF",
        "net_amount": "12400.00", "tax_amount": "1004.40", "total_amount": "13404.40",
    }  # fmt: skip


@drawn()
def two_pages_with_carry_over(p: Paper) -> Truth:
    """Each page has a sum of its own; the second starts with what the first carried over."""
    p.put(50, 55, "INVOICE", size=20, font="Helvetica-Bold")
    p.put(50, 90, "Supplier: Brightwater Textiles Ltd", "Customer: Ashdown Hotels plc")
    p.pairs(
        330,
        545,
        90,
        [
            ("Invoice no.", "BT/4410"),
            ("Invoice date", "2024-02-29"),
            ("Delivery note no.", "DN-9921"),
            ("Delivery date", "2024-02-20"),
            ("Page", "1 of 2"),
        ],
    )
    y = 220.0
    for number in range(1, 21):
        p.row(y, [(50, f"{number}"), (80, f"Linen sheet, set {number}"), (400, "1"), (500, "50.00")])
        y += 16
    p.pairs(380, 545, y + 10, [("Subtotal", "1,000.00"), ("Carried forward", "1,000.00")])
    p.turn_over()
    p.pairs(380, 545, 60, [("Brought forward", "1,000.00")])
    p.row(90, [(50, "21"), (80, "Curtain, lined"), (400, "2"), (500, "500.00")])
    p.pairs(380, 545, 130, [("Subtotal", "1,500.00"), ("VAT 20%", "300.00"), ("Total GBP", "1,800.00")])
    return {
        "supplier_name": "Brightwater Textiles Ltd", "customer_name": "Ashdown Hotels plc", "invoice_number": "BT/4410",
        "issue_date": "2024-02-29", "currency": "GBP", "net_amount": "1500.00", "tax_amount": "300.00", "total_amount": "1800.00",
    }  # fmt: skip


@drawn()
def spanish_withholding(p: Paper) -> Truth:
    """IRPF is kept back, so base and IVA are more than what is paid. Two dates besides the invoice's."""
    p.put(50, 55, "María Quintana Bello", size=14, font="Times-Bold")
    p.put(50, 72, "Arquitecta · NIF 12345678Z", size=9, font="Times-Roman")
    p.put(
        350,
        55,
        "Factura",
        "Número de factura: 2024-15",
        "Fecha: 31/01/2024",
        "Fecha de vencimiento: 01/03/2024",
        "Fecha de entrega: 15/01/2024",
        font="Times-Roman",
    )
    p.put(50, 150, "Facturar a:", "Promotora Ladera S.L.U.", "CIF: B55443322", "Av. del Río 20", font="Times-Roman")
    p.pairs(
        330,
        545,
        320,
        [
            ("Base imponible", "3.000,00"),
            ("IVA 21 %", "630,00"),
            ("Retención IRPF 15 %", "-450,00"),
            ("Total a pagar", "3.180,00 EUR"),
        ],
    )
    return {
        "supplier_vat_id": "12345678Z", "customer_name": "Promotora Ladera S.L.U.", "supplier_name": "María Quintana Bello",
        "invoice_number": "2024-15", "issue_date": "2024-01-31", "due_date": "2024-03-01", "currency": "EUR",
        "net_amount": "3000.00", "tax_amount": "630.00",
    }  # fmt: skip


@drawn()
def french_letters_apart(p: Paper) -> Truth:
    """Headings with their letters set apart; the tax in a table of bases; a narrow blank between thousands."""
    p.put(50, 60, "FACTURE", size=16, apart=4, font="Vera")
    p.put(50, 80, "N° 2024-0931", size=9, font="Vera")
    p.put(
        330,
        60,
        "Vignerons de Saint-Orme SCOP",
        "3 chemin des Caves, 99500 Saint-Orme",
        "N° TVA : FR55987654321",
        size=8,
        font="Vera",
    )
    p.put(
        50,
        120,
        "Date : 7 août 2024",
        "À payer avant le : 6 septembre 2024",
        "Commande n° 4471 du 1 juillet 2024",
        size=9,
        font="Vera",
    )
    p.put(330, 120, "Client :", "Cave du Port", "8 quai Nord, 99501 Anse", size=9, font="Vera")
    p.row(300, [(50, "Taux"), (120, "Base HT"), (220, "Montant TVA")], font="Vera", size=9)
    p.row(315, [(50, "20 %"), (120, "12\u202f480,00"), (220, "2\u202f496,00")], font="Vera", size=9)
    p.put(330, 340, "TOTAL HT", size=9, apart=2, font="Vera")
    p.right(545, 340, "12\u202f480,00 €", font="Vera", size=9)
    p.put(330, 355, "TVA", size=9, apart=2, font="Vera")
    p.right(545, 355, "2\u202f496,00 €", font="Vera", size=9)
    p.put(330, 370, "TOTAL TTC", size=9, apart=2, font="Vera")
    p.right(545, 370, "14\u202f976,00 €", font="Vera", size=9)
    return {
        "supplier_name": "Vignerons de Saint-Orme SCOP", "supplier_vat_id": "FR55987654321", "customer_name": "Cave du Port",
        "invoice_number": "2024-0931", "issue_date": "2024-08-07", "due_date": "2024-09-06", "currency": "EUR",
        "net_amount": "12480.00", "tax_amount": "2496.00", "total_amount": "14976.00",
    }  # fmt: skip


@drawn()
def values_before_their_labels(p: Paper) -> Truth:
    """Columns from the right: each value stands to the left of what it is called."""
    p.put(50, 55, "Mirror House Ltd", size=14)
    p.put(50, 90, "INVOICE", size=14)
    y = 130.0
    for line in (
        [(50, "MH-3001"), (150, "Invoice number"), (300, "2024-05-06"), (400, "Invoice date")],
        [(50, "PO-12"), (150, "Order number"), (300, "2024-06-05"), (400, "Due date")],
        [(50, "100.00"), (150, "Net amount"), (300, "20.00"), (400, "VAT")],
        [(50, "120.00"), (150, "Total"), (300, "GBP"), (400, "Currency")],
    ):
        p.row(y, line)
        y += 18
    return {
        "invoice_number": "MH-3001", "issue_date": "2024-05-06", "due_date": "2024-06-05", "currency": "GBP",
        "net_amount": "100.00", "tax_amount": "20.00", "total_amount": "120.00", "supplier_name": "Mirror House Ltd",
    }  # fmt: skip


@drawn()
def two_invoices(p: Paper) -> Truth:
    """Two invoices of one supplier, one page each."""
    for number, day, net, tax, total in (
        ("A-1", "1 March 2024", "10.00", "2.00", "12.00"),
        ("A-2", "2 March 2024", "50.00", "10.00", "60.00"),
    ):
        p.put(50, 55, "Invoice", size=18)
        p.put(50, 80, f"Invoice number: {number}", f"Invoice date: {day}")
        p.put(50, 120, "From: Twofold Services Ltd", "Bill to: Pairing Foods Ltd")
        p.pairs(300, 500, 200, [("Subtotal", f"€{net}"), ("VAT", f"€{tax}"), ("Total", f"€{total}")])
        p.turn_over()
    return {}


@drawn()
def quotation(p: Paper) -> Truth:
    """An offer with all that an invoice has, but it is none."""
    p.put(50, 55, "Angebot", size=18, font="Helvetica-Bold")
    p.put(
        50,
        80,
        "Angebotsnummer: AN-77",
        "Datum: 04.03.2024",
        "Gültig bis: 04.04.2024",
        "Nach Auftrag erhalten Sie eine Rechnung.",
    )
    p.put(50, 150, "Kunde:", "Kontor Weser GmbH")
    p.pairs(300, 545, 250, [("Nettobetrag", "500,00 €"), ("MwSt. 19 %", "95,00 €"), ("Gesamtbetrag", "595,00 €")])
    return {}


@drawn()
def reminder(p: Paper) -> Truth:
    """A reminder names the invoice, its date and its amount."""
    p.put(50, 55, "2. Mahnung", size=14, font="Helvetica-Bold")
    p.put(
        50,
        90,
        "Rechnungsnummer: R-551",
        "Rechnungsdatum: 04.01.2024",
        "Fällig am: 18.01.2024",
        "Rechnungsbetrag: 595,00 €",
        "Mahngebühr: 5,00 €",
        "Gesamtbetrag: 600,00 €",
    )
    return {}


@drawn()
def delivery_note_in_one_size(p: Paper) -> Truth:
    """Everything in one size: the title does not stand out, and an invoice is only promised."""
    p.put(
        50,
        55,
        "Tradewind Supplies Ltd",
        "Delivery Note",
        "Number: 5512",
        "Date: 14 May 2024",
        "Order no: 9918",
        "Invoice to follow",
        "Total: 14 boxes",
    )
    return {}


@drawn()
def italian_crossed_dates(p: Paper) -> Truth:
    """The transport document's number and date beside the invoice's; the customer's number after the supplier's."""
    p.put(50, 55, "FATTURA", size=15, font="Helvetica-Bold")
    p.put(
        50,
        80,
        "Numero fattura: 88/2024",
        "Data fattura: 10/04/2024",
        "DDT n. 1204 del 02/04/2024",
        "Data scadenza: 10/06/2024",
    )
    p.put(
        320,
        80,
        "Fornitore: Cantine Albarossa S.p.A.",
        "P.IVA: 09876543217",
        "Cliente: Trattoria del Molo S.a.s.",
        "P.IVA: 01122334455",
        "Cod. fiscale: 01122334455",
    )
    p.row(220, [(50, "Descrizione"), (300, "Aliquota"), (380, "Prezzo"), (480, "Totale")])
    p.row(236, [(50, "Barbera, cassa da 6"), (300, "22%"), (380, "48,00"), (480, "480,00")])
    p.pairs(
        330,
        545,
        300,
        [
            ("Totale imponibile", "€ 480,00"),
            ("Sconto", "€ -30,00"),
            ("Spese di trasporto", "€ 15,00"),
            ("Totale IVA", "€ 102,30"),
            ("TOTALE DOCUMENTO", "€ 567,30"),
        ],
    )
    return {
        "supplier_name": "Cantine Albarossa S.p.A.", "supplier_vat_id": "09876543217", "customer_name": "Trattoria del Molo S.a.s.",
        "invoice_number": "88/2024", "issue_date": "2024-04-10", "due_date": "2024-06-10", "currency": "EUR",
        "tax_amount": "102.30", "total_amount": "567.30",
    }  # fmt: skip


@drawn()
def service_charge_after_the_total(p: Paper) -> Truth:
    """What is called total adds up, but it is not the last word."""
    p.put(50, 55, "Tax Invoice", size=15)
    p.put(50, 80, "Invoice no: 7", "Date: 1 Feb 2024")
    p.put(300, 55, "The Long Table Ltd", size=12)
    p.pairs(
        300,
        500,
        150,
        [
            ("Net", "100.00"),
            ("VAT 20%", "20.00"),
            ("Total", "120.00"),
            ("Gratuities", "12.00"),
            ("Grand total", "132.00"),
        ],
    )
    return {"invoice_number": "7", "issue_date": "2024-02-01", "supplier_name": "The Long Table Ltd"}


@drawn()
def final_invoice_with_instalments(p: Paper) -> Truth:
    """A final account in German: earlier invoices with their own net, tax and total are taken off."""
    p.put(50, 55, "Schlussrechnung", size=15)
    p.put(50, 80, "Rechnungsnummer: SR-9", "Rechnungsdatum: 30.06.2024", "Abschlagsrechnung Nr. AR-4 vom 02.05.2024")
    p.pairs(
        300,
        545,
        150,
        [
            ("Gesamtbetrag netto", "10.000,00 €"),
            ("MwSt. 19 %", "1.900,00 €"),
            ("Gesamtbetrag brutto", "11.900,00 €"),
            ("abzgl. Abschlag netto", "4.000,00 €"),
            ("MwSt. 19 %", "760,00 €"),
            ("Restbetrag netto", "6.000,00 €"),
            ("MwSt. 19 %", "1.140,00 €"),
            ("Zahlbetrag", "7.140,00 €"),
        ],
    )
    return {"invoice_number": "SR-9", "issue_date": "2024-06-30", "currency": "EUR"}


@drawn()
def mexican_print(p: Paper) -> Truth:
    """A printed CFDI in a layout of its own: folio, UUID, RFC of both, a peso that is written as a dollar."""
    p.put(50, 55, "Ferretera La Ceiba S.A. de C.V.", size=13, font="Helvetica-Bold")
    p.put(50, 72, "RFC emisor: FCE990101AB3", "Régimen fiscal: 601", size=8)
    p.put(
        380,
        55,
        "FACTURA",
        "Folio: F-4412",
        "Folio fiscal: 5F2B9C1A-0000-4D2E-9A11-00112233AABB",
        "Fecha de emisión: 2024-03-15T10:22:41",
        "Fecha de certificación: 2024-03-16T00:01:12",
        size=8,
    )
    p.put(
        50,
        120,
        "Receptor: Constructora Mangle S.A. de C.V.",
        "RFC receptor: CMA050607QX1",
        "Uso CFDI: G03",
        "Moneda: MXN",
        "Tipo de cambio: 1.00",
        size=9,
    )
    p.pairs(
        350, 545, 300, [("Subtotal", "$12,500.00"), ("IVA trasladado 16.00%", "$2,000.00"), ("Total", "$14,500.00")]
    )
    p.put(50, 380, "Importe con letra: catorce mil quinientos pesos 00/100 M.N.", size=8)
    return {
        "supplier_name": "Ferretera La Ceiba S.A. de C.V.", "supplier_vat_id": "FCE990101AB3", "customer_name": "Constructora Mangle S.A. de C.V.",
        "invoice_number": "F-4412", "issue_date": "2024-03-15", "currency": "MXN",
        "net_amount": "12500.00", "tax_amount": "2000.00", "total_amount": "14500.00",
    }  # fmt: skip


@drawn()
def customer_in_the_window_supplier_in_a_picture(p: Paper) -> Truth:
    """The supplier's name is a picture; the only company in words is the customer, and so is the only VAT number."""
    p.put(50, 130, "Nordkai Logistik GmbH", "Hafenstr. 20", "99600 Kaistadt", "USt-IdNr. DE121212121")
    p.put(50, 220, "Rechnung 2024-1177", size=14, font="Helvetica-Bold")
    p.put(400, 220, "Kaistadt, 9. September 2024")
    p.put(50, 260, "Für den Monat 08/2024 berechnen wir:")
    p.pairs(300, 545, 300, [("Betrag netto", "310,00 €"), ("+ 19 % USt.", "58,90 €"), ("Rechnungsbetrag", "368,90 €")])
    p.put(50, 380, "Zahlungsziel: 30 Tage netto, bei Zahlung bis 16.09.2024 2 % Skonto.")
    return {
        "customer_name": "Nordkai Logistik GmbH", "invoice_number": "2024-1177", "issue_date": "2024-09-09", "currency": "EUR",
        "net_amount": "310.00", "tax_amount": "58.90", "total_amount": "368.90",
    }  # fmt: skip


@drawn()
def thousands_without_cents(p: Paper) -> Truth:
    """Prices with one mark and three digits: whether a comma groups them is told nowhere."""
    p.put(50, 55, "INVOICE", size=15)
    p.put(50, 80, "Invoice number: 2210", "Invoice date: 12-Feb-2024", "Due date: 13-Mar-2024", "Currency: USD")
    p.put(300, 80, "Bill to:", "Halcyon Freight LLC")
    p.pairs(300, 500, 150, [("Subtotal", "4,500"), ("Tax", "1,125"), ("Total", "5,625")])
    return {
        "invoice_number": "2210",
        "issue_date": "2024-02-12",
        "due_date": "2024-03-13",
        "currency": "USD",
        "customer_name": "Halcyon Freight LLC",
    }


@drawn()
def name_in_two_lines(p: Paper) -> Truth:
    """Half a name is a wrong name; a contact person is no customer."""
    p.put(50, 55, "Rechnung", size=15)
    p.put(50, 80, "Rechnungsnummer: 31-A", "Rechnungsdatum: 1.10.2024")
    p.put(50, 130, "Rechnungsempfänger", "Stadtwerke und Verkehrsbetriebe", "Hinterwald GmbH", "z. Hd. Herrn Specht")
    p.put(300, 130, "Lieferant", "Maschinenbau Obermüller &", "Söhne GmbH & Co. KG")
    return {"invoice_number": "31-A", "issue_date": "2024-10-01"}


# A second round.


@drawn()
def goods_that_sound_like_labels(p: Paper) -> Truth:
    """Articles called "Total station", "VAT consulting" and "Date palms", with prices beside them."""
    p.put(50, 55, "INVOICE", size=18)
    p.put(330, 55, "Geodesy Gardens Ltd", "1 Theodolite Way", "VAT no. GB 992 3344 55", size=10)
    p.put(50, 90, "Invoice No.", "GG-771")
    p.put(150, 90, "Date", "21 June 2024")
    p.put(250, 90, "Account", "A-0032")
    p.put(50, 140, "Sold to", "Meridian Parks Ltd", "2 Compass Close")
    y = 230.0
    for words, amount in (
        ("Total station", "500.00"),
        ("VAT consulting", "200.00"),
        ("Date palms", "90.00"),
        ("Discount cards", "10.00"),
        ("Net", "40.00"),
        ("Balance", "60.00"),
        ("Due diligence report", "100.00"),
    ):
        p.row(y, [(50, words), (500, amount)])
        y += 16
    p.pairs(350, 525, y + 20, [("Sub total", "1,000.00"), ("VAT at 20%", "200.00"), ("Invoice total GBP", "1,200.00")])
    return {
        "supplier_name": "Geodesy Gardens Ltd", "supplier_vat_id": "GB 992 3344 55", "customer_name": "Meridian Parks Ltd",
        "invoice_number": "GG-771", "issue_date": "2024-06-21", "currency": "GBP",
        "net_amount": "1000.00", "tax_amount": "200.00", "total_amount": "1200.00",
    }  # fmt: skip


@drawn()
def self_billing(p: Paper) -> Truth:
    """The customer writes the supplier's invoice: the letterhead is the customer's."""
    p.put(50, 50, "Molkerei Hochtal eG", size=15, font="Helvetica-Bold")
    p.put(50, 150, "Molkerei Hochtal eG · Talweg 1 · 99700 Hochtal", size=6.5)
    p.put(50, 165, "Milchhof Brandner GbR", "Brand 3", "99701 Hinterbrand")
    p.put(50, 250, "Gutschrift im Abrechnungsverfahren", size=13, font="Helvetica-Bold")
    p.pairs(
        50,
        260,
        275,
        [("Gutschrift-Nr.", "M-24-06-118"), ("Ausgestellt am", "30.06.2024"), ("Lieferzeitraum", "06/2024")],
    )
    p.pairs(
        330, 545, 350, [("Nettobetrag", "8.000,00 €"), ("USt. 7,8 %", "624,00 €"), ("Auszahlungsbetrag", "8.624,00 €")]
    )
    p.put(50, 790, "USt-IdNr. DE515151515", size=7)
    return {
        "supplier_name": "Milchhof Brandner GbR", "customer_name": "Molkerei Hochtal eG", "invoice_number": "M-24-06-118",
        "issue_date": "2024-06-30", "currency": "EUR", "net_amount": "8000.00", "tax_amount": "624.00", "total_amount": "8624.00",
    }  # fmt: skip


@drawn()
def previous_balance(p: Paper) -> Truth:
    """A utility's bill: this invoice's amounts, and an older debt on top."""
    p.put(50, 55, "Estuary Water plc", size=14)
    p.put(50, 90, "Your bill", size=12)
    p.put(
        50,
        110,
        "Invoice number: 7711 2233 01",
        "Bill date: 14 October 2024",
        "Period: 1 July 2024 to 30 September 2024",
        "Please pay by: 4 November 2024",
    )
    p.pairs(
        300,
        545,
        250,
        [
            ("Previous balance", "£80.00"),
            ("Net charges", "£100.00"),
            ("VAT 20%", "£20.00"),
            ("Total this invoice", "£120.00"),
            ("Total amount due", "£200.00"),
        ],
    )
    return {
        "issue_date": "2024-10-14",
        "due_date": "2024-11-04",
        "currency": "GBP",
        "invoice_number": "7711 2233 01",
        "net_amount": "100.00",
        "tax_amount": "20.00",
        "total_amount": "120.00",
    }


@drawn()
def tax_included(p: Paper) -> Truth:
    """Prices with tax; the tax inside the total is told, the net amount is not."""
    p.put(50, 55, "Facture", size=14)
    p.put(50, 80, "Facture n° F2024-55", "Date : 01/02/2024", "Échéance : à réception")
    p.put(300, 55, "Boulangerie Ferrand SAS", "SIRET 123 456 789 00012", "TVA FR12123456789")
    p.put(300, 120, "Adresse de livraison", "École des Tilleuls SA", "4 cours Vert")
    p.pairs(
        300,
        545,
        250,
        [
            ("Total TTC", "105,50 €"),
            ("dont TVA 5,5 %", "5,50 €"),
            ("Acompte versé", "50,00 €"),
            ("Reste à payer", "55,50 €"),
        ],
    )
    return {
        "supplier_name": "Boulangerie Ferrand SAS",
        "supplier_vat_id": "FR12123456789",
        "invoice_number": "F2024-55",
        "issue_date": "2024-02-01",
        "currency": "EUR",
        "tax_amount": "5.50",
        "total_amount": "105.50",
    }


@drawn()
def dates_of_two_countries(p: Paper) -> Truth:
    """The invoice's own dates can be read both ways; the printer and the carrier write differently."""
    p.put(50, 55, "Commercial Invoice", size=14)
    p.put(
        50,
        80,
        "Invoice No: CI-9",
        "Invoice Date: 04/05/2024",
        "Due Date: 05/06/2024",
        "Printed: 04/25/2024",
        "ETA: 25/05/2024",
    )
    p.put(50, 200, "Exporter", "Harbour Bell Ltd")
    p.put(300, 200, "Consignee", "Quayside Imports Inc.")
    p.pairs(300, 545, 300, [("Total", "USD 4,000.00")])
    return {"invoice_number": "CI-9", "currency": "USD", "total_amount": "4000.00"}


@drawn()
def statement(p: Paper) -> Truth:
    """A statement lists invoices with numbers and dates."""
    p.put(50, 55, "Statement of Account", size=14)
    p.put(50, 80, "Date: 31 May 2024", "Customer: Fenwick Barns Ltd")
    p.row(120, [(50, "Invoice No"), (150, "Invoice date"), (260, "Due date"), (360, "Total")])
    p.row(136, [(50, "INV-1"), (150, "1 May 2024"), (260, "31 May 2024"), (360, "£120.00")])
    p.row(152, [(50, "INV-2"), (150, "9 May 2024"), (260, "8 June 2024"), (360, "£60.00")])
    p.pairs(250, 420, 190, [("Balance due", "£180.00")])
    return {}


@drawn()
def proforma(p: Paper) -> Truth:
    """A pro forma invoice asks for money and is no invoice."""
    p.put(50, 55, "PRO FORMA INVOICE", size=16)
    p.put(50, 80, "Invoice number: PF-3", "Invoice date: 2 May 2024")
    p.pairs(300, 545, 150, [("Subtotal", "£100.00"), ("VAT", "£20.00"), ("Total", "£120.00")])
    return {}


@drawn()
def marketplace(p: Paper) -> Truth:
    """Three companies: the seller, the platform in the head, the bank in the foot. Vertical and slanting words."""
    p.put(50, 55, "Bazaarhub Europe S.à r.l.", size=18, font="Helvetica-Bold")
    p.put(50, 75, "on behalf of the seller named below", size=8)
    p.canvas.saveState()
    p.canvas.translate(20, 300)
    p.canvas.rotate(90)
    p.canvas.setFont("Helvetica", 7)
    p.canvas.drawString(0, 0, "Invoice number: 999999   Total: 1.00")
    p.canvas.restoreState()
    p.canvas.saveState()
    p.canvas.translate(200, 300)
    p.canvas.rotate(45)
    p.canvas.setFont("Helvetica", 60)
    p.canvas.drawString(0, 0, "COPY")
    p.canvas.restoreState()
    p.put(50, 120, "Sold by", "Copper Kettle Trading Ltd", "VAT: IE1234567T")
    p.put(220, 120, "Billed to", "Nora Lindqvist", "Kirkegata 5")
    p.put(390, 120, "Delivered to", "Pick-up Point 12 GmbH", "Bahnhof 1")
    p.row(
        200,
        [(50, "Order date"), (150, "Order no."), (260, "Invoice date"), (380, "Invoice no.")],
        font="Helvetica-Bold",
    )
    p.row(214, [(50, "30.12.2023"), (150, "402-118"), (260, "02.01.2024"), (380, "BZ-2024-1")])
    p.row(250, [(50, "VAT rate"), (150, "Price excl. VAT"), (270, "VAT"), (380, "Price incl. VAT")])
    p.row(264, [(50, "23%"), (150, "€40.00"), (270, "€9.20"), (380, "€49.20")])
    p.pairs(300, 545, 330, [("Total excl. VAT", "€40.00"), ("Total VAT", "€9.20"), ("Total incl. VAT", "€49.20")])
    p.put(50, 790, "Payments are handled by Ledgerly Bank SE, VAT LU12345678", size=7)
    return {
        "supplier_name": "Copper Kettle Trading Ltd", "supplier_vat_id": "IE1234567T", "customer_name": "Nora Lindqvist", "invoice_number": "BZ-2024-1",
        "issue_date": "2024-01-02", "currency": "EUR", "net_amount": "40.00", "tax_amount": "9.20", "total_amount": "49.20",
    }  # fmt: skip


@drawn()
def customers_number_alone(p: Paper) -> Truth:
    """The one VAT number on the page is the customer's, in a list of facts; the sender gives a tax number only."""
    p.put(50, 50, "Tischlerei Ulrich Span", size=14, font="Helvetica-Bold")
    p.put(50, 66, "Werkstr. 2, 99800 Holzen, Steuernummer 12/345/67890", size=8)
    p.put(50, 140, "Wohnbau Sonnenhang GmbH", "Am Hang 7", "99801 Sonnen")
    p.pairs(
        330,
        545,
        140,
        [("Rechnung Nr.", "117"), ("Datum", "5.11.24"), ("Kunden-Nr.", "88"), ("USt-IdNr.", "DE616161616")],
    )
    p.pairs(330, 545, 300, [("Gesamt netto", "2.000,00"), ("19 % MwSt", "380,00"), ("Endbetrag in EUR", "2.380,00")])
    p.put(50, 400, "Der Rechnungsbetrag ist fällig am 19.11.2024.")
    return {
        "supplier_name": "Tischlerei Ulrich Span", "customer_name": "Wohnbau Sonnenhang GmbH", "invoice_number": "117", "issue_date": "2024-11-05",
        "due_date": "2024-11-19", "currency": "EUR", "net_amount": "2000.00", "tax_amount": "380.00", "total_amount": "2380.00",
    }  # fmt: skip


@drawn()
def reverse_charge(p: Paper) -> Truth:
    """No tax: net is total. Two VAT numbers, and the customer's logo-like name on top."""
    p.put(50, 55, "To: Grand Retail Holdings PLC", size=15)
    p.put(50, 75, "VAT ID GB 993 4455 66", size=8)
    p.put(
        50,
        120,
        "From: Pixelforge d.o.o.",
        "VAT ID SI12345678",
        "Invoice # 2024-08-03",
        "Date of issue: Aug 3, 2024",
        "Due date: Sep 2, 2024",
    )
    p.pairs(
        300,
        545,
        250,
        [("Total net amount", "€7,500.00"), ("VAT 0% (reverse charge)", "€0.00"), ("Total due", "€7,500.00")],
    )
    return {
        "supplier_name": "Pixelforge d.o.o.", "supplier_vat_id": "SI12345678", "customer_name": "Grand Retail Holdings PLC", "invoice_number": "2024-08-03",
        "issue_date": "2024-08-03", "due_date": "2024-09-02", "currency": "EUR", "net_amount": "7500.00", "tax_amount": "0.00", "total_amount": "7500.00",
    }  # fmt: skip


@drawn()
def italian_stamp_and_sums_in_a_row(p: Paper) -> Truth:
    """All sums in a row of headings, with the rate between them; a second row of totals below."""
    p.put(50, 55, "Fattura", size=14)
    p.put(50, 80, "N. 42 del 03/04/2024", "Cliente", "Officine Marcon S.p.A.", "Via Po 3")
    p.row(250, [(50, "Imponibile"), (150, "Aliquota"), (240, "Imposta"), (340, "Totale")])
    p.row(264, [(50, "200,00"), (150, "22%"), (240, "44,00"), (340, "244,00")])
    p.row(278, [(50, "50,00"), (150, "10%"), (240, "5,00"), (340, "55,00")])
    p.row(300, [(50, "250,00"), (240, "49,00"), (340, "299,00")])
    p.put(50, 330, "Bollo 2,00", "Totale da pagare € 301,00")
    return {
        "customer_name": "Officine Marcon S.p.A.",
        "currency": "EUR",
        "invoice_number": "42",
        "issue_date": "2024-04-03",
    }


@drawn()
def payment_slip_below(p: Paper) -> Truth:
    """A slip at the bottom repeats what is above, shortened, with a date of its own and a rounded amount."""
    p.put(50, 55, "INVOICE", size=14)
    p.pairs(
        50, 280, 90, [("Invoice number", "AB-0012345"), ("Invoice date", "11 Nov 2024"), ("Due date", "25 Nov 2024")]
    )
    p.put(330, 90, "Invoice to", "Salt Marsh Oysters Ltd", "Seller", "Coldharbour Ice Ltd")
    p.pairs(300, 545, 250, [("Total before VAT", "£333.33"), ("VAT 20%", "£66.67"), ("Total including VAT", "£400.00")])
    p.put(50, 640, "- - - - - - - - - - Payment slip - - - - - - - - - -")
    p.pairs(
        50,
        280,
        670,
        [
            ("Invoice number", "0012345"),
            ("Due date", "2 Dec 2024"),
            ("Amount", "£400.00"),
            ("Amount with late fee", "£410.00"),
        ],
    )
    return {
        "customer_name": "Salt Marsh Oysters Ltd", "supplier_name": "Coldharbour Ice Ltd", "issue_date": "2024-11-11",
        "currency": "GBP", "net_amount": "333.33", "tax_amount": "66.67", "total_amount": "400.00", "invoice_number": "AB-0012345",
    }  # fmt: skip


# A third round.


@drawn(LETTER)
def three_blocks_and_a_grid(p: Paper) -> Truth:
    """Facts in a grid of boxes: label above value, several to a row, wide and narrow."""
    p.put(54, 60, "Invoice", size=24, font="Times-Bold")
    p.put(330, 60, "Osprey Instruments LLC", size=12, font="Times-Bold")
    p.put(330, 75, "2200 Gantry Blvd, Dunmore, OR 97000", size=9, font="Times-Roman")
    grid = [
        [
            ("Invoice No.", "100-4471"),
            ("Invoice Date", "07/28/2024"),
            ("Customer No.", "C9917"),
            ("P.O. Number", "4500012345"),
        ],
        [("Terms", "Net 45"), ("Due Date", "09/11/2024"), ("Ship Date", "07/27/2024"), ("Currency", "USD")],
    ]
    for row, cells in enumerate(grid):
        for column, (label, value) in enumerate(cells):
            p.put(54 + 125 * column, 120 + 34 * row, label, size=7.5, font="Times-Roman")
            p.put(54 + 125 * column, 132 + 34 * row, value, size=10, font="Times-Roman")
    p.put(54, 220, "Bill To:", "Tallgrass Research Corp.", "88 Meadow Ln")
    p.put(300, 220, "Ship To:", "Tallgrass Lab 4, LLC", "90 Meadow Ln")
    p.pairs(
        380,
        558,
        380,
        [("Subtotal:", "$3,200.00"), ("Freight:", "$85.50"), ("Sales Tax:", "$0.00"), ("Total Due:", "$3,285.50")],
    )
    p.put(54, 700, "Remit to: Osprey Instruments LLC, PO Box 9, Dunmore", size=9)
    return {
        "supplier_name": "Osprey Instruments LLC", "customer_name": "Tallgrass Research Corp.", "invoice_number": "100-4471",
        "issue_date": "2024-07-28", "due_date": "2024-09-11", "currency": "USD", "tax_amount": "0.00", "total_amount": "3285.50",
    }  # fmt: skip


@drawn()
def labels_in_capitals_with_dots(p: Paper) -> Truth:
    """Dotted leaders between label and value, and a colon standing apart."""
    p.put(50, 55, "RECHNUNG", size=16)
    p.put(
        50,
        85,
        "RECHNUNGSNUMMER ....... 88-0017",
        "RECHNUNGSDATUM ........ 02.09.2024",
        "FÄLLIGKEIT ............ 16.09.2024",
        font="Courier",
    )
    p.put(50, 150, "Rechnungsempfänger :", "Pension Bergblick KG", "Höhenweg 2")
    p.put(
        50,
        260,
        "NETTOSUMME ............ EUR   1.234,50",
        "MWST 19 % ............. EUR     234,56",
        "RECHNUNGSSUMME ........ EUR   1.469,06",
        font="Courier",
    )
    p.put(50, 780, "Sanitär Klein e.K. · USt-ID DE717171717", size=7)
    return {
        "customer_name": "Pension Bergblick KG", "invoice_number": "88-0017", "issue_date": "2024-09-02", "due_date": "2024-09-16",
        "currency": "EUR", "net_amount": "1234.50", "tax_amount": "234.56", "total_amount": "1469.06", "supplier_name": "Sanitär Klein e.K.", "supplier_vat_id": "DE717171717",
    }  # fmt: skip


@drawn()
def bilingual_labels(p: Paper) -> Truth:
    """Each label in two languages, in one line or in two."""
    p.put(50, 55, "Facture / Invoice", size=16)
    p.put(50, 85, "N° de facture / Invoice no.", "Date de facture / Invoice date", "Échéance / Due date")
    p.put(260, 85, "LU-2024-9", "08/10/2024", "07/11/2024")
    p.put(380, 85, "Client / Customer", "Banque du Pétrusse S.A.")
    p.pairs(
        280,
        545,
        250,
        [
            ("Total HT / Net amount", "1.000,00 EUR"),
            ("TVA / VAT 17%", "170,00 EUR"),
            ("Total TTC / Total", "1.170,00 EUR"),
        ],
    )
    return {
        "customer_name": "Banque du Pétrusse S.A.", "invoice_number": "LU-2024-9", "issue_date": "2024-10-08", "due_date": "2024-11-07",
        "currency": "EUR", "net_amount": "1000.00", "tax_amount": "170.00", "total_amount": "1170.00",
    }  # fmt: skip


@drawn()
def whole_thousands_and_a_time(p: Paper) -> Truth:
    """Amounts without cents, grouped with points; the only decimal point on the page belongs to a clock."""
    p.put(50, 55, "Rechnung", size=15)
    p.put(50, 80, "Rechnungsnr.: 5001", "Datum: 01.07.2024", "Beginn: 12.30 Uhr")
    p.pairs(300, 545, 200, [("Nettobetrag", "10.000"), ("USt. 20%", "2.000"), ("Gesamtbetrag", "12.000")])
    return {
        "invoice_number": "5001",
        "issue_date": "2024-07-01",
        "net_amount": "10000",
        "tax_amount": "2000",
        "total_amount": "12000",
    }


@drawn()
def correction_of_an_invoice(p: Paper) -> Truth:
    """A corrected invoice names the one it replaces with the same label, further down."""
    p.put(50, 55, "Factura rectificativa", size=14)
    p.put(50, 80, "Número: R-24-3", "Fecha de emisión: 20/02/2024")
    p.put(50, 110, "Factura rectificada:", "Número de factura: F-24-118", "Fecha de factura: 30/01/2024")
    p.put(320, 80, "Vendedor: Papelería Sierra S.L.", "NIF B12312312", "Cliente: Academia Norte S.L.", "NIF B32132132")
    p.pairs(320, 545, 250, [("Base imponible", "-100,00 €"), ("IVA 21 %", "-21,00 €"), ("Total", "-121,00 €")])
    return {
        "supplier_name": "Papelería Sierra S.L.", "supplier_vat_id": "B12312312", "customer_name": "Academia Norte S.L.", "invoice_number": "R-24-3",
        "issue_date": "2024-02-20", "currency": "EUR", "net_amount": "-100.00", "tax_amount": "-21.00", "total_amount": "-121.00",
    }  # fmt: skip


@drawn()
def two_months_in_one_bill(p: Paper) -> Truth:
    """Sums for two periods, each complete, and one for all."""
    p.put(50, 55, "Invoice", size=15)
    p.put(50, 80, "Invoice number: TEL-7", "Date of issue: 3 March 2024")
    for y, net, tax, total in (
        (150, "10.00", "2.00", "12.00"),
        (220, "30.00", "6.00", "36.00"),
        (290, "40.00", "8.00", "48.00"),
    ):
        p.pairs(300, 545, y, [("Subtotal", f"€{net}"), ("VAT", f"€{tax}"), ("Total", f"€{total}")])
    return {"invoice_number": "TEL-7", "issue_date": "2024-03-03", "currency": "EUR"}


@drawn()
def small_print_with_labels(p: Paper) -> Truth:
    """Conditions in full sentences that begin like labels, and a signature with a date."""
    p.put(50, 55, "INVOICE NO. 6001", size=13)
    p.put(50, 75, "Glasgow, 4 April 2024")
    p.put(320, 55, "Client:", "Clydeside Fitters Ltd, Govan")
    p.pairs(320, 545, 200, [("Net", "£50.00"), ("VAT", "£10.00"), ("Total", "£60.00")])
    p.put(
        50, 500, "Total liability is limited to 5,000.00.", "Due date 30 days after delivery; interest 8% from 1 January 2025.",
        "Invoice number 6001 must be quoted.", "VAT number of the customer must be given on orders.", "Customer Services Ltd", "Currency EUR accepted on request.",
        size=7,
    )  # fmt: skip
    p.put(50, 700, "Received by", "Date: 9 April 2024")
    return {
        "invoice_number": "6001",
        "issue_date": "2024-04-04",
        "currency": "GBP",
        "net_amount": "50.00",
        "tax_amount": "10.00",
        "total_amount": "60.00",
    }


@drawn()
def tax_office_currency(p: Paper) -> Truth:
    """The sums a second time in the tax office's currency; only there they add up in full."""
    p.put(50, 55, "Invoice", size=15)
    p.put(50, 80, "Invoice number: XB-5", "Invoice date: 1 August 2024")
    p.pairs(50, 280, 150, [("Total EUR", "1,200.00")])
    p.put(300, 135, "For VAT purposes:")
    p.pairs(300, 545, 150, [("Net GBP", "850.00"), ("VAT GBP", "170.00"), ("Total GBP", "1,020.00")])
    return {"invoice_number": "XB-5", "issue_date": "2024-08-01"}


@drawn()
def portuguese(p: Paper) -> Truth:
    """A language that is not known, close to one that is."""
    p.put(50, 55, "FATURA", size=15)
    p.put(
        50,
        80,
        "Fatura n.º FT 2024/19",
        "Data de emissão: 02/03/2024",
        "Data de vencimento: 01/04/2024",
        "NIF: PT501234567",
    )
    p.put(300, 80, "Cliente: Adega do Monte Lda", "NIF: PT509876543")
    p.pairs(
        300,
        545,
        200,
        [("Total ilíquido", "100,00 €"), ("Desconto", "0,00 €"), ("IVA 23%", "23,00 €"), ("Total a pagar", "123,00 €")],
    )
    return {"currency": "EUR"}


# A fourth round.


@drawn()
def table_of_one_line_and_freight_after_it(p: Paper) -> Truth:
    """The headings of a one-line table add up; what is asked for has a name that is in no list."""
    p.put(50, 55, "Invoice", size=15)
    p.put(50, 80, "Invoice number: 9-114", "Invoice date: 6 June 2024")
    p.row(200, [(50, "Article"), (250, "Net"), (330, "VAT"), (410, "Total")])
    p.row(214, [(50, "Garden bench"), (250, "100.00"), (330, "20.00"), (410, "120.00")])
    p.row(250, [(50, "Parcel service"), (410, "10.00")])
    p.row(270, [(50, "We kindly ask you to transfer"), (410, "130.00")])
    return {"invoice_number": "9-114", "issue_date": "2024-06-06"}


@drawn()
def empty_fields_of_a_form(p: Paper) -> Truth:
    """Labels whose value was left empty stand beside values that belong to nobody."""
    p.put(50, 55, "TAX INVOICE", size=15)
    p.row(90, [(50, "Invoice no."), (300, "Leeds, 3 July 2024")])
    p.row(105, [(50, "Invoice date"), (300, "LS1 4AP")])
    p.row(120, [(50, "Due date"), (300, "17 July 2024 (fair day)")])
    p.row(150, [(50, "Due date:"), (300, "3 July 2024")])
    p.row(180, [(50, "Customer"), (300, "Ferry Terminal Ltd")])
    p.row(210, [(50, "Bill to"), (150, ""), (420, "Harbour Master Ltd")])
    p.pairs(300, 545, 300, [("Total", "£60.00")])
    return {"total_amount": "60.00", "currency": "GBP"}


@drawn()
def headings_beside_their_columns(p: Paper) -> Truth:
    """Headings start at the left of wide columns and numbers end at the right: each number is nearer to the next heading."""
    p.put(50, 55, "Invoice", size=15)
    p.put(50, 80, "Invoice number: SW-1", "Invoice date: 6 June 2024")
    p.row(200, [(50, "VAT"), (150, "Net"), (250, "Total")])
    p.right(170, 214, "20.00")
    p.right(270, 214, "100.00")
    p.right(350, 214, "120.00")
    return {
        "invoice_number": "SW-1",
        "issue_date": "2024-06-06",
        "net_amount": "100.00",
        "tax_amount": "20.00",
        "total_amount": "120.00",
    }


@drawn()
def two_names_in_one_line(p: Paper) -> Truth:
    """Two narrow columns of addresses, so close that their names nearly touch."""
    p.put(50, 55, "Invoice", size=15)
    p.put(50, 80, "Invoice number: 12-B", "Invoice date: 6 June 2024")
    p.put(50, 150, "Bill to", "Threadneedle Haberdashery Ltd", "1 Pin St")
    p.put(193, 150, "Ship to", "Bobbin Works Ltd", "2 Reel St")
    return {"invoice_number": "12-B", "issue_date": "2024-06-06", "customer_name": "Threadneedle Haberdashery Ltd"}


@drawn()
def italian_split_payment(p: Paper) -> Truth:
    """The tax is owed by the customer: the total has it, the sum to pay has not."""
    p.put(50, 55, "FATTURA", size=15)
    p.put(50, 80, "Fattura nr. 17/PA", "Data: 05/03/2024", "Scadenza: 04/05/2024", "Codice univoco: UF1234")
    p.put(300, 80, "Destinatario", "Comune di Roccaforte", "Piazza Roma 1", "C.F. 00112233445")
    p.pairs(
        300,
        545,
        250,
        [
            ("Imponibile", "1.000,00"),
            ("IVA 22% (scissione dei pagamenti)", "220,00"),
            ("Totale documento EUR", "1.220,00"),
            ("Netto a pagare EUR", "1.000,00"),
        ],
    )
    return {
        "invoice_number": "17/PA", "issue_date": "2024-03-05", "due_date": "2024-05-04", "customer_name": "Comune di Roccaforte",
        "currency": "EUR", "net_amount": "1000.00", "tax_amount": "220.00", "total_amount": "1220.00",
    }  # fmt: skip


@drawn()
def english_quotation_in_one_size(p: Paper) -> Truth:
    """A quotation that asks where the invoice shall go."""
    p.put(
        50,
        55,
        "Quotation No. 12",
        "Date: 6 June 2024",
        "Invoice to: Plough Farms Ltd",
        "Valid until: 6 July 2024",
        "Net total: £100.00",
        "VAT: £20.00",
        "Total: £120.00",
    )
    return {}


@drawn()
def order_confirmation(p: Paper) -> Truth:
    """An order confirmation with an invoice address and a number for the invoice to come."""
    p.put(50, 55, "Auftragsbestätigung", size=13, font="Helvetica-Bold")
    p.put(50, 80, "Auftragsnummer: 5512", "Datum: 06.06.2024", "Rechnungsadresse:", "Seilerei Knoten GmbH")
    p.put(50, 200, "Die Rechnung erhalten Sie mit der Ware.", "Ihre künftige Rechnungsnummer: 77-5512")
    p.pairs(300, 545, 250, [("Nettobetrag", "100,00 €"), ("MwSt. 19%", "19,00 €"), ("Gesamtbetrag", "119,00 €")])
    return {}


@drawn()
def hotel_folio(p: Paper) -> Truth:
    """Dates of a stay, a balance of nothing, and the tax inside the total."""
    p.put(50, 55, "Hotel Zum Anker", size=13)
    p.put(50, 90, "Rechnung", size=13)
    p.put(
        50,
        110,
        "Rechnungsnr. H-2024-771",
        "Rechnungsdatum 14.08.2024",
        "Anreise 12.08.2024",
        "Abreise 14.08.2024",
        "Zimmer 204",
    )
    p.put(300, 110, "Herr Lukas Feld", "Feldweg 1", "99900 Felden")
    p.pairs(
        300,
        545,
        250,
        [
            ("12.08.2024 Übernachtung", "120,00"),
            ("13.08.2024 Übernachtung", "120,00"),
            ("Gesamt EUR", "240,00"),
            ("inkl. 7 % MwSt.", "15,70"),
            ("Bezahlt Kreditkarte", "-240,00"),
            ("Offener Betrag", "0,00"),
        ],
    )
    return {
        "invoice_number": "H-2024-771",
        "issue_date": "2024-08-14",
        "currency": "EUR",
        "tax_amount": "15.70",
        "total_amount": "240.00",
    }


@drawn()
def timesheet_behind_the_invoice(p: Paper) -> Truth:
    """The second page is a timesheet with a date, a number and totals of its own."""
    p.put(50, 55, "Invoice", size=15)
    p.put(50, 80, "Invoice number: C-31", "Invoice date: 30 April 2024", "Due date: 14 May 2024")
    p.put(300, 80, "Bill to:", "Silo Brewing Ltd")
    p.pairs(300, 545, 250, [("Subtotal", "€4,000.00"), ("VAT 21%", "€840.00"), ("Total", "€4,840.00")])
    p.turn_over()
    p.put(50, 55, "Timesheet", size=15)
    p.put(50, 80, "Number: TS-4", "Date: 29 April 2024", "Customer: Silo Brewing Ltd")
    p.pairs(300, 545, 150, [("Total hours", "80.00"), ("Rate", "50.00"), ("Total", "4,000.00")])
    return {
        "invoice_number": "C-31", "issue_date": "2024-04-30", "due_date": "2024-05-14", "customer_name": "Silo Brewing Ltd",
        "currency": "EUR", "net_amount": "4000.00", "tax_amount": "840.00", "total_amount": "4840.00",
    }  # fmt: skip


@drawn(LETTER)
def american_state_taxes(p: Paper) -> Truth:
    """Two taxes by name, a discount in brackets, dates with short years, a customer number where a name could be."""
    p.put(54, 55, "Lakeshore Bait & Tackle, Inc.", size=14)
    p.put(54, 75, "EIN 12-3456789", size=8)
    p.put(400, 55, "INVOICE", size=14)
    p.put(400, 80, "Invoice #  LB-2217", "Invoice Date  6/7/24", "Due  7/7/24", "Customer  40012")
    p.put(54, 120, "Bill to:", "County of Marsh, Parks Dept.", "PO Box 1")
    p.pairs(
        350,
        558,
        250,
        [
            ("Subtotal", "$500.00"),
            ("Discount", "($50.00)"),
            ("State tax 6%", "$27.00"),
            ("County tax 1%", "$4.50"),
            ("Total", "$481.50"),
        ],
    )
    return {
        "supplier_name": "Lakeshore Bait & Tackle, Inc.",
        "supplier_vat_id": "12-3456789",
        "invoice_number": "LB-2217",
        "customer_name": "County of Marsh, Parks Dept.",
        "total_amount": "481.50",
    }


# A fifth round.


@drawn()
def three_columns_from_to_details(p: Paper) -> Truth:
    """Parties and facts in three columns under headings; the facts have their labels above."""
    p.put(50, 55, "Tax invoice", size=20, font="Helvetica-Bold")
    p.put(50, 100, "FROM", size=7)
    p.put(50, 112, "Kestrel Analytics Pty Ltd", "8 Wharf Lane", "ABN 51 824 753 556")
    p.put(220, 100, "TO", size=7)
    p.put(220, 112, "Dunes Surf Club Inc", "Beach Rd")
    p.put(400, 100, "INVOICE NUMBER", size=7)
    p.put(400, 112, "INV-0093")
    p.put(400, 130, "ISSUE DATE", size=7)
    p.put(400, 142, "18 Jul 2024")
    p.put(400, 160, "DUE DATE", size=7)
    p.put(400, 172, "1 Aug 2024")
    p.pairs(350, 545, 300, [("Subtotal", "1,500.00"), ("GST 10%", "150.00"), ("Total AUD", "1,650.00")])
    return {
        "supplier_name": "Kestrel Analytics Pty Ltd", "customer_name": "Dunes Surf Club Inc", "invoice_number": "INV-0093",
        "issue_date": "2024-07-18", "due_date": "2024-08-01", "currency": "AUD", "net_amount": "1500.00", "tax_amount": "150.00", "total_amount": "1650.00",
    }  # fmt: skip


@drawn()
def recharge_of_others_invoices(p: Paper) -> Truth:
    """The body lists another company's invoice with number, date and total; the document's own number has a rare name."""
    p.put(50, 55, "Invoice", size=15)
    p.put(50, 80, "Our document: R-2024-6", "Cardiff, 12 June 2024")
    p.row(150, [(50, "Invoice no."), (150, "Invoice date"), (260, "Vendor"), (420, "Total")])
    p.row(164, [(50, "SUP-99"), (150, "2 May 2024"), (260, "Plywood Direct Ltd"), (420, "600.00")])
    p.pairs(300, 500, 250, [("Recharged", "600.00"), ("Handling fee", "30.00"), ("Payable", "630.00")])
    return {"total_amount": "630.00"}


@drawn()
def spanish_mexican_dollars(p: Paper) -> Truth:
    """Series and number in two boxes, two RFC, a total in words; the page's dollar has its code."""
    p.put(50, 55, "Emisor: Hilados Xochitl S.A. de C.V.", "RFC: HXO010203AA1")
    p.put(320, 55, "Receptor: Modas Quetzal S.A. de C.V.", "RFC: MQU040506BB2")
    p.row(110, [(50, "Serie"), (120, "Folio"), (220, "Fecha de emisión"), (380, "Moneda")])
    p.row(124, [(50, "B"), (120, "2291"), (220, "05/04/2024 10:11:12"), (380, "MXN")])
    p.put(50, 150, "CFDI de Ingreso")
    p.pairs(350, 545, 250, [("Subtotal", "$2,000.00"), ("IVA 16%", "$320.00"), ("Total", "$2,320.00")])
    return {
        "supplier_name": "Hilados Xochitl S.A. de C.V.", "supplier_vat_id": "HXO010203AA1", "customer_name": "Modas Quetzal S.A. de C.V.", "invoice_number": "B-2291",
        "issue_date": "2024-04-05", "currency": "MXN", "net_amount": "2000.00", "tax_amount": "320.00", "total_amount": "2320.00",
    }  # fmt: skip


@drawn()
def french_credit_of_an_invoice(p: Paper) -> Truth:
    """A credit note with positive amounts; number and date of the invoice in one sentence with the label."""
    p.put(50, 55, "AVOIR", size=15)
    p.put(50, 80, "Avoir n° AV-24-07", "Date : 15/03/2024", "Facture n° FA-24-31 du 01/03/2024")
    p.put(300, 80, "Client", "Imprimerie Dulac SAS", "TVA : FR11222333444")
    p.pairs(300, 545, 250, [("Total HT", "80,00 €"), ("TVA 20 %", "16,00 €"), ("Total TTC", "96,00 €")])
    return {
        "customer_name": "Imprimerie Dulac SAS",
        "invoice_number": "AV-24-07",
        "issue_date": "2024-03-15",
        "currency": "EUR",
        "net_amount": "80.00",
        "tax_amount": "16.00",
        "total_amount": "96.00",
    }


def main(folder: Path) -> None:
    """Write all pages into *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PAGES:
        (folder / f"{name}.pdf").write_bytes(render(name).pdf)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
