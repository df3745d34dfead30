"""Renders invoices whose words lead astray: deposits, stages, credits of other invoices, agents, terms of payment.

    python tests/emulator/awkward_pages.py FOLDER

Everybody in them is invented. Each page is a function that draws, and its truth stands above it: field → value, or
several that are right, with None for a field that nobody needs to find. What is not in the truth must not be found
above 0.5. Needs reportlab (the `dev` extra).
"""

# ruff: noqa: E501 - a line of a made-up invoice stays a line

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from reportlab.lib.pagesizes import A4, LETTER
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

Draw = Callable[[], bytes]
Cells = Sequence[tuple[float, str]]
Rows = Sequence[tuple[str, str]]

PAGES: dict[str, tuple[Draw, Mapping[str, str]]] = {}


class Sheet:
    """A canvas whose origin is the top left, in points."""

    def __init__(self, size: tuple[float, float] = A4, size_of_letters: float = 9) -> None:
        pdfmetrics.registerFont(TTFont("Vera", "Vera.ttf"))
        pdfmetrics.registerFont(TTFont("VeraBd", "VeraBd.ttf"))
        self.buffer = io.BytesIO()
        self.canvas = Canvas(self.buffer, pagesize=size, invariant=1)
        self.height = size[1]
        self.usual = size_of_letters

    def _font(self, size: float | None, *, bold: bool) -> None:
        self.canvas.setFont("VeraBd" if bold else "Vera", size or self.usual)

    def put(self, x: float, y: float, text: str, size: float | None = None, *, bold: bool = False) -> None:
        """*text* from *x* on."""
        self._font(size, bold=bold)
        self.canvas.drawString(x, self.height - y, text)

    def right(self, x: float, y: float, text: str, size: float | None = None, *, bold: bool = False) -> None:
        """*text* ending at *x*."""
        self._font(size, bold=bold)
        self.canvas.drawRightString(x, self.height - y, text)

    def middle(self, x: float, y: float, text: str, size: float | None = None) -> None:
        """*text* around *x*."""
        self._font(size, bold=False)
        self.canvas.drawCentredString(x, self.height - y, text)

    def lines(self, x: float, y: float, text: str, step: float = 12, size: float | None = None) -> None:
        """The lines of *text* below each other."""
        for line in text.split("\n"):
            self.put(x, y, line, size)
            y += step

    def pairs(self, x: float, to: float, y: float, rows: Rows, step: float = 13, *, flush: bool = False) -> None:
        """Labels from *x* on; values from *to* on, or with *flush* ending there."""
        for label, value in rows:
            self.put(x, y, label)
            (self.right if flush else self.put)(to, y, value)
            y += step

    def sums(self, x: float, to: float, y: float, rows: Rows) -> None:
        """Labels and values that end at *x* and at *to*."""
        for label, value in rows:
            self.right(x, y, label)
            self.right(to, y, value)
            y += 14

    def row(self, y: float, cells: Cells, size: float | None = None, *, bold: bool = False) -> None:
        """Cells of one line, from their x on; those of a negative one end there."""
        for x, text in cells:
            (self.right if x < 0 else self.put)(abs(x), y, text, size, bold=bold)

    def turn_over(self) -> None:
        """The next page."""
        self.canvas.showPage()

    def pdf(self) -> bytes:
        """The finished document."""
        self.canvas.showPage()
        self.canvas.save()
        return self.buffer.getvalue()


def page(**truth: str) -> Callable[[Draw], Draw]:
    """Registers a page under its function's name."""

    def register(draw: Draw) -> Draw:
        PAGES[draw.__name__] = draw, truth
        return draw

    return register


def totals(p: Sheet, y: float, rows: Rows, x1: float = 430, x2: float = 550) -> None:
    """Sums at the right."""
    p.sums(x1, x2, y, rows)


def item(p: Sheet, y: float, words: str, amount: str) -> None:
    """A line of a table without headings."""
    p.row(y, [(50, words), (-550, amount)])


@page(
    supplier_name="Anthera Labs, Inc.",
    customer_name="Brightwell Consulting LLC",
    invoice_number="F3A91C2E-0007",
    issue_date="2024-03-04",
    due_date="2024-03-04",
    currency="USD",
    net_amount="20",
    tax_amount="0|None",
    total_amount="20",
    supplier_vat_id="None",
)
def stripe() -> bytes:
    p = Sheet(LETTER, 9)
    p.put(40, 60, "Invoice", 18, bold=True)
    p.put(450, 60, "Anthera", 14, bold=True)
    p.pairs(
        40,
        130,
        90,
        [("Invoice number", "F3A91C2E-0007"), ("Date of issue", "March 4, 2024"), ("Date due", "March 4, 2024")],
    )
    p.lines(
        40,
        150,
        "Anthera Labs, Inc.\n548 Market Street\nPMB 90375\nSan Francisco, California 94104\nUnited States\nsupport@anthera.example",
    )
    p.put(260, 150, "Bill to", bold=True)
    p.lines(
        260,
        162,
        "Brightwell Consulting LLC\nJane Doe\n12 Elm Street\nAustin, Texas 73301\nUnited States\njane@brightwell.example",
    )
    p.put(40, 250, "$20.00 USD due March 4, 2024", 14, bold=True)
    p.put(40, 270, "Pay online")
    p.row(310, [(40, "Description"), (-360, "Qty"), (-450, "Unit price"), (-570, "Amount")], 8)
    p.row(330, [(40, "Anthera Pro"), (-360, "1"), (-450, "$20.00"), (-570, "$20.00")])
    p.put(40, 342, "Mar 4 – Apr 4, 2024", 8)
    for i, (k, v) in enumerate([("Subtotal", "$20.00"), ("Total", "$20.00"), ("Amount due", "$20.00 USD")]):
        p.row(380 + 16 * i, [(300, k), (-570, v)])
    p.put(40, 760, "F3A91C2E-0007 · $20.00 USD due March 4, 2024", 7)
    p.right(570, 760, "Page 1 of 1", 7)
    return p.pdf()


@page(
    supplier_name="Cloudnest Ireland Limited",
    supplier_vat_id="IE6388047V",
    customer_name="Müller & Söhne GmbH",
    invoice_number="EUINIE24-1183342",
    issue_date="2024-05-02",
    due_date="None",
    currency="EUR|USD",
    net_amount="118.42|109.53",
    tax_amount="22.50|20.81",
    total_amount="140.92|130.34",
)
def aws() -> bytes:
    p = Sheet(A4, 8)
    p.put(40, 50, "Cloudnest Ireland Limited", 12, bold=True)
    p.lines(40, 66, "1 Burlington Plaza, Burlington Road\nDublin 4, D04 RH96, Ireland\nVAT ID: IE6388047V", 10)
    p.right(555, 50, "Tax Invoice", 16, bold=True)
    p.put(330, 80, "Email or talk to us about your account or bill, visit cloudnest.example/contact-us/", 6)
    p.put(40, 120, "Account number:")
    p.put(40, 132, "483920112233")
    p.put(40, 150, "Bill to Address:")
    p.lines(
        40, 162, "Müller & Söhne GmbH\nATTN: Accounts Payable\nHafenstr. 9\n20457 Hamburg, DE\nVAT ID: DE811234567", 10
    )
    p.put(330, 120, "Tax Invoice Summary", 10, bold=True)
    p.pairs(
        330,
        555,
        136,
        [
            ("Tax Invoice Number:", "EUINIE24-1183342"),
            ("Tax Invoice Date:", "May 2, 2024"),
            ("TOTAL AMOUNT", "USD 140.92"),
            ("TOTAL VAT", "USD 22.50"),
            ("TOTAL AMOUNT (in EUR)", "EUR 130.34"),
        ],
        12,
        flush=True,
    )
    p.put(40, 250, "This Tax invoice is for the billing period April 1 - April 30 , 2024", 10, bold=True)
    p.put(40, 290, "Summary", 10, bold=True)
    p.pairs(
        40,
        555,
        306,
        [
            ("Cloudnest Service Charges", "USD 140.92"),
            ("Charges", "USD 118.42"),
            ("Credits", "USD 0.00"),
            ("Net Charges (After Credits/Discounts, excl. Tax)", "USD 118.42"),
            ("VAT - 19%", "USD 22.50"),
            ("Total for this invoice", "USD 140.92"),
            ("(1 USD = 0.92492 EUR)", "EUR 130.34"),
            ("VAT in EUR", "EUR 20.81"),
        ],
        12,
        flush=True,
    )
    return p.pdf()


@page(
    supplier_name="Googol Cloud EMEA Limited|None",
    supplier_vat_id="IE3668997OH",
    customer_name="Atelier Numérique SARL",
    invoice_number="4812273305",
    issue_date="2024-01-31",
    due_date="2024-03-01|None",
    currency="EUR",
    net_amount="64.80",
    tax_amount="0|None",
    total_amount="64.80",
)
def gcloud() -> bytes:
    p = Sheet(A4, 9)
    p.put(40, 50, "Invoice", 22, bold=True)
    p.put(40, 72, "Invoice number: 4812273305")
    p.lines(
        330, 110, "Googol Cloud EMEA Limited\nVelasco\nClanwilliam Place\nDublin 2\nIreland\nVAT number: IE3668997OH"
    )
    p.put(40, 110, "Bill to", bold=True)
    p.lines(
        40,
        124,
        "Claire Dubois\nAtelier Numérique SARL\n14 rue des Lilas\n69003 Lyon\nFrance\nVAT number: FR40303265045",
    )
    p.put(40, 230, "Details", 12, bold=True)
    p.pairs(
        40,
        260,
        248,
        [
            ("Invoice number", "4812273305"),
            ("Invoice date", "31 Jan 2024"),
            ("Billing ID", "1287-8895-3321"),
            ("Domain name", "atelier-numerique.example"),
        ],
        14,
        flush=True,
    )
    p.put(330, 230, "Googol Workspace", 12, bold=True)
    p.put(330, 250, "Total in EUR")
    p.right(555, 250, "€64.80", 18)
    p.put(330, 280, "Summary for 1 Jan 2024 - 31 Jan 2024")
    p.pairs(
        330,
        555,
        300,
        [("Subtotal in EUR", "€64.80"), ("VAT (0%)", "€0.00"), ("Total in EUR", "€64.80")],
        14,
        flush=True,
    )
    p.put(
        40,
        400,
        "Services subject to the reverse charge - VAT to be accounted for by the recipient as per Art. 196 of Council Directive 2006/112/EC",
        6,
    )
    p.put(40, 420, "You will be automatically charged for any amount due.", 8)
    return p.pdf()


@page(
    supplier_name="Elektro Brandl GmbH|None",
    supplier_vat_id="DE129384756",
    customer_name="Hausverwaltung Sieber KG",
    invoice_number="2024-0381",
    issue_date="2024-04-15",
    due_date="2024-04-29",
    currency="EUR",
    net_amount="4832.50",
    tax_amount="918.18",
    total_amount="5750.68",
)
def handwerker() -> bytes:
    p = Sheet(A4, 10)
    p.put(60, 60, "Elektro Brandl GmbH", 20, bold=True)
    p.put(60, 78, "Meisterbetrieb seit 1978", 9)
    p.put(60, 130, "Elektro Brandl GmbH · Industriestr. 4 · 84028 Landshut", 7)
    p.lines(60, 148, "Hausverwaltung Sieber KG\nFrau Sieber\nAm Anger 17\n84030 Ergolding", 13)
    p.pairs(
        370,
        460,
        148,
        [("Datum:", "15.04.2024"), ("Kunden-Nr.:", "10233"), ("Projekt:", "BV Anger 17"), ("Bearbeiter:", "H. Brandl")],
    )
    p.put(60, 240, "Schlussrechnung Nr. 2024-0381", 14, bold=True)
    p.put(60, 262, "Sehr geehrte Frau Sieber, für die ausgeführten Arbeiten berechnen wir wie folgt:")
    p.row(290, [(60, "Pos"), (90, "Bezeichnung"), (-380, "Menge"), (-460, "EP"), (-540, "GP")], bold=True)
    p.row(306, [(60, "1"), (90, "Unterverteilung montieren"), (-380, "1 Stk"), (-460, "3.200,00"), (-540, "3.200,00")])
    p.row(320, [(60, "2"), (90, "Leitung NYM-J 5x2,5"), (-380, "210 m"), (-460, "7,77"), (-540, "1.632,50")])
    y = 350
    for k, v in [
        ("Nettosumme", "4.832,50 €"),
        ("zzgl. 19% MwSt.", "918,18 €"),
        ("Bruttosumme", "5.750,68 €"),
        ("abzgl. Abschlagsrechnung Nr. 2024-0212 vom 01.03.2024", "-2.380,00 €"),
        ("darin enthaltene MwSt. 19%", "-380,00 €"),
        ("Restbetrag", "3.370,68 €"),
    ]:
        p.put(250, y, k)
        p.right(540, y, v)
        y += 14
    p.put(60, 460, "Zahlbar bis 29.04.2024 ohne Abzug.")
    p.put(
        60,
        780,
        "Elektro Brandl GmbH · GF: H. Brandl · HRB 4432 Landshut · USt-IdNr.: DE129384756 · IBAN DE12 3456 7890 1234 5678 90",
        6.5,
    )
    return p.pdf()


@page(
    supplier_name="None|Stadtwerke Ahrenfels GmbH",
    supplier_vat_id="DE811559203|None",
    customer_name="Petra Lindqvist|None",
    invoice_number="7001883312",
    issue_date="2024-02-09",
    due_date="2024-02-26",
    currency="EUR",
    net_amount="1184.70|1184,70",
    tax_amount="225.09",
    total_amount="1409.79",
)
def utility_de() -> bytes:
    p = Sheet(A4, 9)
    p.right(550, 50, "Stadtwerke Ahrenfels", 18, bold=True)
    p.put(60, 120, "Stadtwerke Ahrenfels GmbH | Postfach 1120 | 53422 Ahrenfels", 6.5)
    p.lines(60, 138, "Frau\nPetra Lindqvist\nGartenweg 3\n53424 Ahrenfels")
    p.pairs(
        360,
        470,
        120,
        [
            ("Rechnungsnummer", "7001883312"),
            ("Kundennummer", "200418"),
            ("Vertragskonto", "90112233"),
            ("Rechnungsdatum", "09.02.2024"),
            ("Zählernummer", "1EMH0012345"),
            ("Zeitraum", "01.01.2023 - 31.12.2023"),
        ],
    )
    p.put(60, 240, "Jahresrechnung Strom 2023", 14, bold=True)
    p.put(60, 262, "Sehr geehrte Frau Lindqvist, Ihr Verbrauch betrug 3.412 kWh.")
    y = 290
    for k, v in [
        ("Verbrauchskosten netto", "1.064,70 €"),
        ("Grundpreis netto", "120,00 €"),
        ("Nettobetrag", "1.184,70 €"),
        ("Umsatzsteuer 19 %", "225,09 €"),
        ("Rechnungsbetrag brutto", "1.409,79 €"),
        ("abzüglich geleistete Abschläge", "-1.320,00 €"),
        ("Nachzahlung", "89,79 €"),
    ]:
        p.put(60, y, k)
        p.right(500, y, v)
        y += 14
    p.put(60, 410, "Der Betrag von 89,79 € wird am 26.02.2024 von Ihrem Konto abgebucht.")
    p.put(60, 424, "Fällig am 26.02.2024")
    p.put(60, 450, "Ihr neuer Abschlag ab 01.03.2024", 11, bold=True)
    p.row(
        468,
        [
            (60, "Abschlag netto"),
            (200, "99,16 €"),
            (260, "USt. 19 %"),
            (340, "18,84 €"),
            (400, "Gesamtbetrag"),
            (-540, "118,00 €"),
        ],
    )
    p.put(60, 790, "Stadtwerke Ahrenfels GmbH, Amtsgericht Koblenz HRB 1123, USt-IdNr. DE811559203", 6.5)
    return p.pdf()


@page(
    supplier_name="None|Hotel Alpenblick",
    supplier_vat_id="ATU12345678|None",
    customer_name="Nordwind Media GmbH",
    invoice_number="RE24/01187",
    issue_date="2024-07-14",
    due_date="None",
    currency="EUR",
    net_amount="367.56",
    tax_amount="40.44",
    total_amount="414.00|408.00",
)
def hotel() -> bytes:
    p = Sheet(A4, 9)
    p.middle(297, 50, "Hotel Alpenblick ****", 18)
    p.middle(297, 66, "Familie Huber · 6456 Obergurgl · Tirol · UID: ATU12345678", 8)
    p.lines(60, 130, "Nordwind Media GmbH\nHerrn Jonas Peters\nSpeicherstr. 2\n20457 Hamburg")
    p.pairs(
        380,
        470,
        130,
        [
            ("Rechnung", "RE24/01187"),
            ("Datum", "14.07.2024"),
            ("Anreise", "11.07.2024"),
            ("Abreise", "14.07.2024"),
            ("Zimmer", "214"),
            ("Gast", "Peters, Jonas"),
        ],
    )
    p.row(230, [(60, "Datum"), (130, "Leistung"), (-420, "Anzahl"), (-480, "Preis"), (-540, "Betrag EUR")], bold=True)
    p.row(
        246, [(60, "11.07.2024"), (130, "Übernachtung mit Frühstück"), (-420, "3"), (-480, "120,00"), (-540, "360,00")]
    )
    p.row(260, [(60, "12.07.2024"), (130, "Restaurant"), (-420, "1"), (-480, "48,00"), (-540, "48,00")])
    p.row(274, [(60, "14.07.2024"), (130, "Ortstaxe"), (-420, "3"), (-480, "2,00"), (-540, "6,00")])
    p.row(300, [(300, "Gesamtbetrag"), (-540, "414,00")], bold=True)
    p.row(320, [(60, "MwSt."), (-200, "Netto"), (-280, "Steuer"), (-360, "Brutto")])
    p.row(334, [(60, "10 %"), (-200, "327,27"), (-280, "32,73"), (-360, "360,00")])
    p.row(348, [(60, "20 %"), (-200, "40,00"), (-280, "8,00"), (-360, "48,00")])
    p.row(362, [(60, "0 %"), (-200, "6,00"), (-280, "0,00"), (-360, "6,00")])
    p.row(390, [(60, "Bezahlt mit Visa am 14.07.2024"), (-540, "414,00")])
    p.row(404, [(60, "Offener Betrag"), (-540, "0,00")])
    return p.pdf()


@page(
    supplier_name="None|Marie Lefèvre",
    supplier_vat_id="None",
    customer_name="Studio Boréal SAS|None",
    invoice_number="2024-017",
    issue_date="2024-06-03",
    due_date="2024-07-03",
    currency="EUR",
    net_amount="1850|None",
    tax_amount="None|0",
    total_amount="1850",
)
def freelance_fr() -> bytes:
    p = Sheet(A4, 11)
    p.lines(
        60,
        60,
        "Marie Lefèvre\nGraphiste indépendante\n3 impasse des Roses, 33000 Bordeaux\nSIRET 812 345 678 00021",
        14,
    )
    p.lines(350, 140, "Studio Boréal SAS\n22 quai Bacalan\n33300 Bordeaux", 14)
    p.put(350, 210, "Bordeaux, le 3 juin 2024")
    p.put(60, 240, "Facture n° 2024-017", 15, bold=True)
    p.row(280, [(60, "Désignation"), (-400, "Quantité"), (-470, "Prix unitaire"), (-540, "Total")], bold=True)
    p.row(298, [(60, "Identité visuelle"), (-400, "1"), (-470, "1 500,00"), (-540, "1 500,00")])
    p.row(314, [(60, "Retouches"), (-400, "7 h"), (-470, "50,00"), (-540, "350,00")])
    p.row(340, [(-470, "Total"), (-540, "1 850,00 €")], bold=True)
    p.put(60, 370, "TVA non applicable, art. 293 B du CGI")
    p.put(60, 390, "Date limite de paiement : 03/07/2024")
    p.put(60, 410, "En cas de retard de paiement, indemnité forfaitaire de 40 € (art. L441-10 C. com.)", 8)
    return p.pdf()


@page(
    supplier_name="Ferretería Ibáñez, S.L.",
    supplier_vat_id="B12345674",
    customer_name="Construcciones Peñalara S.A.",
    invoice_number="A/2024/1093",
    issue_date="2024-09-12",
    due_date="2024-10-12",
    currency="EUR",
    net_amount="1036.00",
    tax_amount="217.56|271.43",
    total_amount="1307.43",
)
def spanish_re() -> bytes:
    p = Sheet(A4, 9)
    p.put(50, 50, "Ferretería Ibáñez, S.L.", 14, bold=True)
    p.lines(50, 66, "C/ Mayor, 12 - 28013 Madrid\nCIF: B12345674\nTel. 91 555 12 34")
    p.put(330, 50, "FACTURA", 16, bold=True)
    p.pairs(
        330,
        430,
        70,
        [("Número:", "A/2024/1093"), ("Fecha:", "12/09/2024"), ("Vencimiento:", "12/10/2024"), ("Cliente:", "00417")],
    )
    p.lines(330, 150, "Construcciones Peñalara S.A.\nAvda. de la Ilustración, 8\n28034 Madrid\nCIF: A28765432")
    p.row(
        240,
        [(50, "Código"), (110, "Descripción"), (-370, "Cant."), (-440, "Precio"), (-490, "Dto."), (-550, "Importe")],
        bold=True,
    )
    p.row(
        256,
        [(50, "TR-100"), (110, "Tornillería surtida"), (-370, "20"), (-440, "14,80"), (-490, "0"), (-550, "296,00")],
    )
    p.row(270, [(50, "AN-220"), (110, "Anclaje químico"), (-370, "100"), (-440, "7,40"), (-490, "0"), (-550, "740,00")])
    p.row(
        320,
        [
            (60, "Base imponible"),
            (180, "% IVA"),
            (240, "Cuota IVA"),
            (320, "% R.E."),
            (380, "Cuota R.E."),
            (470, "TOTAL"),
        ],
        bold=True,
    )
    p.row(336, [(60, "1.036,00"), (180, "21,00"), (240, "217,56"), (320, "5,20"), (380, "53,87"), (470, "1.307,43 €")])
    p.put(50, 380, "Forma de pago: Transferencia a 30 días. IBAN ES91 2100 0418 4502 0005 1332", 8)
    return p.pdf()


@page(
    supplier_name="None|Studio Legale Avv. Rossi",
    supplier_vat_id="01234567890|IT01234567890",
    customer_name="Meccanica Bolognese S.r.l.",
    invoice_number="45/2024|45",
    issue_date="2024-03-28",
    due_date="None",
    currency="EUR",
    net_amount="2000|2080",
    tax_amount="457.60",
    total_amount="2537.60",
)
def avvocato() -> bytes:
    p = Sheet(A4, 10)
    p.put(50, 50, "Studio Legale Avv. Giulia Rossi", 14, bold=True)
    p.lines(50, 66, "Via Indipendenza 21 - 40121 Bologna\nP. IVA 01234567890 - C.F. RSSGLI75A41A944X")
    p.put(330, 120, "Spett.le")
    p.lines(330, 134, "Meccanica Bolognese S.r.l.\nVia Emilia 400\n40068 San Lazzaro\nP. IVA 02345678901")
    p.put(50, 210, "Fattura n. 45/2024 del 28/03/2024", 12, bold=True)
    y = 250
    for k, v in [
        ("Onorari per assistenza stragiudiziale", "2.000,00"),
        ("Cassa Previdenza Avvocati 4%", "80,00"),
        ("Imponibile", "2.080,00"),
        ("IVA 22%", "457,60"),
        ("Totale fattura", "2.537,60"),
        ("Ritenuta d'acconto 20% su 2.000,00", "-400,00"),
        ("Netto a pagare", "2.137,60"),
    ]:
        p.put(50, y, k)
        p.right(500, y, "€ " + v)
        y += 15
    return p.pdf()


@page(
    supplier_name="None|Van Dijk Tuinen B.V.",
    supplier_vat_id="NL812345678B01",
    customer_name="De Vries Holding B.V.|None",
    invoice_number="20240115|None",
    issue_date="2024-02-20|None",
    due_date="2024-03-05|None",
    currency="EUR",
    net_amount="845|None",
    tax_amount="177.45|None",
    total_amount="1022.45|None",
)
def dutch() -> bytes:
    p = Sheet(A4, 9)
    p.put(50, 50, "Van Dijk Tuinen B.V.", 16, bold=True)
    p.lines(50, 110, "De Vries Holding B.V.\nt.a.v. Crediteuren\nKeizersgracht 100\n1015 CV Amsterdam")
    p.put(50, 180, "FACTUUR", 16, bold=True)
    p.pairs(
        50, 150, 200, [("Factuurnummer:", "20240115"), ("Factuurdatum:", "20-02-2024"), ("Vervaldatum:", "05-03-2024")]
    )
    p.row(260, [(50, "Omschrijving"), (-400, "Aantal"), (-470, "Prijs"), (-540, "Totaal")], bold=True)
    p.row(276, [(50, "Snoeiwerk"), (-400, "13"), (-470, "€ 65,00"), (-540, "€ 845,00")])
    p.sums(470, 540, 310, [("Subtotaal", "€ 845,00"), ("BTW 21%", "€ 177,45"), ("Totaal", "€ 1.022,45")])
    p.put(50, 780, "KvK 12345678 | BTW NL812345678B01 | IBAN NL91 ABNA 0417 1643 00", 7)
    return p.pdf()


@page(
    supplier_name="None|Kowalski Serwis Sp. z o.o.",
    supplier_vat_id="None|PL5261040828|5261040828",
    customer_name="None|Omega Trading Sp. z o.o.",
    invoice_number="FV/12/2024|None",
    issue_date="2024-11-05|None",
    due_date="2024-11-19|None",
    currency="PLN|None",
    net_amount="1000|None",
    tax_amount="230|None",
    total_amount="1230|None",
)
def polish() -> bytes:
    p = Sheet(A4, 9)
    p.put(50, 50, "Faktura VAT nr FV/12/2024", 14, bold=True)
    p.pairs(
        350,
        450,
        50,
        [("Data wystawienia:", "05.11.2024"), ("Data sprzedaży:", "31.10.2024"), ("Termin płatności:", "19.11.2024")],
    )
    p.put(50, 110, "Sprzedawca:", bold=True)
    p.lines(50, 124, "Kowalski Serwis Sp. z o.o.\nul. Prosta 1\n00-838 Warszawa\nNIP: PL5261040828")
    p.put(320, 110, "Nabywca:", bold=True)
    p.lines(320, 124, "Omega Trading Sp. z o.o.\nul. Krucza 5\n00-548 Warszawa\nNIP: PL1132191233")
    p.row(
        220,
        [
            (50, "Lp."),
            (80, "Nazwa"),
            (-300, "Ilość"),
            (-370, "Netto"),
            (-420, "VAT"),
            (-480, "Kwota VAT"),
            (-550, "Brutto"),
        ],
        bold=True,
    )
    p.row(
        236,
        [
            (50, "1"),
            (80, "Serwis"),
            (-300, "1"),
            (-370, "1 000,00"),
            (-420, "23%"),
            (-480, "230,00"),
            (-550, "1 230,00"),
        ],
    )
    p.row(260, [(80, "Razem"), (-370, "1 000,00"), (-480, "230,00"), (-550, "1 230,00")], bold=True)
    p.put(50, 300, "Do zapłaty: 1 230,00 PLN", 12, bold=True)
    return p.pdf()


@page(
    supplier_name="Hargreaves Plumbing Ltd",
    supplier_vat_id="GB 123 4567 89|GB123456789",
    customer_name="Oakfield Lettings Ltd",
    invoice_number="INV-2291",
    issue_date="2024-08-05",
    due_date="2024-09-04|None",
    currency="GBP",
    net_amount="640.00",
    tax_amount="128.00",
    total_amount="768.00",
)
def uk_cis() -> bytes:
    p = Sheet(A4, 9)
    p.put(50, 50, "Hargreaves Plumbing Ltd", 18, bold=True)
    p.lines(50, 68, "Unit 4, Mill Lane, Stockport SK1 3AA\nVAT Reg No: GB 123 4567 89    Company No: 07654321")
    p.put(450, 50, "INVOICE", 18, bold=True)
    p.put(50, 130, "Invoice To:", bold=True)
    p.lines(50, 143, "Oakfield Lettings Ltd\n27 Park Row\nLeeds LS1 5HD")
    p.pairs(
        370,
        460,
        130,
        [
            ("Invoice No", "INV-2291"),
            ("Invoice Date", "05/08/2024"),
            ("Due Date", "04/09/2024"),
            ("Your Ref", "PO 88123"),
        ],
    )
    p.row(230, [(50, "Description"), (-350, "Labour"), (-430, "Materials"), (-490, "VAT %"), (-550, "Net")], bold=True)
    p.row(246, [(50, "Boiler replacement"), (-350, "400.00"), (-430, "240.00"), (-490, "20"), (-550, "640.00")])
    y = 290
    for k, v in [
        ("Total Net", "£640.00"),
        ("Total VAT", "£128.00"),
        ("Gross Total", "£768.00"),
        ("Less CIS Deduction @ 20%", "-£80.00"),
        ("Amount Due", "£688.00"),
    ]:
        p.put(380, y, k)
        p.right(550, y, v)
        y += 14
    return p.pdf()


@page(
    supplier_name="None|Pinnacle Hardware",
    supplier_vat_id="None",
    customer_name="Greenleaf Gardens|None",
    invoice_number="100482",
    issue_date="2024-04-05|2024-05-04|None",
    due_date="2024-05-05|None",
    currency="USD|None",
    net_amount="309.50|295.50|284.50",
    tax_amount="22.76",
    total_amount="332.26|321.26|307.26",
)
def us_sales_tax() -> bytes:
    p = Sheet(LETTER, 10)
    p.put(50, 60, "Pinnacle Hardware", 20, bold=True)
    p.right(560, 60, "INVOICE", 24, bold=True)
    p.lines(50, 80, "400 Commerce Blvd.\nColumbus, OH 43215\n(614) 555-0188", 13)
    p.sums(470, 560, 85, [("INVOICE #", "100482"), ("DATE", "04/05/2024"), ("DUE DATE", "05/05/2024")])
    p.put(50, 150, "BILL TO", bold=True)
    p.lines(50, 164, "Greenleaf Gardens\n88 River Rd\nDublin, OH 43017", 13)
    p.put(300, 150, "SHIP TO", bold=True)
    p.lines(300, 164, "Greenleaf Gardens\nWarehouse B\nDublin, OH 43017", 13)
    p.row(240, [(50, "QTY"), (100, "DESCRIPTION"), (-470, "UNIT PRICE"), (-560, "LINE TOTAL")], bold=True)
    p.row(258, [(50, "10"), (100, "Rake"), (-470, "18.95"), (-560, "189.50")])
    p.row(274, [(50, "5"), (100, "Hose"), (-470, "24.00"), (-560, "120.00")])
    p.sums(
        470,
        560,
        310,
        [
            ("SUBTOTAL", "309.50"),
            ("DISCOUNT", "25.00"),
            ("SALES TAX 8%", "22.76"),
            ("SHIPPING", "14.00"),
            ("TOTAL", "$321.26"),
            ("DEPOSIT", "100.00"),
            ("BALANCE DUE", "$221.26"),
        ],
    )
    p.put(50, 460, "Make all checks payable to Pinnacle Hardware. Thank you for your business!")
    return p.pdf()


@page(
    supplier_name="Dr. Anna Wegner|None",
    supplier_vat_id="None",
    customer_name="None|Tobias Kern",
    invoice_number="24-1190|None",
    issue_date="2024-05-17",
    due_date="None|2024-06-16",
    currency="EUR",
    net_amount="None|186.51",
    tax_amount="None|0",
    total_amount="186.51",
)
def arzt() -> bytes:
    p = Sheet(A4, 10)
    p.right(540, 60, "Dr. med. Anna Wegner", 13, bold=True)
    p.right(540, 76, "Fachärztin für Innere Medizin", 9)
    p.right(540, 90, "Lindenallee 5, 10555 Berlin", 9)
    p.lines(60, 130, "Herrn\nTobias Kern\nTurmstr. 20\n10559 Berlin")
    p.right(540, 200, "Berlin, den 17.05.2024")
    p.put(60, 230, "Liquidation", 14, bold=True)
    p.put(60, 250, "Rechnungsnummer: 24-1190 (bitte bei Zahlung angeben)")
    p.put(60, 264, "Patient: Tobias Kern, geb. 12.03.1981")
    p.row(290, [(60, "Datum"), (130, "GOÄ"), (180, "Leistung"), (-430, "Faktor"), (-520, "Betrag €")], bold=True)
    for i, (d, g, w, f, b) in enumerate(
        [
            ("02.05.2024", "1", "Beratung", "2,3", "10,72"),
            ("02.05.2024", "7", "Untersuchung", "2,3", "21,45"),
            ("02.05.2024", "410", "Ultraschall", "2,3", "26,81"),
            ("13.05.2024", "651", "EKG", "1,8", "127,53"),
        ]
    ):
        p.row(306 + 14 * i, [(60, d), (130, g), (180, w), (-430, f), (-520, b)])
    p.row(372, [(180, "Gesamtbetrag"), (-520, "186,51")], bold=True)
    p.put(60, 400, "Bitte überweisen Sie den Betrag innerhalb von 30 Tagen auf das Konto DE12 1203 0000 1020 3040 50.")
    return p.pdf()


@page(
    supplier_name="Nordlys Design AS|None",
    supplier_vat_id="None",
    customer_name="None|Fjordbyen AS",
    invoice_number="1042|None",
    issue_date="2024-01-10|None",
    due_date="2024-01-24|None",
    currency="NOK|None",
    net_amount="8000|None",
    tax_amount="2000|None",
    total_amount="10000|None",
)
def norwegian() -> bytes:
    p = Sheet(A4, 9)
    p.put(50, 50, "Nordlys Design AS", 16, bold=True)
    p.put(50, 66, "Org.nr. 987 654 321 MVA")
    p.lines(50, 110, "Fjordbyen AS\nStrandgata 1\n0152 Oslo")
    p.put(350, 50, "Faktura", 16, bold=True)
    p.pairs(
        350,
        450,
        70,
        [("Fakturanr.", "1042"), ("Fakturadato", "10.01.2024"), ("Forfallsdato", "24.01.2024"), ("KID", "0001042003")],
    )
    p.sums(470, 550, 250, [("Netto", "8 000,00"), ("MVA 25 %", "2 000,00"), ("Å betale NOK", "10 000,00")])
    return p.pdf()


@page(
    supplier_name="Kestrel Freight Ltd|None",
    supplier_vat_id="GB987654321|None",
    customer_name="Ibex Outdoor GmbH",
    invoice_number="CN-00318",
    issue_date="2024-10-02",
    due_date="None",
    currency="GBP",
    net_amount="150.00|-150.00",
    tax_amount="30.00|-30.00",
    total_amount="180.00|-180.00",
)
def credit_uk() -> bytes:
    p = Sheet(A4, 9)
    p.put(50, 50, "Kestrel Freight Ltd", 14, bold=True)
    p.put(50, 66, "VAT No. GB987654321")
    p.put(400, 50, "CREDIT NOTE", 16, bold=True)
    p.put(50, 110, "Customer:")
    p.lines(50, 123, "Ibex Outdoor GmbH\nKanalstr. 7\n22085 Hamburg\nVAT No. DE143593636")
    p.pairs(
        380,
        480,
        110,
        [
            ("Credit Note:", "CN-00318"),
            ("Date:", "02/10/2024"),
            ("Against Invoice:", "INV-77120"),
            ("Invoice Date:", "14/09/2024"),
            ("Currency:", "GBP"),
        ],
    )
    p.row(220, [(50, "Reason"), (-550, "Amount")], bold=True)
    p.row(236, [(50, "Damaged in transit"), (-550, "150.00")])
    p.sums(480, 550, 270, [("Net", "150.00"), ("VAT @ 20.0%", "30.00"), ("Total Credit", "180.00")])
    return p.pdf()


@page(
    supplier_name="None|Café Mozart",
    supplier_vat_id="None|ATU66554433",
    customer_name="None",
    invoice_number="None|88341",
    issue_date="None|2024-12-03",
    due_date="None",
    currency="EUR|None",
    net_amount="None|31.67",
    tax_amount="None|4.03",
    total_amount="None|35.70",
)
def receipt_at() -> bytes:
    p = Sheet((226, 500), 8)
    p.middle(113, 30, "Café Mozart", 12)
    p.middle(113, 44, "Ringstr. 1, 1010 Wien")
    p.middle(113, 56, "UID: ATU66554433")
    p.put(10, 76, "Rechnung Nr. 88341")
    p.put(10, 88, "Datum 03.12.2024 14:22 Tisch 7")
    for i, (a, b) in enumerate([("2 Melange", "11,80"), ("1 Sachertorte", "7,90"), ("1 Frühstück", "16,00")]):
        p.row(110 + 12 * i, [(10, a), (-216, b)])
    p.row(155, [(10, "SUMME EUR"), (-216, "35,70")], 11)
    p.row(172, [(10, "Bar"), (-216, "50,00")])
    p.row(184, [(10, "Zurück"), (-216, "14,30")])
    p.row(204, [(10, "MwSt"), (-90, "Brutto"), (-150, "Netto"), (-216, "Steuer")])
    p.row(216, [(10, "10%"), (-90, "23,90"), (-150, "21,73"), (-216, "2,17")])
    p.row(228, [(10, "20%"), (-90, "11,80"), (-150, "9,83"), (-216, "1,97")])
    return p.pdf()


@page(
    supplier_name="Telvia S.A.|None",
    supplier_vat_id="ESA82018474|A82018474",
    customer_name="Lucía Ortega Ruiz|None",
    invoice_number="TA6C00918273",
    issue_date="2024-06-01",
    due_date="2024-06-06|None",
    currency="EUR",
    net_amount="41.32",
    tax_amount="8.68",
    total_amount="50.00",
)
def telco_es() -> bytes:
    p = Sheet(A4, 9)
    p.put(50, 50, "Telvia", 20, bold=True)
    p.put(50, 66, "Telvia S.A. - CIF A82018474 - Gran Vía 28, 28013 Madrid", 7)
    p.put(50, 110, "Titular")
    p.lines(50, 123, "Lucía Ortega Ruiz\nNIF 12345678Z\nC/ Real 3, 2ºB\n41001 Sevilla")
    p.pairs(
        330,
        450,
        110,
        [
            ("Nº de factura", "TA6C00918273"),
            ("Fecha de emisión", "1 de junio de 2024"),
            ("Periodo", "1 may. a 31 may. 2024"),
            ("Fecha de cargo", "6 de junio de 2024"),
            ("Total a pagar", "50,00 €"),
        ],
    )
    p.put(50, 230, "Resumen de tu factura", 12, bold=True)
    p.pairs(
        50,
        540,
        250,
        [
            ("Cuotas", "38,00 €"),
            ("Consumos", "3,32 €"),
            ("Total (base imponible)", "41,32 €"),
            ("IVA (21%)", "8,68 €"),
            ("Total a pagar (IVA incluido)", "50,00 €"),
        ],
        14,
        flush=True,
    )
    return p.pdf()


@page(
    supplier_name="None|Lumière Électrique SA",
    supplier_vat_id="FR12345678901|FR 12 345678901|None",
    customer_name="None|M. Paul Garnier",
    invoice_number="10 113 902 118|10113902118|None",
    issue_date="2024-01-18",
    due_date="2024-02-02",
    currency="EUR",
    net_amount="98.44",
    tax_amount="15.91",
    total_amount="114.35",
)
def edf() -> bytes:
    p = Sheet(A4, 9)
    p.put(50, 50, "Lumière Électrique", 18, bold=True)
    p.put(50, 90, "Vos références client", bold=True)
    p.pairs(50, 150, 104, [("N° client", "6 012 345 678"), ("N° de compte", "1 114 223 889")])
    p.lines(330, 110, "M. Paul Garnier\n5 rue Voltaire\n37000 Tours")
    p.put(50, 170, "Facture du 18/01/2024", 14, bold=True)
    p.put(50, 186, "n° 10 113 902 118")
    p.row(220, [(50, "Électricité (HT)"), (-500, "74,20 €")])
    p.row(234, [(50, "Abonnement (HT)"), (-500, "12,10 €")])
    p.row(248, [(50, "Taxes et contributions (HT)"), (-500, "12,14 €")])
    p.row(262, [(50, "Total hors TVA"), (-500, "98,44 €")], bold=True)
    p.row(276, [(50, "TVA 5,5 %"), (-500, "0,95 €")])
    p.row(290, [(50, "TVA 20 %"), (-500, "14,96 €")])
    p.row(306, [(50, "Facture TTC"), (-500, "114,35 €")], bold=True)
    p.row(322, [(50, "Solde antérieur"), (-500, "35,20 €")])
    p.row(338, [(50, "Montant total à payer avant le 02/02/2024"), (-500, "149,55 €")], bold=True)
    p.put(50, 790, "Lumière Électrique SA - RCS Paris 345 678 901 - N° TVA FR12345678901", 6.5)
    return p.pdf()


@page(
    supplier_name="None|Kaffeerösterei Blum e.K.",
    supplier_vat_id="DE301928374",
    customer_name="Sabine Roth|None",
    invoice_number="SHOP-48211",
    issue_date="2024-11-22",
    due_date="None",
    currency="EUR",
    net_amount="41.91|38.79|45.58",
    tax_amount="3.29",
    total_amount="45.20",
)
def webshop_gross() -> bytes:
    p = Sheet(A4, 9)
    p.put(50, 50, "Kaffeerösterei Blum", 18, bold=True)
    p.lines(50, 110, "Sabine Roth\nHauptstr. 4\n79098 Freiburg")
    p.pairs(
        350,
        460,
        110,
        [
            ("Rechnungsnummer:", "SHOP-48211"),
            ("Bestellnummer:", "48211"),
            ("Rechnungsdatum:", "22.11.2024"),
            ("Lieferdatum:", "23.11.2024"),
            ("Zahlart:", "PayPal"),
        ],
    )
    p.put(50, 190, "Rechnung", 16, bold=True)
    p.row(220, [(50, "Artikel"), (-350, "Menge"), (-430, "Einzelpreis"), (-540, "Gesamt")], bold=True)
    p.row(236, [(50, "Espresso 1 kg"), (-350, "2"), (-430, "19,90 €"), (-540, "39,80 €")])
    p.row(250, [(50, "Gutschein WILLKOMMEN"), (-350, "1"), (-430, "-1,00 €"), (-540, "-1,00 €")])
    for i, (k, v) in enumerate(
        [
            ("Zwischensumme", "38,80 €"),
            ("Versandkosten", "4,90 €"),
            ("Nachnahme", "1,50 €"),
            ("Gesamtsumme", "45,20 €"),
            ("Nettosumme", "41,91 €"),
            ("inkl. 7% MwSt.", "2,47 €"),
            ("inkl. 19% MwSt.", "0,82 €"),
        ]
    ):
        p.row(280 + 14 * i, [(350, k), (-540, v)])
    p.put(50, 420, "Der Rechnungsbetrag wurde bereits per PayPal bezahlt.")
    p.put(50, 790, "Kaffeerösterei Blum e.K. · Inh. F. Blum · Umsatzsteuer-ID: DE301928374", 7)
    return p.pdf()


@page(
    customer_name="Harbour Fitout Pty Ltd",
    supplier_name="Coastal Glass Pty Ltd",
    invoice_number="AN-0055",
    issue_date="2024-05-20",
    currency="AUD|None",
    net_amount="100|-100",
    tax_amount="10|-10",
    total_amount="110|-110",
)
def au_adjustment() -> bytes:
    p = Sheet(A4)
    p.put(50, 50, "Coastal Glass Pty Ltd", 16, bold=True)
    p.put(50, 66, "ABN 51 824 753 556")
    p.put(380, 50, "ADJUSTMENT NOTE", 16, bold=True)
    p.put(50, 110, "Bill To:", bold=True)
    p.lines(50, 123, "Harbour Fitout Pty Ltd\n2 Wharf Rd\nSydney NSW 2000")
    p.pairs(
        350,
        470,
        110,
        [
            ("Adjustment Note No:", "AN-0055"),
            ("Adjustment Date:", "20 May 2024"),
            ("Tax Invoice No:", "INV-1188"),
            ("Tax Invoice Date:", "2 May 2024"),
        ],
    )
    item(p, 230, "Returned panel", "100.00")
    totals(p, 270, [("Subtotal", "$100.00"), ("GST 10%", "$10.00"), ("Total", "$110.00")])
    return p.pdf()


@page(
    supplier_name="Brasserie du Nord SA",
    customer_name="Café Central SPRL",
    invoice_number="NC-2024-012",
    issue_date="2024-06-14",
    currency="EUR",
    net_amount="200|-200",
    tax_amount="42|-42",
    total_amount="242|-242",
    supplier_vat_id="BE0403170701",
)
def be_note_credit() -> bytes:
    p = Sheet(A4)
    p.put(50, 50, "Brasserie du Nord SA", 16, bold=True)
    p.lines(50, 66, "Quai des Usines 10, 1000 Bruxelles\nTVA : BE0403170701")
    p.put(380, 50, "NOTE DE CRÉDIT", 16, bold=True)
    p.put(350, 110, "Client :", bold=True)
    p.lines(350, 123, "Café Central SPRL\nGrand-Place 4\n7000 Mons")
    p.pairs(
        50,
        170,
        110,
        [
            ("Note de crédit n° :", "NC-2024-012"),
            ("Établie le :", "14/06/2024"),
            ("Facture n° :", "F-2024-341"),
            ("Date de facture :", "28/05/2024"),
        ],
    )
    item(p, 230, "Retour fûts", "200,00")
    totals(p, 270, [("Total HTVA", "200,00 €"), ("TVA 21 %", "42,00 €"), ("Total TVAC", "242,00 €")])
    return p.pdf()


@page(
    supplier_name="Tischlerei Kruse GmbH|None",
    customer_name="Familie Otto|None",
    invoice_number="SR-2024-5",
    issue_date="2024-09-30",
    currency="EUR",
    net_amount="10000",
    tax_amount="1900",
    total_amount="11900",
    due_date="2024-10-14",
)
def schluss_table() -> bytes:
    p = Sheet(A4)
    p.put(50, 50, "Tischlerei Kruse GmbH", 16, bold=True)
    p.lines(50, 110, "Familie Otto\nWaldweg 3\n29221 Celle")
    p.put(400, 150, "Celle, 30.09.2024")
    p.put(50, 190, "Schlussrechnung Nr. SR-2024-5", 14, bold=True)
    item(p, 220, "Innenausbau lt. Angebot", "10.000,00")
    totals(
        p, 240, [("Summe netto", "10.000,00 €"), ("19 % MwSt.", "1.900,00 €"), ("Rechnungssumme brutto", "11.900,00 €")]
    )
    p.put(50, 310, "Bereits gestellte Abschlagsrechnungen:", bold=True)
    p.row(328, [(50, "Rechnungs-Nr."), (170, "Rechnungsdatum"), (300, "Betrag")])
    p.row(341, [(50, "AR-2024-2"), (170, "15.07.2024"), (300, "5.950,00 €")])
    p.put(50, 380, "Restzahlung fällig am 14.10.2024: 5.950,00 €")
    return p.pdf()


@page(
    supplier_name="Küchen Aigner GmbH",
    customer_name="Petra Vogel|None",
    invoice_number="2024-A-118",
    issue_date="2024-02-12",
    currency="EUR",
    net_amount="3000",
    tax_amount="570",
    total_amount="3570",
)
def anzahlung() -> bytes:
    p = Sheet(A4)
    p.put(50, 50, "Küchen Aigner GmbH", 16, bold=True)
    p.put(50, 110, "Küchen Aigner GmbH · Ring 4 · 93047 Regensburg", 6.5)
    p.lines(50, 126, "Petra Vogel\nDonaustr. 8\n93059 Regensburg")
    p.pairs(380, 480, 126, [("Rechnungsnr.:", "2024-A-118"), ("Rechnungsdatum:", "12.02.2024")])
    p.put(50, 200, "Anzahlungsrechnung", 14, bold=True)
    item(p, 230, 'Einbauküche "Lugano" lt. Auftrag 8812', "10.000,00")
    totals(
        p,
        260,
        [
            ("Nettobetrag", "10.000,00 €"),
            ("19 % MwSt.", "1.900,00 €"),
            ("Gesamtbetrag", "11.900,00 €"),
            ("Anzahlung 30 %", "3.570,00 €"),
        ],
    )
    p.put(50, 340, "Bitte überweisen Sie die Anzahlung innerhalb von 7 Tagen. Der Rest ist bei Lieferung zu zahlen.")
    return p.pdf()


@page(
    supplier_name="Willow Events Ltd|None",
    customer_name="Marlow Books Ltd",
    invoice_number="WE-204",
    issue_date="2024-03-18",
    currency="GBP",
    net_amount="1000|2000",
    tax_amount="200|400",
    total_amount="1200",
)
def deposit_uk() -> bytes:
    p = Sheet(A4)
    p.put(50, 50, "Willow Events Ltd", 16, bold=True)
    p.put(400, 50, "DEPOSIT INVOICE", 16, bold=True)
    p.put(50, 110, "Bill to:", bold=True)
    p.lines(50, 123, "Marlow Books Ltd\n3 High St\nMarlow")
    p.pairs(
        380, 480, 110, [("Invoice No:", "WE-204"), ("Invoice date:", "18 March 2024"), ("Event date:", "14 June 2024")]
    )
    item(p, 230, "Summer party, marquee and catering", "2,000.00")
    totals(
        p,
        260,
        [("Subtotal", "£2,000.00"), ("VAT @ 20%", "£400.00"), ("Total", "£2,400.00"), ("Deposit (50%)", "£1,200.00")],
    )
    p.put(50, 340, "Please pay the deposit now to secure your date. The remainder is invoiced after the event.")
    return p.pdf()


@page(
    supplier_name="Beacon Supplies Ltd",
    customer_name="Tern Hotels Ltd",
    invoice_number="88120",
    issue_date="2024-05-01",
    due_date="2024-05-31",
    currency="GBP",
    net_amount="500",
    tax_amount="100",
    total_amount="600",
)
def pay_by_discount() -> bytes:
    p = Sheet(A4)
    p.put(50, 50, "Beacon Supplies Ltd", 16, bold=True)
    p.put(420, 50, "Invoice", 16, bold=True)
    p.put(50, 110, "Invoice to:", bold=True)
    p.lines(50, 123, "Tern Hotels Ltd\nSea Road\nBrighton")
    p.pairs(380, 480, 110, [("Invoice No:", "88120"), ("Invoice date:", "1 May 2024"), ("Terms:", "30 days net")])
    item(p, 230, "Linen", "500.00")
    totals(p, 260, [("Net", "£500.00"), ("VAT 20%", "£100.00"), ("Total", "£600.00")])
    p.put(50, 340, "Pay by 11 May 2024")
    p.put(50, 352, "and deduct 2.5% settlement discount (£12.50).")
    return p.pdf()


@page(
    supplier_name="Farmalab S.r.l.",
    supplier_vat_id="01234567890|IT01234567890",
    customer_name="Farmacia Conti S.n.c.",
    invoice_number="1187",
    issue_date="2024-04-03",
    currency="EUR",
    net_amount="250",
    tax_amount="25",
    total_amount="275",
)
def it_lotto() -> bytes:
    p = Sheet(A4)
    p.put(50, 50, "Farmalab S.r.l.", 16, bold=True)
    p.lines(50, 66, "Via Po 4, 10123 Torino\nP.IVA 01234567890")
    p.put(350, 100, "Spett.le")
    p.lines(350, 113, "Farmacia Conti S.n.c.\nVia Roma 1\n10121 Torino")
    p.put(50, 170, "Fattura n. 1187 del 03/04/2024", 12, bold=True)
    p.row(
        210,
        [(50, "Codice"), (110, "Descrizione"), (300, "Lotto"), (370, "Scadenza"), (440, "Q.tà"), (500, "Importo")],
        bold=True,
    )
    p.row(
        224,
        [(50, "A100"), (110, "Paracetamolo 500"), (300, "L2231"), (370, "30/11/2026"), (440, "100"), (500, "250,00")],
    )
    totals(p, 270, [("Imponibile", "€ 250,00"), ("IVA 10%", "€ 25,00"), ("Totale fattura", "€ 275,00")])
    return p.pdf()


@page(
    supplier_name="Transports Morel SARL|None",
    supplier_vat_id="FR83404833048|None",
    customer_name="Vins Delmas SAS|None",
    invoice_number="T24-0912",
    issue_date="2024-07-08",
    due_date="2024-08-07",
    currency="EUR",
    net_amount="480",
    tax_amount="96",
    total_amount="576",
)
def transport_fr() -> bytes:
    p = Sheet(A4)
    p.put(50, 50, "Transports Morel SARL", 16, bold=True)
    p.put(50, 66, "N° TVA : FR83404833048")
    p.lines(350, 100, "Vins Delmas SAS\n8 quai des Chartrons\n33000 Bordeaux")
    p.put(50, 160, "FACTURE", 14, bold=True)
    p.pairs(
        50, 150, 176, [("Facture n° :", "T24-0912"), ("Date de facture :", "08/07/2024"), ("Échéance :", "07/08/2024")]
    )
    p.put(50, 230, "Expéditeur :", bold=True)
    p.lines(50, 243, "Vins Delmas SAS\nBordeaux")
    p.put(300, 230, "Destinataire :", bold=True)
    p.lines(300, 243, "Caves Lambert SA\n12 rue de Rome\n75008 Paris")
    item(p, 300, "Transport 4 palettes", "480,00")
    totals(p, 330, [("Total HT", "480,00 €"), ("TVA 20 %", "96,00 €"), ("Total TTC", "576,00 €")])
    return p.pdf()


@page(
    supplier_name="Maasvlakte Logistics B.V.|None",
    customer_name="Stahlwerk Ruhr AG|None",
    invoice_number="ML-4471",
    issue_date="2024-02-06",
    currency="EUR",
    net_amount="1500|None",
    tax_amount="0|None",
    total_amount="1500",
)
def freight_from_to() -> bytes:
    p = Sheet(A4)
    p.put(50, 50, "Maasvlakte Logistics", 18, bold=True)
    p.lines(350, 100, "Stahlwerk Ruhr AG\nHüttenstr. 1\n47137 Duisburg")
    p.put(50, 160, "INVOICE", 14, bold=True)
    p.pairs(50, 150, 176, [("Invoice No:", "ML-4471"), ("Invoice date:", "6 February 2024"), ("Shipment:", "Barge 7")])
    p.put(50, 230, "From:", bold=True)
    p.lines(50, 243, "Rotterdam Bulk Terminal B.V.\nRotterdam")
    p.put(300, 230, "To:", bold=True)
    p.lines(300, 243, "Duisburg Hafen AG\nDuisburg")
    item(p, 300, "Freight as agreed", "1,500.00")
    totals(p, 330, [("Total EUR", "1,500.00")])
    return p.pdf()


@page(
    customer_name="Mediaplan Nord GmbH",
    supplier_name="Lichtblick Film GmbH|None",
    invoice_number="LF-2024-33",
    issue_date="2024-05-06",
    due_date="2024-06-05",
    currency="EUR",
    net_amount="8000",
    tax_amount="1520",
    total_amount="9520",
)
def agency_kunde() -> bytes:
    p = Sheet(A4)
    p.put(50, 50, "Lichtblick Film", 18, bold=True)
    p.put(50, 110, "Lichtblick Film GmbH · Elbufer 9 · 20457 Hamburg", 6.5)
    p.lines(50, 126, "Mediaplan Nord GmbH\nAlsterweg 1\n20354 Hamburg")
    p.pairs(
        350,
        450,
        126,
        [("Rechnungsnummer:", "LF-2024-33"), ("Rechnungsdatum:", "06.05.2024"), ("Fällig am:", "05.06.2024")],
    )
    p.put(50, 200, "Rechnung", 14, bold=True)
    p.pairs(50, 120, 220, [("Kunde:", "Alpina Motoren AG"), ("Projekt:", "TV-Spot Frühjahr")])
    item(p, 270, "Produktion TV-Spot", "8.000,00")
    totals(p, 300, [("Nettobetrag", "8.000,00 €"), ("19 % USt.", "1.520,00 €"), ("Gesamtbetrag", "9.520,00 €")])
    return p.pdf()


@page(
    customer_name="Hill Farm Ltd",
    supplier_name="Dales Heating Ltd",
    supplier_vat_id="GB123456789",
    invoice_number="5521",
    issue_date="2024-10-21",
    currency="GBP",
    net_amount="300",
    tax_amount="60",
    total_amount="360",
)
def logo_image() -> bytes:
    p = Sheet(A4)
    p.canvas.setFillGray(0.5)
    p.canvas.rect(50, p.height - 80, 160, 50, fill=1, stroke=0)
    p.canvas.setFillGray(0)
    p.lines(
        300,
        45,
        "Unit 7 Station Yard, Settle BD24\n01729 555 0100 · office@dalesheating.example\nAuthorised service partner of Worcester Boilers Ltd",
    )
    p.put(50, 130, "INVOICE", 16, bold=True)
    p.put(50, 160, "Bill to:", bold=True)
    p.lines(50, 173, "Hill Farm Ltd\nMalham\nBD23 4DA")
    p.pairs(380, 480, 160, [("Invoice No:", "5521"), ("Invoice date:", "21 October 2024")])
    item(p, 250, "Boiler service", "300.00")
    totals(p, 280, [("Net", "£300.00"), ("VAT 20%", "£60.00"), ("Total", "£360.00")])
    p.put(50, 790, "Registered in England. VAT Reg No. GB123456789", 7)
    return p.pdf()


@page(
    customer_name="Seehotel Bader GmbH|None",
    supplier_name="Wäscherei Frisch GmbH",
    invoice_number="77121",
    issue_date="2024-01-31",
    currency="EUR",
    net_amount="400",
    tax_amount="76",
    total_amount="476",
)
def sender_street() -> bytes:
    p = Sheet(A4)
    p.put(50, 110, "Abs.: Wäscherei Frisch GmbH, Seestr. 14 | 88131 Lindau | Tel. 08382 1234", 6.5)
    p.lines(50, 126, "Seehotel Bader GmbH\nUferweg 1\n88131 Lindau")
    p.pairs(380, 480, 126, [("Rechnungsnr.:", "77121"), ("Rechnungsdatum:", "31.01.2024")])
    p.put(50, 200, "Rechnung", 14, bold=True)
    item(p, 230, "Wäsche Januar", "400,00")
    totals(p, 260, [("Netto", "400,00 €"), ("19 % MwSt.", "76,00 €"), ("Gesamtbetrag", "476,00 €")])
    return p.pdf()


@page(
    customer_name="M. Luc Faure|None",
    supplier_name="Fibra Télécom SA|None",
    invoice_number="FT-0088123",
    issue_date="2024-01-15",
    due_date="2024-01-30",
    currency="EUR",
    net_amount="24.99",
    tax_amount="5.00",
    total_amount="29.99",
)
def telecom_fr() -> bytes:
    p = Sheet(A4)
    p.put(50, 50, "Fibra Télécom", 18, bold=True)
    p.lines(350, 100, "M. Luc Faure\n4 rue Neuve\n59000 Lille")
    p.put(50, 130, "Votre facture", 14, bold=True)
    p.pairs(50, 150, 150, [("N° facture :", "FT-0088123"), ("Date :", "15/01/2024"), ("Échéance :", "30/01/2024")])
    p.put(50, 220, "Situation de votre compte", bold=True)
    p.pairs(50, 400, 236, [("Facture du 15/12/2023", "29,99 €"), ("Paiement reçu, merci", "-29,99 €")])
    p.put(50, 290, "Cette facture", bold=True)
    p.pairs(50, 400, 306, [("Total HT", "24,99 €"), ("TVA 20 %", "5,00 €"), ("Total TTC", "29,99 €")])
    return p.pdf()


@page(
    customer_name="Duna Travel Kft.|None",
    supplier_name="Budai Print Kft.|None",
    invoice_number="BP-2024/331",
    issue_date="2024-08-09",
    due_date="2024-08-23",
    currency="HUF",
    net_amount="100000",
    tax_amount="27000",
    total_amount="127000",
)
def hungary() -> bytes:
    p = Sheet(A4)
    p.put(50, 50, "Budai Print Kft.", 16, bold=True)
    p.put(400, 50, "INVOICE / SZÁMLA", 14, bold=True)
    p.put(50, 100, "Customer:", bold=True)
    p.lines(50, 113, "Duna Travel Kft.\nFő u. 2\n1011 Budapest")
    p.pairs(
        350, 450, 100, [("Invoice No:", "BP-2024/331"), ("Invoice date:", "2024.08.09."), ("Due date:", "2024.08.23.")]
    )
    item(p, 200, "Leaflets 10.000 pcs", "100 000 Ft")
    totals(p, 230, [("Net", "100 000 Ft"), ("VAT 27%", "27 000 Ft"), ("Total", "127 000 Ft")])
    p.put(
        50,
        300,
        "For payment in euro: 321.52 EUR (1 EUR = 395.00 Ft, MNB). Bank charges up to 5 EUR are borne by the payer.",
    )
    return p.pdf()


@page(
    customer_name="Northern Timber Inc.",
    supplier_name="Lakeside Rail Ltd.|None",
    invoice_number="6610",
    issue_date="2024-05-03",
    due_date="2024-06-02",
    currency="CAD|None",
    net_amount="700",
    tax_amount="35",
    total_amount="735",
)
def canada_yy() -> bytes:
    p = Sheet(LETTER)
    p.put(50, 50, "Lakeside Rail Ltd.", 16, bold=True)
    p.put(450, 50, "INVOICE", 14, bold=True)
    p.put(50, 100, "Bill to:", bold=True)
    p.lines(50, 113, "Northern Timber Inc.\nThunder Bay ON")
    p.pairs(350, 450, 100, [("Invoice #", "6610"), ("Date", "24/05/03"), ("Due date", "24/06/02")])
    item(p, 200, "Siding rent", "700.00")
    totals(p, 230, [("Subtotal", "$700.00"), ("GST 5%", "$35.00"), ("Total", "$735.00")])
    return p.pdf()


@page(
    customer_name="Stadt Bergheim|None",
    supplier_name="Reinwerk GmbH",
    invoice_number="240911",
    issue_date="2024-11-30",
    due_date="2024-12-30",
    currency="EUR",
    net_amount="24000",
    tax_amount="4560",
    total_amount="28560",
)
def eleven_pages() -> bytes:
    p = Sheet(A4)
    for n in range(12):
        if n == 0:
            p.put(50, 50, "Reinwerk GmbH", 16, bold=True)
            p.put(50, 110, "Reinwerk GmbH · Erftstr. 2 · 50126 Bergheim", 6.5)
            p.lines(50, 126, "Stadt Bergheim\nBethlehemer Str. 9\n50126 Bergheim")
            p.pairs(
                380,
                480,
                126,
                [("Rechnungsnr.:", "240911"), ("Rechnungsdatum:", "30.11.2024"), ("Fällig am:", "30.12.2024")],
            )
            p.put(50, 200, "Rechnung", 14, bold=True)
        p.put(50, 230, f"Objekt {n // 6 + 1}: " + ("Rathaus" if n < 6 else "Schule"), bold=True)
        for i in range(30):
            p.row(250 + 15 * i, [(50, f"{i + 1}"), (80, f"Unterhaltsreinigung Raum {n}.{i:02}"), (-550, "")])
        if n == 5:
            totals(p, 730, [("Netto", "10.000,00 €"), ("19 % MwSt.", "1.900,00 €"), ("Gesamtbetrag", "11.900,00 €")])
        if n == 11:
            totals(
                p,
                730,
                [
                    ("Summe Objekt 2", "14.000,00 €"),
                    ("Netto", "24.000,00 €"),
                    ("19 % MwSt.", "4.560,00 €"),
                    ("Gesamtbetrag", "28.560,00 €"),
                ],
            )
        p.turn_over()
    p.put(50, 50, "Anlage")
    return p.pdf()


@page(
    customer_name="None",
    supplier_name="None|Aral Tankstelle Weber",
    invoice_number="9921|None",
    issue_date="2024-06-21|None",
    currency="EUR",
    net_amount="50.42|None",
    tax_amount="9.58|None",
    total_amount="60|None",
)
def tank() -> bytes:
    p = Sheet((226, 520), 8)
    p.middle(113, 30, "Tankstelle Weber", 11)
    p.middle(113, 44, "B1, 59494 Soest")
    p.middle(113, 60, "Rechnung", 10)
    p.put(10, 80, "Bon-Nr. 9921")
    p.put(10, 92, "21.06.2024 08:14")
    p.row(112, [(10, "Super E10 34,11 l"), (-216, "60,00")])
    p.row(130, [(10, "Gesamtbetrag EUR"), (-216, "60,00")])
    p.row(144, [(10, "Netto"), (-216, "50,42")])
    p.row(156, [(10, "MwSt 19%"), (-216, "9,58")])
    p.middle(113, 180, "* * Kundenbeleg * *")
    p.row(196, [(10, "Terminal-ID"), (-216, "54123377")])
    p.row(208, [(10, "Beleg-Nr."), (-216, "0417")])
    p.row(220, [(10, "Datum"), (-216, "21.06.2024")])
    p.row(232, [(10, "Betrag"), (-216, "60,00 EUR")])
    return p.pdf()


@page(
    customer_name="Glarus Bau AG|None",
    supplier_name="Keller Gerüste AG|None",
    supplier_vat_id="CHE-123.456.789 MWST|CHE-123.456.789|None",
    invoice_number="RG-1182",
    issue_date="2024-04-12",
    due_date="2024-05-12",
    currency="CHF",
    net_amount="4500",
    tax_amount="364.50",
    total_amount="4864.50",
)
def swiss_order_date() -> bytes:
    p = Sheet(A4)
    p.put(50, 50, "Keller Gerüste AG", 16, bold=True)
    p.lines(350, 100, "Glarus Bau AG\nLandstr. 3\n8750 Glarus")
    p.put(50, 150, "Rechnung vom 12. April 2024", 12, bold=True)
    p.pairs(50, 150, 170, [("Rechnungsnr.:", "RG-1182"), ("Zahlbar bis:", "12.05.2024")])
    p.put(330, 156, "Ihre Bestellung", bold=True)
    p.pairs(330, 400, 170, [("Nr.", "B-881"), ("Datum", "02.04.2024")])
    item(p, 230, "Gerüstmiete", "4'500.00")
    totals(p, 260, [("Zwischentotal", "4'500.00"), ("MWST 8.1 %", "364.50"), ("Total CHF", "4'864.50")])
    p.put(50, 790, "CHE-123.456.789 MWST", 7)
    return p.pdf()


@page(
    customer_name="Quiet Office LLC|None",
    supplier_name="Rosie's Bistro|None",
    invoice_number="40112",
    issue_date="2024-09-13",
    currency="USD|None",
    net_amount="50|None",
    tax_amount="4|None",
    total_amount="64",
)
def restaurant_tip() -> bytes:
    p = Sheet(LETTER)
    p.put(50, 50, "Rosie's Bistro", 16, bold=True)
    p.put(450, 50, "INVOICE", 14, bold=True)
    p.pairs(350, 450, 80, [("Invoice #", "40112"), ("Invoice Date", "09/13/2024")])
    p.put(50, 100, "Bill to")
    p.put(50, 113, "Quiet Office LLC")
    item(p, 200, "Lunch catering", "50.00")
    totals(
        p,
        230,
        [
            ("Subtotal", "$50.00"),
            ("Sales Tax 8%", "$4.00"),
            ("Total", "$54.00"),
            ("Gratuity", "$10.00"),
            ("Amount paid", "$64.00"),
        ],
    )
    return p.pdf()


@page(customer_name="Lars Holm|None", supplier_name="None", invoice_number="None|RMA-77", issue_date="None|2024-03-20")
def return_form() -> bytes:
    p = Sheet(A4)
    p.put(50, 50, "Return form", 18, bold=True)
    p.put(50, 70, "Trend Sport GmbH, Returns, 97424 Schweinfurt")
    p.pairs(
        50,
        160,
        110,
        [
            ("RMA number:", "RMA-77"),
            ("Invoice number:", "TS-99182"),
            ("Invoice date:", "1 March 2024"),
            ("Customer:", "Holm Sport AB"),
            ("Form date:", "20 March 2024"),
            ("VAT ID:", "SE556677889901"),
        ],
    )
    p.put(50, 220, "Reason: wrong size")
    totals(p, 250, [("Net", "100.00 EUR"), ("VAT 25%", "25.00 EUR"), ("Total", "125.00 EUR")])
    return p.pdf()


@page(
    customer_name="Bergmann & Co. KG",
    supplier_name="Nordic Data Oy",
    invoice_number="CI-2201",
    issue_date="2024-09-02",
    currency="EUR",
    net_amount="80|-80",
    tax_amount="0|None",
    total_amount="80|-80",
)
def credit_invoice() -> bytes:
    p = Sheet(A4)
    p.put(50, 50, "Nordic Data Oy", 16, bold=True)
    p.put(400, 50, "CREDIT INVOICE", 14, bold=True)
    p.put(50, 100, "Customer:", bold=True)
    p.lines(50, 113, "Bergmann & Co. KG\nHafen 2\n24103 Kiel")
    p.pairs(
        350,
        460,
        100,
        [
            ("Credit invoice:", "CI-2201"),
            ("Document date:", "2 September 2024"),
            ("Invoice no:", "IN-1945"),
            ("Invoice date:", "20 August 2024"),
        ],
    )
    item(p, 200, "Refund licence", "-80.00")
    totals(p, 230, [("Net", "-80.00 EUR"), ("VAT 0%", "0.00 EUR"), ("Total", "-80.00 EUR")])
    return p.pdf()


@page(
    customer_name="Oasis SA de CV",
    supplier_name="Plomería Ruiz SA de CV|None",
    invoice_number="A-331|331",
    issue_date="2024-03-09",
    currency="MXN|None",
    net_amount="1000",
    tax_amount="160",
    total_amount="1160",
    supplier_vat_id="PRU100203AB1",
)
def mx() -> bytes:
    p = Sheet(LETTER)
    p.put(50, 50, "Plomería Ruiz SA de CV", 14, bold=True)
    p.put(50, 64, "RFC: PRU100203AB1")
    p.put(420, 50, "FACTURA", 14, bold=True)
    p.pairs(400, 470, 66, [("Folio:", "331"), ("Serie:", "A"), ("Fecha:", "09/03/2024 11:20:05")])
    p.put(50, 110, "Receptor:")
    p.lines(50, 123, "Oasis SA de CV\nRFC: OAS990101XX0\nUso CFDI: G03")
    item(p, 220, "Reparación", "1,000.00")
    totals(p, 250, [("Subtotal", "$1,000.00"), ("IVA 16%", "$160.00"), ("Total", "$1,160.00")])
    return p.pdf()


@page(
    customer_name="Mediaplan Nord GmbH|None",
    supplier_name="Lichtblick Film GmbH|None",
    invoice_number="LF-2024-33",
    issue_date="2024-05-06",
    currency="EUR",
    net_amount="8000",
    tax_amount="1520",
    total_amount="9520",
)
def agency_kunde2() -> bytes:
    p = Sheet(A4)
    p.put(50, 50, "Lichtblick Film", 18, bold=True)
    p.put(50, 110, "Lichtblick Film GmbH · Elbufer 9 · 20457 Hamburg", 6.5)
    p.lines(50, 126, "Mediaplan Nord GmbH\nAlsterweg 1\n20354 Hamburg")
    p.pairs(350, 450, 126, [("Rechnungsnummer:", "LF-2024-33"), ("Rechnungsdatum:", "06.05.2024")])
    p.put(50, 200, "Rechnung", 14, bold=True)
    p.put(50, 225, "Projekt: TV-Spot Frühjahr")
    p.put(50, 238, "Kunde: Alpina Motoren AG")
    item(p, 270, "Produktion TV-Spot", "8.000,00")
    totals(p, 300, [("Nettobetrag", "8.000,00 €"), ("19 % USt.", "1.520,00 €"), ("Gesamtbetrag", "9.520,00 €")])
    return p.pdf()


@page(
    customer_name="Lyon Textiles SARL",
    supplier_name="Pixelworks Ltd",
    supplier_vat_id="GB444555666",
    invoice_number="PW-118",
    issue_date="2024-02-27",
    currency="EUR",
    net_amount="900",
    tax_amount="0|None",
    total_amount="900",
)
def reverse_note() -> bytes:
    p = Sheet(A4)
    p.put(50, 50, "Pixelworks Ltd", 16, bold=True)
    p.put(50, 66, "9 Dock St, Bristol BS1 · Company no. 0991122 · VAT GB444555666", 8)
    p.put(450, 50, "Invoice", 14, bold=True)
    p.put(50, 100, "Bill to:", bold=True)
    p.lines(50, 113, "Lyon Textiles SARL\n3 rue Mercière\n69002 Lyon")
    p.pairs(350, 450, 100, [("Invoice number:", "PW-118"), ("Invoice date:", "27 February 2024")])
    item(p, 200, "Design", "900.00")
    totals(p, 240, [("Subtotal", "€900.00"), ("VAT (reverse charge)", "€0.00"), ("Total", "€900.00")])
    p.put(50, 760, "Reverse charge: the customer accounts for VAT under Article 196.", 8)
    p.put(50, 772, "VAT ID: FR40303265045", 8)
    return p.pdf()


@page(
    customer_name="Sofia Trade EOOD|None",
    supplier_name="Rila Print EOOD|None",
    invoice_number="0000004411",
    issue_date="2025-09-01",
    currency="BGN",
    net_amount="195.58",
    tax_amount="39.12",
    total_amount="234.70",
)
def bulgaria() -> bytes:
    p = Sheet(A4)
    p.put(50, 50, "Rila Print EOOD", 16, bold=True)
    p.put(400, 50, "INVOICE", 14, bold=True)
    p.pairs(350, 450, 80, [("Invoice No:", "0000004411"), ("Invoice date:", "01.09.2025")])
    p.put(50, 80, "Customer: Sofia Trade EOOD")
    item(p, 200, "Posters", "195.58 лв.")
    totals(
        p,
        230,
        [("Net", "195.58 лв. / 100.00 €"), ("VAT 20%", "39.12 лв. / 20.00 €"), ("Total", "234.70 лв. / 120.00 €")],
    )
    return p.pdf()


@page(
    customer_name="Crown Estates Ltd",
    supplier_name="Bolt & Beam Ltd|None",
    invoice_number="77",
    issue_date="2024-06-30",
    currency="GBP",
    net_amount="None|5000",
    tax_amount="None|1000",
    total_amount="6000",
)
def progress() -> bytes:
    p = Sheet(A4)
    p.put(50, 50, "Bolt & Beam Ltd", 16, bold=True)
    p.put(400, 50, "INVOICE", 14, bold=True)
    p.pairs(350, 450, 80, [("Invoice No:", "77"), ("Invoice date:", "30 June 2024")])
    p.put(50, 80, "Bill to:", bold=True)
    p.lines(50, 93, "Crown Estates Ltd\nLondon")
    p.put(50, 150, "Stage 2 of 4: 25% of the contract sum, due with this invoice: £6,000.00", 11, bold=True)
    p.put(50, 190, "Contract sum", bold=True)
    totals(p, 210, [("Net", "£20,000.00"), ("VAT 20%", "£4,000.00"), ("Total", "£24,000.00")])
    return p.pdf()


@page(
    customer_name="Hotel Caribe Inc.|None",
    supplier_name="Lavandería Borinquen Inc.|None",
    invoice_number="4410",
    issue_date="2024-03-04",
    currency="USD|None",
    net_amount="100",
    tax_amount="11.50",
    total_amount="111.50",
)
def puerto_rico() -> bytes:
    p = Sheet(LETTER)
    p.put(50, 50, "Lavandería Borinquen Inc.", 16, bold=True)
    p.lines(50, 66, "Ave. Ponce de León 100\nSan Juan, PR 00907")
    p.put(450, 50, "FACTURA", 14, bold=True)
    p.pairs(350, 450, 80, [("Factura Núm.:", "4410"), ("Fecha:", "03/04/2024")])
    p.put(50, 120, "Cliente:")
    p.put(50, 133, "Hotel Caribe Inc.")
    item(p, 200, "Sábanas", "100.00")
    totals(p, 230, [("Subtotal", "$100.00"), ("IVU 11.5%", "$11.50"), ("Total", "$111.50")])
    return p.pdf()


@page(
    customer_name="Ellis Travel Ltd",
    supplier_name="None|Grand Pier Hotel",
    invoice_number="IN-5512",
    issue_date="2024-05-19",
    currency="GBP",
    net_amount="200",
    tax_amount="40",
    total_amount="240",
)
def folio_hotel() -> bytes:
    p = Sheet(A4)
    p.put(50, 50, "Grand Pier Hotel", 18, bold=True)
    p.put(420, 50, "INVOICE", 14, bold=True)
    p.put(50, 100, "Bill to:")
    p.lines(50, 113, "Ellis Travel Ltd\nLeeds")
    p.pairs(
        350,
        450,
        100,
        [("Invoice:", "IN-5512"), ("Folio:", "88123"), ("Arrival:", "17 May 2024"), ("Invoice date:", "19 May 2024")],
    )
    item(p, 200, "Room 2 nights", "200.00")
    totals(p, 230, [("Net", "£200.00"), ("VAT 20%", "£40.00"), ("Total", "£240.00")])
    return p.pdf()


@page(
    customer_name="Opal Retail Ltd",
    supplier_name="None|Vantage Media Ltd",
    invoice_number="VM2024000117|VM2024 000117",
    issue_date="2024-05-19",
    currency="GBP",
    net_amount="200",
    tax_amount="40",
    total_amount="240",
)
def wrapped_number() -> bytes:
    p = Sheet(A4)
    p.put(50, 50, "Vantage Media Ltd", 16, bold=True)
    p.put(420, 50, "INVOICE", 14, bold=True)
    p.put(50, 100, "Bill to:")
    p.lines(50, 113, "Opal Retail Ltd\nYork")
    p.row(170, [(50, "Invoice no."), (130, "Invoice date"), (230, "Account")], bold=True)
    p.row(184, [(50, "VM2024"), (130, "19 May 2024"), (230, "OPAL01")])
    p.put(50, 195, "000117")
    item(p, 240, "Ads", "200.00")
    totals(p, 270, [("Net", "£200.00"), ("VAT 20%", "£40.00"), ("Total", "£240.00")])
    return p.pdf()


@page(
    customer_name="Apex Robotics LLC",
    supplier_name="None|Torino Gears S.r.l.",
    invoice_number="TG-91",
    issue_date="2024-01-22",
    currency="USD",
    net_amount="5000|None",
    tax_amount="0|None",
    total_amount="5000",
)
def bank_currency() -> bytes:
    p = Sheet(A4)
    p.put(50, 50, "Torino Gears S.r.l.", 16, bold=True)
    p.put(420, 50, "INVOICE", 14, bold=True)
    p.put(50, 100, "Bill to:")
    p.lines(50, 113, "Apex Robotics LLC\nBoston")
    p.pairs(350, 450, 100, [("Invoice no:", "TG-91"), ("Invoice date:", "22 January 2024")])
    item(p, 200, "Gears", "$5,000.00")
    totals(p, 230, [("Subtotal", "$5,000.00"), ("VAT 0%", "$0.00"), ("Total", "$5,000.00")])
    p.put(50, 300, "Bank details", bold=True)
    p.pairs(
        50, 150, 314, [("Bank:", "Banca di Torino"), ("IBAN:", "IT60X0542811101000000123456"), ("Currency:", "EUR")]
    )
    return p.pdf()


@page(
    customer_name="Opal Retail Ltd|None",
    supplier_name="None|Vantage Media Ltd",
    invoice_number="5001",
    issue_date="2024-05-19",
    due_date="2024-06-18",
    currency="GBP",
    net_amount="200",
    tax_amount="40",
    total_amount="240",
)
def caption_below() -> bytes:
    p = Sheet(A4)
    p.put(50, 50, "Vantage Media Ltd", 16, bold=True)
    p.put(50, 90, "Account", 9, bold=True)
    for x, a, b in [
        (50, "5001", "Invoice number"),
        (200, "19 May 2024", "Invoice date"),
        (350, "PO-7788", "Order number"),
    ]:
        p.put(x, 101, a, 10)
        p.put(x, 111, b, 7)
    for x, a, b in [
        (50, "88120", "Customer number"),
        (200, "18 June 2024", "Due date"),
        (350, "Opal Retail Ltd", "Customer"),
    ]:
        p.put(x, 121, a, 10)
        p.put(x, 131, b, 7)
    item(p, 240, "Ads", "200.00")
    totals(p, 270, [("Net", "£200.00"), ("VAT 20%", "£40.00"), ("Total", "£240.00")])
    return p.pdf()


@page(
    customer_name="Zentrum Apotheke e.K.|None",
    supplier_name="Delta Office GmbH|None",
    invoice_number="RE-881",
    issue_date="2024-09-03",
    due_date="2024-10-03",
    currency="EUR",
    net_amount="100",
    tax_amount="19",
    total_amount="119",
)
def skonto_due() -> bytes:
    p = Sheet(A4)
    p.put(50, 50, "Delta Office GmbH", 16, bold=True)
    p.lines(50, 110, "Zentrum Apotheke e.K.\nMarkt 1\n04109 Leipzig")
    p.pairs(350, 460, 110, [("Rechnungsnr.:", "RE-881"), ("Rechnungsdatum:", "03.09.2024")])
    p.put(50, 200, "Rechnung", 14, bold=True)
    item(p, 220, "Papier", "100,00")
    totals(p, 240, [("Netto", "100,00 €"), ("USt 19 %", "19,00 €"), ("Gesamt", "119,00 €")])
    p.row(300, [(50, "Fällig"), (150, "Abzug"), (230, "Betrag")], bold=True)
    p.row(313, [(50, "13.09.2024"), (150, "2 % Skonto"), (230, "116,62")])
    p.row(326, [(50, "03.10.2024 netto"), (150, "—"), (230, "119,00")])
    return p.pdf()


@page(
    customer_name="Bright Kids Nursery Ltd",
    supplier_name="None|Sparkle Clean Ltd",
    invoice_number="SC-310",
    issue_date="2024-04-01",
    currency="GBP",
    net_amount="300|None",
    tax_amount="None|0",
    total_amount="300|410",
)
def prev_balance() -> bytes:
    p = Sheet(A4)
    p.put(50, 50, "Sparkle Clean Ltd", 16, bold=True)
    p.put(420, 50, "INVOICE", 14, bold=True)
    p.put(50, 100, "Bill to:")
    p.lines(50, 113, "Bright Kids Nursery Ltd\nHull")
    p.pairs(350, 450, 100, [("Invoice no:", "SC-310"), ("Invoice date:", "1 April 2024")])
    item(p, 200, "Cleaning March", "300.00")
    totals(p, 230, [("Subtotal", "£300.00"), ("Balance brought forward", "£110.00"), ("Total", "£410.00")])
    return p.pdf()


@page(
    customer_name="Bright Kids Nursery Ltd",
    supplier_name="None|Tax Free Co",
    invoice_number="T-310",
    issue_date="2024-04-01",
    currency="USD|None",
    net_amount="300|285|None",
    tax_amount="None|0",
    total_amount="285",
)
def us_discount_below() -> bytes:
    p = Sheet(LETTER)
    p.put(50, 50, "Tax Free Co", 16, bold=True)
    p.put(420, 50, "INVOICE", 14, bold=True)
    p.put(50, 100, "Bill to:")
    p.lines(50, 113, "Bright Kids Nursery Ltd\nHull")
    p.pairs(350, 450, 100, [("Invoice no:", "T-310"), ("Invoice date:", "April 1, 2024")])
    item(p, 200, "Consulting", "300.00")
    totals(
        p,
        230,
        [
            ("Subtotal", "$300.00"),
            ("Tax", "$0.00"),
            ("Total", "$300.00"),
            ("Loyalty discount 5%", "-$15.00"),
            ("You pay", "$285.00"),
        ],
    )
    return p.pdf()


@page(
    customer_name="Colegio San José|None",
    supplier_name="None|Editorial Alba S.L.",
    supplier_vat_id="B76543214",
    invoice_number="F-2211",
    issue_date="2024-10-01",
    due_date="2024-10-31",
    currency="EUR",
    net_amount="96.15",
    tax_amount="3.85",
    total_amount="100",
)
def es_normal() -> bytes:
    p = Sheet(A4)
    p.put(50, 50, "Editorial Alba S.L.", 16, bold=True)
    p.put(50, 66, "CIF: B76543214")
    p.put(350, 50, "Factura", 14, bold=True)
    p.pairs(350, 450, 70, [("Nº factura:", "F-2211"), ("Fecha factura:", "01/10/2024"), ("Vencimiento:", "31/10/2024")])
    p.put(50, 120, "Cliente", bold=True)
    p.lines(50, 133, "Colegio San José\nC/ Paz 4\n46002 Valencia\nCIF: R4600123A")
    item(p, 220, "Libros", "96,15")
    totals(p, 250, [("Base imponible", "96,15 €"), ("IVA 4%", "3,85 €"), ("Total factura", "100,00 €")])
    return p.pdf()


@page(
    customer_name="ACME Werke AG",
    supplier_name="Hansa Packaging GmbH",
    supplier_vat_id="DE222333444",
    invoice_number="900118",
    issue_date="2024-11-11",
    due_date="2024-12-11",
    currency="EUR",
    net_amount="1010",
    tax_amount="191.90",
    total_amount="1201.90",
)
def de_freight() -> bytes:
    p = Sheet(A4)
    p.put(50, 50, "Hansa Packaging GmbH", 16, bold=True)
    p.put(50, 66, "Ust-IdNr.: DE222333444")
    p.put(50, 110, "Rechnungsadresse", bold=True)
    p.lines(50, 123, "ACME Werke AG\nRing 1\n30159 Hannover")
    p.put(250, 110, "Lieferadresse", bold=True)
    p.lines(250, 123, "ACME Werke AG\nLager 2\n30165 Hannover")
    p.pairs(400, 490, 110, [("Rechnung Nr.", "900118"), ("Datum", "11.11.2024"), ("Fälligkeit", "11.12.2024")])
    item(p, 220, "Kartons", "1.000,00")
    totals(
        p,
        250,
        [
            ("Warenwert", "1.000,00 €"),
            ("Fracht", "10,00 €"),
            ("Nettobetrag", "1.010,00 €"),
            ("MwSt 19%", "191,90 €"),
            ("Endbetrag", "1.201,90 €"),
        ],
    )
    return p.pdf()


def std(p: Sheet, no: str = "I-100", date: str = "19 May 2024") -> None:
    """Whose invoice it is."""
    p.put(50, 50, "Vantage Media Ltd", 16, bold=True)
    p.put(420, 50, "INVOICE", 14, bold=True)
    p.put(50, 100, "Bill to:")
    p.lines(50, 113, "Opal Retail Ltd\nYork")
    p.pairs(350, 450, 100, [("Invoice no:", no), ("Invoice date:", date)])


T = {
    "customer_name": "Opal Retail Ltd",
    "supplier_name": "None|Vantage Media Ltd",
    "invoice_number": "I-100",
    "issue_date": "2024-05-19",
    "currency": "GBP",
}


@page(**T, net_amount="200", tax_amount="40", total_amount="240", due_date="None")
def next_due() -> bytes:
    p = Sheet(A4)
    std(p)
    item(p, 200, "Ads", "200.00")
    totals(p, 230, [("Net", "£200.00"), ("VAT 20%", "£40.00"), ("Total", "£240.00")])
    p.put(50, 320, "Paid in full, thank you.")
    p.put(50, 340, "Your membership", bold=True)
    p.pairs(50, 160, 354, [("Plan", "Gold"), ("Due date", "1 June 2025")])
    return p.pdf()


@page(**T, net_amount="200", tax_amount="40", total_amount="240|265.20", due_date="None")
def extra_page() -> bytes:
    p = Sheet(A4)
    std(p)
    item(p, 200, "Ads", "200.00")
    totals(p, 230, [("Net", "£200.00"), ("VAT 20%", "£40.00"), ("Total", "£240.00")])
    p.put(50, 320, "Courier charged separately: £25.20 incl. VAT. Amount we will collect: £265.20")
    return p.pdf()


@page(**T, net_amount="300", tax_amount="40|60", total_amount="360", due_date="None")
def two_sections() -> bytes:
    p = Sheet(A4)
    std(p)
    p.put(50, 180, "Labour", bold=True)
    totals(p, 200, [("Net", "£200.00"), ("VAT", "£40.00"), ("Total", "£240.00")])
    p.put(50, 270, "Parts", bold=True)
    p.put(50, 284, "Parts as listed overleaf, net £100.00, VAT £20.00, gross £120.00")
    p.put(50, 310, "To be paid for labour and parts: £360.00", 11, bold=True)
    return p.pdf()


@page(
    **{**T, "currency": "None|USD"},
    net_amount="None|200",
    tax_amount="None",
    total_amount="None|200",
    due_date="2024-06-30|None",
)
def instal() -> bytes:
    p = Sheet(LETTER)
    std(p, date="May 19, 2024")
    item(p, 200, "Ads", "$200.00")
    totals(p, 230, [("Total", "$200.00")])
    p.put(50, 300, "Payment plan", bold=True)
    p.put(50, 314, "Due 05/31/2024 $100.00")
    p.put(50, 328, "Due 06/30/2024: $100.00")
    return p.pdf()


@page(**{**T, "issue_date": "2024-05-19"}, net_amount="200", tax_amount="40", total_amount="240", due_date="2024-06-18")
def ordinary() -> bytes:
    p = Sheet(A4)
    std(p)
    p.put(350, 126, "Due date:")
    p.put(450, 126, "18 June 2024")
    item(p, 200, "Ads", "200.00")
    totals(p, 230, [("Subtotal", "£200.00"), ("VAT @ 20%", "£40.00"), ("Total due", "£240.00")])
    return p.pdf()


@page(**T, net_amount="180", tax_amount="36", total_amount="216", due_date="None")
def discount_mid() -> bytes:
    p = Sheet(A4)
    std(p)
    item(p, 200, "Ads", "200.00")
    totals(
        p,
        230,
        [
            ("Subtotal", "£200.00"),
            ("Discount 10%", "-£20.00"),
            ("Net", "£180.00"),
            ("VAT 20%", "£36.00"),
            ("Total", "£216.00"),
        ],
    )
    return p.pdf()


@page(**T, net_amount="200", tax_amount="40", total_amount="240", due_date="None")
def voucher_after() -> bytes:
    p = Sheet(A4)
    std(p)
    item(p, 200, "Ads", "200.00")
    totals(
        p,
        230,
        [
            ("Net", "£200.00"),
            ("VAT 20%", "£40.00"),
            ("Total", "£240.00"),
            ("Paid by card", "£240.00"),
            ("Balance", "£0.00"),
        ],
    )
    return p.pdf()


@page(**T, net_amount="180", tax_amount="36", total_amount="216", due_date="None")
def disc_after_total() -> bytes:
    p = Sheet(A4)
    std(p)
    item(p, 200, "Ads", "200.00")
    totals(p, 230, [("Net", "£200.00"), ("VAT 20%", "£40.00"), ("Total", "£240.00"), ("Discount 10%", "-£24.00")])
    p.put(50, 320, "Amount to be collected by direct debit: £216.00")
    return p.pdf()


@page(**T, net_amount="200", tax_amount="40", total_amount="250", due_date="None")
def shipping_after_total() -> bytes:
    p = Sheet(A4)
    std(p)
    item(p, 200, "Ads", "200.00")
    totals(p, 230, [("Net", "£200.00"), ("VAT 20%", "£40.00"), ("Total", "£240.00"), ("Shipping", "£10.00")])
    p.put(50, 320, "We have charged £250.00 to your card.")
    return p.pdf()


def german(
    p: Sheet, head: str, extra_after: Sequence[str] = (), cust: str = "Käufer AG", window_first: str | None = None
) -> bytes:
    """A page with the words of a known layout, and something else in its places."""
    p.put(50, 60, head, 16, bold=True)
    p.put(50, 80, "Echte Firma GmbH · Weg 1 · 10115 Berlin", 7)
    p.lines(50, 95, (window_first + "\n" if window_first else "") + cust + "\nStr. 2\n10117 Berlin")
    p.lines(50, 160, "Rechnungsnummer R-17\nRechnungsdatum 05.03.2024\nFällig am 04.04.2024\nUSt-IdNr. DE123456789")
    p.row(240, [(50, "Pos. Art.-Nr. Bezeichnung Menge Einh. Preis USt. Gesamt")])
    p.put(50, 254, "1 A-1 Ding 2 Stk 50,00 19,0% 100,00")
    p.lines(50, 280, "Nettobetrag 100,00\nUSt. 19,0% auf 100,00 19,00\nRechnungsbetrag EUR 119,00")
    for i, words in enumerate(extra_after):
        p.put(50, 330 + 12 * i, words)
    return p.pdf()


@page(
    supplier_name="Echte Firma GmbH",
    supplier_vat_id="DE123456789",
    customer_name="Käufer AG",
    invoice_number="R-17",
    issue_date="2024-03-05",
    due_date="2024-04-04",
    currency="EUR",
    net_amount="100",
    tax_amount="19",
    total_amount="119",
)
def half_headline() -> bytes:
    return german(Sheet(A4), "Willkommen bei Ihrer Rechnung")


@page(
    supplier_name="Echte Firma GmbH",
    supplier_vat_id="DE123456789",
    customer_name="Käufer AG",
    invoice_number="R-17",
    issue_date="2024-03-05",
    due_date="2024-04-04",
    currency="EUR",
    net_amount="100",
    tax_amount="19",
    total_amount="119",
)
def half_zhd() -> bytes:
    return german(Sheet(A4), "Echte Firma GmbH", window_first="Persönlich / Vertraulich")


@page(
    supplier_name="Echte Firma GmbH",
    supplier_vat_id="None",
    customer_name="Käufer AG",
    invoice_number="R-17",
    issue_date="2024-03-05",
    due_date="2024-04-04",
    currency="EUR",
    net_amount="100",
    tax_amount="19",
    total_amount="119",
)
def half_kundenustid() -> bytes:
    p = Sheet(A4)
    p.put(50, 60, "Echte Firma GmbH", 16, bold=True)
    p.put(50, 80, "Echte Firma GmbH · Weg 1 · 10115 Berlin", 7)
    p.lines(50, 95, "Käufer AG\nStr. 2\n10117 Berlin")
    p.lines(
        50,
        160,
        "Rechnungsnummer R-17\nRechnungsdatum 05.03.2024\nFällig am 04.04.2024\nUSt-IdNr. des Kunden\nUSt-IdNr. DE999999999",
    )
    p.row(240, [(50, "Pos. Art.-Nr. Bezeichnung Menge Einh. Preis USt. Gesamt")])
    p.put(50, 254, "1 A-1 Ding 2 Stk 50,00 19,0% 100,00")
    p.lines(50, 280, "Nettobetrag 100,00\nUSt. 19,0% auf 100,00 19,00\nRechnungsbetrag EUR 119,00")
    return p.pdf()


@page(
    supplier_name="Echte Firma GmbH",
    supplier_vat_id="DE123456789",
    customer_name="Käufer AG",
    invoice_number="R-17",
    issue_date="2024-03-05",
    due_date="2024-04-04",
    currency="EUR",
    net_amount="100",
    tax_amount="19",
    total_amount="119|150",
)
def half_after() -> bytes:
    return german(
        Sheet(A4),
        "Echte Firma GmbH",
        ["abzüglich Anzahlung 50,00", "zuzüglich Rechnung Filiale 2: 81,00", "Gesamtforderung EUR 150,00"],
    )


def main(folder: str) -> None:
    """Writes every page into *folder*."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, (draw, _) in PAGES.items():
        Path(folder, f"{name}.pdf").write_bytes(draw())


if __name__ == "__main__":
    main(*sys.argv[1:])
